"""Drift of each column against a reference, measured by Evidently, judged here.

Evidently picks the measure by a column's kind and by how many values the reference has:

| values of the reference | numbers | categories, and numbers with up to 5 distinct values |
| --- | --- | --- |
| up to 1,000 | p-value, Kolmogorov-Smirnov | p-value, chi-squared (two values: Z-test) |
| more | Wasserstein distance / std of the reference | Jensen-Shannon distance |

A reference with one value only has no deviation: another value has drifted.

Infinite values have no distance. Where their share differs by at least the threshold, that is the
score, and the column has drifted; otherwise they are left out.

A p-value below 0.05, or a distance of at least the threshold (Evidently's own default is 0.1), is
drift. A column for which no finite number comes out has drifted.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.components.validate_data.exact import is_wide
from assay.components.validate_data.histogram import Histogram, histogram
from assay.core.environment import set_variables
from assay.data.exact_integers import WIDE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from assay.data import DatasetInfo

MIN_ROWS: Final = 100
"""With fewer rows in either dataset, drift is not measured."""
P_VALUE_THRESHOLD: Final = 0.05
MISSING: Final = "(missing)"
DIGITS: Final = 6
"""Decimal places of a score; more would depend on the processor's instructions."""

_RAISED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """What was found for one column."""

    name: str
    method: str
    score: float | None
    """None when no finite number came out."""
    threshold: float
    drifted: bool
    missing: tuple[float, float]
    """Share of missing values in the reference and now, which a score of numbers leaves out."""
    histogram: Histogram | None = None
    """Of a column that drifted."""


def schema_changes(current: "DatasetInfo", reference: "DatasetInfo") -> list[str]:
    """Columns that are missing, new or of another type than in the reference."""
    now = {column.name: column.type for column in current.columns}
    before = {column.name: column.type for column in reference.columns}
    changes = [f"column {name!r} of the reference is missing" for name in before if name not in now]
    changes += [f"column {name!r} is not in the reference" for name in now if name not in before]
    changes += [
        f"column {name!r} is {kind}, and {before[name]} in the reference"
        for name, kind in now.items()
        if before.get(name, kind) != kind
    ]
    return changes


def sample(frame: "pd.DataFrame", rows: int) -> "pd.DataFrame":
    """At most `rows` rows, in order; of as many rows always the same ones.

    Those whose numbers have the smallest hashes. Every k-th row would be simpler, and from a
    table with a daily rhythm take the same hour of each day.
    """
    import numpy as np

    if len(frame) <= rows:
        return frame
    kept = np.argpartition(_hashes(len(frame)), rows)[:rows]
    return frame.iloc[np.sort(kept)]


def _hashes(count: int) -> "np.ndarray[Any, Any]":
    """SplitMix64 of the numbers from 1 to `count`: a bijection, so that no two are equal.

    Steele, Lea, Flood: Fast splittable pseudorandom number generators (OOPSLA 2014), figure 17.
    """
    import numpy as np

    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def find_drift(
    current: "pd.DataFrame", reference: "pd.DataFrame", threshold: float, max_rows: int
) -> tuple[list[ColumnDrift], dict[str, str]]:
    """Drift of every column that can be compared.

    Args:
        current: The data; both tables have the same columns.
        reference: What it is compared with.
        threshold: Distance from which a column has drifted.
        max_rows: Rows of each dataset that are compared.

    Returns:
        What was found, in the columns' order, and why the other columns were left out.
    """
    current, reference = sample(current, max_rows), sample(reference, max_rows)
    left_out: dict[str, str] = {}
    found = []
    with _quiet():
        for name in map(str, current.columns):
            now, before = current[name], reference[name]
            if reason := _not_comparable(now, before):
                left_out[name] = reason
            else:
                found.append(_column(name, now, before, threshold))
    return found, left_out


def _not_comparable(now: "pd.Series", before: "pd.Series") -> str:
    if "M" in {now.dtype.kind, before.dtype.kind}:
        return "dates and times move on by nature"
    texts = now.dtype.kind == before.dtype.kind == "O" and not _is_number(now)
    if texts and all(side.notna().all() and side.is_unique for side in (now, before)):
        return "a key: every value is another, on both sides"
    return ""


def _column(name: str, now: "pd.Series", before: "pd.Series", threshold: float) -> ColumnDrift:
    missing = (round(float(before.isna().mean()), DIGITS), round(float(now.isna().mean()), DIGITS))
    numeric = _is_number(now) and _is_number(before)
    table = _numbers(now, before) if numeric else _codes(now, before)
    if not all(len(side) for side in table):
        return ColumnDrift(name, "no value on one side", None, threshold, True, missing)
    moved = round(abs(_infinite(now) - _infinite(before)), DIGITS) if numeric else 0.0
    if moved >= threshold:
        return ColumnDrift(
            name,
            "difference in the share of infinite values",
            moved,
            threshold,
            True,
            missing,
            histogram(now, before, numeric=True),
        )
    try:
        method, score = _measure(*table, numeric=numeric)
        if "Wasserstein" in method and _is_constant(table[1]):
            # In units of no deviation, every distance is infinite.
            score = math.inf
    except _RAISED as error:
        method, score = f"could not be measured: {' '.join(str(error).split())[:100]}", math.nan
    by_p_value = "p_value" in method
    limit = P_VALUE_THRESHOLD if by_p_value else threshold
    score = round(score, DIGITS)
    drifted = not math.isfinite(score) or (score < limit if by_p_value else score >= limit)
    return ColumnDrift(
        name,
        method,
        score if math.isfinite(score) else None,
        limit,
        drifted,
        missing,
        histogram(now, before, numeric=numeric) if drifted else None,
    )


