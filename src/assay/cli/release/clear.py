"""`assay release clear`: remove what others added to the release log to block it."""

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from assay.cli.console import print_table, use_defaults
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.core.step import Services
    from assay.releases.log import Blocking, Revocation


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
@click.option(
    "--revocation",
    "revoked",
    multiple=True,
    metavar="DIGEST",
    help="Also set the revocations of this model aside, by keys that are out of use; repeatable.",
)
def command(why: str, yes: bool, models: tuple[str, ...], revoked: tuple[str, ...]) -> None:
    """Remove pointers that block the release log and that no configured key signed.

    For an approver. Shows the pointers, asks for confirmation, removes them, and logs the removal
    in your name. If one is signed by the key of a former member, list that key in keys.yaml
    instead. If entries were lost, restore the store's pointers from a copy first: assay store fsck
    --from URL.

    The log of a model without any entry by a configured key may belong to others who use the store
    with keys of their own. It is kept unless --model names it.

    A revocation by a key that was retired or stolen counts until --revocation sets it aside, unless
    another key proves that it was made before. It may be genuine: ask its author.

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
    pointers = _pointers(services, models)
    if pointers:
        print_table(["pointer", "names", "why"], [(f.pointer, f.target, f.why) for f in pointers])
        if not yes:
            click.confirm(f"Remove these {len(pointers)} pointers in your name?", abort=True)
        entry = log.clear(services, signer, pointers, by=person(), why=why)
        click.echo(f"removed {len(pointers)}: entry {entry.name if entry else ''}")
    # The pointers may have blocked the log of revocations.
    revocations = _revocations(services, revoked)
    if revocations:
        print_table(
            ["revoked model", "at", "by", "why"],
            [(r.digest, r.at, r.by, r.why) for r in revocations],
        )
        if not yes:
            click.confirm(
                f"Set these {len(revocations)} revocations aside in your name?", abort=True
            )
        log.lift(services, signer, revocations, by=person(), why=why)
        for item in revocations:
            click.echo(f"set aside: the revocation of {item.digest}")
    if not pointers and not revocations:
        click.echo("nothing blocks the release log")


def _pointers(services: "Services", models: Collection[str]) -> "list[Blocking]":
    """The pointers to remove; names the logs that are kept."""
    from assay.releases import log

    pointers = log.blocking(services)
    others = sorted({item.foreign for item in pointers if item.foreign} - {*models})
    for model in others:
        click.echo(
            f"note: no configured key signed an entry of the log of {model!r}; it may belong to "
            f"others and is kept; to remove it: assay release clear --model '{model}'",
            err=True,
        )
    return [item for item in pointers if item.foreign not in others]


def _revocations(services: "Services", models: Collection[str]) -> "list[Revocation]":
    """The revocations to set aside; names those that are kept."""
    from assay.releases import log

    unproven = log.unproven(services)
    if unknown := sorted({*models} - {item.digest for item in unproven}):
        raise UsageError(
            f"--revocation: {', '.join(unknown)} is not revoked by a key that is out of use, or "
            "another key proves that the revocation was made before"
        )
    for item in unproven:
        if item.digest not in models:
            click.echo(
                f"note: the key that revoked {item.digest} is out of use, and nothing proves that "
                "it was in use then; the revocation is kept; if it is not genuine: assay release "
                f"clear --revocation {item.digest}",
                err=True,
            )
    return [item for item in unproven if item.digest in models]
