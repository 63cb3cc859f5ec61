"""What people look at: the answers, how soon each fault was seen, and what was missed."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from assay.evidence import EvidenceDocument
from assay.monitoring import Findings, Judgement, Plan, Replay
from assay.monitoring.judge import FALSE_ALARMS, NO_PLAN, P95
from assay.monitoring.plan import ALL, METRICS, Detector
from assay.monitoring.replay import quantile
from assay.report import (
    Section,
    cards,
    figure_svg,
    figures,
    legend,
    markdown_table,
    markdown_text,
    new_figure,
    page,
    paragraph,
    table,
)

TITLE: Final = "Monitoring plan"
HEADERS: Final = ("fault", "replays", "seen", "half within", "95 % within", "first to tell")
NEVER: Final = "never"


def write(plan: Plan, judged: Judgement, evidence: EvidenceDocument, folder: Path) -> None:
    """`report.html` and `summary.md`."""
    state = "complete" if judged.complete else "incomplete"
    kinds = list(_kinds(judged.findings))
    sections = [
        Section("If this model fails silently", _answers(judged)),
        Section("Rows to alarm", _measured(judged.findings, kinds)),
        Section("Detectors", _detectors(plan, judged.findings)),
        Section("Every fault in every place", _places(judged.findings)),
    ]
    title = f"{TITLE}: {state}"
    rate = evidence.values.get(FALSE_ALARMS)
    subtitle = f"95 % of faults of the slowest kind seen within {_rows(evidence.values[P95])} rows"
    sections.insert(
        0,
        Section(
            "In short",
            cards(
                [
                    ("slowest kind: rows until 95 % are seen", _rows(evidence.values[P95])),
                    ("false alarms per 10,000 rows", rate),
                    ("detectors", len(plan.detectors)),
                    ("gaps", len(judged.gaps)),
                ]
            ),
        ),
    )
    (folder / "report.html").write_text(page(title, sections, subtitle=subtitle))
    lines = [f"- {markdown_text(text)}" for text in (*judged.gaps, *judged.answers.values())]
    text = f"# {title}\n\n" + "\n".join(lines) + "\n\n" + markdown_table(HEADERS, kinds)
    (folder / "summary.md").write_text(text)


def write_no_plan(folder: Path) -> None:
    """`report.html` and `summary.md`, where there is nothing to show."""
    told = f"{NO_PLAN[0].upper()}{NO_PLAN[1:]}: nothing would tell that the model fails silently."
    (folder / "report.html").write_text(page(TITLE, [Section("None", paragraph(told))]))
    (folder / "summary.md").write_text(f"# {TITLE}\n\n{told}\n")


def _answers(judged: Judgement) -> str:
    told = "".join(paragraph(text) for text in judged.answers.values())
    if not judged.complete:
        told += table(("what is missing",), [(gap,) for gap in judged.gaps])
    return told


def _kinds(findings: Findings) -> Iterable[tuple[Any, ...]]:
    for kind in findings.kinds:
        yield _row(kind, findings.of(kind), findings.first_detector(kind))


def _row(name: str, replays: list[Replay], first: str) -> tuple[Any, ...]:
    rows = [one.rows for one in replays]
    seen = f"{100 * sum(map(math.isfinite, rows)) / len(rows):.3g} %"
    half, most = _rows(quantile(rows, 0.5)), _rows(quantile(rows, 0.95))
    return (name, len(rows), seen, half, most, first or NEVER)


def _measured(findings: Findings, kinds: list[tuple[Any, ...]]) -> str:
    if not kinds:
        return paragraph("No detector could be replayed.")
    return figures(_curves(findings)) + table(HEADERS, kinds, align="lrrrrl")


def _curves(findings: Findings) -> str:
    """Share of replays that have alarmed, by rows since the fault began."""
    figure, axes = new_figure(8, 3.8)
    finite = [one.rows for one in findings.replays if math.isfinite(one.rows)]
    end = max(finite, default=1.0) * 1.05
    for kind in findings.kinds:
        rows = sorted(one.rows for one in findings.of(kind))
        reached = [(r, (i + 1) / len(rows)) for i, r in enumerate(rows) if math.isfinite(r)]
        last = reached[-1][1] if reached else 0.0
        steps = [(0.0, 0.0), *reached, (end, last)]
        axes.step(*zip(*steps, strict=True), where="post", label=kind)
    axes.axhline(0.95, color="grey", lw=1, ls="--")
    axes.set(
        xlabel="rows since the fault began",
        ylabel="share of replays with an alarm",
        title="How soon faults are seen (dashed: 95 %)",
        ylim=(0, 1.02),
        xlim=(0, end),
    )
    legend(axes, loc="lower right")
    return figure_svg(figure, alt="Share of replays with an alarm, by rows since the fault began")


def _detectors(plan: Plan, findings: Findings) -> str:
    first = [one.detector for one in findings.replays]
    return table(
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
        align="lllrrlrr",
    )


def _columns(detector: Detector) -> str:
    if not METRICS[detector.metric].of_column:
        return "–"
    return ALL if detector.columns is None else ", ".join(detector.columns)


def _places(findings: Findings) -> str:
    groups: dict[str, list[Replay]] = {}
    for one in findings.replays:
        groups.setdefault(str(one.fault), []).append(one)
    rows = []
    for name, replays in groups.items():
        told = [one.detector for one in replays if one.detector]
        rows.append(_row(name, replays, max(sorted(set(told)), key=told.count, default="")))
    return table(HEADERS, rows, align="lrrrrl")


def _rows(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and math.isfinite(value) else NEVER
