"""60 expectations beside Great Expectations' own pandas engine, on one dataset: `make bench`.

`ASSAY_BENCH_ROWS` is the number of rows (1,000,000 by default). Each side is a process of its own.
Processor seconds are those from the dataset to the results, without imports: Assay reads its
columns one after the other, Great Expectations gets a pandas table. One suite is the draft for the
dataset, the other holds expectations of 24 types; the results must be the same.
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
from assay.data.suite import draft

from measured import Row, keep

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

ROWS = int(os.environ.get("ASSAY_BENCH_ROWS", "1000000").split(",")[-1])
NUMBERS, CATEGORIES = 14, (4, 8, 20, 60)
PART = 100_000
TIMES_FASTER = 10
FASTER = "at most 0.1"
MOST_MB = 2000

OURS = """
import json, sys, time
from pathlib import Path
import numpy, pandas, pyarrow, pyarrow.compute, pyarrow.parquet
from assay.components.validate_data.expectations import run_suite
from assay.data.suite import parse_suite
folder, suite = Path(sys.argv[1]), parse_suite(Path(sys.argv[2]).read_bytes())
start = time.process_time()
found = [(outcome.success, dict(outcome.result)) for outcome in run_suite(folder, suite)]
used = time.process_time() - start
assert "great_expectations" not in sys.modules
"""
THEIRS = """
import json, sys, time
from pathlib import Path
from assay import data
from assay.components.validate_data import gx
from assay.components.validate_data.expectations import _outcome
from assay.data.suite import parse_suite
import great_expectations
import numpy, pandas, pyarrow, pyarrow.compute, pyarrow.parquet
suite = parse_suite(Path(sys.argv[2]).read_bytes()).expectations
start = time.process_time()
frame = data.read(Path(sys.argv[1]))
names = gx.Names(frame.columns)
results = gx.validate(frame, gx.make(list(enumerate(suite)), names), names)
used = time.process_time() - start
outcomes = [_outcome(item, results[place], names) for place, item in enumerate(suite)]
found = [(outcome.success, dict(outcome.result)) for outcome in outcomes]
"""
END = """
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(json.dumps({"cpu": used, "megabytes": int(peak) / 1024, "found": found}))
"""


def table(folder: Path) -> Path:
    """14 numbers, one of them with gaps, a key, a whole number and 4 categories."""
    random = np.random.default_rng(20)
    folder.mkdir()

    def batch(first: int) -> pa.RecordBatch:
        rows = min(PART, ROWS - first)
        columns: dict[str, Any] = {
            f"x{place:02d}": random.normal(size=rows).round(4) for place in range(NUMBERS)
        }
        columns["x03"] = pa.array(columns["x03"], mask=random.random(rows) < 0.02)
        columns["key"] = np.arange(first, first + rows)
        columns["whole"] = (random.normal(size=rows) * 1000).astype(np.int64)
        for place, count in enumerate(CATEGORIES):
            labels = np.array([f"v{code:02d}" for code in range(count)])
            columns[f"c{place}"] = labels[random.integers(0, count, rows)]
        return pa.RecordBatch.from_pydict(columns)

    batches = [batch(first) for first in range(0, ROWS, PART)]
    data.write(batches, batches[0].schema, folder)
    return folder


def expectations() -> list[tuple[str, dict[str, Any]]]:
    """60 of 24 types; most hold, and some have examples to show."""
    numbers = [f"x{place:02d}" for place in range(NUMBERS)]
    categories = [f"c{place}" for place in range(len(CATEGORIES))]
    bounds = {"min_value": -3.5, "max_value": 3.5}
    measures = ["mean", "median", "stdev", "min", "max", "sum"]
    found: list[tuple[str, dict[str, Any]]] = [
        *(
            ("values_to_not_be_null", {"column": name, "mostly": 0.9})
            for name in [*numbers, *categories, "key", "whole"]
        ),
        *(("values_to_be_between", {"column": name, **bounds}) for name in numbers),
        *(
            ("values_to_be_in_set", {"column": name, "value_set": [f"v{k:02d}" for k in range(20)]})
            for name in categories
        ),
        *((f"{kind}_to_be_between", {"column": name, "max_value": 1})
          for kind, name in zip(measures, numbers, strict=False)),
        ("values_to_be_unique", {"column": "key"}),
        ("values_to_be_increasing", {"column": "key", "strictly": True}),
        ("values_to_match_regex", {"column": "c1", "regex": "^v[0-9]{2}$"}),
        ("value_lengths_to_equal", {"column": "c2", "value": 3}),
        ("unique_value_count_to_be_between", {"column": "whole", "max_value": 9000}),
        (
            "quantile_values_to_be_between",
            {"column": "x04", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[-1, 1]]}},
        ),
        ("proportion_of_unique_values_to_be_between", {"column": "whole", "max_value": 0.5}),
        ("most_common_value_to_be_in_set", {"column": "x09", "value_set": [0.5]}),
        ("distinct_values_to_equal_set", {"column": "c0", "value_set": ["v00", "v01"]}),
        ("values_to_be_of_type", {"column": "whole", "type_": "int64"}),
        ("values_to_be_of_type", {"column": "c3", "type_": "str"}),
        (
            "pair_values_a_to_be_greater_than_b",
            {"column_A": "x05", "column_B": "x06", "mostly": 0.4},
        ),
        ("value_z_scores_to_be_less_than", {"column": "x07", "threshold": 4, "double_sided": True}),
        ("values_to_not_be_in_set", {"column": "whole", "value_set": [-999, 0]}),
    ]  # fmt: skip
    named = [(f"expect_column_{kind}", kwargs) for kind, kwargs in found]
    named += [
        ("expect_compound_columns_to_be_unique", {"column_list": ["c0", "c1", "x08"]}),
        ("expect_table_row_count_to_be_between", {"min_value": 1}),
    ]
    return named


def judged(script: str, folder: Path, suite: Path) -> dict[str, Any]:
    run = [sys.executable, "-W", "ignore", "-c", script + END, str(folder), str(suite)]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_60_expectations_beside_great_expectations(tmp_path: Path) -> None:
    folder = table(tmp_path / "data")
    items = [{"type": kind, "kwargs": kwargs} for kind, kwargs in expectations()]
    suites = {"drafted": draft(folder), "mixed": {"name": "mixed", "expectations": items}}
    rows, ratios = [], []
    for name, suite in suites.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(suite))
        ours, theirs = (judged(script, folder, path) for script in (OURS, THEIRS))
        assert ours["found"] == theirs["found"]
        count = len(suite["expectations"])
        assert count >= 60
        about = f"{count} {name} expectations, {ROWS:,} rows of 20 columns"
        ratios.append(theirs["cpu"] / ours["cpu"])
        seconds, peak = (ours[key] / theirs[key] for key in ("cpu", "megabytes"))
        rows += [
            Row(f"{about}, processor seconds", ours["cpu"], "s", theirs["cpu"], seconds, FASTER),
            Row(f"{about}, peak memory", ours["megabytes"], "MB", theirs["megabytes"], peak),
        ]
        assert ours["megabytes"] < MOST_MB
    keep("expectations", "Expectations beside Great Expectations", rows)
    assert min(ratios) >= TIMES_FASTER
