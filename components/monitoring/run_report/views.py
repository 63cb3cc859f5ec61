"""The report as a page, the verdict as Markdown and metrics, the end of the log."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from markupsafe import Markup

from assay.components.run_report.history import (
    KFP_CACHE,
    PER_MODEL,
    RAN,
    STEP_CACHE,
    RunHistory,
    Stage,
)
from assay.components.run_report.judge import Verdict, words
from assay.core.settings import MLFLOW_URI
from assay.evidence.format import EvidenceDocument, Interval
from assay.evidence.labels import is_labelled, sort_key
from assay.governance.policy import KNOWN_METRICS, Kind, Outcome
from assay.reports.figures import Bar, interval_bars
from assay.reports.markdown import markdown_table, markdown_text
from assay.reports.page import Section, details, joined, page, paragraph, table
from assay.runtime.runs import DONE, STARTED, TaskStatus
from assay.text import interval_text, number, one_line, reason_lines, short

MAX_SLICES: Final = 12
"""Of the primary metric that the page draws; the evaluation's own page has all."""
MAX_RULES: Final = 30
MAX_METRICS: Final = 5
"""Beside the primary one that stand open."""
MAX_SUMMARY_METRICS: Final = 5
MAX_SUMMARY_REASONS: Final = 10
MAX_STAGES: Final = 50
MAX_ROWS: Final = 250
"""Of a table that opens on demand."""
_SHORT_ROLES: Final = ("dataset", "model", "evaluation", "comparison", "decision")
"""Artifacts that the Markdown names."""
_PAGES: Final = {
    "validation": "data_report",
    "evaluation": "evaluation",
    "comparison": "comparison",
    "decision": "decision",
}
"""Node of the graph that shows an artifact's page."""
_COUNTS: Final = ("test_rows", "classes", "safety_violations")
"""Of an evaluation: what is no quality of the model."""
_MEASURED: Final = ("latency_p99_ms", "model_bytes")


@dataclass(frozen=True, slots=True)
class About:
    """Which run it is."""

    run: str
    name: str
    pipeline: str
    model_name: str
    state: str
    """As KFP says it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number about the model on rows that it was not trained on."""

    name: str
    value: float
    interval: Interval | None

    @property
    def text(self) -> str:
        """The value with its interval."""
        return interval_text(self.value, *_ends(self.interval))


def _ends(bounds: Interval | None) -> tuple[float | None, float | None]:
    return (bounds.low, bounds.high) if bounds else (None, None)


def metrics(history: RunHistory) -> list[Metric]:
    """The model's quality on all held-out rows, the primary metric first."""
    evidence = history.evaluation
    primary = history.value("evaluate", "primary_metric")
    names = [
        name
        for name, value in (evidence.values if evidence else {}).items()
        if value is not None and not is_labelled(name) and not _is_derived(name)
    ]
    names.sort(key=lambda name: (name != primary, _rank(name), name))
    return [_metric(evidence, name) for name in names if evidence]


def _rank(name: str) -> int:
    """What readers look for first comes first."""
    known = KNOWN_METRICS["evaluate"]
    return known.index(name) if name in known else len(known)


def _is_derived(name: str) -> bool:
    return name in _COUNTS or name.endswith("_gap")


def _metric(evidence: EvidenceDocument, name: str) -> Metric:
    return Metric(name, evidence.values[name] or 0.0, evidence.intervals.get(name))


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def metrics_json(history: RunHistory) -> str:
    """The same names for every run of one kind of task, the primary metric first.

    KFP sorts by name. So where another name would come before it, the primary metric has a row of
    its own besides.
    """
    measured = metrics(history)
    shown = {metric.name: metric.value for metric in measured}
    for document, names in ((history.evaluation, _COUNTS[:1]), (history.measurements, _MEASURED)):
        values = document.values if document else {}
        shown.update({name: value for name in names if (value := values.get(name)) is not None})
    if measured and min(shown) != measured[0].name:
        shown = {f"1. {measured[0].name}": measured[0].value, **shown}
    return json.dumps(shown)


