"""Findings: remarks of a step that a person should know, although nothing failed.

The findings of a dataset are stored in its `schema.json`, and its card and the validation report
show them. A step also returns them as the value `findings`, so that they occur in the log of the
task, on the terminal of a local run and in the attestation::

    findings = [Finding("decimal-comma", "column 'weight': ...; set decimal=','", ("weight",))]
    return {"rows": rows, **values(findings)}

Findings are for people. No decision depends on them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assay.text import one_line, quoted

MAX_FINDINGS: Final = 100
"""Maximum number of findings of an artifact."""
MAX_TEXT: Final = 600
"""Maximum length of the text of a finding."""
MAX_NAMED: Final = 6
"""Maximum number of columns in a text; `Finding.columns` has all."""
MAX_ALIKE: Final = 20
"""Maximum number of findings with one code that are reported separately."""
VALUE: Final = "findings"
"""Name of the value with the findings of a step."""

_CODE: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark.

    The text is converted to one line of at most `MAX_TEXT` printable characters.
    """

    code: str
    """Stable code, such as `decimal-comma`; lower-case words joined by hyphens."""
    text: str
    """What, where, and what to do, in one line."""
    columns: tuple[str, ...] = ()
    """The columns concerned, in the order of the table."""

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise ValueError(f"finding code {self.code!r}: use lower-case words and hyphens")
        line = one_line(self.text)
        object.__setattr__(
            self, "text", line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"
        )

    @property
    def line(self) -> str:
        """Text and code, for terminals."""
        return f"{self.text} [{self.code}]"

    def to_json(self) -> dict[str, Any]:
        """The finding as an object of a JSON file."""
        return {"code": self.code, "text": self.text, "columns": list(self.columns)}


def from_json(raw: Any) -> tuple[Finding, ...]:
    """Read findings in the format of `to_json`; every field is checked.

    Raises:
        ValueError: They are malformed.
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


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings with the same code if there are more than `MAX_ALIKE`."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.code, []).append(finding)
    result: list[Finding] = []
    for code, group in groups.items():
        if len(group) <= MAX_ALIKE:
            result += group
            continue
        columns = [column for finding in group for column in finding.columns]
        further = [column for column in columns if column not in group[0].columns]
        result.append(
            Finding(
                code,
                f"{group[0].text[: MAX_TEXT // 2]}; the like holds for {named(further)}",
                tuple(columns),
            )
        )
    return result


def values(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """The value with the findings of a step; empty without findings."""
    lines = [finding.line for finding in findings]
    return {VALUE: lines[:MAX_FINDINGS]} if lines else {}


def lines(values: Mapping[str, Any]) -> list[str]:
    """The findings among the untrusted values of a step, one printable line each."""
    raw = values.get(VALUE)
    if not isinstance(raw, list):
        return []
    return [one_line(str(item))[: 2 * MAX_TEXT] for item in raw[:MAX_FINDINGS]]


def named(columns: Sequence[str]) -> str:
    """Format columns for the text of a finding: `column 'a'`, `columns 'a', 'b' and 7 more`."""
    shown = ", ".join(quoted(name) for name in columns[:MAX_NAMED])
    more = len(columns) - MAX_NAMED
    return f"column{'s' * (len(columns) != 1)} {shown}" + (
        f" and {more:,} more" if more > 0 else ""
    )
