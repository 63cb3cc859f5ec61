"""Histograms of a drifted column, in the reference and in the data."""

import math
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from assay.data.profile import Profile, middles
from assay.evidence.numbers import tidy
from assay.reports.colours import ACCENT, SECOND
from assay.reports.figures import figure_svg, figure_text, legend, new_figure

BINS: Final = 24
MAX_CATEGORIES: Final = 8
OTHERS: Final = "(others)"
MAX_LABEL: Final = 18
"""Characters of a category's name in a figure."""
_TAIL: Final = 0.005
"""Share of values at each end that falls into the outermost bins: one extreme value would leave
all others in a single bin."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of the values, missing ones left out; one side's add up to 1."""

    edges: tuple[float, ...]
    """Of the bins of numbers; empty for categories."""
    labels: tuple[str, ...]
    """Of the categories; empty for numbers."""
    reference: tuple[float, ...]
    current: tuple[float, ...]


def histogram(now: Profile, before: Profile) -> Histogram | None:
    """Shares of both sides over the same bins.

    Args:
        now: Values of the data.
        before: Values of the reference.

    Returns:
        None when a side has no values, or too many texts to name them.
    """
    return _of_numbers(now, before) if now.numeric else _of_categories(now, before)


def _of_numbers(now: Profile, before: Profile) -> Histogram | None:
    import numpy as np

    if not (now.finite and before.finite):
        return None
    places, *sides = middles(before, now)
    passed = np.cumsum(sides[0] + sides[1])
    ends = np.searchsorted(passed, [_TAIL * passed[-1], (1 - _TAIL) * passed[-1]])
    low, high = (tidy(float(end)) for end in places[ends])
    if not low < high:
        # Nearly all are equal: the few others decide what is shown.
        low, high = tidy(float(places[0])), tidy(float(places[-1]))
    if not math.isfinite(high - low):
        return None
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    shown = places.clip(edges[0], edges[-1])
    counts = [np.histogram(shown, edges, weights=side)[0] for side in sides]
    shares = [tuple(tidy(float(n)) for n in count / count.sum()) for count in counts]
    return Histogram(tuple(tidy(float(edge)) for edge in edges), (), *shares)


def _of_categories(now: Profile, before: Profile) -> Histogram | None:
    if not (now.texts and before.texts):
        return None
    shares = [
        {name: count / side.finite for name, count in side.texts.items()}
        for side in (before, now)
        if side.texts
    ]
    names = {*shares[0], *shares[1]}
    # The largest on either side, ties by name.
    top = sorted(names, key=lambda n: (-max(s.get(n, 0.0) for s in shares), n))
    shown = top[:MAX_CATEGORIES]
    rows = [[tidy(s.get(name, 0.0)) for name in shown] for s in shares]
    if len(top) > MAX_CATEGORIES:
        shown.append(OTHERS)
        for row in rows:
            row.append(tidy(max(0.0, 1 - sum(row))))
    return Histogram((), tuple(shown), tuple(rows[0]), tuple(rows[1]))


def figure(name: str, shape: Histogram) -> Markup:
    """The histogram as inline SVG."""
    drawing, axes = new_figure()
    (_numbers if shape.edges else _categories)(axes, shape)
    axes.set_title(_short(name), loc="left")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    legend(axes)
    return figure_svg(drawing, f"Distribution of {name} in the reference and now")


def _numbers(axes: Any, shape: Histogram) -> None:
    axes.stairs(shape.reference, shape.edges, color=ACCENT, fill=True, alpha=0.3, label="reference")
    axes.stairs(shape.current, shape.edges, color=SECOND, linewidth=1.6, label="now")


def _categories(axes: Any, shape: Histogram) -> None:
    places = list(range(len(shape.labels)))
    for shift, shares, colour, label in (
        (-0.2, shape.reference, ACCENT, "reference"),
        (0.2, shape.current, SECOND, "now"),
    ):
        axes.bar([p + shift for p in places], shares, 0.38, color=colour, label=label)
    axes.set_xticks(places, [_short(name) for name in shape.labels], rotation=35, ha="right")
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")


def _short(name: str) -> str:
    return figure_text(name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - 1]}…")
