"""`assay submit`: run a pipeline on a cluster."""

import re
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from assay.cli.catalog import bind_arguments, names, pipeline
from assay.cli.compile import compile_one, read_profile
from assay.cli.console import json_option, print_json, stdout
from assay.cli.run import read_parameters
from assay.cli.run_arguments import as_digests, with_defaults
from assay.cli.upload import upload
from assay.cluster.client import Endpoint, Kfp
from assay.cluster.follow import PATIENCE_SECONDS, POLL_SECONDS, STILL_SECONDS, Listener, follow
from assay.cluster.names import run_name
from assay.cluster.runs import FAILED, SUCCEEDED, TERMINAL, Outcome, Task
from assay.core.context import store_from_env
from assay.core.settings import STORE
from assay.core.store import Store
from assay.errors import AssayError, UsageError
from assay.runtime.compiled import uncached
from assay.runtime.images import read_images
from assay.text import one_line

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_EVERY = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_CRON_FIELDS: Final = 6
_STYLES: Final = {SUCCEEDED: "green", FAILED: "bold red"}
_MARKS: Final = {SUCCEEDED: "✓", FAILED: "✗"}
INTERRUPTED: Final = 130
Watch = Callable[[Listener], Outcome]


@click.command("submit")
@click.argument("name", metavar="PIPELINE", required=False)
@click.option(
    "-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="A parameter."
)
@click.option("--params", type=click.Path(path_type=Path), help="YAML file of parameters.")
@click.option("--endpoint", default="", help="URL of KFP's API (default: KFP_ENDPOINT).")
@click.option(
    "--namespace", default="", help="Namespace of a multi-user KFP (default: KFP_NAMESPACE)."
)
@click.option("--experiment", default="assay", show_default=True, help="Experiment of the run.")
@click.option(
    "--name", "given_name", default="", help="The run's name (default: model, data, estimator)."
)
@click.option(
    "--profile", type=click.Path(path_type=Path), help="Profile of the cluster's pods; YAML."
)
@click.option(
    "--images", type=click.Path(path_type=Path), help="JSON file: role to image reference."
)
@click.option("--dev", is_flag=True, help="Admit images that are not pinned by digest.")
@click.option("--service-account", default="", help="Service account of the run's pods.")
@click.option("--pipeline-root", default="", help="Where KFP keeps its files of the run.")
@click.option("--cron", default="", help="Recurring: five fields, or six with seconds first.")
@click.option("--every", default="", help="Recurring: an interval such as 30m, 6h or 1d.")
@click.option("--catch-up", is_flag=True, help="Recurring: also run for missed times.")
@click.option(
    "--max-concurrency",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    metavar="N",
    help="Recurring: number of runs at the same time.",
)
@click.option("--no-cache", is_flag=True, help="Run every task, without KFP's cache.")
@click.option("--no-wait", is_flag=True, help="Start the run and do not follow it.")
@click.option("--follow", "follow_id", default="", metavar="RUN_ID", help="Follow a run.")
@click.option("--cancel", "cancel_id", default="", metavar="RUN_ID", help="Stop a run.")
@click.option("--cancel-on-interrupt", is_flag=True, help="Stop the run on Ctrl-C.")
@click.option(
    "--poll", type=click.FloatRange(0.01), default=POLL_SECONDS, help="Seconds between two queries."
)
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=PATIENCE_SECONDS,
    help="Seconds to wait for an API that does not answer.",
)
@click.option(
    "--still",
    type=click.FloatRange(0),
    default=STILL_SECONDS,
    help="Seconds without a change after which the pods are queried.",
)
@json_option
def command(
    name: str | None,
    pairs: tuple[str, ...],
    params: Path | None,
    endpoint: str,
    namespace: str,
    experiment: str,
    given_name: str,
    profile: Path | None,
    images: Path | None,
    dev: bool,
    service_account: str,
    pipeline_root: str,
    cron: str,
    every: str,
    catch_up: bool,
    max_concurrency: int,
    no_cache: bool,
    no_wait: bool,
    follow_id: str,
    cancel_id: str,
    cancel_on_interrupt: bool,
    poll: float,
    patience: float,
    still: float,
    as_json: bool,
) -> None:
    """Compile PIPELINE, upload it, start a run and follow it to its end.

    The same content is uploaded once. Exit code 0 means a registered model, 3 rejected data, 4
    blocked by the gate, 5 inconclusive, 1 failed or canceled, 8 that KFP does not answer. Ctrl-C
    does not stop the run; the output says how to stop it.

    If ASSAY_STORE names the cluster's store, policy, suite, checks and monitoring plan are sent as
    digests, and verdict and reason are read from the run's status in the store.

    Login: KFP_TOKEN or KFP_COOKIES (docs/submit.md).
    """
    if (name is not None) + bool(follow_id) + bool(cancel_id) != 1:
        listing = ", ".join(item.replace("_", "-") for item in names("assay.pipelines"))
        raise UsageError(f"give one of: a pipeline ({listing}), --follow RUN_ID, --cancel RUN_ID")
    where = Endpoint.from_env(endpoint, namespace)
    if cancel_id:
        Kfp(where).cancel(cancel_id)
        click.echo(f"stopping {cancel_id}; see: assay submit --follow {cancel_id}")
        return
    if follow_id:
        kfp, run_id, store = Kfp(where), follow_id, _store_to_read()
    else:
        # Report every error of the arguments before the first request to the cluster.
        interval, schedule = _seconds(every), _cron(cron)
        if interval and schedule:
            raise UsageError("give --cron or --every, not both")
        references = read_images(images, development=dev)
        function = pipeline(str(name))
        arguments = with_defaults(
            function, bind_arguments(function, read_parameters(params, pairs))
        )
        # Without access to the cluster's store, the tasks of the run resolve digests.
        store = store_from_env() if STORE.get() else None
        arguments = as_digests(arguments, store, lambda line: click.echo(line, err=True))
        package = compile_one(function, references, read_profile(profile) if profile else None)
        kfp = Kfp(where)
        # Uploaded in any case, for the description on the pipeline's page.
        version = upload(kfp, function, package)
        target = uncached(package) if no_cache else version
        experiment_id = kfp.experiment(experiment)
        options = {"service_account": service_account, "pipeline_root": pipeline_root}
        if interval or schedule:
            scheduled = kfp.schedule(
                given_name or run_name(function.name, arguments, function.name),
                experiment_id,
                target,
                arguments,
                cron=schedule,
                every_seconds=interval,
                max_concurrency=max_concurrency,
                catch_up=catch_up,
                **options,
            )
            _print_ids({"recurringRun": scheduled, "url": kfp.schedule_url(scheduled)}, as_json)
            return
        plain = f"{function.name}-{uuid.uuid4().hex[:8]}"
        named = given_name or run_name(function.name, arguments, plain)
        run_id = kfp.start(named, experiment_id, target, arguments, **options)
    if no_wait:
        _print_ids({"run": run_id, "url": kfp.run_url(run_id)}, as_json)
        return
    if not as_json:
        stdout.print(f"run: {kfp.run_url(run_id)}", soft_wrap=True, highlight=False)

    def watch(listener: Listener) -> Outcome:
        return follow(
            kfp,
            run_id,
            listener,
            store=store,
            warn=lambda text: click.echo(text, err=True),
            poll_seconds=poll,
            patience_seconds=patience,
            still_seconds=still,
        )

    result = _wait(kfp, run_id, watch, quiet=as_json, cancel=cancel_on_interrupt)
    _print_outcome(kfp, result, as_json)
    sys.exit(result.exit_code)


