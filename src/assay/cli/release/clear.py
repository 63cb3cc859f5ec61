"""`assay release clear`: remove pointers that block the release log."""

import contextlib

import click

from assay.cli.console import print_table, use_defaults
from assay.errors import UsageError


@click.command("clear")
@click.option("--why", required=True, help="Why removing them loses nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def command(why: str, yes: bool) -> None:
    """Remove pointers that block the release log and that no configured key signed.

    For an approver. Shows the pointers, asks for confirmation, removes them, and logs the removal
    in your name. If one is signed by the key of a former member, list that key in keys.yaml
    instead. If entries were lost, restore the store's pointers from a copy first: assay store fsck
    --from URL.
    """
    from assay.releases import log
    from assay.releases.deployment import Deployment
    from assay.releases.statement import person

    use_defaults()
    deployment = Deployment.from_env()
    signer = deployment.require_signer()
    services = deployment.services
    with contextlib.suppress(UsageError):  # without it, entries of other repositories are kept
        services = deployment.offline().services
    pointers = log.blocking(services)
    if not pointers:
        click.echo("nothing blocks the release log")
        return
    print_table(["pointer", "names", "why"], [(f.pointer, f.target, f.why) for f in pointers])
    if not yes:
        click.confirm(f"Remove these {len(pointers)} pointers in your name?", abort=True)
    entry = log.clear(services, signer, pointers, by=person(), why=why)
    click.echo(f"removed {len(pointers)}: entry {entry.name if entry else ''}")
