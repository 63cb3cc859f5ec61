"""Distances of two profiles, with a bound of the error that cells cause.

Every value of a cell is taken for the middle of the cell, and moves by at most half of its width:

- The Wasserstein distance of the two distributions changes by no more than the mean of the moves
  of one side plus that of the other (the triangle inequality).
- The standard deviation changes by no more than the root mean square of the moves (it is a
  seminorm).

Sums are rounded correctly (`exact_sum`), so that they do not depend on the processor.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from assay.data.profile import keys
from assay.data.profile.cells import Cells, Integers, aligned
from assay.data.profile.profile import Profile, hash_cells
from assay.data.statistics import exact_sum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance that lies between two bounds; all are at least 0, and may be infinite."""

    value: float
    low: float
    high: float


def wasserstein(before: Profile, now: Profile) -> Distance:
    """The first Wasserstein distance, in standard deviations of `before`.

    The area between the two distribution functions, which is what moves from one distribution to
    the other, times how far (Villani 2009, "Optimal Transport", remark 6.6). The standard
    deviation is that of the population. Neither depends on the unit: values are scaled by powers of
    two, so that no square overflows or vanishes.

    Args:
        before: Profile of numbers with at least one finite value.
        now: The same of the other side.

    Returns:
        The distance. Infinite if `before` has one value only and the other side another one.
    """
    import numpy as np

    middles, halves, left, right = _positions(before, now)
    p, q = left / left.sum(), right / right.sum()
    # From one middle to the next, both distribution functions are constant.
    rises = np.cumsum(left) * int(right.sum()) - np.cumsum(right) * int(left.sum())
    area = np.abs(rises[:-1]) / (float(left.sum()) * float(right.sum()))
    distance = exact_sum(area * np.diff(middles))
    move = exact_sum((p + q) * halves)
    deviation, shift = _deviation(middles, halves, p)
    return Distance(
        _ratio(distance, deviation),
        _ratio(max(0.0, distance - move), deviation + shift),
        _ratio(distance + move, deviation - shift),
    )


def _ratio(distance: float, deviation: float) -> float:
    if distance == 0:
        return 0.0
    return distance / deviation if deviation > 0 else math.inf


def _deviation(middles: "Floats", halves: "Floats", shares: "Floats") -> tuple[float, float]:
    """The standard deviation, and how far that of the values may be from it."""
    import numpy as np

    here = shares > 0
    shares, halves = shares[here], halves[here]
    moves = middles[here] - exact_sum(shares * middles[here])
    # The squares of small numbers vanish.
    scale = int(np.frexp(max(float(np.max(np.abs(moves))), float(np.max(halves))))[1])
    spread = exact_sum(shares * np.ldexp(moves, -scale) ** 2) if len(shares) > 1 else 0.0
    shift = exact_sum(shares * np.ldexp(halves, -scale) ** 2)
    return math.ldexp(math.sqrt(spread), scale), math.ldexp(math.sqrt(shift), scale)


def _positions(before: Profile, now: Profile) -> "tuple[Floats, Floats, Integers, Integers]":
    """Middle and half the width of each cell, and both counts; ascending.

    The unit of length is arbitrary, and that of whole numbers has an arbitrary zero.
    """
    import numpy as np

    cells, left, right = aligned(_cells(before), _cells(now))
    low = min(key for key in (before.low, now.low) if key is not None)
    high = max(key for key in (before.high, now.high) if key is not None)
    first = np.maximum(cells.keys << cells.level, low)
    last = np.minimum(_last_keys(cells), high)
    ends = [_place(first, before.type, low), _place(last, before.type, low)]
    scale = int(np.frexp(max(float(np.max(np.abs(end))) for end in ends))[1])
    ends = [np.ldexp(end, -scale) for end in ends]
    return (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2, left, right


def middles(before: Profile, now: Profile) -> "tuple[Floats, Integers, Integers]":
    """The numbers of both sides, each taken for the middle of its cell.

    Args:
        before: A profile of numbers.
        now: The same of the other side.

    Returns:
        The middles, ascending, and how often each occurs before and now.
    """
    import numpy as np

    cells, left, right = aligned(_cells(before), _cells(now))
    ends = (cells.keys << cells.level, _last_keys(cells))
    low, high = (
        keys.to_floats(end) if before.type == "float64" else end.astype(np.float64) for end in ends
    )
    return low / 2 + high / 2, left, right


def between(before: Profile, keys: Integers) -> "Integers":
    """Where keys are among those of a profile.

    Args:
        before: A profile of numbers that is exact, with k different numbers.
        keys: Keys of level 0.

    Returns:
        The class of each key, from 0 to 2k: odd for the numbers of the profile, ascending, and even
        for the gaps below, between and above them.
    """
    import numpy as np

    known = _cells(before).keys
    return np.searchsorted(known, keys, "left") + np.searchsorted(known, keys, "right")


def _last_keys(cells: Cells) -> Integers:
    """The last key of each cell."""
    return (cells.keys << cells.level) | ((1 << cells.level) - 1)


def _place(places: Integers, kind: str, low: int) -> "Floats":
    """The floats of keys; of whole numbers the distance to the least, which floats can hold."""
    import numpy as np

    if kind == "float64":
        return keys.to_floats(places)
    # Unsigned, because the distance of two integers may need 64 bits.
    return (places.view(np.uint64) - np.array([low]).view(np.uint64)).astype(np.float64)


def _cells(profile: Profile) -> Cells:
    if profile.cells is None:
        raise ValueError(f"a profile of {profile.type} has no distances")
    return profile.cells


def categories(before: Profile, now: Profile) -> tuple[list[int], list[int]]:
    """How often each category occurs on both sides.

    Categories are texts, truth values, or different numbers; missing texts are a category of their
    own. If a side has more texts than a profile holds, the categories are cells of their hashes.

    Args:
        before: A profile that is exact, if it is of numbers.
        now: The same of the other side.

    Returns:
        Counts before and now, of the same categories in the same order.
    """
    if before.texts is not None and now.texts is not None:
        names = sorted({*before.texts, *now.texts})
        left = [before.texts.get(name, 0) for name in names]
        right = [now.texts.get(name, 0) for name in names]
    else:
        _, old, new = aligned(_hashed(before), _hashed(now))
        left, right = old.tolist(), new.tolist()
    if not before.numeric and before.missing + now.missing:
        left, right = [*left, before.missing], [*right, now.missing]
    return left, right


def _hashed(profile: Profile) -> Cells:
    return hash_cells(profile.texts) if profile.texts is not None else _cells(profile)


def jensen_shannon(left: Sequence[int], right: Sequence[int]) -> float:
    """The Jensen-Shannon distance: the square root of the divergence, with natural logarithms.

    Args:
        left: How often each category occurs on one side; the sum is above 0.
        right: The same on the other side.

    Returns:
        From 0 to sqrt(ln 2) (Endres and Schindelin 2003, "A new metric for probability
        distributions").
    """
    p, q = _shares(left), _shares(right)
    terms = [
        share * math.log(2 * share / (a + b))
        for a, b in zip(p, q, strict=True)
        for share in (a, b)
        if share
    ]
    return math.sqrt(max(0.0, math.fsum(terms) / 2))


def _shares(counts: Iterable[int]) -> list[float]:
    numbers = list(counts)
    total = sum(numbers)
    return [number / total for number in numbers]
