"""Drift beside Evidently's preset, on two tables of the same size: `make bench`.

`ASSAY_BENCH_ROWS` is the number of rows of each table (1,000,000 by default). Each side is a
process of its own. Processor seconds are those of the comparison, without imports. Evidently gets
tables in memory, so Assay is measured so too, and once more with reading the Parquet files. Neither
is possible in the memory of most machines above `MOST_IN_MEMORY` rows: Evidently then compares that
many, and its seconds are scaled up.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay import data

from measured import Row, keep

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

ROWS = int(os.environ.get("ASSAY_BENCH_ROWS", "1000000"))
MOST_IN_MEMORY = 1_000_000
PART = 100_000
CATEGORIES = (3, 10, 100, 1000)
TIMES_FASTER = 100
MOST_MEMORY_MB = 2000

OURS = """
import json, sys, time
from pathlib import Path
import numpy, pyarrow, pyarrow.compute, pyarrow.parquet
from assay import data
from assay.components.validate_data.drift import find_drift
from assay.data.profile import reading
now, before = map(Path, sys.argv[1:3])
types = data.info(now).types
held = {}

def iter_held(folder, names, *rows, **options):
    key = (folder, *names)
    if key not in held:
        held[key] = list(data.iter_batches(folder, names, *rows, **options))
    return iter(held[key])

if sys.argv[3] == "held":
    reading.iter_batches = iter_held
    find_drift(now, before, types, 0.1)
start = time.process_time()
columns, _ = find_drift(now, before, types, 0.1)
used = time.process_time() - start
scores = {column.name: column.score for column in columns}
"""
THEIRS = """
import json, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from assay import data
from evidently import Report
from evidently.presets import DataDriftPreset
rows = int(sys.argv.pop())
frames = [data.read(Path(folder)).head(rows) for folder in sys.argv[1:]]
start = time.process_time()
result = Report([DataDriftPreset()]).run(*frames)
used = time.process_time() - start
scores = {
    metric["config"]["column"]: float(metric["value"])
    for metric in result.dict()["metrics"]
    if "column" in metric["config"]
}
"""
END = """
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(json.dumps({"cpu": used, "peak": int(peak) / 1024, "scores": scores}))
"""


def table(folder: Path, seed: int, moved: float) -> Path:
    """Numbers of several shapes and offsets, and texts; written in parts."""
    random = np.random.default_rng(seed)
    folder.mkdir()

    def batch(rows: int) -> pa.RecordBatch:
        columns: dict[str, Any] = {
            f"n{k}": random.normal(3 * k + moved, 1 + k, rows) for k in range(12)
        }
        columns |= {
            "skewed": random.lognormal(moved, 2, rows),
            "age": random.integers(0, 100, rows),
            "time": random.integers(1_600_000_000, 1_700_000_000, rows),
            "price": np.round(random.exponential(50 + moved, rows), 2),
        }
        columns |= {
            f"c{count}": [f"value {v}" for v in random.integers(0, count, rows)]
            for count in CATEGORIES
        }
        return pa.record_batch(columns)

    first = batch(1)
    batches = (batch(min(PART, ROWS - start)) for start in range(0, ROWS, PART))
    data.write(batches, first.schema, folder)
    return folder


def measured(code: str, *words: str) -> dict[str, Any]:
    quiet = {**os.environ, "DO_NOT_TRACK": "1", "ITERATIVE_DO_NOT_TRACK": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code + END, *words],
        check=True, capture_output=True, text=True, env=quiet,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_drift_beside_evidently(tmp_path: Path) -> None:
    now, before = table(tmp_path / "now", 1, 0.1), table(tmp_path / "before", 2, 0.0)
    folders = (str(now), str(before))
    compared = min(ROWS, MOST_IN_MEMORY)
    # The preset expects the reference second.
    other = measured(THEIRS, *folders, str(compared))
    read = measured(OURS, *folders, "read")
    held = measured(OURS, *folders, "held") if compared == ROWS else read
    whole = other["cpu"] / compared * ROWS
    scaled = "" if compared == ROWS else f", scaled up from {compared:,} rows"
    times = "processor time, ratio: how many times as much Evidently needs"
    rows = [
        Row(f"{times}; with reading Parquet", read["cpu"], "s", whole, whole / read["cpu"]),
        Row(
            "peak memory, with reading Parquet",
            read["peak"], "MB", other["peak"], read["peak"] / other["peak"],
            f"below {MOST_MEMORY_MB:,} MB",
        ),
    ]  # fmt: skip
    if compared == ROWS:
        ratio = whole / held["cpu"]
        asked = f"at least {TIMES_FASTER}"
        rows.insert(0, Row(f"{times}; tables in memory", held["cpu"], "s", whole, ratio, asked))
    title = f"Drift of {ROWS:,} rows of 20 columns, beside Evidently's preset{scaled}"
    keep("drift", title, rows)
    assert read["peak"] < MOST_MEMORY_MB
    if compared == ROWS:
        for name, score in read["scores"].items():
            assert score == pytest.approx(other["scores"][name], abs=0.001, rel=0.001), name
        assert whole / held["cpu"] >= TIMES_FASTER, rows
