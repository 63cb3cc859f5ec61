"""Findings: what a step did or noticed that a person should know, although nothing failed.

A dataset's findings lie in its `schema.json`, and its card and the validation report show them. A
step also returns them as the value `findings`, by which they reach the task's log, the terminal of
a local run and the attestation::

    found = [Finding("decimal-comma", "column 'weight': ...; set decimal=','", ("weight",))]
    return {"rows": rows, **values(found)}

Findings are for people. Nothing is decided by them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assay.text import one_line, quoted

MAX_FINDINGS: Final = 100
"""Of one artifact."""
MAX_TEXT: Final = 600
"""Characters of a finding's text."""
MAX_NAMED: Final = 6
"""Columns that a text names; `Finding.columns` holds all."""
MAX_ALIKE: Final = 20
"""Findings of one code that are reported one by one."""
VALUE: Final = "findings"
"""The name under which a step returns its findings."""

_CODE: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know.

    The text is made one visible line of at most `MAX_TEXT` characters.
    """

    code: str
    """What kind of thing, such as `decimal-comma`; lower-case words joined by hyphens. Stable."""
    text: str
    """What was found, where, and what to do, in one line."""
    columns: tuple[str, ...] = ()
    """The columns that it is about, in the table's order."""

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise ValueError(f"finding code {self.code!r}: use lower-case words and hyphens")
        line = one_line(self.text)
        object.__setattr__(
            self, "text", line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"
        )

    @property
    def line(self) -> str:
        """Text and code, as a terminal shows them."""
        return f"{self.text} [{self.code}]"

    def to_json(self) -> dict[str, Any]:
        """The finding as an object of a JSON file."""
        return {"code": self.code, "text": self.text, "columns": list(self.columns)}


def from_json(raw: Any) -> tuple[Finding, ...]:
    """Findings as `to_json` wrote them; every field is checked, because the file may be hostile.

    Raises:
        ValueError: They are not.
    """
    if not isinstance(raw, list) or len(raw) > MAX_FINDINGS:
        raise ValueError(f"findings are not a list of at most {MAX_FINDINGS}")
    return tuple(_finding(item) for item in raw)


def _finding(item: Any) -> Finding:
    if not isinstance(item, dict) or item.keys() != {"code", "text", "columns"}:
        raise ValueError(f"not a finding: {item!r}")
    columns = item["columns"]
    texts = [item["code"], item["text"], *columns] if isinstance(columns, list) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"not a finding: {item!r}")
    return Finding(item["code"], item["text"], tuple(columns))


def merged(found: Iterable[Finding]) -> list[Finding]:
    """Findings with those of one code told together where they are more than `MAX_ALIKE`."""
    groups: dict[str, list[Finding]] = {}
    for finding in found:
        groups.setdefault(finding.code, []).append(finding)
    told: list[Finding] = []
    for code, group in groups.items():
        if len(group) <= MAX_ALIKE:
            told += group
            continue
        columns = [column for finding in group for column in finding.columns]
        others = [column for column in columns if column not in group[0].columns]
        told.append(
            Finding(
                code,
                f"{group[0].text[: MAX_TEXT // 2]}; the like holds for {named(others)}",
                tuple(columns),
            )
        )
    return told


def values(found: Iterable[Finding]) -> dict[str, list[str]]:
    """The entry of a step's values that shows its findings; empty without any."""
    lines = [finding.line for finding in found]
    return {VALUE: lines[:MAX_FINDINGS]} if lines else {}


def lines(given: Mapping[str, Any]) -> list[str]:
    """The findings among a step's values, which may come from anywhere, one visible line each."""
    raw = given.get(VALUE)
    if not isinstance(raw, list):
        return []
    return [one_line(str(item))[: 2 * MAX_TEXT] for item in raw[:MAX_FINDINGS]]


def named(columns: Sequence[str]) -> str:
    """Columns for a finding's text: `column 'a'`, `columns 'a', 'b' and 7 more`."""
    shown = ", ".join(quoted(name) for name in columns[:MAX_NAMED])
    more = len(columns) - MAX_NAMED
    return f"column{'s' * (len(columns) != 1)} {shown}" + (
        f" and {more:,} more" if more > 0 else ""
    )
