"""`assay submit`: a pipeline on a cluster."""

import os
import re
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from assay.cli.catalog import bind_arguments, names, pipeline
from assay.cli.compile import compile_one, read_profile, use_images
from assay.cli.console import json_option, print_json, stdout
from assay.cli.run import read_parameters
from assay.cluster.client import Endpoint, Kfp
from assay.cluster.follow import PATIENCE_SECONDS, POLL_SECONDS, follow
from assay.cluster.runs import FAILED, SUCCEEDED, TERMINAL, Outcome, Task
from assay.config import store_from_env
from assay.digest import of_bytes
from assay.errors import UsageError
from assay.resolve import resolve_arguments

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_EVERY = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_CRON_FIELDS: Final = 6
_STYLES: Final = {SUCCEEDED: "green", FAILED: "bold red"}
_MARKS: Final = {SUCCEEDED: "✓", FAILED: "✗"}
INTERRUPTED: Final = 130


@click.command("submit")
@click.argument("name", metavar="PIPELINE", required=False)
@click.option(
    "-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="A parameter."
)
@click.option("--params", type=click.Path(path_type=Path), help="YAML file of parameters.")
@click.option("--endpoint", default="", help="URL of KFP's API (default: KFP_ENDPOINT).")
@click.option("--namespace", default="", help="For many users (default: KFP_NAMESPACE).")
@click.option("--experiment", default="assay", show_default=True, help="Where the run stands.")
@click.option("--name", "run_name", default="", help="The run's name (default: pipeline and id).")
@click.option("--profile", type=click.Path(path_type=Path), help="What the cluster's pods need.")
@click.option(
    "--images", type=click.Path(path_type=Path), help="JSON file: role to image reference."
)
@click.option("--dev", is_flag=True, help="Admit images that are not pinned by digest.")
@click.option("--service-account", default="", help="Service account of the run's pods.")
@click.option("--pipeline-root", default="", help="Where KFP keeps its own files of the run.")
@click.option("--cron", default="", help="Recurring: five fields, or six with seconds first.")
@click.option("--every", default="", help="Recurring: an interval such as 30m, 6h or 1d.")
@click.option("--no-wait", is_flag=True, help="Start the run and do not follow it.")
@click.option("--follow", "follow_id", default="", metavar="RUN_ID", help="Follow a run.")
@click.option("--cancel", "cancel_id", default="", metavar="RUN_ID", help="Stop a run.")
@click.option("--cancel-on-interrupt", is_flag=True, help="Let Ctrl-C stop the run as well.")
@click.option(
    "--poll", type=click.FloatRange(0.01), default=POLL_SECONDS, help="Seconds between two looks."
)
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=PATIENCE_SECONDS,
    help="Seconds to wait for an API that went away.",
)
@json_option
def command(
    name: str | None,
    pairs: tuple[str, ...],
    params: Path | None,
    endpoint: str,
    namespace: str,
    experiment: str,
    run_name: str,
    profile: Path | None,
    images: Path | None,
    dev: bool,
    service_account: str,
    pipeline_root: str,
    cron: str,
    every: str,
    no_wait: bool,
    follow_id: str,
    cancel_id: str,
    cancel_on_interrupt: bool,
    poll: float,
    patience: float,
    as_json: bool,
) -> None:
    """Compile PIPELINE, upload it, start a run and follow it to its end.

    The version's name is the digest of its content: the same content is uploaded once. Exit code 0
    is a registered model; 3 rejected data, 4 blocked by the gate, 5 inconclusive, 1 failed or
    canceled; 8 when KFP does not answer. Ctrl-C leaves the run going, and says how to stop it.

    Logging in: KFP_TOKEN or KFP_COOKIES (docs/submit.md).
    """
    if (name is not None) + bool(follow_id) + bool(cancel_id) != 1:
        listing = ", ".join(item.replace("_", "-") for item in names("assay.pipelines"))
        raise UsageError(f"give one of: a pipeline ({listing}), --follow RUN_ID, --cancel RUN_ID")
    where = Endpoint.from_env(endpoint, namespace)
    if cancel_id:
        Kfp(where).cancel(cancel_id)
        click.echo(f"asked to stop {cancel_id}; see: assay submit --follow {cancel_id}")
        return
    if follow_id:
        kfp, run_id = Kfp(where), follow_id
    else:
        # Everything that can be wrong here is told before the cluster hears of it.
        interval, schedule = _seconds(every), _cron(cron)
        if interval and schedule:
            raise UsageError("give --cron or --every, not both")
        use_images(images, dev=dev)
        function = pipeline(str(name))
        arguments = bind_arguments(function, read_parameters(params, pairs))
        if os.environ.get("ASSAY_STORE"):
            # Where this machine does not see the cluster's store, the run's own tasks resolve.
            arguments = resolve_arguments(arguments, store_from_env())
        package = compile_one(function, read_profile(profile) if profile else None)
        kfp = Kfp(where)
        version = upload(kfp, function.name, package)
        experiment_id = kfp.experiment(experiment)
        options = {"service_account": service_account, "pipeline_root": pipeline_root}
        if interval or schedule:
            scheduled = kfp.schedule(
                run_name or function.name,
                experiment_id,
                version,
                arguments,
                cron=schedule,
                every_seconds=interval,
                **options,
            )
            _print_ids({"recurringRun": scheduled, "url": kfp.schedule_url(scheduled)}, as_json)
            return
        run_name = run_name or f"{function.name}-{uuid.uuid4().hex[:8]}"
        run_id = kfp.start(run_name, experiment_id, version, arguments, **options)
    if no_wait:
        _print_ids({"run": run_id, "url": kfp.run_url(run_id)}, as_json)
        return
    if not as_json:
        stdout.print(f"run: {kfp.run_url(run_id)}", soft_wrap=True, highlight=False)
    outcome = _wait(kfp, run_id, poll, patience, quiet=as_json, cancel=cancel_on_interrupt)
    _print_outcome(kfp, outcome, as_json)
    sys.exit(outcome.exit_code)


