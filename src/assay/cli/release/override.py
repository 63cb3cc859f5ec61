"""`assay release override` and `revoke`: what a person states about a model, signed."""

import os

import click

from assay.cli.console import NAME, use_defaults
from assay.core.config import services_from_env


@click.command("override")
@click.argument("model_name")
@click.argument("digest", type=NAME)
@click.option("--why", required=True, help="Why the policy is overridden.")
@click.option("--until", required=True, metavar="DATE", help="When it expires: 2026-01-31.")
def command(model_name: str, digest: str, why: str, until: str) -> None:
    """Decide against the policy, for the model DIGEST only, in your name and for a time.

    Signed with ASSAY_SIGNING_KEY, an approver's key. Every release of the model shows it.
    """
    from assay.releases import log
    from assay.releases.override import override
    from assay.releases.settings import settings_from_env
    from assay.releases.statement import person, require_signer

    use_defaults()
    services = services_from_env()
    known = model_name in log.models(services.store)
    made = override(
        services,
        require_signer(),
        model_name,
        digest,
        by=person(),
        why=why,
        until=until,
        settings=settings_from_env() if os.environ.get("ASSAY_DEPLOYMENTS") else None,
    )
    click.echo(f"overridden until {made.text('until')} by {made.by}: {made.digest}")
    if not known:
        click.echo(
            f"note: nothing was released as {model_name!r} so far; an override counts only for the "
            "name that it was given for",
            err=True,
        )


@click.command("revoke")
@click.argument("digest", type=NAME)
@click.option("--why", required=True, help="Why the model must never be released again.")
def revoke_command(digest: str, why: str) -> None:
    """State, signed, that the model DIGEST must never be released nor rolled back to."""
    from assay.releases.override import revoke
    from assay.releases.statement import person, require_signer

    use_defaults()
    made = revoke(services_from_env(), require_signer(), digest, by=person(), why=why)
    click.echo(f"revoked by {made.by}: {made.digest}")
