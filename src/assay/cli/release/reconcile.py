"""`assay release reconcile`: apply rollbacks that were made while Git was down."""

import click

from assay.cli.console import use_defaults


@click.command("reconcile")
def command() -> None:
    """Commit the rollbacks that were made while the deployment repository was down.

    Example: assay release reconcile
    """
    from assay.releases.deployment import Deployment
    from assay.releases.rollback import reconcile
    from assay.releases.statement import person

    use_defaults()
    made = reconcile(Deployment.from_env(), by=person())
    for entry in made:
        click.echo(f"reconciled: {entry.model} in {entry.environment}: {entry.commit}")
    if not made:
        click.echo("nothing to reconcile")