def _store_to_read() -> Store | None:
    """The store with the run's status, if it is accessible; following works without it."""
    if not STORE.get():
        return None
    try:
        return store_from_env()
    except AssayError as error:
        click.echo(f"the status of the run cannot be read from the store: {error}", err=True)
        return None


def _seconds(every: str) -> int:
    if not every:
        return 0
    match = _EVERY.fullmatch(every)
    if match is None:
        raise UsageError(f"--every {every}: give an interval such as 30m, 6h or 1d")
    return int(match[1]) * _UNITS[match[2]]


def _cron(expression: str) -> str:
    """A cron expression for KFP, which has seconds first; five fields start at second 0."""
    fields = expression.split()
    if fields and len(fields) not in {_CRON_FIELDS - 1, _CRON_FIELDS}:
        raise UsageError(f"--cron {expression!r}: give five fields, or six with seconds first")
    return " ".join(["0", *fields] if len(fields) == _CRON_FIELDS - 1 else fields)


def _wait(kfp: Kfp, run_id: str, watch: Watch, *, quiet: bool, cancel: bool) -> Outcome:
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


def _show(watch: Watch, *, quiet: bool) -> Outcome:
    """Follow with a live table on a terminal, a line for each change in a pipe, or silently."""
    if quiet:
        return watch(lambda _state, _tasks: None)
    if stdout.is_terminal:
        display = _Display()
        with Live(display, console=Console(file=sys.stdout), redirect_stdout=False):
            return watch(display.update)
    printed: set[tuple[str, ...]] = set()

    def show(_state: str, tasks: tuple[Task, ...]) -> None:
        for task in tasks:
            if (line := _line(task)) and line not in printed:
                printed.add(line)
                click.echo("\t".join(line))
                sys.stdout.flush()

    return watch(show)


