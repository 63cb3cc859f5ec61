"""Predict a dataset, a bounded number of rows at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.core.findings import Finding
from assay.data import (
    ROWS_PER_PART,
    DatasetInfo,
    Writer,
    arrow_schema,
    column_problems,
    iter_batches,
)
from assay.data.schema import load
from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from assay.models import LoadedModel

PREDICTION: Final = "prediction"
PROBABILITY: Final = "probability of {}"


def predict(
    model: "LoadedModel", source: Path, kept: Sequence[str], target: Path
) -> tuple[DatasetInfo, list[Finding]]:
    """Write the predictions for a dataset as a dataset.

    Args:
        model: The model.
        source: The dataset.
        kept: Columns of it that the result has, too.
        target: An empty folder.

    Returns:
        The description of the result, and how the rows differ from the training data, each
        difference once.

    Raises:
        UsageError: The model cannot take the rows or gives NaN, or columns to keep do not exist or
            have names of the result's own; names all.
    """
    import pyarrow as pa

    own = _own_fields(model)
    table, parts = load(source)
    schema = arrow_schema(source)
    problems = column_problems(kept, table.names, "keep_columns")
    problems += [
        f"keep_columns: the result has a column {field.name!r} of its own; leave it out"
        for field in own
        if field.name in kept
    ]
    if problems:
        raise UsageError.all_of(problems)
    fields = [schema.field(name) for name in dict.fromkeys(kept)] + own
    findings: dict[tuple[str, tuple[str, ...]], Finding] = {}
    # With the parts of the source, so that predictions of parts can be joined.
    with Writer(pa.schema(fields), target, rows_per_part=parts[0].rows) as writer:
        for rows in iter_batches(source, rows=ROWS_PER_PART):
            frame = _frame(rows, table)
            for finding in model.check_table(frame):
                findings.setdefault((finding.code, finding.columns), finding)
            columns = [rows.column(name) for name in dict.fromkeys(kept)]
            columns += _predicted(model, frame, own)
            writer.add(pa.record_batch(columns, schema=pa.schema(fields)))
        return writer.finish(), list(findings.values())


def _own_fields(model: "LoadedModel") -> "list[pa.Field]":
    """The columns of the result besides those that are kept."""
    import pyarrow as pa

    if model.task == "regression":
        return [pa.field(PREDICTION, pa.float64())]
    kinds = {bool: pa.bool_(), int: pa.int64(), str: pa.string(), float: pa.float64()}
    labels = {type(label) for label in model.classes}
    kind = kinds.get(labels.pop()) if len(labels) == 1 else None
    if kind is None:
        raise UsageError("the model's classes are of several types; train it with one type")
    fields = [pa.field(PREDICTION, kind)]
    if hasattr(model.pipeline, "predict_proba"):
        fields += [
            pa.field(PROBABILITY.format(label), pa.float64()) for label in map(str, model.classes)
        ]
    return fields


def _frame(rows: "pa.RecordBatch", table: DatasetInfo) -> "pd.DataFrame":
    """Rows as `assay.data.read` has them in the whole table: by its types, not by these rows'."""
    frame: pd.DataFrame = rows.to_pandas(date_as_object=False)
    gaps = [c.name for c in table.columns if c.type == "int64" and c.nulls]
    return frame.astype(dict.fromkeys(gaps, float))


def _predicted(
    model: "LoadedModel", frame: "pd.DataFrame", fields: "Sequence[pa.Field]"
) -> list[Any]:
    import numpy as np
    import pyarrow as pa

    labels, chances = model.predict_both(frame)
    if model.task == "regression" and (wrong := int(np.isnan(labels).sum())):
        # A dataset has one form for NaN and for a missing value.
        raise UsageError(
            f"the model gives NaN for {wrong} of {len(labels)} rows; train with other "
            "hyperparameters"
        )
    columns = [np.asarray(labels).tolist()]
    if chances is not None:
        columns += list(np.asarray(chances, dtype=float).T)
    return [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
