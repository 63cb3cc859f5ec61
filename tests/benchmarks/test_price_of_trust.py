"""The price of trust: the steps of a pipeline beside a plain script on one table: `make bench`.

`ASSAY_BENCH_ROWS` is the number of rows (1,000,000 by default). Each step is a process of its own,
as in a pipeline, with a store in a folder and no cache; the plain script is one process. What is
asserted is a ratio of processor seconds of the same run, because other processes change how long
something takes more than how much it computes.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
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

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

ROWS = int(os.environ.get("ASSAY_BENCH_ROWS", "1000000"))
BENCH = Path(__file__).resolve().parents[2] / ".bench"
NUMBERS, CATEGORIES = 16, (4, 8, 20, 60)
SLICES = ["c0", "c1"]
MOST_OF_PLAIN = 3.0
"""All steps may take so many times the processor seconds of the plain script."""
MOST_SECONDS = 25.0
"""And so many more for starting the processes, whatever the number of rows."""
MOST_MEMORY = 1.2
"""The step with the highest peak may need so many times the memory of the plain script."""
FREE_MB = 600
"""And so many more for imports, whatever the number of rows."""

STEP = """
import importlib, json, sys
from assay.core.execution import CacheMode, Context, execute
from assay.core.store import open_store
name, url, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
step = getattr(importlib.import_module(f"assay.components.{name}.step"), name)
print(json.dumps(dict(execute(step, arguments, Context(open_store(url), CacheMode.OFF)).outputs)))
"""
PEAK = """
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""
"""The peak memory of a process in KiB; that of wait4 includes what its parent had."""
PLAIN = """
import json, pickle, resource, sys, time
import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

path, target, out = sys.argv[1:]
laps, state = {}, {"cpu": 0.0, "wall": time.perf_counter()}

def lap(name):
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu, wall = used.ru_utime + used.ru_stime, time.perf_counter()
    laps[name] = {"cpu": cpu - state["cpu"], "wall": wall - state["wall"]}
    state.update(cpu=cpu, wall=wall)

lap("import")
frame = pd.read_csv(path)
lap("read")
truth = frame.pop(target)
texts = list(frame.select_dtypes(object))
numbers = [name for name in frame if name not in texts]
train, test, learn, truth = train_test_split(frame, truth, test_size=0.25, random_state=0)
lap("split")
with threadpool_limits(1):
    encode = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1
    )
    prepare = ColumnTransformer([("n", "passthrough", numbers), ("c", encode, texts)])
    categorical = list(range(len(numbers), len(numbers) + len(texts)))
    boost = HistGradientBoostingClassifier(random_state=0, categorical_features=categorical)
    model = make_pipeline(prepare, boost).fit(train, learn)
    lap("fit")
    chances = model.predict_proba(test)
    said = model.predict(test)
    lap("predict")
positive = model.classes_[1]
actual, score = (truth == positive).to_numpy(), chances[:, 1]
found = {
    "accuracy": metrics.accuracy_score(truth, said),
    "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
    "matthews_corrcoef": metrics.matthews_corrcoef(truth, said),
    "precision_macro": metrics.precision_score(truth, said, average="macro"),
    "recall_macro": metrics.recall_score(truth, said, average="macro"),
    "f1_macro": metrics.f1_score(truth, said, average="macro"),
    "f1_weighted": metrics.f1_score(truth, said, average="weighted"),
    "precision": metrics.precision_score(truth, said, pos_label=positive),
    "recall": metrics.recall_score(truth, said, pos_label=positive),
    "f1": metrics.f1_score(truth, said, pos_label=positive),
    "log_loss": metrics.log_loss(truth, chances),
    "brier_score": metrics.brier_score_loss(actual, score),
    "roc_auc": metrics.roc_auc_score(actual, score),
    "average_precision": metrics.average_precision_score(actual, score),
}
bins = np.minimum((score * 10).astype(int), 9)
gaps = np.bincount(bins, score - actual, 10)
found["expected_calibration_error"] = float(np.abs(gaps).sum() / len(score))
lap("metrics")
with open(out, "wb") as stream:
    pickle.dump(model, stream)
lap("pickle")
print(json.dumps({"laps": laps, "metrics": {name: float(value) for name, value in found.items()}}))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took."""

    wall: float
    """Seconds."""
    cpu: float
    """User and system seconds."""
    megabytes: float
    """Peak resident memory."""
    said: dict[str, Any]
    """Its output."""