def _infinite(values: "pd.Series") -> float:
    """The share of infinite values."""
    if values.dtype.kind != "f" or values.empty:
        return 0.0
    return float((values.abs() == math.inf).mean())


def _numbers(now: "pd.Series", before: "pd.Series") -> tuple["pd.Series", "pd.Series"]:
    """Both sides as finite floats, moved and scaled so that nothing about them gets lost.

    Evidently divides by the standard deviation of the reference, and by 0.001 where that is
    smaller, so that a column of small unit would never drift. Here the deviation lies between 0.5
    and 1. A power of two changes no digit, and no score depends on the unit.
    """
    import numpy as np

    now, before = _near_zero(now, before)
    now, before = (side[side.abs() < math.inf] for side in (now, before))
    if now.empty or before.empty:
        return now, before
    size = int(np.frexp(max(float(now.abs().max()), float(before.abs().max())))[1])
    # By the largest first: the squares of large numbers are infinite.
    now, before = _scaled(now, -size), _scaled(before, -size)
    if _is_constant(before):
        return now, before
    deviation = int(np.frexp(float(np.std(before)))[1])
    return _scaled(now, -deviation), _scaled(before, -deviation)


def _scaled(values: "pd.Series", exponent: int) -> "pd.Series":
    """Times two to the power of `exponent`."""
    import numpy as np

    return values.__class__(np.ldexp(values.to_numpy(), exponent))


def _near_zero(now: "pd.Series", before: "pd.Series") -> tuple["pd.Series", "pd.Series"]:
    """As floats; whole numbers that floats would round become distances to the least."""
    import pandas as pd

    sides = [side.dropna() for side in (now, before)]
    whole = all(side.dtype.kind in "iuO" for side in sides)
    if whole and any(len(side) and int(abs(side).max()) > WIDE for side in sides):
        least = min(int(side.min()) for side in sides if len(side))
        sides = [pd.Series([float(int(v) - least) for v in side], dtype=float) for side in sides]
    return sides[0].astype(float), sides[1].astype(float)


def _is_constant(values: "pd.Series") -> bool:
    return bool((values == values.iloc[0]).all())


def _is_number(column: "pd.Series") -> bool:
    return column.dtype.kind in "iuf" or is_wide(column)


def _codes(now: "pd.Series", before: "pd.Series") -> tuple["pd.Series", "pd.Series"]:
    """Categories as whole numbers; a missing value is a category of its own.

    Evidently adds up over a set of the categories. The order of a set of texts, and with it the
    last bits of the sum, differs from process to process; that of small whole numbers does not.
    """
    known = {str(value) for side in (now, before) for value in side.dropna().unique()}
    missing = MISSING
    while missing in known:
        missing = f"({missing})"
    now, before = texts(now, missing), texts(before, missing)
    code = {name: number for number, name in enumerate(sorted({*now.unique(), *before.unique()}))}
    return now.map(code), before.map(code)


def texts(values: "pd.Series", missing: str) -> "pd.Series":
    """Values as texts, missing ones as `missing`."""
    return values.astype(object).where(values.notna(), missing).astype(str)


def _measure(now: "pd.Series", before: "pd.Series", *, numeric: bool) -> tuple[str, float]:
    """Evidently's method and score for one column.

    One at a time: what is raised for one column would take the others' scores with it.
    """
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    name = "value"
    kind = "numerical_columns" if numeric else "categorical_columns"
    tables = [
        Dataset.from_pandas(
            pd.DataFrame({name: side.to_numpy()}), data_definition=DataDefinition(**{kind: [name]})
        )
        for side in (now, before)
    ]
    metrics: Sequence[Mapping[str, Any]] = (
        Report([ValueDrift(column=name)]).run(*tables).dict()["metrics"]
    )
    if len(metrics) != 1:
        raise ValueError(f"{len(metrics)} results instead of 1")
    return str(metrics[0]["config"]["method"]), float(metrics[0]["value"])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No telemetry; no warnings of divisions by an empty bin, since scores are checked here."""
    # Evidently looks for the first, the library that would send it for the second.
    set_variables({"DO_NOT_TRACK": "1", "ITERATIVE_DO_NOT_TRACK": "1"})
    import numpy as np

    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield
