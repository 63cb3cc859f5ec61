"""Behavioural checks of a model from a YAML file, which are independent of its accuracy.

```yaml
checks:
  - name: sex_is_no_reason
    kind: invariance          # the prediction must not depend on these values of a column
    column: sex
    values: [Female, Male]
    rows: 200                 # number of test rows to use (default 200)
    allowed_fraction: 0.02    # share of these rows that may violate it (default 0)
  - name: more_education_never_hurts
    kind: direction           # the score must not fall (or rise) when a number grows
    column: education_num
    delta: 2
    expect: not_decrease      # or not_increase
    tolerance: 0.01           # in units of probability, or of the target (default 0)
  - name: known_cases
    kind: golden              # the predictions of these rows are given
    cases:
      - row: {age: 39, sex: Male}    # columns left out are missing values
        expect: "<=50K"
        tolerance: 0          # for numbers
```

If at most the allowed fraction of rows violates a check, `safety_violations` is not affected;
otherwise it includes every violating row. docs/checks.md is the documentation for users.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assay.documents import Limits, closest, read_yaml, shown, some
from assay.errors import UsageError

MAX_CHECKS_BYTES: Final = 1 << 20
MAX_PROBLEMS: Final = 100
"""Parsing stops after this number of problems."""
DEFAULT_ROWS: Final = 200
_KEYS: Final = {
    "invariance": {"column", "values", "rows", "allowed_fraction"},
    "direction": {"column", "delta", "expect", "tolerance", "rows", "allowed_fraction"},
    "golden": {"cases"},
}
_NEEDED: Final = {
    "invariance": ("column", "values"),
    "direction": ("column", "delta", "expect"),
    "golden": ("cases",),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A golden row and its expected prediction."""

    row: dict[str, Any]
    expect: Any
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check; fields that its kind does not use have their defaults."""

    name: str
    kind: str
    column: str = ""
    values: tuple[Any, ...] = ()
    delta: float = 0.0
    expect: str = ""
    tolerance: float = 0.0
    rows: int = DEFAULT_ROWS
    allowed_fraction: float = 0.0
    cases: tuple[Case, ...] = ()


def parse_checks(data: bytes, name: str = "checks") -> tuple[Check, ...]:
    """Parse a file of checks.

    Raises:
        UsageError: The file is not valid; the message lists all problems with their lines.
    """
    document = read_yaml(data, name, Limits(MAX_CHECKS_BYTES, depth=16))
    raw = document.value
    items = raw.get("checks") if isinstance(raw, dict) else None
    if not isinstance(items, list) or not items:
        raise UsageError(f"{name}: write 'checks:' and a list of at least one check")
    unknown = [key for key in raw if key != "checks"]
    problems = some(unknown, lambda key: f"{name}: unknown key {shown(key)}")
    parsed: list[Check] = []
    for number, item in enumerate(items):
        if len(problems) > MAX_PROBLEMS:
            break
        where = document.at(document.position(("checks", number)))
        of_item = _problems(item)
        problems += [f"{where}: {problem}" for problem in of_item]
        if not of_item:
            parsed.append(_check(item))
    problems += _duplicates(parsed, name)
    if problems:
        raise UsageError.all_of(problems)
    return tuple(parsed)


def _duplicates(checks: Sequence[Check], name: str) -> list[str]:
    counts = Counter(check.name for check in checks)
    twice = [check for check, count in counts.items() if count > 1]
    return some(twice, lambda check: f"{name}: two checks are called {shown(check)}")


def column_names(checks: Sequence[Check]) -> list[str]:
    """The distinct columns of all checks."""
    names = [check.column for check in checks if check.column]
    names += [name for check in checks for case in check.cases for name in case.row]
    return list(dict.fromkeys(names))


def _problems(item: Any) -> list[str]:
    if not isinstance(item, dict):
        return ["a check has a name, a kind and more"]
    kind = item.get("kind")
    if not isinstance(kind, str) or kind not in _KEYS:
        return [_unknown_kind(kind)]
    problems = []
    if not isinstance(item.get("name"), str) or not item["name"]:
        problems.append("a check needs a name")
    known = {"name", "kind", *_KEYS[kind]}
    problems += some([key for key in item if key not in known], lambda key: _unknown(key, kind))
    problems += [f"{key!r} is missing" for key in _NEEDED[kind] if key not in item]
    problems += _value_problems(item, kind, known)
    if kind == "golden" and "cases" in item:
        problems += _case_problems(item["cases"])
    return problems


def _unknown_kind(kind: Any) -> str:
    close = closest(kind, _KEYS) if isinstance(kind, str) else None
    hint = f"did you mean {close!r}?" if close else f"use one of {', '.join(_KEYS)}"
    return f"kind {shown(kind)}; {hint}"


def _value_problems(item: dict[str, Any], kind: str, known: set[str]) -> list[str]:
    allowed = {**_VALUES, "expect": _EXPECT} if kind == "direction" else _VALUES
    return [
        f"{key!r} must be {what}"
        for key, (what, holds) in allowed.items()
        if key in item and key in known and not holds(item[key])
    ]


def _unknown(key: str, kind: str) -> str:
    close = closest(key, {"name", "kind", *_KEYS[kind]})
    hint = f"; did you mean {close!r}?" if close else ""
    return f"unknown key {shown(key)} in a check of kind {kind}{hint}"


def _case_problems(cases: Any) -> list[str]:
    if not isinstance(cases, list) or not cases:
        return ["'cases' must be a list of at least one case"]
    wrong = [
        (number, problem)
        for number, case in enumerate(cases, 1)
        if (problem := _case_problem(case))
    ]
    return some(wrong, lambda numbered: f"case {numbered[0]} {numbered[1]}")


def _case_problem(case: Any) -> str:
    if not isinstance(case, dict) or not _is_row(case.get("row")) or "expect" not in case:
        return "needs a 'row' of columns and an 'expect'"
    if unknown := [key for key in case if key not in _CASE_KEYS]:
        close = closest(unknown[0], _CASE_KEYS) if isinstance(unknown[0], str) else None
        hint = f"; did you mean {close!r}?" if close else ""
        return f"has an unknown key {shown(unknown[0])}{hint}"
    if not _is_value(case["expect"]) or case["expect"] is None:
        return "must expect one value: a label or a number"
    if not _is_tolerance(case.get("tolerance", 0)):
        return f"has a 'tolerance' that is not {_TOLERANCE}"
    return ""


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and bool(row)
        and all(isinstance(key, str) and _is_value(value) for key, value in row.items())
    )


def _is_value(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _check(item: dict[str, Any]) -> Check:
    fields = dict(item)
    if "values" in fields:
        fields["values"] = tuple(fields["values"])
    if "cases" in fields:
        fields["cases"] = tuple(
            Case(case["row"], case["expect"], float(case.get("tolerance", 0)))
            for case in fields["cases"]
        )
    return Check(**fields)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_tolerance(value: Any) -> bool:
    return _is_number(value) and value >= 0


_TOLERANCE: Final = "a number of at least 0"
_CASE_KEYS: Final = ("row", "expect", "tolerance")
_EXPECT: Final = (
    "not_decrease or not_increase",
    lambda value: isinstance(value, str) and value in {"not_decrease", "not_increase"},
)
_VALUES: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "column": ("a column's name", lambda value: isinstance(value, str) and value != ""),
    "values": (
        "a list of at least one value",
        lambda value: isinstance(value, list) and bool(value) and all(map(_is_value, value)),
    ),
    "delta": ("a number other than 0", lambda value: _is_number(value) and value != 0),
    "tolerance": (_TOLERANCE, _is_tolerance),
    "allowed_fraction": (
        "a number from 0 to below 1",
        lambda value: _is_number(value) and 0 <= value < 1,
    ),
    "rows": (
        "a whole number of at least 1",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1,
    ),
}
"""By key: description and check of the valid values."""
