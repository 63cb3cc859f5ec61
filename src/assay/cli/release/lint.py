"""`assay release lint`: checks for the CI of a deployment repository."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from assay.cli.console import json_option, print_json, use_defaults
from assay.core.settings import MLFLOW_URI

PROBLEMS = 1


@click.command("lint")
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--changed-since",
    default="",
    metavar="REF",
    help="Check only what differs from REF, such as origin/main; only REF's history is trusted.",
)
@json_option
def command(folder: Path, changed_since: str, as_json: bool) -> None:
    """Check every release in FOLDER, a checked-out deployment repository.

    Checks schema and form; that the store has every digest and every byte verifies; that the
    attestations count; that the decision is a pass for this model, or overridden; that no
    environment was skipped; that the registry has the version, if MLFLOW_TRACKING_URI is set.
    Prints one line for each problem, and exits with 1 if there is one.
    """
    from assay.releases.deployment import Deployment
    from assay.releases.lint import lint

    unchecked = not MLFLOW_URI.get()
    use_defaults()
    deployment = Deployment.from_env(repository=False)
    if unchecked:
        deployment = replace(deployment, registry=None)
    looked_at, problems = lint(deployment, folder, changed_since)
    if unchecked:
        click.echo(
            "note: registryVersion was not checked: MLFLOW_TRACKING_URI is not set", err=True
        )
    if as_json:
        print_json(
            {
                "releases": looked_at,
                "registryChecked": not unchecked,
                "problems": [{"path": p.path, "problem": p.text} for p in problems],
            }
        )
    else:
        for problem in problems:
            click.echo(f"{problem.path}: {problem.text}")
        if not problems:
            click.echo(f"{looked_at} releases, no problems")
    sys.exit(PROBLEMS if problems else 0)