def _line(task: Task) -> tuple[str, ...]:
    """The line for a task in a pipe: that it ended, or what it waits for."""
    if task.state in TERMINAL:
        line = (task.name, task.state.lower(), _duration(task))
        return (*line, task.error) if task.error else line
    return (task.name, "waits", task.waits) if task.waits else ()


class _Display:
    """The live table; drawn again at each refresh."""

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
        for _ in range(5):
            table.add_column()
        for task in self._tasks:
            ended = task.state in TERMINAL
            running = f"{time.monotonic() - self._seen[task.name]:.1f} s"
            table.add_row(
                Text(_MARKS.get(task.state, "–")) if ended else self._spinner,
                task.name,
                Text(task.state.lower(), style=_STYLES.get(task.state, "dim")),
                _duration(task) if ended else running,
                Text(task.error or task.waits, style="" if ended else "yellow"),
            )
        if not self._tasks:
            table.add_row(self._spinner, "waiting for the first task", self._state.lower(), "", "")
        return table


def _duration(task: Task) -> str:
    return "" if task.seconds is None else f"{task.seconds:.1f} s"


def _print_ids(ids: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(ids)
        return
    for key, value in ids.items():
        click.echo(f"{key}: {value}")


def _print_outcome(kfp: Kfp, result: Outcome, as_json: bool) -> None:
    status = result.status
    if as_json:
        print_json(
            {
                "run": result.run_id,
                "url": kfp.run_url(result.run_id),
                "state": result.state,
                "verdict": result.verdict,
                "exitCode": result.exit_code,
                "error": result.error,
                "reasons": list(result.reasons),
                "reasonFrom": result.reason_from,
                "next": (status.remedy if status else "") or None,
                "digests": dict(status.digests) if status else {},
                "registryVersion": (status.version if status else "") or None,
                # Anyone who can write to the store can write it; the attestations prove these.
                "artifactsFrom": "record" if status else "none",
                "tasks": [
                    {
                        "name": task.name,
                        "state": task.state,
                        "seconds": task.seconds,
                        "error": task.error,
                    }
                    for task in result.tasks
                ],
            }
        )
        return
    style = "bold green" if result.exit_code == 0 else "bold red"
    verdict = Text(result.verdict.upper(), style=style)
    first, *others = result.reasons or ("",)
    stdout.print(verdict, *filter(None, [Text(first)]), soft_wrap=True)
    for reason in others:
        stdout.print(Text(f"reason: {reason}"), soft_wrap=True)
    if status is not None and status.version and result.exit_code == 0:
        version = f"{one_line(status.model_name)} version {one_line(status.version)}"
        text = f"registered, according to the run's status: {version}"
        stdout.print(Text(text), soft_wrap=True)
    if status is not None and status.remedy:
        stdout.print(Text(f"next: {one_line(status.remedy)}"), soft_wrap=True)
    stdout.print(Text(f"run: {kfp.run_url(result.run_id)}"), soft_wrap=True)
