"""Latency and throughput: measured, so never the same twice."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from assay.evidence.format import EvidenceDocument

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel

WARM_UP: Final = 10
BATCHES: Final = 3
MAX_BATCH_ROWS: Final = 10_000
NOTE: Final = "measured on the machine of the run; not reproducible"


def measure(
    model: "LoadedModel", frame: "pd.DataFrame", rows: int, folder: Path, subjects: dict[str, str]
) -> EvidenceDocument:
    """Milliseconds for one row (median and 99th percentile), rows per second in batches.

    Args:
        model: The model.
        frame: Rows to predict.
        rows: Number of single-row predictions to time.
        folder: The folder of the model.
        subjects: What the evidence is about.
    """
    singles = [frame.iloc[[index % len(frame)]] for index in range(max(rows, 1))]
    for row in singles[:WARM_UP]:
        model.predict(row)
    times = []
    for row in singles:
        begin = time.perf_counter()
        model.predict(row)
        times.append((time.perf_counter() - begin) * 1000)
    batch = frame.head(MAX_BATCH_ROWS)
    begin = time.perf_counter()
    for _ in range(BATCHES):
        model.predict(batch)
    seconds = time.perf_counter() - begin
    median, high = np.quantile(times, [0.5, 0.99])
    values = {
        "latency_p50_ms": float(median),
        "latency_p99_ms": float(high),
        "throughput_rows_per_s": BATCHES * len(batch) / seconds,
        "model_bytes": float((folder / "model.skops").stat().st_size),
    }
    return EvidenceDocument(subjects, values, notes=dict.fromkeys(values, NOTE))
