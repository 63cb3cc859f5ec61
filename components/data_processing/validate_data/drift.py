"""Drift of each column against a reference, from profiles of all rows.

The measure depends on the kind of a column and on how many values the reference has, as in
Evidently:

| values of the reference | numbers | categories, and numbers with up to 5 distinct values |
| --- | --- | --- |
| up to 1,000 | p-value, Kolmogorov-Smirnov | p-value, chi-squared (two values: Z-test) |
| more | Wasserstein distance / std of the reference | Jensen-Shannon distance |

A reference with one value only has no deviation: another value has drifted.

Infinite values have no distance. Where their share differs by at least the threshold, that is the
score, and the column has drifted; otherwise they are left out.

A p-value below 0.05, or a distance of at least the threshold (0.1 by default), is drift. A column
for which no finite number comes out has drifted.

Scores are exact up to `DIGITS`, except Wasserstein distances of columns with more different numbers
than a profile has cells: these are within `TOLERANCE` of the exact distance, or within that share
of it if it is above 1. Where the bounds of such a distance include the threshold, or are too far
apart, the column is read again and counted exactly. So no verdict depends on the cells.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay.components.validate_data.histogram import Histogram, histogram
from assay.data import DatasetInfo, info
from assay.data.profile import (
    LIMIT,
    Distance,
    Profile,
    all_differ,
    categories,
    counts_between,
    jensen_shannon,
    profiles,
    wasserstein,
)

MIN_ROWS: Final = 100
"""With fewer rows in either dataset, drift is not measured."""
P_VALUE_THRESHOLD: Final = 0.05
DIGITS: Final = 6
"""Decimal places of a score; more would depend on the processor's instructions."""
TOLERANCE: Final = 0.001
"""How far a distance may be from the exact one."""
SMALL: Final = 1000
"""Values of a reference up to which a p-value is computed."""
FEW: Final = 5
"""Different numbers up to which they are compared as categories."""
_MORE: Final = (32 * LIMIT, None)
"""Limits with which a column is counted again, until its distance is settled."""
CELLS_AT_ONCE: Final = 1 << 23
"""Cells of the columns that are read together."""

_TIMES: Final = ("date32", "timestamp")


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """The result for one column."""

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


def schema_changes(current: DatasetInfo, reference: DatasetInfo) -> list[str]:
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


@dataclass(frozen=True, slots=True)
class Tables:
    """The two datasets that are compared, as folders."""

    current: Path
    reference: Path

    def profiles(self, names: Sequence[str], limit: int | None = LIMIT) -> "Iterator[Sides]":
        """Both profiles of each column."""
        now = profiles(self.current, names, limit)
        before = profiles(self.reference, names, limit)
        for name in names:
            yield Sides(name, now[name], before[name], self)


@dataclass(frozen=True, slots=True)
class Sides:
    """A column of both datasets."""

    name: str
    now: Profile
    before: Profile
    tables: Tables

    @property
    def exact(self) -> bool:
        """Whether every different value of both is counted by itself."""
        return self.now.exact and self.before.exact

    def read_again(self, limit: int | None) -> "Sides":
        """Profiles of the same column with another limit."""
        return next(self.tables.profiles([self.name], limit))


def find_drift(
    current: Path, reference: Path, types: "dict[str, str]", threshold: float
) -> tuple[list[ColumnDrift], dict[str, str]]:
    """Drift of every column that can be compared; all rows are.

    Args:
        current: The dataset, with at least one row.
        reference: What it is compared with; has at least one row.
        types: The columns that both have, and their types.
        threshold: Distance from which a column has drifted.

    Returns:
        The results, in the order of `types`, and why the other columns were left out.

    Raises:
        IntegrityError: A part of a dataset is missing or damaged.
    """
    left_out = {
        name: "dates and times move on by nature" for name, kind in types.items() if kind in _TIMES
    }
    names = [name for name in types if name not in left_out]
    tables = Tables(current, reference)
    found = []
    rows = max(info(folder).rows for folder in (current, reference))
    at_once = CELLS_AT_ONCE // (2 * min(rows, LIMIT))
    for start in range(0, len(names), at_once):
        for sides in tables.profiles(names[start : start + at_once]):
            if _are_keys(sides):
                left_out[sides.name] = "a key: every value is another, on both sides"
            else:
                found.append(_column(sides, threshold))
    return found, {name: left_out[name] for name in types if name in left_out}


def _are_keys(sides: Sides) -> bool:
    profiled = ((sides.now, sides.tables.current), (sides.before, sides.tables.reference))
    return all(
        side.type == "string" and all_differ(side, folder, sides.name) for side, folder in profiled
    )


