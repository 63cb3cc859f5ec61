"""What a model may be given: the columns that it was trained on, with the types they had then.

An encoder maps every value that it does not know to "unseen", whatever its type is. A postal code
that is read as a number is unseen in every row, and the model answers as if nothing was known. So
each call compares the types of a table's columns with those that the model recorded:

| recorded | taken |
| --- | --- |
| number used as a number | `int64` and `float64`: a model computes in float64 |
| number used as a category | the same; where `int64` was recorded, exact whole numbers only |
| `bool` | truth values |
| `string` | text |

A column without any value is taken for every type. Everything else is refused.

A missing text is None or NaN, which encoders tell apart: it is given as the one that the encoder
of the column has learned.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.core.findings import Finding, named
from assay.data.exact_integers import WIDE
from assay.data.text_types import MISSING_VALUES
from assay.errors import UsageError
from assay.models.encoders import NAN, categories, learned_gaps
from assay.models.preprocess import MAX_CATEGORIES

if TYPE_CHECKING:
    import pandas as pd

    from assay.models.info import ModelInfo

MAX_LISTED: Final = 20
"""Columns that one message names."""
ROWS_PER_CATEGORY: Final = 5
"""A column that had fewer training rows for each of its values, on average, is not a closed set:
that new rows hold other values is normal."""
UNSEEN_SHARE: Final = 0.05
"""Share of unseen values from which a closed set is worth a word."""
_NUMBERS: Final = ("int64", "float64")
_INFERRED: Final = {
    "string": "string",
    "boolean": "bool",
    "integer": "int64",
    "floating": "float64",
    "mixed-integer-float": "float64",
    "datetime": "timestamp",
    "datetime64": "timestamp",
    "date": "date32",
    "empty": "",
}


def column_type(column: "pd.Series") -> str:
    """The dataset type of a column's values; empty when all are missing.

    Values of several types have the type `mixed`.
    """
    from pandas.api.types import infer_dtype

    kind = column.dtype.kind
    if kind in "iu":
        return "int64"
    if kind == "b":
        return "bool"
    if kind == "f":
        return "" if column.isna().all() else "float64"
    return _INFERRED.get(infer_dtype(column, skipna=True), "mixed")


def conform(
    frame: "pd.DataFrame", info: "ModelInfo", gaps: Mapping[str, Sequence[Any]]
) -> "pd.DataFrame":
    """The features of a table, in the model's order.

    Args:
        frame: The table.
        info: The model's.
        gaps: For each feature that encoders read, what they have learned of None and NaN.

    Raises:
        UsageError: Columns that are missing, or of another type than the model recorded; names
            all, with both types.
    """
    problems = missing_columns(frame, info)
    columns: dict[str, Any] = {}
    for name in info.features:
        if name in frame.columns:
            recorded, found = info.types.get(name, ""), column_type(frame[name])
            if problem := _refusal(frame[name], recorded, found, numeric=name in info.numeric):
                problems.append(f"column {name!r} is {problem}")
            columns[name] = frame[name]
            if not found and recorded:
                columns[name] = _empty(frame[name], recorded)
            if gaps.get(name):
                columns[name] = _with_gap(columns[name], gaps[name][0])
    if problems:
        more = len(problems) - MAX_LISTED
        rest = [f"and {more} more"] if more > 0 else []
        raise UsageError(
            "the model cannot take this data: "
            f"{'; '.join([*problems[:MAX_LISTED], *rest])}; give data with the columns and types "
            "that it was trained on"
        )
    return frame.__class__(columns, index=frame.index)


def missing_columns(frame: "pd.DataFrame", info: "ModelInfo") -> list[str]:
    """A line for the features that a table lacks; none when it has all."""
    missing = [name for name in info.features if name not in frame.columns]
    more = f" and {len(missing) - MAX_LISTED} more" if len(missing) > MAX_LISTED else ""
    named = ", ".join(map(repr, missing[:MAX_LISTED])) + more
    return [f"columns that the model needs are missing: {named}"] if missing else []


def _refusal(column: "pd.Series", recorded: str, found: str, *, numeric: bool) -> str:
    """Why a column cannot be taken; empty when it can."""
    if not recorded or not found or recorded == found:
        return ""
    if recorded in _NUMBERS and found in _NUMBERS:
        if numeric or recorded == "float64" or found == "int64":
            return ""
        if _is_rounded(column):
            return "of whole numbers beyond 2^53 with missing values, which are rounded"
        if not _has_fractions(column):
            return ""
        return "float64 with fractions, and int64 in the model's training data"
    return f"{found}, and {recorded} in the model's training data"


def _has_fractions(column: "pd.Series") -> bool:
    values = column.dropna().to_numpy(dtype=float)
    return bool((values != np.floor(values)).any())


def _is_rounded(column: "pd.Series") -> bool:
    """Whether a column of floats stands for whole numbers that floats do not tell apart."""
    return bool((column.abs() >= WIDE).any())


def _empty(column: "pd.Series", recorded: str) -> "pd.Series":
    """A column without values as a dataset gives one of that type."""
    gone, kind = (np.nan, float) if recorded in _NUMBERS else (None, object)
    return column.__class__([gone] * len(column), column.index, dtype=kind, name=column.name)


def _with_gap(column: "pd.Series", gap: Any) -> "pd.Series":
    """A column of objects whose missing values are all `gap`."""
    missing = column.isna()
    # A number has one way to be missing.
    if column.dtype.kind != "O" or column.dtype.name == "category" or not missing.any():
        return column
    values = column.to_numpy(dtype=object, copy=True)
    values[missing.to_numpy()] = gap
    return column.__class__(values, column.index, dtype=object, name=column.name)


def check_labels(
    info: "ModelInfo", truth: "pd.Series", where: str = "the test data", *, new: bool = False
) -> None:
    """Refuse a target that predictions cannot be compared with; missing values are not looked at.

    Args:
        info: The model's.
        truth: The target's values.
        where: What they are of, in errors.
        new: Whether labels may be there that the model has never seen, if of the type of its own.

    Raises:
        UsageError: No numbers, for regression; labels that the model has never seen.
    """
    found = truth.dropna()
    if found.empty:
        return
    if info.task == "regression":
        if truth.dtype.kind not in "iuf":
            raise UsageError(f"target {info.target!r} is not a number in {where}")
        return
    labels = set(found.unique()) - set(info.classes)
    kinds = {isinstance(label, str) for label in info.classes}
    unlike = {label for label in labels if isinstance(label, str) not in kinds}
    unknown = sorted(str(label) for label in (unlike if new else labels))
    if unknown:
        known = ", ".join(repr(str(label)) for label in info.classes)
        if set(unknown) & set(map(str, info.classes)):
            # Written alike, they would read as if nothing was wrong.
            known += ", of another type (numbers, text and truth values are not the same)"
        raise UsageError(
            f"target {info.target!r}: {where} has labels the model has never seen: "
            f"{', '.join(map(repr, unknown[:10]))}; it knows {known}"
        )


def check_table(pipeline: Any, info: "ModelInfo", frame: "pd.DataFrame") -> list[Finding]:
    """What a reader should know of a table that a model is judged on.

    Raises:
        UsageError: As `conform`; or no value of a closed set of categories is one that the model
            was trained on, so that its predictions would say nothing about it.
    """
    conform(frame, info, {})
    found, problems = [], []
    shares = unseen_shares(pipeline, info, frame)
    closed = closed_sets(pipeline, info)
    for name, share in shares.items():
        if name in closed and share == 1.0:
            known = ", ".join(sorted(map(repr, closed[name]))[:5])
            problems.append(f"column {name!r} (it knows {known}{', …' * (len(closed[name]) > 5)})")  # noqa: PLR2004
        elif share == 1.0 or (name in closed and share >= UNSEEN_SHARE):
            text = f"column {name!r}: {share:.1%} of the values are unseen in training"
            found.append(Finding("unseen-categories", text, (name,)))
    if problems:
        raise UsageError(
            f"the model was trained on none of the values of {'; '.join(problems[:MAX_LISTED])}; "
            "give data that is written as its training data was, or train it again"
        )
    gaps = _unlearned_gaps(pipeline, info, frame)
    return _differences(info, frame) + found + gaps + _extra(info, frame)


def _unlearned_gaps(pipeline: Any, info: "ModelInfo", frame: "pd.DataFrame") -> list[Finding]:
    """Missing values of categories that encoders take for a value that they have never seen.

    Raises:
        UsageError: Such columns of which the model knows a value that the reader takes as missing,
            and the table holds it nowhere.
    """
    known = categories(pipeline, info.features)
    found, problems = [], []
    for name, gaps in learned_gaps(pipeline, info.features).items():
        column = frame[name]
        share = float(column.isna().mean()) if len(column) else 0.0
        learned = NAN in gaps if column.dtype.kind == "f" else bool(gaps)
        if learned or not 0 < share < 1:
            continue
        found.append(
            Finding(
                "unlearned-gaps",
                f"column {name!r}: {share:.1%} of the values are missing, and the model has "
                "learned no missing value in it",
                (name,),
            )
        )
        texts = [repr(text) for text in MISSING_VALUES if text in known[name]]
        if texts and share >= UNSEEN_SHARE and not column.isin(MISSING_VALUES).any():
            problems.append(f"column {name!r} (the model knows {', '.join(texts)})")
    if problems:
        raise UsageError(
            "the data has missing values where the model was trained on a text that means a "
            f"missing value, in {'; '.join(problems[:MAX_LISTED])}; take that text out of "
            "missing_values"
        )
    return found


def _differences(info: "ModelInfo", frame: "pd.DataFrame") -> list[Finding]:
    notes: list[tuple[str, str, str]] = []
    for name in info.features:
        recorded, found = info.types.get(name, ""), column_type(frame[name])
        if not found:
            notes.append(("empty-column", name, "holds no value at all"))
        elif recorded == "float64" and found == "int64":
            text = "is int64, and float64 in training: read as float64"
            notes.append(("type-cast", name, text))
        elif recorded == "int64" and found == "float64" and _has_fractions(frame[name]):
            notes.append(("type-cast", name, "holds fractions, and whole numbers in training"))
    return [Finding(code, f"column {name!r} {text}", (name,)) for code, name, text in notes]


def _extra(info: "ModelInfo", frame: "pd.DataFrame") -> list[Finding]:
    known = {*info.features, *info.left_out, info.target}
    extra = [str(name) for name in frame.columns if name not in known]
    if not extra:
        return []
    return [Finding("not-read", f"the model does not read {named(extra)}", tuple(extra))]


def unseen_shares(pipeline: Any, info: "ModelInfo", frame: "pd.DataFrame") -> Mapping[str, float]:
    """For each category that has values: the share of them that training has not seen, 0 to 1."""
    found = {}
    for name, known in categories(pipeline, info.features).items():
        values = frame[name].dropna() if name in frame else ()
        if len(values):
            found[name] = float(1 - values.isin(known).mean())  # type: ignore[union-attr]
    return found


def closed_sets(pipeline: Any, info: "ModelInfo") -> Mapping[str, list[Any]]:
    """Categories of which training had few values and many rows of each.

    Of a model that was imported nobody knows the rows: its few values are a closed set.
    """
    return {
        name: known
        for name, known in categories(pipeline, info.features).items()
        if 0 < len(known) <= MAX_CATEGORIES
        and (not info.rows or len(known) * ROWS_PER_CATEGORY <= info.rows)
    }
