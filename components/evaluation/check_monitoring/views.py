"""The report as a page and as Markdown: the answers, and how soon each fault was seen."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from assay.evidence.format import EvidenceDocument
from assay.monitoring import Findings, Judgement, Plan, Replay
from assay.monitoring.judge import FALSE_ALARMS, NO_PLAN, P95
from assay.monitoring.plan import ALL, METRICS, Detector
from assay.monitoring.replay import quantile
from assay.reports.figures import Bar, interval_bars
from assay.reports.markdown import markdown_table, markdown_text
from assay.reports.page import Section, cards, joined, long_table, page, paragraph, table
from assay.text import short

TITLE: Final = "Monitoring plan"
HEADERS: Final = ("fault", "replays", "seen", "half within", "95 % within", "first to tell")
NEVER: Final = "never"


def write(plan: Plan, judged: Judgement, evidence: EvidenceDocument, folder: Path) -> None:
    """Write `report.html` and `summary.md`.

    Args:
        plan: The monitoring plan.
        judged: The answers that it gives, and its gaps.
        evidence: What was measured.
        folder: Where the files go.
    """
    state = "complete" if judged.complete else "incomplete"
    kinds = list(_kinds(judged.findings))
    title = f"{TITLE}: {state}"
    slowest = _rows(evidence.values[P95])
    lead = f"95 % of faults of the slowest kind are seen within {slowest} rows"
    if slowest == NEVER:
        lead = "At least one kind of fault is not seen reliably"
    key = [
        ("rows until 95 % of the slowest kind are seen", slowest),
        ("false alarms per 10,000 rows", evidence.values.get(FALSE_ALARMS)),
        ("detectors", len(plan.detectors)),
        ("gaps", len(judged.gaps)),
    ]
    sections = [
        Section("In short", cards(key)),
        Section("Rows to alarm", _measured(judged.findings, kinds)),
        Section("If this model fails silently", _answers(judged)),
        Section("Detectors", _detectors(plan, judged.findings)),
        Section("Every fault in every place", _places(judged.findings)),
    ]
    model = short(evidence.subjects["model"])
    (folder / "report.html").write_text(
        page(
            title,
            sections,
            subtitle=f"{lead}. Model {model}.",
            reasons=judged.gaps,
            preview=f"Assay monitoring plan of {model}: {state}. {lead}",
        ),
        encoding="utf-8",
    )
    lines = [markdown_text(text) for text in (*judged.gaps, *judged.answers.values())]
    text = f"# {title}\n\n" + "\n\n".join(lines) + "\n\n" + markdown_table(HEADERS, kinds)
    (folder / "summary.md").write_text(text, encoding="utf-8")


def write_no_plan(folder: Path) -> None:
    """Write `report.html` and `summary.md` of a model without a monitoring plan."""
    lead = f"{NO_PLAN[0].upper()}{NO_PLAN[1:]}: nothing would tell that the model fails silently."
    (folder / "report.html").write_text(page(TITLE, [], subtitle=lead), encoding="utf-8")
    (folder / "summary.md").write_text(f"# {TITLE}\n\n{lead}\n", encoding="utf-8")


def _answers(judged: Judgement) -> Markup:
    return joined(map(paragraph, judged.answers.values()))


def _kinds(findings: Findings) -> Iterable[tuple[Any, ...]]:
    for kind in findings.kinds:
        yield _row(kind, findings.of(kind), findings.first_detector(kind))


def _row(name: str, replays: list[Replay], first: str) -> tuple[Any, ...]:
    rows = [one.rows for one in replays]
    seen = f"{100 * sum(map(math.isfinite, rows)) / len(rows):.3g} %"
    half, most = _rows(quantile(rows, 0.5)), _rows(quantile(rows, 0.95))
    return (name, len(rows), seen, half, most, first or NEVER)


def _measured(findings: Findings, kinds: list[tuple[Any, ...]]) -> Markup:
    if not kinds:
        return paragraph("No detector could be replayed.")
    bars = [
        Bar(
            kind,
            findings.quantile(kind, 0.5),
            findings.quantile(kind, 0.5),
            findings.quantile(kind, 0.95),
            words=f"half within {_rows(findings.quantile(kind, 0.5))}, 95 % within "
            f"{_rows(findings.quantile(kind, 0.95))}",
        )
        for kind in findings.kinds
    ]
    note = (
        "Rows since the fault began. Dot: half of the replays have alarmed; end of the line: 95 %."
    )
    drawn = interval_bars(bars, mark=0.0, note=note)
    return drawn + table(HEADERS, kinds, align="lrrrrl", stacked=True)


def _detectors(plan: Plan, findings: Findings) -> Markup:
    first = [one.detector for one in findings.replays]
    return long_table(
        ("detector", "metric", "columns", "threshold", "window", "receiver", "first", "false"),
        [
            (
                one.name,
                one.metric,
                _columns(one),
                one.threshold,
                "–" if one.window is None else one.window,
                one.receiver or "–",
                first.count(one.name),
                findings.false_alarms[one.name],
            )
            for one in plan.detectors
        ],
        "detectors",
        align="lllrrlrr",
        stacked=True,
    )


def _columns(detector: Detector) -> str:
    if not METRICS[detector.metric].of_column:
        return "–"
    return ALL if detector.columns is None else ", ".join(detector.columns)


def _places(findings: Findings) -> Markup:
    groups: dict[str, list[Replay]] = {}
    for one in findings.replays:
        groups.setdefault(str(one.fault), []).append(one)
    rows = []
    for name, replays in groups.items():
        first = [one.detector for one in replays if one.detector]
        rows.append(_row(name, replays, max(sorted(set(first)), key=first.count, default="")))
    return long_table(HEADERS, rows, "places", align="lrrrrl", stacked=True)


def _rows(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and math.isfinite(value) else NEVER
