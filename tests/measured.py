"""What a benchmark measured, kept for the page that shows it (docs/performance.py)."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

BENCH: Final = Path(__file__).resolve().parents[1] / ".bench"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside what it is compared with.

    Args:
        name: What was measured.
        value: How much of `unit`; text is shown as it is.
        unit: Such as `s` or `MB`; empty for a pure number.
        beside: The same of what it is compared with, in the same unit; None without a comparison.
        ratio: What is asked of: usually `value` divided by `beside`.
        asked: What the ratio must be, such as `at most 1.8`; empty if nothing is asked.
    """

    name: str
    value: float | str
    unit: str = ""
    beside: float | str | None = None
    ratio: float | None = None
    asked: str = ""


def keep(name: str, title: str, rows: Sequence[Row]) -> None:
    """Print rows, and keep them in `.bench` under a name.

    Args:
        name: File name without its suffix; a later call with the same name replaces the rows.
        title: The heading of the table.
        rows: Its rows.
    """
    BENCH.mkdir(parents=True, exist_ok=True)
    kept = [_rounded(row) for row in rows]
    document = {"title": title, "rows": [asdict(row) for row in kept]}
    (BENCH / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"\n{title}\n")
    for row in kept:
        beside = "" if row.beside is None else f"  beside {row.beside} {row.unit}"
        asked = f" (asked: {row.asked})" if row.asked else ""
        ratio = "" if row.ratio is None else f"  ratio {row.ratio}{asked}"
        sys.stdout.write(f"{row.name}: {row.value} {row.unit}{beside}{ratio}\n")


def _rounded(row: Row) -> Row:
    """The row with four significant digits, which is more than a measurement has."""
    digits = {
        name: float(f"{value:.4g}")
        for name, value in asdict(row).items()
        if isinstance(value, float)
    }
    return replace(row, **digits)
