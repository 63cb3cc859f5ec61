"""Check that input tables have the columns and types of the training data of a model.

An encoder maps every unknown value to "unseen", regardless of its type. If a postal code is read as
a number, it is unseen in every row, and the predictions are meaningless. Each call therefore
compares the types of the columns with those that the model recorded:

| recorded | accepted |
| --- | --- |
| number used as a number | `int64` and `float64`: a model computes in float64 |
| number used as a category | the same; if `int64` was recorded, exact integers only |
| `bool` | booleans |
| `string` | text |

A column without values is accepted for every type. Everything else is refused.

A missing text or boolean is None or NaN, which encoders distinguish: it is converted to the one
that the encoder of the column has learned.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from assay.core.findings import Finding, named
from assay.data.exact_integers import WIDE
from assay.data.text_types import MISSING_VALUES
from assay.errors import UsageError
from assay.models.encoders import NAN, categories, learned_gaps, unequal_gaps
from assay.models.preprocess import MAX_CATEGORIES

if TYPE_CHECKING:
    import pandas as pd

    from assay.models.info import ModelInfo

MAX_LISTED: Final = 20
"""Maximum number of columns or labels in a message."""
ROWS_PER_CATEGORY: Final = 5
"""A column with fewer training rows per distinct value, on average, is not a closed set: new rows
are expected to have other values."""
UNSEEN_SHARE: Final = 0.05
"""Minimum share of unseen values in a closed set for a finding."""
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
    """The dataset type of a column; empty if all values are missing.

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
    """Select the features of a table and convert them to the types of the training data.

    Args:
        frame: The table.
        info: Description of the model.
        gaps: The result of `learned_gaps`.

    Returns:
        The features in the order of the model.

    Raises:
        UsageError: Columns are missing or have other types than in the training data; the message
            lists all of them with both types.
    """
    problems = missing_columns(frame, info)
    columns: dict[str, Any] = {}
    for name in info.features:
        if name in frame.columns:
            recorded, actual = info.types.get(name, ""), column_type(frame[name])
            if problem := _refusal(frame[name], recorded, actual, numeric=name in info.numeric):
                problems.append(f"column {name!r} is {problem}")
            columns[name] = frame[name]
            if not actual and recorded:
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
    """One line with the missing features of a table; empty if it has all."""
    missing = [name for name in info.features if name not in frame.columns]
    more = f" and {len(missing) - MAX_LISTED} more" if len(missing) > MAX_LISTED else ""
    named = ", ".join(map(repr, missing[:MAX_LISTED])) + more
    return [f"columns that the model needs are missing: {named}"] if missing else []


def _refusal(column: "pd.Series", recorded: str, actual: str, *, numeric: bool) -> str:
    """Why a column is refused; empty if it is accepted."""
    if not recorded or not actual or recorded == actual:
        return ""
    if not {recorded, actual} <= set(_NUMBERS):
        return f"{actual}, and {recorded} in the model's training data"
    if numeric or recorded == "float64" or actual == "int64":
        return ""
    if _is_rounded(column):
        return "of integers beyond 2^53 with missing values, which are rounded"
    if _has_fractions(column):
        return "float64 with fractions, and int64 in the model's training data"
    return ""


def _has_fractions(column: "pd.Series") -> bool:
    import numpy as np

    values = column.dropna().to_numpy(dtype=float)
    return bool((values != np.floor(values)).any())


def _is_rounded(column: "pd.Series") -> bool:
    """Whether a float column may contain rounded integers."""
    return bool((column.abs() >= WIDE).any())


def _empty(column: "pd.Series", recorded: str) -> "pd.Series":
    """A column without values, as it is read from a dataset with this type."""
    missing, kind = (NAN, float) if recorded in _NUMBERS else (None, object)
    return column.__class__([missing] * len(column), column.index, dtype=kind, name=column.name)


def _with_gap(column: "pd.Series", gap: Any) -> "pd.Series":
    """Replace all missing values of an object column by `gap`."""
    missing = column.isna()
    # Missing numbers are always NaN.
    if column.dtype.kind != "O" or column.dtype.name == "category" or not missing.any():
        return column
    values = column.to_numpy(dtype=object, copy=True)
    values[missing.to_numpy()] = gap
    return column.__class__(values, column.index, dtype=object, name=column.name)


def check_labels(
    info: "ModelInfo", truth: "pd.Series", where: str = "the test data", *, new: bool = False
) -> None:
    """Check that a target can be compared with predictions; missing values are ignored.

    Args:
        info: Description of the model.
        truth: Values of the target.
        where: Name of the table, for errors.
        new: Accept labels that the model does not know, if they have the same type.

    Raises:
        UsageError: The values are not numbers, for regression; or the model does not know labels.
    """
    present = truth.dropna()
    if present.empty:
        return
    if info.task == "regression":
        if truth.dtype.kind not in "iuf":
            raise UsageError(f"target {info.target!r} is not a number in {where}")
        return
    unknown = _unknown_labels(info, present, new=new)
    if unknown:
        known = ", ".join(repr(str(label)) for label in info.classes[:MAX_LISTED])
        if len(info.classes) > MAX_LISTED:
            known += f" and {len(info.classes) - MAX_LISTED:,} more"
        if set(unknown) & set(map(str, info.classes)):
            # Labels of different types may look the same in the message.
            known += ", of another type (numbers, text and booleans are not the same)"
        raise UsageError(
            f"target {info.target!r}: {where} has labels the model has never seen: "
            f"{', '.join(map(repr, unknown[:10]))}; it knows {known}"
        )


