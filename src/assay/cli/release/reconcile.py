"""`assay release reconcile`: rollbacks made while Git was down become commits."""

import click

from assay.cli.console import use_defaults
from assay.core.config import services_from_env


@click.command("reconcile")
def command() -> None:
    """Commit to the deployment repository what was rolled back while it was down.

    Example: assay release reconcile
    """
    from assay.core.signing import signer_from_env
    from assay.releases.rollback import reconcile
    from assay.releases.settings import settings_from_env
    from assay.releases.statement import person

    use_defaults()
    made = reconcile(services_from_env(), settings_from_env(), signer_from_env(), by=person())
    for entry in made:
        click.echo(f"reconciled: {entry.model} in {entry.environment}: {entry.commit}")
    if not made:
        click.echo("nothing to reconcile")
