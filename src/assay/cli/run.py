"""`assay run`: run a pipeline on this machine."""

import importlib
import inspect
import json
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final, TextIO

import click
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from assay.cli.catalog import bind_arguments, names, options_of, pipeline
from assay.cli.console import (
    HOME,
    SETTINGS,
    json_option,
    print_json,
    stdout,
    use_defaults,
)
from assay.cli.registration import Metric, metrics, registration_of
from assay.core.context import store_from_env
from assay.core.environment import hidden_modules, set_variables
from assay.core.execution import CacheMode
from assay.core.settings import CACHE, SIGNING_KEY
from assay.documents import Limits, read_regular, read_yaml
from assay.errors import RunBlocked, RunInconclusive, RunRejected, UsageError
from assay.governance.model_names import resolve_arguments
from assay.runtime import events, local
from assay.text import short

_STYLES = {"cached": "cyan", "done": "green", "failed": "bold red"}
MAX_PARAMS_BYTES = 1 << 20
_NEXT: Final = {
    RunRejected.exit_code: (
        "open the report of validate-data, then correct the data, or the suite where an "
        "expectation is wrong, and run again"
    ),
    RunBlocked.exit_code: (
        "open the reports of gate and evaluate, then change the estimator, its hyperparameters or "
        "the data, and run again; a rule that is wrong is changed in the policy"
    ),
    RunInconclusive.exit_code: (
        "run again with more test rows: more data, or a larger test_fraction; the reports of gate "
        "and compare say which intervals are too wide"
    ),
}
"""The next step after a run that did not register, by exit code."""


@click.command("run")
@click.argument("name", metavar="PIPELINE", required=False)
@click.option(
    "-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="A parameter."
)
@click.option("--params", type=click.Path(path_type=Path), help="YAML file of parameters.")
@click.option(
    "--cache",
    type=click.Choice([mode.value for mode in CacheMode]),
    help="How to use the step cache (default: ASSAY_CACHE, or read-write).",
)
@click.option("--help-parameters", is_flag=True, help="List the pipeline's parameters.")
@json_option
def command(
    name: str | None,
    pairs: tuple[str, ...],
    params: Path | None,
    cache: str | None,
    help_parameters: bool,
    as_json: bool,
) -> None:
    """Run PIPELINE on this machine, each task in a process of its own.

    Parameters on the command line override those in the file. Exit code 0 means a registered model;
    `assay --help` lists the others.
    """
    if name is None:
        listing = ", ".join(item.replace("_", "-") for item in names("assay.pipelines"))
        raise UsageError(f"PIPELINE is missing; pipelines: {listing}")
    function = pipeline(name)
    if help_parameters:
        _print_parameters(function)
        return
    arguments = bind_arguments(function, read_parameters(params, pairs))
    use_defaults()
    arguments = resolve_arguments(arguments, store_from_env())
    result = follow(function, arguments, quiet=as_json, cache=cache)
    result.notes += _unsigned()
    if as_json:
        print_json(_json(result))
    else:
        print_outcome(result)
    sys.exit(result.exit_code)


def _unsigned() -> list[str]:
    """A warning if the project has keys and this run does not use them."""
    if SIGNING_KEY.get() or not Path(SETTINGS).is_file():
        return []
    return [f"unsigned: {SETTINGS} exists and is not loaded; run: . ./{SETTINGS}"]


def follow(
    function: Any, arguments: dict[str, Any], *, quiet: bool = False, cache: str | None = None
) -> local.Outcome:
    """Run a pipeline with a progress display: a live table, or a line per task in a pipe.

    Args:
        function: The pipeline.
        arguments: Its arguments.
        cache: How to use the step cache.
        quiet: Whether to print nothing.

    Returns:
        The result of the run.
    """
    # KFP would import its container runner if that is installed; local tasks use no containers.
    with hidden_modules("docker"):
        importlib.import_module("kfp.local.task_dispatcher")
    if cache:
        set_variables({CACHE.name: cache})
    folder = Path.cwd() / HOME / "runs" / local.new_run_id()
    if quiet:
        return local.run(function, arguments, folder)
    if not stdout.is_terminal:
        return local.run(function, arguments, folder, _printer(sys.stdout))
    tasks: list[local.Task] = []

    def listen(task: local.Task) -> None:
        if task not in tasks:
            tasks.append(task)

    # A console bound to the real standard output, because a run redirects sys.stdout to its log.
    console = Console(file=sys.stdout)
    with Live(_Display(tasks), console=console, refresh_per_second=8, redirect_stdout=False):
        return local.run(function, arguments, folder, listen)


class _Display:
    """The live table; drawn again at each refresh to update the time of the running task."""

    def __init__(self, tasks: list[local.Task]) -> None:
        self._tasks = tasks
        self._spinner = Spinner("dots")

    def __rich__(self) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False)
        for _ in range(4):
            table.add_column()
        for task in list(self._tasks):
            running = task.state == events.STARTED
            seconds = time.time() - task.started if running else task.seconds
            table.add_row(
                self._spinner if running else Text("✗" if task.state == events.FAILED else "✓"),
                task.name,
                Text("running" if running else task.state, style=_STYLES.get(task.state, "dim")),
                f"{seconds:6.1f} s  {_gist(task)}",
            )
        return table


def _gist(task: local.Task) -> str:
    """A short summary of a finished task."""
    if task.error:
        return ""
    verdict = task.values.get("verdict")
    digest = next((item for item in task.outputs.values() if item), "")
    return "  ".join(part for part in (str(verdict or ""), short(digest)) if part)