def page_of(about: About, history: RunHistory, verdict: Verdict) -> str:
    """The whole report.

    Args:
        about: Which run it is.
        history: What is known of it.
        verdict: The verdict of the run.

    Returns:
        HTML.
    """
    sections = [
        *([Section("What to change", paragraph(verdict.remedy))] if verdict.remedy else []),
        *_registered(about, verdict),
        *_rules(history),
        *_quality(history),
        *_comparison(history),
        Section("Stages", _stages(history)),
        *_digests(history),
        *_notes(history),
    ]
    subtitle = " · ".join(part for part in (about.name, about.pipeline) if part)
    return page(
        f"Run of {about.model_name}",
        sections,
        verdict=_badge(verdict),
        subtitle=one_line(subtitle),
        reasons=verdict.reasons,
    )


def _badge(verdict: Verdict) -> str:
    """A pass that no attestation shows is none to be green about."""
    unproved = verdict.verdict == "passed" and not verdict.proved
    return "not proved" if unproved else verdict.verdict


def _registered(about: About, verdict: Verdict) -> Iterator[Section]:
    if verdict.version:
        text = f"Version {verdict.version} of {about.model_name} in the MLflow registry."
        yield Section("Registered", paragraph(text))


def _rules(history: RunHistory) -> Iterator[Section]:
    """The gate's rules, those that do not hold first."""
    if history.decision is None:
        return
    bad = [Outcome.FAIL, Outcome.INCONCLUSIVE]
    order = [*bad, Outcome.PASS, Outcome.SKIPPED]
    rows = [row for row in history.decision.rows if row.kind is Kind.RULE or row.outcome in bad]
    rows.sort(key=lambda row: order.index(row.outcome))
    roles = {digest: role for role, digest in history.digests().items()}
    cells = [
        (roles.get(row.evidence, row.text), row.outcome.value, row.explanation) for row in rows
    ]
    applied = sum(row.outcome is not Outcome.SKIPPED for row in rows)
    headers = ("rule", "outcome", "why")
    yield Section("Gate", _folded(headers, cells, min(applied, MAX_RULES), "rules", stacked=True))


def _quality(history: RunHistory) -> Iterator[Section]:
    evidence, shown = history.evaluation, metrics(history)
    if evidence is None or not shown:
        return
    first, *others = shown
    rows = evidence.values.get("test_rows")
    level = f"{100 * first.interval.confidence:g}% intervals" if first.interval else "no intervals"
    text = f"On {number(rows)} rows that the model was not trained on; {level}."
    slices = sorted((n for n in evidence.values if n.startswith(f"{first.name}{{")), key=sort_key)
    bars = [_bar(evidence, first.name, first.name)]
    bars += [_bar(evidence, n, n[len(first.name) :]) for n in slices[:MAX_SLICES]]
    content = paragraph(text, soft=True) + interval_bars(bars, mark=first.value)
    if slices[MAX_SLICES:]:
        rest = f"and {len(slices) - MAX_SLICES} more slices; evaluation shows all"
        content += paragraph(rest, soft=True)
    if others:
        cells = [(one.name, one.text) for one in others]
        content += _folded(("metric", "value"), cells, MAX_METRICS, "metrics")
    yield Section("Quality", content)


def _folded(
    headers: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    count: int,
    what: str,
    *,
    stacked: bool = False,
) -> Markup:
    """A table of the first rows; the others open on demand."""
    first, rest = rows[:count], rows[count:]
    content = table(headers, first, stacked=stacked)
    if rest:
        more = table(headers, rest[:MAX_ROWS], stacked=stacked)
        content += details(f"{len(rest)} more {what}", more)
    return content


def _bar(evidence: EvidenceDocument, name: str, label: str) -> Bar:
    return Bar(label, evidence.values.get(name), *_ends(evidence.intervals.get(name)))


