"""`assay release clear`: remove what was added to the store and stops the release log."""

import contextlib

import click

from assay.cli.console import print_table, use_defaults
from assay.errors import UsageError


@click.command("clear")
@click.option("--why", required=True, help="Why nothing is lost.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Also the log of this model, of which no configured key signed an entry. Repeatable.",
)
def command(why: str, yes: bool, models: tuple[str, ...]) -> None:
    """Remove pointers that stop readers of the release log and that no configured key signed.

    For an approver. Shows the pointers, asks, removes them, and logs in your name what was removed.
    If one of them is signed by the key of somebody who left, list that key in keys.yaml instead. If
    entries were lost, restore the store's pointers from a copy first: assay store fsck --from URL.

    The log of a model of which no configured key signed any entry may belong to others who use the
    store with keys of their own. It stays, unless --model names it.

    Example: assay release clear --why "nobody here wrote it"
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
    found = log.blocking(services)
    foreign = sorted({one.foreign for one in found if one.foreign} - {*models})
    found = [one for one in found if one.foreign not in foreign]
    for model in foreign:
        click.echo(
            f"note: no configured key signed any entry of the log of {model!r}; it may be the log "
            f"of others, and stays; to remove it: assay release clear --model '{model}'",
            err=True,
        )
    if not found:
        click.echo("nothing stops the release log")
        return
    print_table(["pointer", "names", "why"], [(f.pointer, f.target, f.why) for f in found])
    if not yes:
        click.confirm(f"Remove these {len(found)} pointers in your name?", abort=True)
    made = log.clear(services, signer, found, by=person(), why=why)
    click.echo(f"removed {len(found)}: entry {made.name if made else ''}")
