"""Bins that turn a distribution into counts; learned from the reference, then fixed."""

from typing import Final

import numpy as np

from assay.monitoring.signals import Array, present

BINS: Final = 10
"""Quantile bins of a number: deciles, as is usual for scorecards."""
MIN_EXPECTED: Final = 5.0
"""Minimum expected rows of a category in a window, as for Pearson's chi-squared test; rarer
categories share a bin."""
MAX_CATEGORIES: Final = 50


class NumberBins:
    """Bins of a number: one for each frequent value, deciles of the rest, one for missing values.

    A value in at least a tenth of the rows gets a bin of its own. Otherwise a value in most rows,
    such as zero, would leave all other values in a single bin, where changes are invisible.

    Args:
        values: The reference.
    """

    def __init__(self, values: Array) -> None:
        numbers = present(values)
        distinct, counts = np.unique(numbers, return_counts=True)
        heavy = distinct[counts * BINS >= max(len(numbers), 1)]
        rest = numbers[~np.isin(numbers, heavy)]
        steps = np.linspace(0, 1, BINS + 1)[1:-1]
        cuts = np.quantile(rest, steps, method="higher") if len(rest) else np.zeros(0)
        # The bin of a frequent value contains that value only.
        edges = np.concatenate([cuts, heavy, np.nextafter(heavy, np.inf)])
        self._edges = np.unique(edges)
        self.count = len(self._edges) + 2

    def codes(self, values: Array) -> Array:
        """The bin of each value, from 0 to `count` - 1."""
        codes = np.searchsorted(self._edges, values, side="right")
        return np.asarray(np.where(np.isnan(values), self.count - 1, codes))


class CategoryBins:
    """Bins of a categorical column: frequent categories, all others, missing values.

    Args:
        values: The reference.
        window: Number of rows in a window.
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

        rare, missing = self.count - 2, self.count - 1
        series = pd.Series(values, dtype=object)
        codes = series.map(self._codes).fillna(rare).to_numpy(dtype=int)
        return np.where(series.isna().to_numpy(), missing, codes)


def bins_of(values: Array, window: int) -> NumberBins | CategoryBins:
    """Bins of a series, learned from the reference `values`."""
    return NumberBins(values) if values.dtype.kind == "f" else CategoryBins(values, window)