def _comparison(history: RunHistory) -> Iterator[Section]:
    evidence = history.comparison
    if evidence is None:
        return
    values = evidence.values
    title = "Comparison with production"
    if not values.get("production_exists"):
        yield Section(title, paragraph("No model is in production."))
        return
    content = joined(paragraph(text) for text in [evidence.reason or _not_worse(evidence)] if text)
    if (delta := values.get("regression_delta")) is not None:
        ends = _ends(evidence.intervals.get("regression_delta"))
        margin = values.get("regression_margin")
        text = "worse by (below 0: better)"
        bar = Bar(text, delta, *ends, margin, "<", evidence.verdict or "")
        content += interval_bars([bar], mark=0.0)
    pairs = [
        (name.removeprefix("candidate_"), value, values.get(f"production_{name[10:]}"))
        for name, value in values.items()
        if name.startswith("candidate_") and not is_labelled(name)
    ]
    primary = history.value("evaluate", "primary_metric")
    pairs.sort(key=lambda row: (row[0] != primary, _rank(row[0]), row[0]))
    if pairs:
        headers = ("metric", "candidate", "production")
        content += _folded(headers, pairs, MAX_METRICS, "metrics", stacked=True)
    yield Section(title, content)


def _not_worse(evidence: EvidenceDocument) -> str:
    return "Not worse than production beyond the margin." if evidence.verdict == "pass" else ""


def _stages(history: RunHistory) -> Markup:
    headers = ("stage", "result", "outputs", "from")
    tried = [stage for stage in history.stages if _is_other_candidate(history, stage)]
    shown = [stage for stage in history.stages if not _is_other_candidate(history, stage)]
    rows = [_stage_row(stage) for stage in shown]
    rows += _task_rows(history)
    if not rows and not tried:
        return paragraph("No stage said anything.")
    content = _folded(headers, rows, MAX_STAGES, "stages", stacked=True)
    if tried:
        rest = table(headers, map(_stage_row, tried[:MAX_ROWS]), stacked=True)
        content += details(f"{len(tried)} stages of other candidates", rest)
    if any(stage.origin == KFP_CACHE for stage in history.stages):
        text = "From the cache: answered by KFP without a pod, and found from what used it."
        content += paragraph(text, soft=True)
    return content


def _is_other_candidate(history: RunHistory, stage: Stage) -> bool:
    """Whether a stage is about one of several models, and not about the one that was judged."""
    main = history.stage(stage.step) if stage.step in PER_MODEL else None
    return main is not None and stage.attestation is not None and stage is not main


def _stage_row(stage: Stage) -> tuple[str, str, str, str]:
    seconds = f"{stage.seconds:.1f} s"
    origin = {RAN: f"this run, {seconds}", STEP_CACHE: f"the step cache, {seconds}"}
    made = origin.get(stage.origin, "KFP's cache")
    return words(stage.step), _result(stage), _gave(stage), made


def _task_rows(history: RunHistory) -> Iterator[tuple[str, str, str, str]]:
    """Tasks that failed or never ended, where no stage's row says so."""
    for task in history.tasks:
        if task.state == DONE or _shown_by_stage(history, task):
            continue
        text = "did not say how it ended" if task.state == STARTED else "failed"
        code = f", exit code {task.exit_code}" if task.exit_code else ""
        made = "this run" if task.state == STARTED else f"this run, {task.seconds:.1f} s"
        yield words(task.task), f"{text}{code}", "", made


def _shown_by_stage(history: RunHistory, task: TaskStatus) -> bool:
    """Whether a row of a stage says already that this task did not pass."""
    return any(
        (one.task, one.process) == (task.task, task.process) and one.verdict not in {"", "pass"}
        for one in history.stages
    )


def _result(stage: Stage) -> str:
    if stage.attestation is None:
        return f"not proved: {stage.doubt}"
    values = stage.values
    if stage.verdict:
        return one_line(stage.verdict)
    if version := values.get("version"):
        return f"version {one_line(str(version))}"
    return "done"


def _gave(stage: Stage) -> str:
    outputs = {name: digest for name, digest in stage.outputs.items() if name != "record"}
    return ", ".join(f"{name} {short(digest)[7:]}" for name, digest in outputs.items())