def _unknown_labels(info: "ModelInfo", present: "pd.Series", *, new: bool) -> list[str]:
    labels = set(present.unique()) - set(info.classes)
    if new:
        kinds = {isinstance(label, str) for label in info.classes}
        labels = {label for label in labels if isinstance(label, str) not in kinds}
    return sorted(map(str, labels))


def check_table(pipeline: Any, info: "ModelInfo", frame: "pd.DataFrame") -> list[Finding]:
    """Check a table on which a model is evaluated.

    Args:
        pipeline: The fitted pipeline.
        info: Description of the model.
        frame: The table.

    Returns:
        The findings for a report.

    Raises:
        UsageError: As for `conform`; or all values of a closed set of categories are unknown to the
            model, so that its predictions would be meaningless.
    """
    conform(frame, info, {})
    findings, problems = [], []
    shares = unseen_shares(pipeline, info, frame)
    closed = closed_sets(pipeline, info)
    for name, share in shares.items():
        if name in closed and share == 1.0:
            known = ", ".join(sorted(map(repr, closed[name]))[:5])
            problems.append(f"column {name!r} (it knows {known}{', …' * (len(closed[name]) > 5)})")  # noqa: PLR2004
        elif share == 1.0 or (name in closed and share >= UNSEEN_SHARE):
            text = f"column {name!r}: {share:.1%} of the values are unseen in training"
            findings.append(Finding("unseen-categories", text, (name,)))
    if problems:
        raise UsageError(
            f"the model was trained on none of the values of {'; '.join(problems[:MAX_LISTED])}; "
            "give data in the format of its training data, or train it again"
        )
    gaps = _unlearned_gaps(pipeline, info, frame)
    return (
        _differences(info, frame) + findings + gaps + _unequal(pipeline, info) + _extra(info, frame)
    )


def _unequal(pipeline: Any, info: "ModelInfo") -> list[Finding]:
    """Findings for missing values whose effect depends on who serves the model."""
    return [
        Finding(
            "unequal-gaps",
            f"column {name!r}: MLflow alone does not read {'None' if gap is None else 'NaN'} as a "
            "missing value of this model, as Assay does; train the model again, or serve it with "
            "Assay",
            (name,),
        )
        for name, gap in unequal_gaps(pipeline, info.features).items()
    ]


def _unlearned_gaps(pipeline: Any, info: "ModelInfo", frame: "pd.DataFrame") -> list[Finding]:
    """Findings for missing values that encoders treat as unseen categories.

    Raises:
        UsageError: The model knows a category that is read as a missing value, and the table never
            has it.
    """
    known = categories(pipeline, info.features)
    findings, problems = [], []
    for name, gaps in learned_gaps(pipeline, info.features).items():
        column = frame[name]
        share = float(column.isna().mean()) if len(column) else 0.0
        learned = NAN in gaps if column.dtype.kind == "f" else bool(gaps)
        if learned or not 0 < share < 1:
            continue
        findings.append(
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
            f"missing value, in {'; '.join(problems[:MAX_LISTED])}; remove that text from "
            "missing_values"
        )
    return findings


def _differences(info: "ModelInfo", frame: "pd.DataFrame") -> list[Finding]:
    notes: list[tuple[str, str, str]] = []
    for name in info.features:
        recorded, actual = info.types.get(name, ""), column_type(frame[name])
        if not actual:
            notes.append(("empty-column", name, "holds no value at all"))
        elif recorded == "float64" and actual == "int64":
            text = "is int64, and float64 in training: read as float64"
            notes.append(("type-cast", name, text))
        elif recorded == "int64" and actual == "float64" and _has_fractions(frame[name]):
            notes.append(("type-cast", name, "holds fractions, and whole numbers in training"))
    return [Finding(code, f"column {name!r} {text}", (name,)) for code, name, text in notes]


def _extra(info: "ModelInfo", frame: "pd.DataFrame") -> list[Finding]:
    known = {*info.features, *info.left_out, info.target}
    extra = [str(name) for name in frame.columns if name not in known]
    if not extra:
        return []
    return [Finding("not-read", f"the model does not read {named(extra)}", tuple(extra))]


def unseen_shares(pipeline: Any, info: "ModelInfo", frame: "pd.DataFrame") -> Mapping[str, float]:
    """The shares of values that training has not seen.

    Args:
        pipeline: The fitted pipeline.
        info: Description of the model.
        frame: The table.

    Returns:
        A share from 0 to 1 for each categorical feature with values.
    """
    shares = {}
    for name, known in categories(pipeline, info.features, fills=True).items():
        values = frame[name].dropna() if name in frame else ()
        if len(values):
            shares[name] = float(1 - values.isin(known).mean())  # type: ignore[union-attr]
    return shares


def closed_sets(pipeline: Any, info: "ModelInfo") -> Mapping[str, list[Any]]:
    """Categorical features with few values and many training rows per value.

    The rows of imported models are unknown: if they have few values, these are a closed set.
    """
    return {
        name: known
        for name, known in categories(pipeline, info.features).items()
        if 0 < len(known) <= MAX_CATEGORIES
        and (not info.rows or len(known) * ROWS_PER_CATEGORY <= info.rows)
    }
