"""`assay release clear`: remove pointers that block the release log."""

import contextlib

import click

from assay.cli.console import print_table, use_defaults
from assay.errors import UsageError


@click.command("clear")
@click.option("--why", required=True, help="Why removing them loses nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Also clear this model's log, of which no configured key signed an entry; repeatable.",
)
def command(why: str, yes: bool, models: tuple[str, ...]) -> None:
    """Remove pointers that block the release log and that no configured key signed.

    For an approver. Shows the pointers, asks for confirmation, removes them, and logs the removal
    in your name. If one is signed by the key of a former member, list that key in keys.yaml
    instead. If entries were lost, restore the store's pointers from a copy first: assay store fsck
    --from URL.

    The log of a model without any entry by a configured key may belong to others who use the store
    with keys of their own. It is kept unless --model names it.

    Example: assay release clear --why "no one here wrote it"
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
    others = sorted({item.foreign for item in pointers if item.foreign} - {*models})
    pointers = [item for item in pointers if item.foreign not in others]
    for model in others:
        click.echo(
            f"note: no configured key signed an entry of the log of {model!r}; it may belong to "
            f"others and is kept; to remove it: assay release clear --model '{model}'",
            err=True,
        )
    if not pointers:
        click.echo("nothing blocks the release log")
        return
    print_table(["pointer", "names", "why"], [(f.pointer, f.target, f.why) for f in pointers])
    if not yes:
        click.confirm(f"Remove these {len(pointers)} pointers in your name?", abort=True)
    entry = log.clear(services, signer, pointers, by=person(), why=why)
    click.echo(f"removed {len(pointers)}: entry {entry.name if entry else ''}")