def _digests(history: RunHistory) -> Iterator[Section]:
    digests = history.digests()
    if not digests:
        return
    named = ", ".join(name for role, name in _PAGES.items() if role in digests)
    text = f"Their pages are at the nodes of the graph: {named}." if named else ""
    shown = table(("what", "digest"), list(digests.items()))
    lead = paragraph(text, soft=True) if text else Markup()
    yield Section("Artifacts", lead + details("Full digests", shown))


def _notes(history: RunHistory) -> Iterator[Section]:
    if history.notes:
        yield Section("What could not be read", joined(map(paragraph, history.notes)))


def summary(about: About, history: RunHistory, verdict: Verdict) -> str:
    """The verdict in short, for KFP's Markdown: no bullets, short tables, short digests.

    Args:
        about: Which run it is.
        history: What is known of it.
        verdict: The verdict of the run.

    Returns:
        Markdown.
    """
    lines = [f"# {markdown_text(about.model_name)}: {_badge(verdict)}"]
    lines += [markdown_text(reason) for reason in verdict.reasons[:MAX_SUMMARY_REASONS]]
    if verdict.remedy:
        lines.append(f"What to change: {markdown_text(verdict.remedy)}")
    if verdict.version:
        lines.append(_version(about, verdict.version))
    if shown := metrics(history)[:MAX_SUMMARY_METRICS]:
        rows = [(metric.name, metric.text) for metric in shown]
        lines.append(markdown_table(("metric", "value"), rows).rstrip())
    if (
        history.comparison
        and (delta := history.comparison.values.get("regression_delta")) is not None
    ):
        text = interval_text(delta, *_ends(history.comparison.intervals.get("regression_delta")))
        lines.append(markdown_text(f"Worse than production by {text}; below 0 is better."))
    known = history.digests()
    digests = [(role, short(known[role])[7:]) for role in _SHORT_ROLES if role in known]
    if digests:
        lines.append(markdown_table(("artifact", "digest"), digests).rstrip())
    return "\n\n".join(lines) + "\n"


def _version(about: About, version: str) -> str:
    """The registered version, as a link where the address of MLflow is known."""
    text = markdown_text(f"Version {version} of {about.model_name} in MLflow")
    parts = urlsplit(MLFLOW_URI.get())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return text
    host = parts.netloc.rpartition("@")[2]
    place = "/".join(quote(part, safe="") for part in (about.model_name, "versions", version))
    return f"[{text}]({parts.scheme}://{quote(host, safe=':[]')}/#/models/{place})"


def lines(verdict: Verdict) -> list[str]:
    """The end of the log: the verdict, and one cause a line, none longer than KFP shows."""
    shown = [f"verdict: {_badge(verdict)} (exit code {verdict.exit_code})"]
    if verdict.version:
        shown.append(f"version: {verdict.version}")
    shown += reason_lines(verdict.reasons)
    if verdict.remedy:
        shown += reason_lines([f"to change: {verdict.remedy}"])
    return shown


def document(about: About, history: RunHistory, verdict: Verdict) -> dict[str, Any]:
    """The history for programs.

    Args:
        about: Which run it is.
        history: What is known of it.
        verdict: The verdict of the run.

    Returns:
        A JSON object.
    """
    return {
        **asdict(about),
        **asdict(verdict),
        "reasons": list(verdict.reasons),
        "digests": history.digests(),
        "stages": [
            {
                "step": stage.step,
                "task": stage.task,
                "from": stage.origin,
                "attestation": stage.attestation.digest if stage.attestation else "",
                "outputs": stage.outputs,
                "seconds": stage.seconds,
                "doubt": stage.doubt,
            }
            for stage in history.stages
        ],
        "metrics": {
            metric.name: {
                "value": metric.value,
                "interval": [_finite(end) for end in _ends(metric.interval)],
            }
            for metric in metrics(history)
        },
        "notes": history.notes,
    }
