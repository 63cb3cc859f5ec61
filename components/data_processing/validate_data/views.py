"""The report as a page and as Markdown, failures first, and the results for programs."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from assay.components.validate_data.drift import MIN_ROWS, P_VALUE_THRESHOLD, SMALL
from assay.components.validate_data.histogram import figure
from assay.components.validate_data.wording import arguments, plain
from assay.core.digest import canonical_json
from assay.reports.figures import Bar, interval_bars
from assay.reports.markdown import markdown_table, markdown_text
from assay.reports.page import (
    Section,
    cards,
    details,
    figures,
    heading,
    joined,
    long_table,
    page,
    paragraph,
    table,
)
from assay.text import number, short

if TYPE_CHECKING:
    from assay.components.validate_data.drift import ColumnDrift
    from assay.components.validate_data.expectations import Outcome
    from assay.components.validate_data.judge import Drift, Found, Settings

MAX_FIGURES: Final = 12
"""Histograms in a report; of the columns that drifted furthest."""
MAX_LEAD: Final = 5
"""Problems under a report's title."""
NO_SUITE: Final = "No suite was given: the structure was checked, and no expectation."
NO_REFERENCE: Final = "No reference was given: drift was not looked for."

_FAILED: Final = ("expectation", "about", "#", "observed", "reason")
_ALL: Final = ("expectation", "#", "outcome", "observed", "expected")
_DRIFT: Final = (
    "column",
    "drift",
    "score",
    "threshold",
    "measure",
    "missing before",
    "missing now",
)
MAX_BARS: Final = 30
MAX_MARKDOWN_ROWS: Final = 50


def write(found: "Found", settings: "Settings", folder: Path) -> None:
    """Write `report.html`, `summary.md` and `result.json`.

    Args:
        found: What the validation found.
        settings: What it was asked for.
        folder: Where the files go.
    """
    title = f"Validation of {found.rows:,} rows"
    sections = [Section("At a glance", _cards(found))]
    if failed := [(_words(kind, on), *rest) for kind, on, *rest in _failed(found)]:
        headers = [header for header in _FAILED if header != "about"]
        shown = long_table(headers, failed, "failed expectations", align="lr", stacked=True)
        sections.append(Section("Failed expectations", shown))
    sections.append(Section("Drift against the reference", _drift(found, settings)))
    sections.append(Section("Structure", _structure(found)))
    if found.findings:
        sections.append(Section("Findings", _findings(found)))
    sections.append(Section("All expectations", _all(found)))
    verdict, lead = str(found.evidence.verdict), _lead(found)
    text = page(
        title,
        sections,
        verdict=verdict,
        subtitle=f"Data {short(found.evidence.subjects['data'])}.",
        reasons=lead,
        preview=f"Assay validation of {found.rows:,} rows: {verdict}. {'; '.join(lead)}",
    )
    (folder / "report.html").write_text(text, encoding="utf-8")
    (folder / "summary.md").write_text(_markdown(title, found, settings), encoding="utf-8")
    (folder / "result.json").write_bytes(canonical_json(_result(found, settings)))


def _lead(found: "Found") -> list[str]:
    """The first problems; the sections show all."""
    more = len(found.problems) - MAX_LEAD
    return [*found.problems[:MAX_LEAD], *([f"and {more} more"] if more > 0 else [])]


def _cards(found: "Found") -> Markup:
    numbers = found.evidence.values
    items: list[tuple[str, Any]] = [
        ("rows", f"{found.rows:,}"),
        ("columns", f"{numbers['columns'] or 0:.0f}"),
    ]
    if found.outcomes is not None:
        failed = f"{numbers['failed_expectations'] or 0:.0f}"
        items.append(("expectations failed", f"{failed} of {len(found.outcomes)}"))
    if found.drift is not None:
        drifted = sum(column.drifted for column in found.drift.columns)
        compared = len(found.drift.columns)
        items.append(
            ("columns drifted", f"{drifted} of {compared}" if compared else "none compared")
        )
    items += [
        ("rows that repeat an earlier one", f"{found.structure.duplicate_rows_share:.2%}"),
        ("missing values", f"{found.structure.missing_share:.2%}"),
    ]
    return cards(items)