def _printer(stream: TextIO) -> local.Listener:
    """Print a line for each task that ends to `stream`, because sys.stdout is the run's log."""

    def print_line(task: local.Task) -> None:
        if task.state != events.STARTED:
            line = f"{task.name}\t{task.state}\t{task.seconds:.1f} s\t{_gist(task)}"
            print(line, file=stream, flush=True)

    return print_line


def print_outcome(result: local.Outcome) -> None:
    """Print the verdict, the reasons, and the locations of reports and log."""
    style = "bold green" if result.exit_code == 0 else "bold red"
    head = Text(result.verdict.upper(), style=style)
    stdout.print(head, *filter(None, [reason(result)]), soft_wrap=True)
    registration = registration_of(result, store_from_env())
    if registration is not None:
        _say(
            f"registered: {registration.uri} version {registration.version} "
            f"({registration.registered})"
        )
        _say(f"model: {registration.model}")
    for metric in _measured(result):
        _say(f"measured: {metric}")
    for line in result.findings:
        stdout.print(Text(f"finding: {line}", style="yellow"), soft_wrap=True)
    for path in result.reports:
        _say(f"report: {_near(path)}")
    for path in result.tables:
        _say(f"table: {_near(path)}")
    _say(f"log: {_near(result.log)}")
    if registration is not None:
        _say(f"registry: {registration.tracking_uri}")
        _say(f"load in Python: {registration.load}")
        _say(f"next: {registration.next}")
    elif result.exit_code in _NEXT:
        _say(f"next: {_NEXT[result.exit_code]}")


def _measured(result: local.Outcome) -> tuple[Metric, ...]:
    """The metrics of a run that was judged; a run that failed may not have a store."""
    judged = {0, RunBlocked.exit_code, RunInconclusive.exit_code}
    return metrics(result, store_from_env()) if result.exit_code in judged else ()


def _say(line: str) -> None:
    """Print one line that the terminal wraps, so that it can be copied."""
    stdout.print(Text(line), soft_wrap=True)


def reason(result: local.Outcome) -> str:
    """Why a run failed, without the verdict that is printed before it."""
    return "; ".join(result.problems)


def _near(path: Path) -> Path:
    """The shortest form of a path from the current folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _json(result: local.Outcome) -> dict[str, Any]:
    registration = registration_of(result, store_from_env())
    return {
        "verdict": result.verdict,
        "exitCode": result.exit_code,
        "error": result.error,
        "problems": result.problems,
        "findings": result.findings,
        "log": str(result.log),
        "reports": [str(path) for path in result.reports],
        "tables": [str(path) for path in result.tables],
        "passed": registration and registration.to_dict(),
        "next": registration.next if registration else _NEXT.get(result.exit_code),
        "metrics": {metric.name: metric.to_dict() for metric in _measured(result)},
        "tasks": [
            {
                "name": task.name,
                "state": task.state,
                "seconds": round(task.seconds, 3),
                "outputs": dict(task.outputs),
                "values": dict(task.values),
                "attestation": task.attestation,
                "error": task.error,
                "problems": task.problems,
            }
            for task in result.tasks
        ],
    }


def read_parameters(path: Path | None, pairs: tuple[str, ...]) -> dict[str, Any]:
    """Parameters from a YAML file and from `NAME=VALUE` pairs, which have priority.

    Raises:
        UsageError: The file has no parameters, or a pair is not of this form.
    """
    return {**_from_file(path), **_from_pairs(pairs)}


def _from_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    bad = [pair for pair in pairs if "=" not in pair]
    if bad:
        raise UsageError.all_of(f"-p {pair}: give NAME=VALUE" for pair in bad)
    if bad := [pair for pair in pairs if not _is_unicode(pair)]:
        raise UsageError.all_of(
            f"-p {pair}: not valid UTF-8; rename the file, or use a UTF-8 locale" for pair in bad
        )
    given = [pair.split("=", 1)[0] for pair in pairs]
    if twice := [name for name, count in Counter(given).items() if count > 1]:
        raise UsageError.all_of(f"-p {name}: given more than once; give it once" for name in twice)
    return dict(pair.split("=", 1) for pair in pairs)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    data = read_regular(path, MAX_PARAMS_BYTES, "--params")
    raw = read_yaml(data, f"--params: {path}", Limits(MAX_PARAMS_BYTES)).value
    if not isinstance(raw, dict):
        raise UsageError(f"--params: {path} has no parameters; write 'name: value' lines")
    return raw


def _print_parameters(function: Any) -> None:
    """Print a paragraph for each parameter and option; a table would be broken up."""
    inputs = function.component_spec.inputs or {}
    for name, parameter in inspect.signature(function.pipeline_func).parameters.items():
        if name == "options":
            continue
        kind = parameter.annotation.__name__
        required = parameter.default is inspect.Parameter.empty
        given = "required" if required else f"default: {json.dumps(parameter.default)}"
        meaning = (inputs[name].description or "") if name in inputs else ""
        _print_parameter(f"{name} ({kind}, {given})", meaning)
    options = options_of(function)
    if not options:
        return
    click.echo("\noptions, each given by its own name, or together as one object:\n")
    # Imported here, because only these pipelines have options.
    from assay.components.prepare_data.options import OPTIONS, SWEEP_OPTIONS

    meanings = {**OPTIONS, **SWEEP_OPTIONS}
    for name, default in options.items():
        head = f"{name} ({type(default).__name__}, default: {json.dumps(default)})"
        _print_parameter(head, meanings[name].meaning)


def _print_parameter(head: str, meaning: str) -> None:
    width = min(max(stdout.width, 40), 100) if stdout.is_terminal else 100
    click.echo(head)
    for line in textwrap.wrap(meaning, width - 4, break_on_hyphens=False):
        click.echo(f"    {line}")
