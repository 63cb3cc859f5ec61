"""prepare_data: preflight, then the snapshot, and the settings of each stage below."""

import importlib
import json
from collections.abc import Mapping
from typing import Any, Final

from assay.components.prepare_data.options import (
    DEFAULTS,
    OPTIONS,
    SWEEP_DEFAULTS,
    SWEEP_OPTIONS,
    TEXTS,
)
from assay.core.epoch import epoch
from assay.core.step import Step
from assay.documents import MAX_NAMED, shown
from assay.documents.options import checked
from assay.errors import UsageError
from assay.models.build import MAX_SEED
from assay.runtime.kfp import EPOCH, Task

STAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "validation": ("validate_data",),
    "split": ("split_data",),
    "training": ("train",),
    "evaluation": ("evaluate", "check_monitoring"),
    "comparison": ("compare",),
    "gate": ("gate",),
    "selection": ("select_best",),
}
"""What gets settings of its own, so that KFP's cache answers a stage whose settings stayed: the
steps whose parameters it may hold. They are named, not imported: what they compute with is not
this task's."""


def prepare_data(
    task: Task,
    *,
    primary_metric: str = "auto",
    options: dict[str, Any] = {},  # noqa: B006 - read only
) -> Mapping[str, Any]:
    """Check all that a run is given, in seconds; then make the table an immutable dataset.

    What is wrong with a run is found before the table is read.

    Args:
        task: The task.
        primary_metric: The metric models are compared by; "auto": the policy's, else the default.
        options: More options, as `assay.components.prepare_data.options` lists them.

    Returns:
        validation_settings (dict): For validate_data.
        split_settings (dict): For split_data.
        training_settings (dict): For train.
        evaluation_settings (dict): For evaluate.
        comparison_settings (dict): For compare.
        gate_settings (dict): For gate.
        selection_settings (dict): For select_best.
        candidate_settings (dict): For try_candidate.

    Raises:
        UsageError: Options that are unknown, of another type, or out of range; names all.
    """
    preflight, snapshot_data = task.steps
    is_sweep = task.arguments["candidates"] is not None
    given = _given(task.arguments, primary_metric, options or {}, is_sweep=is_sweep)
    task.run(preflight, given)
    task.run(snapshot_data, given)
    made = task.arguments
    values = {
        **given,
        "policy": made["policy_artifact"],
        "suite": made["suite_artifact"],
        "checks": made["checks_artifact"],
        "plan": made["monitoring_artifact"],
        "reference": made["reference_artifact"],
        "primary_metric": made["primary_metric"],
        "margin": made["max_regression"],
        "allowed_modules": made["allowed_modules"],
    }
    now = epoch(task.context.store, task.context.verifier)
    settings = {name: _settings(names, values, now) for name, names in STAGES.items()}
    settings["candidate"] = _candidate(settings)
    if is_sweep:
        settings["split"]["validation_fraction"] = given["validation_fraction"]
    return {f"{name}_settings": value for name, value in settings.items()}


def _given(
    arguments: Mapping[str, Any], metric: str, options: Mapping[str, Any], *, is_sweep: bool
) -> dict[str, Any]:
    """What the run was given, by the names of the steps' parameters; options with defaults.

    Args:
        arguments: The component's.
        metric: Its `primary_metric`.
        options: Its `options`.
        is_sweep: Whether there are candidates, which have hyperparameters of their own.

    Raises:
        UsageError: Options that are unknown, of another type, or out of range.
    """
    known = SWEEP_OPTIONS if is_sweep else OPTIONS
    options = {
        name: json.dumps(value) if name in TEXTS and isinstance(value, dict) else value
        for name, value in options.items()
    }
    types = {name: type(one.default) for name, one in known.items()}
    problems, chosen = _column_problems(options), dict[str, Any]()
    try:
        chosen = checked(options, types)
    except UsageError as error:
        problems.append(str(error))
    if not 0 <= chosen.get("seed", 0) <= MAX_SEED:
        problems.append(f"options.seed is {chosen['seed']}; give a number from 0 to {MAX_SEED}")
    if problems:
        raise UsageError.all_of(problems)
    return {
        **DEFAULTS,
        **SWEEP_DEFAULTS,
        **chosen,
        "primary_metric": "" if metric == "auto" else metric,
        **{name: arguments[name] for name in ("data", "target", "estimator", "split_by")},
    }


def _column_problems(options: Mapping[str, Any]) -> list[str]:
    """Columns that are named by something else than text: no header has numbers."""
    given = {name: options.get(name) for name in (*_COLUMNS, "slices")}
    return [
        f"options.{name}: {shown(item)} is not a text; put it into quotes"
        for name, items in given.items()
        if isinstance(items, list)
        for item in items
        if not isinstance(item, str)
    ][:MAX_NAMED]


_COLUMNS: Final = ("categorical_columns", "drop_columns", "key_columns", "numeric_columns")


def _settings(names: tuple[str, ...], values: Mapping[str, Any], now: str) -> dict[str, Any]:
    """What differs from the steps' own defaults: Argo keeps each of them about seven times."""
    own: dict[str, Any] = {}
    for step in map(_step, names):
        own |= dict.fromkeys((*step.inputs, *step.sources), "")
        own |= {name: parameter.default for name, parameter in step.parameters.items()}
    # Data is handed on from task to task.
    known = sorted(set(own) & set(values) - {"data"})
    return {EPOCH: now} | {name: values[name] for name in known if values[name] != own[name]}


def _step(name: str) -> Step:
    found: Step = getattr(importlib.import_module(f"assay.components.{name}.step"), name)
    return found


def _candidate(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Of a sweep's candidate: trained as ever, measured by what candidates are chosen by."""
    own = {"estimator", "hyperparameters"}
    trained = {name: value for name, value in settings["training"].items() if name not in own}
    measured = settings["evaluation"]
    return trained | {
        name: measured[name] for name in ("confidence", "primary_metric") if name in measured
    }
