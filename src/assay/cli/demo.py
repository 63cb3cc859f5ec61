"""`assay demo`: the main job and releases, on a real dataset from scikit-learn."""

import csv
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import yaml
from rich.text import Text

from assay.cli import demo_releases
from assay.cli.catalog import bind_arguments, pipeline
from assay.cli.console import print_table, stderr, stdout, use_defaults
from assay.cli.run import follow, print_outcome, reason
from assay.cli.suite import draft_suite
from assay.core.environment import unset_variables
from assay.core.settings import PREFIX
from assay.errors import AssayError, UsageError
from assay.runtime import local
from assay.text import short

MARKER: Final = ".assay-demo"
"""Marks a folder of the demo; other folders are not changed."""
MODEL_NAME: Final = "breast-cancer"
TARGET: Final = "diagnosis"

POLICY: Final = """\
# The rules that a model must satisfy before it is registered. See docs/policy.md.
gates:
  - metric: accuracy > 0.90
  - metric: roc_auc > 0.95
  - metric: recall > 0.85            # the share of malignant cases that are detected
  - metric: latency_p50_ms < 1000   # the median, because the machine may be busy
  - metric: safety_violations == 0   # checks.yaml
  - metric: regression_delta < 0.03  # production minus candidate, on the same rows
    when: production_exists == 1     # a first model has no production model to compare with
on_fail: block_and_notify
"""

CHECKS: Final = """\
# How the model must behave, whatever its accuracy. See docs/checks.md.
checks:
  - name: fractal_dimension_is_no_reason
    kind: invariance
    column: mean_fractal_dimension
    values: [0.055, 0.065, 0.075]
    allowed_fraction: 0.05
"""


class DemoError(AssayError):
    """A scene had an unexpected result: a bug, or an environment that differs from the lock."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One run of the demo."""

    title: str
    changes: dict[str, Any]
    expected: str
    """The expected verdict."""


SCENES: Final = (
    Scene("a. first model", {}, "passed"),
    Scene("b. the same run again", {}, "passed"),
    Scene("c. a corrupted column", {"data": "corrupted.csv"}, "rejected"),
    Scene(
        "d. a worse model",
        {
            "estimator": "sklearn.tree.DecisionTreeClassifier",
            "hyperparameters": {"max_depth": 1, "max_features": {"$int": 1}},
        },
        "blocked",
    ),
)


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("assay-demo"),
    show_default=True,
    help="Folder of the demo; replaced each time.",
)
def command(folder: Path) -> None:
    """Run the main job four times, then a release and a rollback.

    A first model, the same run again, bad data, a worse model; then the first model is released to
    production by merges, and the worse one, released by an override, is rolled back.
    Everything is real: the pipeline `train_and_register` through kfp.local, a folder as the
    store, SQLite behind MLflow, a bare Git repository, and Wisconsin breast cancer data (569 rows).
    """
    with _fresh(folder):
        use_defaults()
        demo_releases.prepare()
        stdout.print(Text("writing data, suite, policy and checks", style="dim"))
        _write_files()
        rows: list[list[str]] = []
        results: list[local.Outcome] = []
        for scene in SCENES:
            stdout.print(Text(f"\n{scene.title}", style="bold"))
            if scene.title.startswith("d"):
                _make_production(results[0])
            result = _play(scene)
            print_outcome(result)
            results.append(result)
            rows.append(_row(scene, result))
            if result.verdict != scene.expected:
                raise DemoError(
                    f"scene {scene.title!r} ended {result.verdict}, expected {scene.expected}: "
                    f"{result.error}; see {result.log}"
                )
        rows += _releases(results)
        stdout.print()
        print_table(["run", "verdict", "computed", "cached", "seconds", "result"], rows)
        _print_next(folder, results)


