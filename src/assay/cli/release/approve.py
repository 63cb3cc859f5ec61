"""`assay release approve`: merge a proposal where there is no forge."""

import click

from assay.cli.console import NAME, use_defaults
from assay.core.config import services_from_env
from assay.releases.settings import settings_from_env


@click.command("approve")
@click.argument("model_name")
@click.argument("environment")
@click.option("--digest", type=NAME, default="", help="Which model, where several are proposed.")
@click.option("--no-sync", is_flag=True, help="Do not record the merge in the release log now.")
def command(model_name: str, environment: str, digest: str, no_sync: bool) -> None:
    """Merge what is proposed for MODEL_NAME in ENVIRONMENT, in your name.

    Everything is checked again first. ASSAY_SIGNING_KEY, an approver's key, signs the approval of
    exactly this release. With a forge, merge it there.
    """
    from assay.cli.release.sync import print_synced
    from assay.governance.registry import Registry
    from assay.releases.approval import approve, sync
    from assay.releases.statement import person, require_signer

    use_defaults()
    services, settings = services_from_env(), settings_from_env()
    signer, registry = require_signer(), Registry()
    commit = approve(
        services,
        settings,
        signer,
        model_name,
        environment,
        by=person(),
        digest=digest,
        registry=registry,
    )
    click.echo(f"merged: {commit}")
    if not no_sync:
        print_synced(sync(services, settings, registry, signer))
