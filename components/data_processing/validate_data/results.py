"""Results of expectations, in the form of Great Expectations' own."""

import datetime as dt
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from assay.data.columns import Column, Mask

MAX_EXAMPLES: Final = 20
"""Values that a result keeps of those that were not expected."""

Result = dict[str, Any]
Kwargs = Mapping[str, Any]


def each(column: "Column", right: "Mask", kwargs: Kwargs, *, exact: bool = False) -> Result:
    """The result of an expectation about each value of a column.

    Args:
        column: The column.
        right: Whether each present value is as expected.
        kwargs: The expectation's arguments, of which `mostly` counts here.
        exact: Whether examples of whole numbers with gaps are whole numbers, too, instead of
            floats, which have twelve digits in results.
    """
    wrong = np.flatnonzero(~right)
    first = wrong[:MAX_EXAMPLES]
    examples = [in_memory(column, column.entry(i), exact=exact) for i in first.tolist()]
    counts = (column.rows, column.present, len(wrong))
    return counted(counts, examples, column.places(first).tolist(), kwargs)


def in_memory(column: "Column", value: Any, *, exact: bool = False) -> Any:
    """A value of a column as Great Expectations sees it."""
    return float(value) if column.gaps_are_floats and value is not None and not exact else value


def counted(
    counts: tuple[int, int, int], examples: Sequence[Any], places: Sequence[int], kwargs: Kwargs
) -> Result:
    """The result of an expectation about values or rows.

    Args:
        counts: All of them; those that were looked at; and of these, those that were not expected.
        examples: The first that were not expected.
        places: Their rows, from 0.
        kwargs: The expectation's arguments, of which `mostly` counts here.
    """
    rows, seen, wrong = counts
    return {
        "success": is_enough(seen, wrong, kwargs),
        "result": {
            "element_count": rows,
            "missing_count": rows - seen,
            "unexpected_count": wrong,
            "partial_unexpected_list": [shown(example) for example in examples],
            "partial_unexpected_index_list": list(places),
        },
    }


def is_enough(seen: int, wrong: int, kwargs: Kwargs) -> bool:
    """Whether the share of those that were expected is at least `mostly`."""
    mostly = kwargs.get("mostly")
    enough = 1.0 if mostly is None else float(mostly)
    return (seen - wrong) / seen >= enough if seen else True


def measured(success: bool, value: Any) -> Result:
    """The result of an expectation about a number, or about the set of all values."""
    return {"success": success, "result": {"observed_value": shown(value)}}


def shown(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    if isinstance(value, dict):
        return {name: shown(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return value.isoformat() if isinstance(value, dt.date) else value
