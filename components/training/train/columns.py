"""Which columns are features, and as what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay import data
from assay.core.findings import Finding, named
from assay.errors import UsageError
from assay.models.preprocess import MAX_CATEGORIES

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS: Final = ("int64", "float64", "bool")
_DATES: Final = ("date32", "timestamp")
_IDENTIFIER_ROWS: Final = 50
"""With fewer rows, a column of different texts is not reported as an identifier."""
EXACT: Final = 1 << 53
"""float64 holds every whole number up to this size."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Feature columns in the dataset's order, by how they are prepared."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    types: Mapping[str, str]
    """Dataset type of each feature."""
    left_out: tuple[str, ...]
    """Not dropped by the user, but without any value."""

    @property
    def features(self) -> tuple[str, ...]:
        """All of them, numeric ones first."""
        return (*self.numeric, *self.categorical)

    @property
    def text(self) -> tuple[str, ...]:
        """The categorical ones that hold text."""
        return tuple(name for name in self.categorical if self.types[name] == "string")


def choose_columns(
    table: data.DatasetInfo,
    target: str,
    numeric: Sequence[str],
    categorical: Sequence[str],
    dropped: Sequence[str],
) -> Columns:
    """Numbers and booleans are numeric, text is categorical, unless the user decides otherwise.

    The target is never a feature; a column without any value is left out. Dates are not features.

    Args:
        table: The dataset's columns.
        target: Column to predict.
        numeric: Columns that must be numbers.
        categorical: Columns to treat as categories.
        dropped: Columns that are not features.

    Raises:
        UsageError: Names every column that is unknown, contradictory or of an unsupported type.
    """
    given = {
        "numeric_columns": numeric,
        "categorical_columns": categorical,
        "drop_columns": dropped,
    }
    problems = _name_problems(table, target, given)
    roles: dict[str, list[str]] = {"numeric": [], "categorical": [], "left_out": []}
    for column in table.columns:
        if column.name != target and column.name not in dropped:
            try:
                role = _role(column, table.rows, numeric, categorical)
            except UsageError as error:
                problems.append(str(error))
            else:
                roles[role].append(column.name)
    if not problems and not roles["numeric"] and not roles["categorical"]:
        problems.append(
            "no feature columns are left; drop fewer" if table.rows else "the dataset has no rows"
        )
    if problems:
        raise UsageError.all_of(problems)
    features = (*roles["numeric"], *roles["categorical"])
    return Columns(
        numeric=tuple(roles["numeric"]),
        categorical=tuple(roles["categorical"]),
        types={name: table.column(name).type for name in features},
        left_out=tuple(roles["left_out"]),
    )


def _name_problems(
    table: data.DatasetInfo, target: str, given: Mapping[str, Sequence[str]]
) -> list[str]:
    problems = data.column_problems([target], table.names, "target")
    for what, names in given.items():
        problems += data.column_problems(names, table.names, what)
        if target in names:
            problems.append(f"{what}: {target!r} is the target")
    both = sorted(set(given["numeric_columns"]) & set(given["categorical_columns"]))
    return problems + [f"column {name!r} is given as numeric and as categorical" for name in both]


def _role(
    column: data.Column, rows: int, numeric: Sequence[str], categorical: Sequence[str]
) -> str:
    if column.nulls >= rows:
        return "left_out"
    if column.type in _DATES:
        raise UsageError(
            f"column {column.name!r} is of type {column.type}, and dates are no features; put it "
            "into drop_columns, and what matters of it into columns of numbers"
        )
    if column.name in categorical:
        return "categorical"
    if column.type in _NUMBERS:
        return "numeric"
    if column.name in numeric:
        raise UsageError(f"numeric_columns: {column.name!r} is of type {column.type}")
    return "categorical"


def require_finite(frame: "pd.DataFrame", columns: Columns) -> None:
    """Refuse numbers that preprocessing cannot handle.

    These are infinite numbers, and columns whose variance, by which they are scaled, is too large
    or too small for a float: scaled, they would be 0 or NaN.

    Raises:
        UsageError: Names every column.
    """
    import numpy as np

    problems = []
    for name in columns.numeric:
        values = frame[name].to_numpy() if columns.types[name] == "float64" else np.zeros(0)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            variance = float(np.var(values))
        if not np.isfinite(variance) or (not variance and values.min() < values.max()):
            problems.append(
                f"column {name!r} has values from {values.min():.3g} to {values.max():.3g}, whose "
                "variance is no floating-point number; give it in another unit"
            )
    for name in columns.features:
        if columns.types[name] == "float64":
            count = int(np.isinf(frame[name].to_numpy()).sum())
            if count:
                problems.append(f"column {name!r} is infinite in {count} of {len(frame)} rows")
    if problems:
        raise UsageError(f"{'; '.join(problems)}; mend or drop them")


def require_exact(table: data.DatasetInfo, frame: "pd.DataFrame", columns: Columns) -> None:
    """Refuse categories that missing values have made floats, which would merge some of them.

    Args:
        table: The dataset's columns.
        frame: The rows.
        columns: The features.

    Raises:
        UsageError: Names every column.
    """
    gaps = {column.name for column in table.columns if column.type == "int64" and column.nulls}
    wide = [
        name
        for name in columns.categorical
        if name in gaps and bool((frame[name].abs() >= EXACT).any())
    ]
    if wide:
        raise UsageError(
            f"{named(wide)}: whole numbers beyond 2^53 with missing values, which would be "
            "rounded; give them as text, or drop them (drop_columns)"
        )


def column_findings(frame: "pd.DataFrame", columns: Columns) -> list[Finding]:
    """Findings about the features."""
    rows = len(frame)
    distinct = {name: frame[name].nunique() for name in columns.categorical}
    same = [n for n in columns.text if rows >= _IDENTIFIER_ROWS and distinct[n] == rows]
    many = [n for n in columns.categorical if distinct[n] > MAX_CATEGORIES and n not in same]
    wide = [
        name
        for name in columns.numeric
        if columns.types[name] == "int64" and bool((frame[name].abs() > EXACT).any())
    ]
    findings = []
    if columns.left_out:
        text = f"{named(columns.left_out)}: no value at all; left out of the features"
        findings.append(Finding("left-out", text, columns.left_out))
    if same:
        text = (
            f"{named(same)}: another value in every row, like an identifier; a model learns "
            "nothing from it (drop_columns)"
        )
        findings.append(Finding("identifier", text, tuple(same)))
    if many:
        text = (
            f"{named(many)}: taken as categories, with up to {max(distinct[n] for n in many):,} "
            f"different values; all but the {MAX_CATEGORIES} most frequent are put together"
        )
        findings.append(Finding("many-categories", text, tuple(many)))
    if wide:
        text = (
            f"{named(wide)}: whole numbers beyond 2^53, which a model rounds; identifiers are no "
            "features (drop_columns)"
        )
        findings.append(Finding("rounded", text, tuple(wide)))
    return findings