def run(script: str, *words: str) -> Cost:
    """Run a script in a process of its own."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script + PEAK, *words], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begin
    assert process.returncode == 0, words[0]
    said, peak = text.splitlines()
    return Cost(wall, used.ru_utime + used.ru_stime, int(peak) / 1024, json.loads(said))


def write_table(path: Path) -> None:
    """16 numbers, two of them whole and one with gaps, 4 categories, and a binary target."""
    rng = np.random.default_rng(20)
    numbers = rng.normal(size=(ROWS, NUMBERS)).round(4)
    frame = pd.DataFrame(numbers, columns=[f"x{index:02d}" for index in range(NUMBERS)])
    frame["x14"] = (numbers[:, 14] * 10).astype(int)
    frame["x15"] = (numbers[:, 15] * 1000).astype(int)
    signal = numbers[:, :6] @ np.array([0.9, -0.7, 0.5, 0.4, -0.3, 0.2])
    signal += 0.4 * numbers[:, 6] * numbers[:, 7]
    for index, count in enumerate(CATEGORIES):
        codes = rng.integers(0, count, ROWS)
        signal += (rng.normal(size=count) * 0.4)[codes]
        frame[f"c{index}"] = np.array([f"v{code:02d}" for code in range(count)])[codes]
    frame.loc[rng.random(ROWS) < 0.02, "x03"] = np.nan
    frame.loc[rng.random(ROWS) < 0.01, "c2"] = np.nan
    frame["y"] = np.where(rng.random(ROWS) < 1 / (1 + np.exp(-signal)), "yes", "no")
    frame.to_csv(path, index=False)


def test_all_steps_beside_a_plain_script(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    write_table(table)
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

    report(costs, plain)
    total = sum(cost.cpu for cost in costs.values())
    assert total <= MOST_OF_PLAIN * plain.cpu + MOST_SECONDS
    highest = max(cost.megabytes for cost in costs.values())
    assert highest <= MOST_MEMORY * plain.megabytes + FREE_MB


def draft_from(store: Any, digest: str, folder: Path) -> dict[str, Any]:
    """The suite that is drafted of a dataset in the store."""
    from assay.core.tree import get_manifest, get_tree

    get_tree(store, get_manifest(store, digest), folder)
    return draft(folder, "y")


def report(costs: dict[str, Cost], plain: Cost) -> None:
    """Print a Markdown table, and keep it in `.bench`."""
    laps = plain.said["laps"]
    beside = {
        "snapshot_data": ("read",),
        "split_data": ("split",),
        "train": ("import", "fit", "pickle"),
        "evaluate": ("predict", "metrics"),
    }
    columns = (
        "step", "seconds", "processor seconds", "peak MB",
        "plain script", "its processor seconds", "ratio",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, cost in costs.items():
        parts = beside.get(name, ())
        theirs = sum(laps[part]["cpu"] for part in parts)
        ratio = f"{cost.cpu / theirs:.1f}" if parts else ""
        lines.append(
            f"| {name} | {cost.wall:.1f} | {cost.cpu:.1f} | {cost.megabytes:.0f} "
            f"| {', '.join(parts)} | {f'{theirs:.1f}' if parts else ''} | {ratio} |"
        )
    wall, cpu = (sum(getattr(cost, what) for cost in costs.values()) for what in ("wall", "cpu"))
    peak = max(cost.megabytes for cost in costs.values())
    lines.append(
        f"| all | {wall:.1f} | {cpu:.1f} | {peak:.0f} | all, {plain.wall:.1f} s, "
        f"{plain.megabytes:.0f} MB | {plain.cpu:.1f} | {cpu / plain.cpu:.1f} |"
    )
    text = f"{ROWS:,} rows, {NUMBERS + len(CATEGORIES)} columns\n\n" + "\n".join(lines) + "\n"
    BENCH.mkdir(exist_ok=True)
    (BENCH / "price_of_trust.md").write_text(text)
    sys.stdout.write("\n" + text)
