"""`assay approve`: merge a proposal where there is no forge."""

import click

from assay.cli.console import NAME, use_defaults
from assay.config import services_from_env
from assay.gitops.settings import settings_from_env


@click.command("approve")
@click.argument("model_name")
@click.argument("environment")
@click.option("--digest", type=NAME, default="", help="Which model, where several are proposed.")
@click.option("--no-sync", is_flag=True, help="Do not record the approval now.")
def command(model_name: str, environment: str, digest: str, no_sync: bool) -> None:
    """Merge what is proposed for MODEL_NAME in ENVIRONMENT, in your name.

    Everything is checked again first. With a forge, merge it there. The approval is recorded at
    once; that takes a signing key.
    """
    from assay.cli.approvals import print_synced
    from assay.gitops.approval import approve, sync
    from assay.gitops.statement import person, require_signer
    from assay.registry import Registry

    use_defaults()
    services, settings = services_from_env(), settings_from_env()
    signer = None if no_sync else require_signer()
    commit = approve(services, settings, model_name, environment, by=person(), digest=digest)
    click.echo(f"merged: {commit}")
    if signer is not None:
        print_synced(sync(services, settings, Registry(), signer))
