"""`assay release override` and `revoke`: signed statements of a person about a model."""

import click

from assay.cli.console import NAME, use_defaults


@click.command("override")
@click.argument("model_name")
@click.argument("digest", type=NAME)
@click.option("--why", required=True, help="Why the policy is overridden.")
@click.option(
    "--until", required=True, metavar="DATE", help="Last day of the override, such as 2026-01-31."
)
def command(model_name: str, digest: str, why: str, until: str) -> None:
    """Override the policy for the model DIGEST, in your name and for a time.

    It is signed with ASSAY_SIGNING_KEY, an approver's key. Every release of the model shows it.
    """
    from assay.releases import log
    from assay.releases.deployment import Deployment
    from assay.releases.override import override
    from assay.releases.statement import person

    use_defaults()
    deployment = Deployment.from_env()
    known = model_name in log.models(deployment.store)
    made = override(deployment, model_name, digest, by=person(), why=why, until=until)
    click.echo(f"overridden until {made.text('until')} by {made.by}: {made.digest}")
    if not known:
        click.echo(
            f"note: nothing was released as {model_name!r} so far; an override is only valid for "
            "the name that it was given for",
            err=True,
        )


@click.command("revoke")
@click.argument("digest", type=NAME)
@click.option("--why", required=True, help="Why the model must never be released again.")
def revoke_command(digest: str, why: str) -> None:
    """Revoke the model DIGEST, signed: it must never be released or rolled back to."""
    from assay.releases.deployment import Deployment
    from assay.releases.override import revoke
    from assay.releases.statement import person

    use_defaults()
    made = revoke(Deployment.from_env(repository=False), digest, by=person(), why=why)
    click.echo(f"revoked by {made.by}: {made.digest}")
