"""The price of trust: the steps of a pipeline beside a plain script on one table: `make bench`.

`ASSAY_BENCH_ROWS` has the numbers of rows, separated by commas. Each step is a process of its own,
as in a pipeline, with a store in a folder and no cache; the plain script is one process. What is
asserted is a ratio of processor seconds of the same run, because other processes change how long
something takes more than how much it computes.
"""

import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assay.core.step import Policy, Suite
from assay.core.store import open_store
from assay.core.tree import put_tree
from assay.data.suite import draft

from measured import Row, keep
from processes import STEP, Cost, run

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

ROWS = [int(rows) for rows in os.environ.get("ASSAY_BENCH_ROWS", "10000,100000,1000000").split(",")]
NUMBERS, CATEGORIES = 16, (4, 8, 20, 60)
SLICES = ["c0", "c1"]
ASKED = {10_000_000: 1.5, 1_000_000: 1.8}
"""At this many rows, all steps should take at most so many times the processor seconds of the plain
script."""
FEW_ROWS = 10_000
MOST_OF_PLAIN = 2.0
"""The ratio of a run that fails, without `MOST_SECONDS`."""
MOST_SECONDS = 25.0
"""Processor seconds for starting the processes, whatever the number of rows."""
MOST_MEMORY = 1.2
"""The step with the highest peak may need so many times the memory of the plain script."""
FREE_MB = 600
"""And so many more for imports, whatever the number of rows."""
BESIDE = {
    "snapshot_data": ("read",),
    "split_data": ("split",),
    "train": ("import", "fit", "pickle"),
    "evaluate": ("predict", "metrics"),
}
"""By step: the laps of the plain script that do the same."""

PLAIN = Path(__file__).with_name("plain_script.py").read_text(encoding="utf-8")


def write_table(path: Path, rows: int) -> None:
    """16 numbers, two of them whole and one with gaps, 4 categories, and a binary target."""
    rng = np.random.default_rng(20)
    numbers = rng.normal(size=(rows, NUMBERS)).round(4)
    frame = pd.DataFrame(numbers, columns=[f"x{index:02d}" for index in range(NUMBERS)])
    frame["x14"] = (numbers[:, 14] * 10).astype(int)
    frame["x15"] = (numbers[:, 15] * 1000).astype(int)
    signal = numbers[:, :6] @ np.array([0.9, -0.7, 0.5, 0.4, -0.3, 0.2])
    signal += 0.4 * numbers[:, 6] * numbers[:, 7]
    for index, count in enumerate(CATEGORIES):
        codes = rng.integers(0, count, rows)
        signal += (rng.normal(size=count) * 0.4)[codes]
        frame[f"c{index}"] = np.array([f"v{code:02d}" for code in range(count)])[codes]
    frame.loc[rng.random(rows) < 0.02, "x03"] = np.nan
    frame.loc[rng.random(rows) < 0.01, "c2"] = np.nan
    frame["y"] = np.where(rng.random(rows) < 1 / (1 + np.exp(-signal)), "yes", "no")
    frame.to_csv(path, index=False)


@pytest.mark.parametrize("rows", ROWS)
def test_all_steps_beside_a_plain_script(rows: int, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    write_table(table, rows)
    url = (tmp_path / "store").as_uri()
    store = open_store(url)
    costs: dict[str, Cost] = {}

    def made(name: str, arguments: dict[str, Any], *, counted: bool = True) -> dict[str, str]:
        cost = run(STEP, name, url, json.dumps(arguments))
        if counted:
            costs[name] = cost
        return cost.said

    def file(kind: Any, name: str, text: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(text)
        return put_tree(store, folder, kind.type, {}).digest

    plain = run(PLAIN, str(table), "y", str(tmp_path / "model.pkl"))
    data = made("snapshot_data", {"data": str(table), "target": "y"})["dataset"]
    drafted = json.dumps(draft_from(store, data, tmp_path / "drafted"))
    suite = file(Suite, "suite.json", drafted)
    validation = made(
        "validate_data", {"data": data, "suite": suite, "reference": data, "target": "y"}
    )["validation"]
    sides = made("split_data", {"data": data, "target": "y"})
    train, test = sides["train"], sides["test"]
    fit = {"data": train, "target": "y"}
    production = made("train", {**fit, "hyperparameters": {"max_iter": 30}}, counted=False)["model"]
    model = made("train", fit)["model"]
    evaluated = made("evaluate", {"model": model, "test_data": test, "slices": SLICES})
    comparison = made(
        "compare",
        {
            "candidate": model,
            "production": production,
            "test_data": test,
            "candidate_rows": train,
            "production_rows": train,
            "slices": SLICES,
        },
    )["comparison"]
    rules = resources.files("assay.components.preflight").joinpath("default_policy.yaml")
    policy = file(Policy, "policy.yaml", rules.read_text())
    evidence = [validation, *evaluated.values(), comparison]
    subjects = {"production": production, "test_data": test, "data": data}
    made("gate", {"model": model, "policy": policy, "evidence": evidence, **subjects})

    report(rows, costs, plain)
    total = sum(cost.cpu for cost in costs.values())
    assert total <= MOST_OF_PLAIN * plain.cpu + MOST_SECONDS
    highest = max(cost.megabytes for cost in costs.values())
    assert highest <= MOST_MEMORY * plain.megabytes + FREE_MB


def draft_from(store: Any, digest: str, folder: Path) -> dict[str, Any]:
    """The suite that is drafted of a dataset in the store."""
    from assay.core.tree import get_manifest, get_tree

    get_tree(store, get_manifest(store, digest), folder)
    return draft(folder, "y")


def report(rows: int, costs: Mapping[str, Cost], plain: Cost) -> None:
    """Keep the table of a number of rows."""
    laps = plain.said["laps"]
    lines = []
    for name, cost in costs.items():
        theirs = sum(laps[part] for part in BESIDE.get(name, ())) or None
        lines.append(Row(name, cost.cpu, "s", theirs, cost.cpu / theirs if theirs else None))
    wall, cpu = (sum(getattr(cost, what) for cost in costs.values()) for what in ("wall", "cpu"))
    peak = max(cost.megabytes for cost in costs.values())
    asked = next((f"at most {most}" for least, most in ASKED.items() if rows >= least), "")
    lines += [Row(f"{name}, peak of memory", cost.megabytes, "MB") for name, cost in costs.items()]
    lines += [
        Row("all steps", cpu, "s", plain.cpu, cpu / plain.cpu, asked),
        Row("all steps, elapsed", wall, "s", plain.wall, wall / plain.wall),
        Row("all steps, seconds more than the script (no ratio)", wall - plain.wall, "s",
            asked="at most 15 s with 10,000 rows" if rows <= FEW_ROWS else ""),
        Row(
            "highest peak of memory", peak, "MB", plain.megabytes, peak / plain.megabytes,
            f"at most {MOST_MEMORY}",
        ),
    ]  # fmt: skip
    columns = NUMBERS + len(CATEGORIES)
    title = f"The price of trust: {rows:,} rows, {columns} columns, processor seconds"
    keep(f"price-of-trust-{rows}", title, lines)