def _failed(found: "Found") -> list[tuple[Any, ...]]:
    return [
        (o.kind, o.subject, place, o.observed, o.note)
        for place, o in enumerate(found.outcomes or (), 1)
        if not o.success
    ]


def _findings(found: "Found") -> Markup:
    lead = paragraph("Noted when the dataset was made; they do not change the verdict.", soft=True)
    return lead + table(("code", "finding"), [(f.code, f.text) for f in found.findings])


def _words(kind: str, subject: str) -> str:
    """An expectation as words, between which a narrow column can break."""
    return (f"{subject}: " if subject else "") + kind.replace("_", " ")


def _all(found: "Found") -> Markup:
    if found.outcomes is None:
        return paragraph(f"{NO_SUITE} Draft one with: assay suite draft")
    numbered = sorted(enumerate(found.outcomes, 1), key=lambda pair: pair[1].success)
    rows = [_row(place, outcome) for place, outcome in numbered]
    lead = paragraph(f"Suite {found.suite!r}; those that failed first.", soft=True)
    return lead + long_table(_ALL, rows, "expectations", align="lr", stacked=True)


def _row(place: int, outcome: "Outcome") -> tuple[Any, ...]:
    word = "pass" if outcome.success else "fail"
    expected = arguments(outcome.kwargs)
    return (_words(outcome.kind, outcome.subject), place, word, outcome.observed, expected)


def _structure(found: "Found") -> Markup:
    findings = [("block" if f.blocks else "note", f.text) for f in found.structure.findings]
    if not findings:
        return paragraph("Nothing to note: every column has values, and more than one.")
    ordered = sorted(findings, key=lambda finding: finding[0])
    return table(("weight", "finding"), ordered)


def _drift(found: "Found", settings: "Settings") -> Markup:
    drift = found.drift
    if drift is None:
        return paragraph(NO_REFERENCE)
    parts = [_drift_bars(drift)]
    if drift.changes:
        rows = [("block", change) for change in drift.changes]
        parts.append(table(("weight", "change of the schema"), rows))
    shapes = [c for c in _furthest_first(drift) if c.drifted and c.histogram is not None]
    if shapes:
        more = len(shapes) - MAX_FIGURES
        rest = f" Not shown: {more} more, which drifted less." if more > 0 else ""
        parts.append(heading("Columns that drifted"))
        parts.append(
            figures(*(figure(c.name, c.histogram) for c in shapes[:MAX_FIGURES] if c.histogram))
        )
        note = f"Share of the values in each bin, missing ones left out.{rest}"
        parts.append(paragraph(note, soft=True))
    if drift.too_small:
        parts.append(paragraph(drift.too_small))
    parts.append(paragraph(_rule(found.rows, drift, settings), soft=True))
    if drift.columns:
        rows = [_drift_row(column) for column in _furthest_first(drift)]
        shown = table(_DRIFT, rows, align="llrrlrr", stacked=True)
        parts.append(details(f"All {len(rows)} compared columns", shown))
    if drift.left_out:
        parts.append(heading("Not compared"))
        parts.append(long_table(("column", "reason"), [*drift.left_out.items()], "columns"))
    return joined(parts)


def _drift_bars(drift: "Drift") -> Markup:
    """The columns that drifted furthest, by kind of measure: they share no scale."""
    drawn = []
    shown = [c for c in _furthest_first(drift) if c.score is not None][:MAX_BARS]
    for small_is_far in (False, True):
        bars = [
            Bar(
                column.name,
                column.score,
                threshold=column.threshold,
                allowed=">=" if small_is_far else "<",
                outcome="drifted" if column.drifted else "",
            )
            for column in shown
            if ("p_value" in column.method) is small_is_far
        ]
        if bars:
            what = "p-value of a test that nothing changed" if small_is_far else "Distance"
            drawn.append(interval_bars(bars, note=f"{what}, furthest first."))
    return joined(drawn)


