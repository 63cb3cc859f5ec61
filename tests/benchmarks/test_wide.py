"""A wide table beside a plain script that reads, splits and writes it: `make bench`.

`ASSAY_BENCH_COLUMNS` and `ASSAY_BENCH_WIDE_ROWS` are its size (2,000 each by default). Each step is
a process of its own. The ratio is of processor seconds.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from measured import Row, keep
from processes import STEP, run

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

COLUMNS = int(os.environ.get("ASSAY_BENCH_COLUMNS", "2000"))
ROWS = int(os.environ.get("ASSAY_BENCH_WIDE_ROWS", "2000"))
MOST_OF_PLAIN = 2.0
MOST_SECONDS = 2.0
"""Processor seconds for starting the processes, whatever the size."""
PLAIN = """
import json, sys
import pandas as pd
from sklearn.model_selection import train_test_split

table, folder = sys.argv[1:]
frame = pd.read_csv(table)
train, test = train_test_split(frame, test_size=0.25, random_state=0)
for name, part in {"data": frame, "train": train, "test": test}.items():
    part.to_parquet(f"{folder}/{name}.parquet", index=False)
print(json.dumps({}))
"""


def write_table(path: Path) -> None:
    """Numbers with four decimals, a few of them missing, and a binary target."""
    rng = np.random.default_rng(21)
    names = [f"x{index:05d}" for index in range(COLUMNS)]
    for begin in range(0, ROWS, 500):
        count = min(500, ROWS - begin)
        numbers = rng.normal(size=(count, COLUMNS)).round(4)
        numbers[rng.random(numbers.shape) < 0.001] = np.nan
        frame = pd.DataFrame(numbers, columns=names)
        frame["y"] = np.where(rng.random(count) < 0.5, "yes", "no")
        frame.to_csv(path, index=False, mode="a", header=begin == 0)


def test_a_wide_table_beside_a_plain_script(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    write_table(table)
    url = (tmp_path / "store").as_uri()
    plain = run(PLAIN, str(table), str(tmp_path))

    def made(name: str, arguments: dict[str, Any]) -> Any:
        return run(STEP, name, url, json.dumps(arguments))

    snapshot = made("snapshot_data", {"data": str(table), "target": "y", "rows_per_part": 10_000})
    split = made("split_data", {"data": snapshot.said["dataset"], "target": "y"})
    total = snapshot.cpu + split.cpu
    peak = max(snapshot.megabytes, split.megabytes)
    rows = [
        Row("snapshot_data", snapshot.cpu, "s"),
        Row("split_data", split.cpu, "s"),
        Row("both", total, "s", plain.cpu, total / plain.cpu, f"at most {MOST_OF_PLAIN:g}"),
        Row("highest peak of memory", peak, "MB", plain.megabytes, peak / plain.megabytes),
    ]
    keep(f"wide-{COLUMNS}", f"A wide table: {ROWS:,} rows, {COLUMNS:,} columns", rows)
    assert total <= MOST_OF_PLAIN * plain.cpu + MOST_SECONDS