def upload(kfp: Kfp, name: str, package: str) -> tuple[str, str]:
    """Upload a compiled pipeline under the digest of its content; ids of pipeline and version."""
    version = of_bytes(package.encode()).replace(":", "-")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(package)
        pipeline_id, version_id, new = kfp.upload(name, path, version)
    said = "uploaded" if new else "there already"
    click.echo(f"pipeline {name}, version {version}: {said}", err=True)
    return pipeline_id, version_id


def _seconds(every: str) -> int:
    if not every:
        return 0
    match = _EVERY.fullmatch(every)
    if match is None:
        raise UsageError(f"--every {every}: give an interval such as 30m, 6h or 1d")
    return int(match[1]) * _UNITS[match[2]]


def _cron(expression: str) -> str:
    """KFP's cron has seconds first; crontab's five fields start at second 0."""
    fields = expression.split()
    if fields and len(fields) not in {_CRON_FIELDS - 1, _CRON_FIELDS}:
        raise UsageError(f"--cron {expression!r}: give five fields, or six with seconds first")
    return " ".join(["0", *fields] if len(fields) == _CRON_FIELDS - 1 else fields)


def _wait(
    kfp: Kfp, run_id: str, poll: float, patience: float, *, quiet: bool, cancel: bool
) -> Outcome:
    def watch(listener: Any) -> Outcome:
        return follow(kfp, run_id, listener, poll_seconds=poll, patience_seconds=patience)

    try:
        return _show(watch, quiet=quiet)
    except KeyboardInterrupt:
        if not cancel:
            click.echo(
                f"the run goes on; follow it with: assay submit --follow {run_id}; "
                f"stop it with: assay submit --cancel {run_id}",
                err=True,
            )
            sys.exit(INTERRUPTED)
        click.echo("stopping the run", err=True)
        kfp.cancel(run_id)
        return _show(watch, quiet=quiet)


def _show(watch: Any, *, quiet: bool) -> Outcome:
    """Follow with a live table on a terminal, a line for each ended task in a pipe, or silently."""
    if quiet:
        outcome: Outcome = watch(lambda _state, _tasks: None)
    elif stdout.is_terminal:
        display = _Display()
        with Live(display, console=Console(file=sys.stdout), redirect_stdout=False):
            outcome = watch(display.update)
    else:
        told: set[str] = set()

        def tell(_state: str, tasks: tuple[Task, ...]) -> None:
            for task in tasks:
                if task.state in TERMINAL and task.name not in told:
                    told.add(task.name)
                    click.echo(f"{task.name}\t{task.state.lower()}\t{_duration(task)}")
                    sys.stdout.flush()

        outcome = watch(tell)
    return outcome


class _Display:
    """The live table; drawn anew at each refresh."""

    def __init__(self) -> None:
        self._state = ""
        self._tasks: tuple[Task, ...] = ()
        self._spinner = Spinner("dots")
        self._seen: dict[str, float] = {}

    def update(self, state: str, tasks: tuple[Task, ...]) -> None:
        self._state, self._tasks = state, tasks
        for task in tasks:
            self._seen.setdefault(task.name, time.monotonic())

    def __rich__(self) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False)
        for _ in range(4):
            table.add_column()
        for task in self._tasks:
            ended = task.state in TERMINAL
            running = f"{time.monotonic() - self._seen[task.name]:.1f} s"
            table.add_row(
                Text(_MARKS.get(task.state, "–")) if ended else self._spinner,
                task.name,
                Text(task.state.lower(), style=_STYLES.get(task.state, "dim")),
                _duration(task) if ended else running,
            )
        if not self._tasks:
            table.add_row(self._spinner, "waiting for the first task", self._state.lower(), "")
        return table


def _duration(task: Task) -> str:
    return "" if task.seconds is None else f"{task.seconds:.1f} s"


def _print_ids(ids: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(ids)
        return
    for key, value in ids.items():
        click.echo(f"{key}: {value}")


def _print_outcome(kfp: Kfp, outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "run": outcome.run_id,
                "url": kfp.run_url(outcome.run_id),
                "state": outcome.state,
                "verdict": outcome.verdict,
                "exitCode": outcome.exit_code,
                "error": outcome.error,
                "tasks": [
                    {
                        "name": task.name,
                        "state": task.state,
                        "seconds": task.seconds,
                        "error": task.error,
                    }
                    for task in outcome.tasks
                ],
            }
        )
        return
    style = "bold green" if outcome.exit_code == 0 else "bold red"
    verdict = Text(outcome.verdict.upper(), style=style)
    stdout.print(verdict, Text(outcome.error), soft_wrap=True)
    stdout.print(Text(f"run: {kfp.run_url(outcome.run_id)}"), soft_wrap=True)
