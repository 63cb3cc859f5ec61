"""`assay monitor`: draft and measure monitoring plans."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from assay.cli.console import (
    NAME,
    json_option,
    print_json,
    print_table,
    stderr,
    use_defaults,
    write_whole,
)
from assay.core.step import Artifact, Dataset, Model
from assay.documents import read_regular
from assay.errors import RunBlocked, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel
    from assay.monitoring import Alarm, Judgement, Plan

MAX_ALARMS: Final = 20
"""Number of alarms on live rows in the table; JSON has all."""


@click.group("monitor")
def command() -> None:
    """Draft and measure monitoring plans."""


@command.command("draft", short_help="Draft a plan to review.")
@click.argument("model", type=NAME)
@click.option("--data", type=NAME, required=True, help="Held-out rows.")
@click.option("--receiver", default="", help="Receiver of alarms (default: left out, to fill in).")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File (default: standard output)."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def draft(model: str, data: str, receiver: str, output: Path | None, force: bool) -> None:
    """Draft a monitoring plan for MODEL.

    Each detector has a reason. Without a receiver the plan is not complete.
    """
    from assay import data as dataset
    from assay.models import read_info
    from assay.monitoring import draft as drafted

    if output is not None and output.exists() and not force:
        raise UsageError(f"{output} exists; give another name, or --force to replace it")
    use_defaults()
    with _laid_out(model=(model, Model), data=(data, Dataset)) as folders:
        plan = drafted(read_info(folders["model"]), dataset.info(folders["data"]).rows, receiver)
    if output is None:
        click.echo(plan.to_yaml(), nl=False)
        return
    write_whole(plan.to_yaml(), output)
    left = "" if receiver else "; give each detector a receiver"
    check = f"assay monitor check {output} --model {model} --data {data}"
    click.echo(f"{output}: review it{left}; then: {check}", err=True)


@command.command("check", short_help="Replay faults through a plan.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--model", type=NAME, required=True, help="The model.")
@click.option("--data", type=NAME, required=True, help="Held-out rows.")
@click.option(
    "--live",
    type=NAME,
    default="",
    help="Later rows, to list the alarms that the plan would have raised.",
)
@click.option("--starts", default=20, show_default=True, help="Repeats of each fault.")
@click.option("--seed", default=0, show_default=True, help="Seed of the replays.")
@json_option
def check(
    plan: Path, model: str, data: str, live: str, starts: int, seed: int, as_json: bool
) -> None:
    """Replay faults through PLAN, a file, and measure how soon they are detected.

    Exit code 0 means a complete plan, 4 one with gaps. With --live, the rows of a later dataset are
    replayed in their order, with --data as the reference.
    """
    from assay import data as dataset
    from assay.models import load, platform_classes
    from assay.monitoring import check_numbers, judge, parse_plan, replay

    check_numbers(starts, seed)
    parsed = parse_plan(_read(plan), plan.name)
    use_defaults()
    wanted: dict[str, tuple[str, type[Artifact]]] = {
        "model": (model, Model),
        "data": (data, Dataset),
    }
    if live:
        wanted["live"] = (live, Dataset)
    with _laid_out(**wanted) as folders:
        loaded = load(folders["model"], allowed_modules=sorted(platform_classes()))
        rows = dataset.read(folders["data"])
        with _progress(quiet=as_json) as progress:
            replayed = replay(parsed, loaded, rows, starts=starts, seed=seed, progress=progress)
        judged = judge(parsed, loaded.info, replayed)
        alarms = _live(parsed, loaded, rows, folders["live"]) if live else None
    _show(judged, alarms, {"model": model, "data": data}, as_json=as_json)
    if not judged.complete:
        raise RunBlocked(f"the plan is not complete: {'; '.join(judged.gaps)}")


@command.command("schema", short_help="Print the JSON Schema of a plan.")
def schema() -> None:
    """Print the JSON Schema of a plan, for editors."""
    from assay.monitoring import json_schema

    print_json(json_schema())


def _live(
    plan: "Plan", model: "LoadedModel", reference: "pd.DataFrame", folder: Path
) -> "list[Alarm]":
    from assay import data as dataset
    from assay.monitoring import Monitor

    return Monitor(plan, model, reference).push(dataset.read(folder))


def _show(
    judged: "Judgement", alarms: "list[Alarm] | None", subjects: dict[str, str], *, as_json: bool
) -> None:
    from dataclasses import asdict

    from assay.monitoring.judge import evidence

    document = evidence(judged, subjects)
    if as_json:
        result: dict[str, Any] = {
            "complete": judged.complete,
            "gaps": list(judged.gaps),
            "answers": judged.answers,
            "evidence": dict(document.values),
            "notes": dict(document.notes),
        }
        if alarms is not None:
            result["alarms"] = [asdict(alarm) for alarm in alarms]
        print_json(result)
        return
    values = dict(document.values)
    rows = [(n, "never" if value is None else f"{value:.6g}") for n, value in values.items()]
    print_table(["evidence", "value"], rows)
    for answer in judged.answers.values():
        click.echo(answer)
    if alarms is not None:
        click.echo(f"live rows: {len(alarms)} alarms")
        print_table(
            ["after rows", "detector", "series", "size", "receiver"],
            [(a.rows, a.detector, a.series, f"{a.size:.4g}", a.receiver) for a in alarms][
                :MAX_ALARMS
            ],
        )


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], object] | None]:
    """A progress bar on standard error, if it is a terminal."""
    if quiet or not stderr.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task("replaying faults", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def _laid_out(**wanted: tuple[str, type[Artifact]]) -> Iterator[dict[str, Path]]:
    """Artifacts of the store as folders, while the block runs.

    Raises:
        UsageError: A digest names an artifact of another kind.
    """
    from assay.core.context import store_from_env
    from assay.core.tree import get_manifest, get_tree, remove_tree

    store = store_from_env()
    manifests = {name: get_manifest(store, digest) for name, (digest, _) in wanted.items()}
    problems = [
        f"{name}: {digest} is of type {manifests[name].artifact_type}, not {kind.type}"
        for name, (digest, kind) in wanted.items()
        if manifests[name].artifact_type != kind.type
    ]
    if problems:
        raise UsageError.all_of(problems)
    scratch = Path(tempfile.mkdtemp(prefix="assay-"))
    try:
        for name, manifest in manifests.items():
            get_tree(store, manifest, scratch / name)
        yield {name: scratch / name for name in manifests}
    finally:
        remove_tree(scratch)


def _read(path: Path) -> bytes:
    from assay.monitoring.plan import MAX_PLAN_BYTES

    return read_regular(path, MAX_PLAN_BYTES, "plan")