@contextmanager
def _fresh(folder: Path) -> Iterator[None]:
    """Run the block in an empty folder of the demo, then restore the current folder."""
    if folder.exists():
        if not (folder / MARKER).exists():
            raise UsageError(f"{folder} exists and was not made by the demo; give another --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    before = Path.cwd()
    # The demo must not use the store or registry of the user.
    # Git's variables too: the user is not the person who merges in the demo.
    unset_variables("MLFLOW_TRACKING_URI", PREFIX, "GIT_AUTHOR_", "GIT_COMMITTER_")
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _write_files() -> None:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    labels = [str(bunch.target_names[label]) for label in bunch.target]
    table = [
        [*(repr(float(value)) for value in row), label]
        for row, label in zip(bunch.data, labels, strict=True)
    ]
    _write_csv("data.csv", [*names, TARGET], table)
    # A unit error: one column is in micrometres instead of millimetres.
    worst = names.index("mean_radius")
    for row in table:
        row[worst] = repr(float(row[worst]) * 1000)
    _write_csv("corrupted.csv", [*names, TARGET], table)
    Path("policy.yaml").write_text(POLICY, encoding="utf-8")
    Path("checks.yaml").write_text(CHECKS, encoding="utf-8")
    Path("suite.json").write_text(
        json.dumps(draft_suite(Path("data.csv"), TARGET), indent=2), encoding="utf-8"
    )
    Path("run.yaml").write_text(yaml.safe_dump(_parameters(), sort_keys=False), encoding="utf-8")


def _write_csv(name: str, header: list[str], rows: list[list[str]]) -> None:
    with Path(name).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def _parameters() -> dict[str, Any]:
    return {
        "data": "data.csv",
        "target": TARGET,
        "model_name": MODEL_NAME,
        "policy": "policy.yaml",
        "suite": "suite.json",
        "checks": "checks.yaml",
        "positive_label": "malignant",
        "stratify": True,
        "max_regression": 0.03,
    }


def _play(scene: Scene) -> local.Outcome:
    function = pipeline("train-and-register")
    return follow(function, bind_arguments(function, {**_parameters(), **scene.changes}))


def _make_production(first: local.Outcome) -> None:
    from assay.governance.registry import Registry

    registered = first.task("register")
    if registered is None:
        raise DemoError("the first model was not registered")
    version = str(registered.values["version"])
    Registry().set_alias(MODEL_NAME, "production", version)
    stdout.print(f"version {version} is now in production (MLflow alias `production`)")


def _releases(results: list[local.Outcome]) -> list[list[str]]:
    """The last two scenes: release by merges, and rollback."""
    first, worse = (_model(results[number]) for number in (0, 3))
    title = "e. released by merge"
    stdout.print(Text(f"\n{title}", style="bold"))
    seconds = demo_releases.release(MODEL_NAME, first)
    rows = [[title, "released", "-", "-", f"{seconds:.1f}", short(first)]]
    title = "f. rolled back"
    stdout.print(Text(f"\n{title}", style="bold"))
    demo_releases.override(MODEL_NAME, worse)
    demo_releases.release(MODEL_NAME, worse)
    back, seconds = demo_releases.roll_back(MODEL_NAME)
    if back != first:
        raise DemoError(f"rolled back to {back}, expected {first}")
    return [*rows, [title, "rolled back", "-", "-", f"{seconds:.1f}", short(back)]]


def _model(result: local.Outcome) -> str:
    train = result.task("train")
    if train is None:
        raise DemoError("a run has no model")
    return train.outputs["model"]


def _row(scene: Scene, result: local.Outcome) -> list[str]:
    # Tasks with side effects run each time; they say nothing about the cache.
    states = [task.state for task in result.tasks if not task.side_effects]
    model = result.task("train")
    text = reason(result) or (short(model.outputs["model"]) if model else "")
    return [
        scene.title,
        result.verdict,
        str(states.count("done")),
        str(states.count("cached")),
        f"{sum(task.seconds for task in result.tasks):.1f}",
        text,
    ]


def _print_next(folder: Path, results: list[local.Outcome]) -> None:
    train, gate, register = (results[0].task(name) for name in ("train", "gate", "register"))
    worse = results[3].task("train")
    if train is None or gate is None or register is None or worse is None:
        raise DemoError("a step is missing from the runs")
    # Beside the interpreter, because the name of this command may be relative to another folder.
    assay = shutil.which("assay") or str(Path(sys.executable).with_name("assay"))
    commands = {
        "everything that version 1 is based on": ["passport", register.outputs["record"]],
        "verify every byte behind it": ["store", "verify", register.outputs["record"]],
        "train again, and compare the bytes": ["reproduce", train.outputs["model"]],
        "the differences between the two models": [
            "model",
            "diff",
            train.outputs["model"],
            worse.outputs["model"],
        ],
        "what was released to production, when, and by whom": [
            "release",
            "list",
            MODEL_NAME,
            "production",
        ],
        "a run of your own": ["run", "train-and-register", "--params", "run.yaml", "-p", "seed=1"],
    }
    stdout.print(Text("\nnext", style="bold"))
    stdout.print(f"  cd {shlex.quote(str(folder))}", soft_wrap=True)
    stdout.print(
        Text.assemble(
            f"  . ./{demo_releases.SETTINGS}",
            ("   # the demo's keys and its deployment repository", "dim"),
        )
    )
    for meaning, words in commands.items():
        stdout.print(
            Text.assemble(f"  {shlex.join([assay, *words])}", (f"   # {meaning}", "dim")),
            soft_wrap=True,
        )
    stderr.print()
