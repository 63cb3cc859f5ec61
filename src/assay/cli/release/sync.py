"""`assay release sync`: record merges as signed entries of the release log."""

import sys
from typing import TYPE_CHECKING

import click

from assay.cli.console import json_option, print_json, use_defaults

if TYPE_CHECKING:
    from assay.releases.sync import Synced

REFUSED = 6


@click.command("sync")
@click.option(
    "--accept-merges",
    is_flag=True,
    help="Accept merges in environments that were rolled back while Git was down.",
)
@json_option
def command(accept_merges: bool, as_json: bool) -> None:
    """Record every merge that the release log does not have, and move the registry's aliases.

    For CI or a CronJob; safe to run at any time. Exit code 6 if a merge was refused because it was
    not approved or does not pass the checks.
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


def print_synced(done: "Synced") -> None:
    """Print the result, one line for each item."""
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