def _column(sides: Sides, threshold: float) -> ColumnDrift:
    now, before = sides.now, sides.before
    missing = (round(before.missing / before.rows, DIGITS), round(now.missing / now.rows, DIGITS))

    def result(method: str, score: float, limit: float, *, drifted: bool) -> ColumnDrift:
        shape = histogram(now, before) if drifted else None
        known = score if math.isfinite(score) else None
        return ColumnDrift(sides.name, method, known, limit, drifted, missing, shape)

    if not (_values(now) and _values(before)):
        return result("no value on one side", math.nan, threshold, drifted=True)
    moved = round(abs(_infinite(now) - _infinite(before)), DIGITS)
    if moved >= threshold:
        method = "difference in the share of infinite values"
        return result(method, moved, threshold, drifted=True)
    method, score = _measure(sides, threshold)
    by_p_value = "p_value" in method
    limit = P_VALUE_THRESHOLD if by_p_value else threshold
    score = round(score, DIGITS)
    drifted = not math.isfinite(score) or (score < limit if by_p_value else score >= limit)
    return result(method, score, limit, drifted=drifted)


def _values(side: Profile) -> int:
    """Values that are compared: finite numbers, or categories, of which a missing value is one."""
    return side.finite if side.numeric else side.rows


def _infinite(side: Profile) -> float:
    """The share of infinite values."""
    return (side.negative_infinities + side.infinities) / side.rows


def _measure(sides: Sides, threshold: float) -> tuple[str, float]:
    """The method and the score."""
    small = _values(sides.before) <= SMALL
    if sides.now.numeric and not _few(sides):
        if small:
            return "K-S p_value", _kolmogorov_smirnov(sides)
        return "Wasserstein distance (normed)", _wasserstein(sides, threshold)
    left, right = categories(sides.before, sides.now)
    where = "" if sides.exact else " of hashed texts"
    if not small:
        return f"Jensen-Shannon distance{where}", jensen_shannon(left, right)
    if len(left) > 2:  # noqa: PLR2004 - a proportion has two categories
        return f"chi-square p_value{where}", _chi_squared(left, right)
    return "Z-test p_value", _z_test(left, right)


def _few(sides: Sides) -> bool:
    """Whether both sides together have few different numbers."""
    return sides.exact and len(categories(sides.before, sides.now)[0]) <= FEW


def _wasserstein(sides: Sides, threshold: float) -> float:
    distance = wasserstein(sides.before, sides.now)
    for limit in _MORE:
        if sides.exact or _is_settled(distance, threshold):
            break
        sides = sides.read_again(limit)
        distance = wasserstein(sides.before, sides.now)
    return distance.value


def _is_settled(distance: Distance, threshold: float) -> bool:
    """Whether all distances within the bounds have the same verdict, and are close."""
    bounds = (distance.low, distance.high)
    verdicts = {round(bound, DIGITS) >= threshold for bound in bounds}
    allowed = TOLERANCE * max(1.0, distance.value)
    return len(verdicts) == 1 and all(abs(b - distance.value) <= allowed for b in bounds)


def _kolmogorov_smirnov(sides: Sides) -> float:
    """The p-value of SciPy's two-sample test.

    It is a function of the largest difference of the distribution functions, which depends only on
    how many values there are between those of the reference.
    """
    import numpy as np
    from scipy.stats import ks_2samp

    known, name = sides.before, sides.name
    samples = [
        counts_between(profile, folder, name, known)
        for profile, folder in (
            (known, sides.tables.reference),
            (sides.now, sides.tables.current),
        )
    ]
    with warnings.catch_warnings():
        # SciPy approximates where its exact method overflows, and says so.
        warnings.simplefilter("ignore", RuntimeWarning)
        places = np.arange(len(samples[0]))
        return float(ks_2samp(*(np.repeat(places, counts) for counts in samples)).pvalue)


def _chi_squared(before: Sequence[int], now: Sequence[int]) -> float:
    """The p-value of Pearson's test that `now` has the shares of `before`.

    Zero if a category is new, because none of it was expected.
    """
    from scipy.special import chdtrc

    scale = sum(now) / sum(before)
    terms = []
    for expected, observed in zip((count * scale for count in before), now, strict=True):
        if not expected:
            return 0.0
        terms.append((observed - expected) ** 2 / expected)
    return float(chdtrc(len(terms) - 1, math.fsum(terms)))


def _z_test(before: Sequence[int], now: Sequence[int]) -> float:
    """The two-sided p-value that two proportions are equal, with the pooled variance."""
    if len(before) == 1:
        return 1.0
    m, n = sum(before), sum(now)
    pooled = (before[0] + now[0]) / (m + n)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
    return math.erfc(abs(before[0] / m - now[0] / n) / deviation / math.sqrt(2))
