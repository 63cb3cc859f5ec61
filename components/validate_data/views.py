"""What people look at: the report and its summary, what failed first."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.report import Section, markdown_table, page, paragraph, table

if TYPE_CHECKING:
    from assay.components.validate_data.judge import Found, Settings

EXPECTATION_HEADERS = ("expectation", "column", "outcome", "observed", "expected")
DRIFT_HEADERS = ("column", "measure", "score", "threshold", "drift")


def write(found: "Found", settings: "Settings", folder: Path) -> None:
    """`report.html` and `summary.md`."""
    evidence = found.evidence
    title = f"Validation of {found.rows:,} rows"
    sections = [Section("Expectations", _expectations(found))]
    if found.drift is not None:
        rule = (
            f"At most {settings.max_sample_rows:,} rows of each side were used, every k-th row. "
            f"From a share of {settings.drift_share:g} of drifted columns the data is rejected."
        )
        sections.append(
            Section(
                "Drift against the reference",
                paragraph(rule) + table(DRIFT_HEADERS, _drift(found), align="llrrl"),
            )
        )
    else:
        text = paragraph("No reference dataset was given, so drift was not looked for.")
        sections.append(Section("Drift", text))
    findings = [("block" if f.blocks else "note", f.text) for f in found.findings]
    sections.append(
        Section(
            "Structure",
            table(("weight", "finding"), findings) if findings else paragraph("Nothing to note."),
        )
    )
    numbers = [(n, v if v is not None else "–") for n, v in evidence.values.items() if "{" not in n]
    sections.append(Section("Numbers", table(("name", "value"), numbers, align="lr")))
    (folder / "report.html").write_text(
        page(title, sections, verdict=evidence.verdict, subtitle=evidence.reason)
    )
    (folder / "summary.md").write_text(_markdown(title, found))


def _markdown(title: str, found: "Found") -> str:
    evidence = found.evidence
    parts = [f"# {title}: {evidence.verdict}\n"]
    if found.outcomes is None:
        parts.append("No suite was given; only the structure was checked.\n")
    else:
        failed = [row for row in _rows(found) if row[2] == "fail"]
        parts.append(f"{len(failed)} of {len(found.outcomes)} expectations failed.\n")
        if failed:
            parts.append(markdown_table(EXPECTATION_HEADERS, failed))
    parts += [f"- {finding.text}" for finding in found.findings]
    drifted = [row for row in _drift(found) if row[4] == "yes"] if found.drift else []
    if drifted:
        parts.append(markdown_table(DRIFT_HEADERS, drifted))
    return "\n".join(parts) + "\n"


def _expectations(found: "Found") -> str:
    if found.outcomes is None:
        return paragraph(
            "No suite was given; only the structure was checked. Draft one with: assay suite draft"
        )
    return table(EXPECTATION_HEADERS, _rows(found))


def _rows(found: "Found") -> list[tuple[Any, ...]]:
    ordered = sorted(found.outcomes or [], key=lambda outcome: outcome.success)
    return [
        (o.kind, o.column, "pass" if o.success else "fail", o.observed, o.expected) for o in ordered
    ]


def _drift(found: "Found") -> list[tuple[Any, ...]]:
    ordered = sorted(found.drift or [], key=lambda column: not column.drifted)
    return [
        (
            c.name,
            c.method,
            c.score if c.score is not None else "–",
            c.threshold,
            "yes" if c.drifted else "no",
        )
        for c in ordered
    ]
