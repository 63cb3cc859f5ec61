"""`assay release sync`: what was merged is recorded, signed."""

import sys
from typing import TYPE_CHECKING

import click

from assay.cli.console import json_option, print_json, use_defaults
from assay.core.config import services_from_env
from assay.releases.settings import settings_from_env

if TYPE_CHECKING:
    from assay.releases.approval import Synced

REFUSED = 6


@click.command("sync")
@click.option(
    "--accept-merges",
    is_flag=True,
    help="Count merges in environments that were rolled back while Git was down.",
)
@json_option
def command(accept_merges: bool, as_json: bool) -> None:
    """Record every merge that the release log does not know, and move the registry's aliases.

    For CI or a CronJob; safe to run as often as one likes. Exit code 6 when something was merged
    that nobody could have approved.
    """
    from assay.governance.registry import Registry
    from assay.releases.approval import sync
    from assay.releases.statement import require_signer

    use_defaults()
    done = sync(
        services_from_env(),
        settings_from_env(),
        Registry(),
        require_signer(),
        accept_merges=accept_merges,
    )
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
