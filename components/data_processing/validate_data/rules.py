"""Judges an expectation about one column; the rules of each kind are in modules of their own."""

from typing import TYPE_CHECKING

from assay.components.validate_data import values
from assay.components.validate_data.results import Kwargs, Result

if TYPE_CHECKING:
    from assay.data.columns import Column


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
    rule = values.RULES.get(kind)
    return rule(column, kwargs) if rule else None
