"""Expectations about a table's rows and columns, which need no values."""

from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from assay.components.validate_data.bounds import is_within
from assay.components.validate_data.results import Kwargs, Result, measured

if TYPE_CHECKING:
    from assay.data import DatasetInfo


def judge(kind: str, kwargs: Kwargs, table: "DatasetInfo") -> Result | None:
    """The result of an expectation about a table.

    Args:
        kind: The expectation's type.
        kwargs: Its arguments.
        table: The description of the dataset.

    Returns:
        The result; None for other expectations.
    """
    rule = _RULES.get(kind)
    return rule(kwargs, table) if rule else None


def _count(number: Callable[["DatasetInfo"], int]) -> Callable[[Kwargs, "DatasetInfo"], Result]:
    def judged(kwargs: Kwargs, table: "DatasetInfo") -> Result:
        value = number(table)
        right = value == kwargs["value"] if "value" in kwargs else is_within(value, kwargs)
        return measured(bool(right), value)

    return judged


def _list(kwargs: Kwargs, table: "DatasetInfo") -> Result:
    found, wanted = list(table.names), list(kwargs["column_list"])
    result = measured(found == wanted, found)
    if found != wanted:
        pairs = enumerate(zip_longest(wanted, found))
        result["result"]["details"] = {
            "mismatched": [
                {"Expected Column Position": place, "Expected": expected, "Found": name}
                for place, (expected, name) in pairs
                if expected != name
            ]
        }
    return result


def _set(kwargs: Kwargs, table: "DatasetInfo") -> Result:
    found, wanted = set(table.names), set(kwargs["column_set"])
    sides = {"unexpected": sorted(found - wanted), "missing": sorted(wanted - found)}
    mismatched = {side: names for side, names in sides.items() if names}
    right = not mismatched if kwargs.get("exact_match", True) else not sides["missing"]
    result = measured(right, sorted(found))
    if mismatched:
        result["result"]["details"] = {"mismatched": mismatched}
    return result


def _exists(kwargs: Kwargs, table: "DatasetInfo") -> Result:
    name, place = kwargs["column"], kwargs.get("column_index")
    names: list[Any] = list(table.names)
    if not place:
        return {"success": name in names, "result": {}}
    return {"success": -len(names) <= place < len(names) and names[place] == name, "result": {}}


def _rows(table: "DatasetInfo") -> int:
    return table.rows


def _columns(table: "DatasetInfo") -> int:
    return len(table.columns)


_RULES: Final[Mapping[str, Callable[[Kwargs, "DatasetInfo"], Result]]] = {
    "expect_table_row_count_to_equal": _count(_rows),
    "expect_table_row_count_to_be_between": _count(_rows),
    "expect_table_column_count_to_equal": _count(_columns),
    "expect_table_column_count_to_be_between": _count(_columns),
    "expect_table_columns_to_match_ordered_list": _list,
    "expect_table_columns_to_match_set": _set,
    "expect_column_to_exist": _exists,
}