def _rule(rows: int, drift: "Drift", settings: "Settings") -> str:
    return (
        f"Compared: all {rows:,} rows of the data with all {drift.rows:,} rows of the reference. "
        f"A column has drifted when its distance is at least {settings.drift_threshold:g}, or its "
        f"p-value, which is computed for up to {SMALL:,} values of the reference, is below "
        f"{P_VALUE_THRESHOLD:g}, or no score comes out. "
        f"The data is rejected when a share of {settings.drift_share:g} of the columns has "
        "drifted, or when columns are missing, new or of another type. Below "
        f"{MIN_ROWS} rows on either side the verdict is inconclusive."
    )


def _furthest_first(drift: "Drift") -> list["ColumnDrift"]:
    def order(column: "ColumnDrift") -> tuple[bool, float, str]:
        if column.score is None:
            return not column.drifted, -float("inf"), column.name
        # A small p-value is far, and so is a large distance.
        near = column.score / column.threshold
        return not column.drifted, near if "p_value" in column.method else -near, column.name

    return sorted(drift.columns, key=order)


def _drift_row(column: "ColumnDrift") -> tuple[Any, ...]:
    before, now = (f"{share:.1%}" for share in column.missing)
    word = "yes" if column.drifted else "no"
    score = number(column.score, beside=column.threshold)
    return (column.name, word, score, column.threshold, column.method, before, now)


def _markdown(title: str, found: "Found", settings: "Settings") -> str:
    parts = [f"# {title}: {found.evidence.verdict}\n", _items(found.problems)]
    if found.outcomes is None:
        parts.append(f"{NO_SUITE}\n")
    else:
        failed = _failed(found)
        parts.append(f"{len(failed)} of {len(found.outcomes)} expectations failed.\n")
        if failed:
            parts.append(markdown_table(_FAILED, failed[:MAX_MARKDOWN_ROWS]))
    if found.findings:
        parts += ["Findings:\n", _items(finding.line for finding in found.findings)]
    notes = [finding.text for finding in found.structure.findings if not finding.blocks]
    if notes:
        parts += ["Structure:\n", _items(notes)]
    if found.drift is None:
        parts.append(f"{NO_REFERENCE}\n")
    else:
        parts.append(f"{_rule(found.rows, found.drift, settings)}\n")
        drifted = [column for column in _furthest_first(found.drift) if column.drifted]
        if drifted:
            rows = [_drift_row(column) for column in drifted[:MAX_MARKDOWN_ROWS]]
            parts.append(markdown_table(_DRIFT, rows))
    return "\n".join(parts) + "\n"


def _items(texts: Iterable[str]) -> str:
    """A paragraph each: the KFP UI draws lists without bullets."""
    shown = [markdown_text(text) for text in texts]
    more = len(shown) - MAX_MARKDOWN_ROWS
    rest = [f"and {more} more, see the report"] if more > 0 else []
    return "".join(f"{text}\n\n" for text in [*shown[:MAX_MARKDOWN_ROWS], *rest])


def _result(found: "Found", settings: "Settings") -> dict[str, Any]:
    """For programs: everything that was found, in the suite's and the columns' order."""
    drift = found.drift
    return {
        "verdict": found.evidence.verdict,
        "problems": list(found.problems),
        "settings": plain(asdict(settings)),
        "findings": [finding.to_json() for finding in found.findings],
        "structure": [asdict(finding) for finding in found.structure.findings],
        "suite": found.suite,
        "expectations": None
        if found.outcomes is None
        else [
            {
                "type": outcome.kind,
                "kwargs": plain(outcome.kwargs),
                "success": outcome.success,
                "observed": outcome.observed,
                "result": plain(outcome.result),
            }
            for outcome in found.outcomes
        ],
        "drift": None
        if drift is None
        else {
            "changes": list(drift.changes),
            "left_out": dict(drift.left_out),
            "columns": [plain(asdict(column)) for column in drift.columns],
        },
    }
