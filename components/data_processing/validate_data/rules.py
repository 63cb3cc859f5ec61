"""Judges an expectation about one column or more; None is left to Great Expectations.

The answers are those of Great Expectations, which tests/components/test_expectations_beside_gx.py
compares, except where it answers wrongly:

- Regular expressions and JSON Schemas: in bounded time, and a text that is not JSON is a value that
  was not expected instead of an exception.
- Lengths, patterns and forms of time: of the text that a value has in a file; see `texts`.
- Sets of dates, and of pairs with dates: as instants. A set that holds a value of another type than
  its column: a set of which nothing may be in the column would say nothing.
- Bounds of dates; bounds, sets and sums of whole numbers beyond 2^53: Great Expectations makes
  floats of them, or compares types that cannot be compared.
- The order of a column's values: Great Expectations subtracts, which overflows, finds no difference
  between infinite numbers, and fails for text.
- Comparisons of two columns of numbers: it makes floats of whole numbers.
- Distances from a mean that is not finite: it finds no outlier. Of numbers whose squares overflow
  they are computed in a smaller unit; of infinite numbers nothing can be said.
- The set of all values of a column without values: it would hold.
"""

from typing import TYPE_CHECKING, Final

from assay.components.validate_data import measures, texts, values
from assay.components.validate_data.results import Kwargs, Result

if TYPE_CHECKING:
    from assay.data.columns import Column

_RULES: Final = {**values.RULES, **texts.RULES, **measures.RULES}


def judge(kind: str, kwargs: Kwargs, column: "Column") -> Result | None:
    """The result of an expectation about a column.

    Args:
        kind: The expectation's type.
        kwargs: Its arguments.
        column: The column.

    Returns:
        The result; None for what is left to Great Expectations.

    Raises:
        UsageError: A bound or set that cannot be compared with the column, or a pattern for values
            without a unique text.
    """
    rule = _RULES.get(kind)
    return rule(column, kwargs) if rule else None
