"""`assay approvals`: what was merged becomes signed records."""

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from assay.cli.console import json_option, print_json, print_table, use_defaults
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.releases.sync import Synced

REFUSED = 6


@click.group("approvals")
def command() -> None:
    """Record approvals."""


@command.command("sync", short_help="Record merges and move aliases.")
@click.option(
    "--accept-merges",
    is_flag=True,
    help="Count merges in environments that were rolled back while Git was down.",
)
@json_option
def sync_command(accept_merges: bool, as_json: bool) -> None:
    """Record every merge that the release log does not know, and move the registry's aliases.

    For CI or a CronJob; safe to run as often as one likes. Exit code 6 when something was merged
    that nobody could have approved.
    """
    from assay.releases.deployment import Deployment
    from assay.releases.sync import sync

    use_defaults()
    done = sync(Deployment.from_env(), accept_merges=accept_merges)
    if as_json:
        print_json(
            {
                "recorded": [entry.predicate() for entry in done.approved],
                "aliases": done.aliases,
                "problems": done.problems,
            }
        )
    else:
        print_synced(done)
    sys.exit(REFUSED if done.problems else 0)


@command.command("clear", short_help="Remove what blocks a release log.")
@click.option("--why", required=True, help="Why nothing is lost with it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear_command(why: str, yes: bool) -> None:
    """Remove pointers that stop the readers of a release log, and that no configured key signed.

    For an approver. Shows each of them, asks, removes them, and logs in your name what was removed.
    If one of them is by the key of somebody who left, list that key in keys.yaml instead. If
    entries were lost, bring the store's pointers back from a copy first: assay fsck --from URL.
    """
    from assay.releases import log
    from assay.releases.deployment import Deployment
    from assay.releases.statement import person

    use_defaults()
    deployment = Deployment.from_env()
    signer = deployment.require_signer()
    services = deployment.services
    with contextlib.suppress(UsageError):  # it only says which entries are of other repositories
        services = deployment.offline().services
    found = log.blocking(services)
    if not found:
        click.echo("nothing blocks a release log")
        return
    print_table(["pointer", "names", "why"], [(f.pointer, f.target, f.why) for f in found])
    if not yes:
        click.confirm(f"Remove these {len(found)} pointers in your name?", abort=True)
    made = log.clear(services, signer, found, by=person(), why=why)
    click.echo(f"removed {len(found)}: entry {made.name if made else ''}")


def print_synced(done: "Synced") -> None:
    """What a synchronisation did, a line each."""
    for entry in done.approved:
        click.echo(
            f"{entry.event}: {entry.model} in {entry.environment}: {entry.digest} by {entry.by}"
        )
    for alias in done.aliases:
        click.echo(f"alias: {alias}")
    for problem in done.problems:
        click.echo(f"refused: {problem}", err=True)
    if not (done.approved or done.aliases or done.problems):
        click.echo("nothing new")
