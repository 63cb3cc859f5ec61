"""Bins, by which a distribution becomes counts; learned from the reference, then fixed."""

from typing import Final

import numpy as np

from assay.monitoring.signals import Array, present

BINS: Final = 10
"""Quantile bins of a number: the deciles of scorecard practice."""
MIN_EXPECTED: Final = 5.0
"""Rows that a category's bin must expect in a window, as Pearson's chi-square wants; rarer ones are
put together."""
MAX_CATEGORIES: Final = 50


class NumberBins:
    """A number's bins: frequent values', deciles of the rest, and one for missing values.

    A value that a tenth of the rows have gets a bin of its own. Otherwise one that most rows have,
    such as zero, would leave the rest, which is what changes, in a single bin.

    Args:
        values: The reference.
    """

    def __init__(self, values: Array) -> None:
        there = present(values)
        found, counts = np.unique(there, return_counts=True)
        heavy = found[counts * BINS >= max(len(there), 1)]
        rest = there[~np.isin(there, heavy)]
        steps = np.linspace(0, 1, BINS + 1)[1:-1]
        cuts = np.quantile(rest, steps, method="higher") if len(rest) else np.zeros(0)
        # A heavy value's bin begins at the value and ends right after it.
        edges = np.concatenate([cuts, heavy, np.nextafter(heavy, np.inf)])
        self._edges = np.unique(edges)
        self.count = len(self._edges) + 2

    def codes(self, values: Array) -> Array:
        """The bin of each value, from 0 to `count` - 1."""
        found = np.searchsorted(self._edges, values, side="right")
        return np.asarray(np.where(np.isnan(values), self.count - 1, found))


class CategoryBins:
    """A category's bins: the frequent ones, one for all others, one for missing values.

    Args:
        values: The reference.
        window: Rows that are judged together.
    """

    def __init__(self, values: Array, window: int) -> None:
        import pandas as pd

        counts = pd.Series(values, dtype=object).value_counts()
        expected = counts * window / max(len(values), 1)
        frequent = list(counts.index[(expected >= MIN_EXPECTED).to_numpy()][:MAX_CATEGORIES])
        self._codes = {value: code for code, value in enumerate(frequent)}
        self.count = len(frequent) + 2

    def codes(self, values: Array) -> Array:
        """The bin of each value, from 0 to `count` - 1."""
        import pandas as pd

        others, missing = self.count - 2, self.count - 1
        series = pd.Series(values, dtype=object)
        found = series.map(self._codes).fillna(others).to_numpy(dtype=int)
        return np.where(series.isna().to_numpy(), missing, found)


def bins_of(values: Array, window: int) -> NumberBins | CategoryBins:
    """Bins for a series, learned from the reference."""
    return NumberBins(values) if values.dtype.kind == "f" else CategoryBins(values, window)
