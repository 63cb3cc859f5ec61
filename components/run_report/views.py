"""What people look at: the report as a page, the verdict as Markdown, lines for the log."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from assay.components.run_report.facts import KFP_CACHE, STEP_CACHE, Facts, Stage
from assay.components.run_report.judge import Verdict, words
from assay.evidence import EvidenceDocument, Interval
from assay.labels import is_labelled, sort_key
from assay.policy import Kind, Outcome
from assay.report import (
    Bar,
    Section,
    details,
    interval_bars,
    markdown_table,
    markdown_text,
    page,
    paragraph,
    table,
)
from assay.text import interval_text, number, one_line, reason_lines, short

MAX_SLICES: Final = 12
"""Of the primary metric that the page draws; the evaluation's own page has all."""
MAX_RULES: Final = 30
MAX_SUMMARY_METRICS: Final = 5
MAX_SUMMARY_REASONS: Final = 10
MAX_STAGES: Final = 250
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
        """The interval in words; empty without one."""
        bounds = self.interval
        return f"{number(bounds.low)} to {number(bounds.high)}" if bounds else ""


def metrics(facts: Facts) -> list[Metric]:
    """The model's quality on all held-out rows, the primary metric first."""
    found = facts.evaluation
    primary = facts.value("evaluate", "primary_metric")
    names = [
        name
        for name, value in (found.values if found else {}).items()
        if value is not None and not is_labelled(name) and not _is_derived(name)
    ]
    names.sort(key=lambda name: (name != primary, name))
    return [_metric(found, name) for name in names if found]


def _is_derived(name: str) -> bool:
    return name in _COUNTS or name.endswith("_gap")


def _metric(found: EvidenceDocument, name: str) -> Metric:
    return Metric(name, found.values[name] or 0.0, found.intervals.get(name))


def metrics_json(facts: Facts) -> str:
    """The same names for every run of one kind of task, the primary metric first."""
    shown = {metric.name: metric.value for metric in metrics(facts)}
    for document, names in ((facts.evaluation, _COUNTS[:1]), (facts.measurements, _MEASURED)):
        values = document.values if document else {}
        shown.update({name: value for name in names if (value := values.get(name)) is not None})
    return json.dumps(shown)


def page_of(about: About, facts: Facts, verdict: Verdict) -> str:
    """The whole report."""
    sections = [
        *([Section("What to change", paragraph(verdict.remedy))] if verdict.remedy else []),
        *_registered(about, verdict),
        *_rules(facts),
        *_quality(facts),
        *_comparison(facts),
        Section("Stages", _stages(facts)),
        *_digests(facts),
        *_notes(facts),
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
        told = f"Version {verdict.version} of {about.model_name} in the MLflow registry."
        yield Section("Registered", paragraph(told))


def _rules(facts: Facts) -> Iterator[Section]:
    """The gate's rules, those that do not hold first."""
    if facts.decision is None:
        return
    bad = [Outcome.FAIL, Outcome.INCONCLUSIVE]
    rows = [row for row in facts.decision.rows if row.kind is Kind.RULE or row.outcome in bad]
    rows.sort(key=lambda row: row.outcome not in bad)
    shown = [(row.text, row.outcome.value, row.explanation) for row in rows[:MAX_RULES]]
    more = [paragraph(f"and {len(rows) - MAX_RULES} more", soft=True)] if rows[MAX_RULES:] else []
    content = table(("rule", "outcome", "why"), shown, stacked=True) + "".join(more)
    yield Section("Gate", content)


def _quality(facts: Facts) -> Iterator[Section]:
    found, shown = facts.evaluation, metrics(facts)
    if found is None or not shown:
        return
    first, *others = shown
    rows = found.values.get("test_rows")
    level = f"{100 * first.interval.confidence:g}% intervals" if first.interval else "no intervals"
    told = f"On {number(rows)} rows that the model was not trained on; {level}."
    slices = sorted((n for n in found.values if n.startswith(f"{first.name}{{")), key=sort_key)
    bars = [_bar(found, first.name, first.name)]
    bars += [_bar(found, n, n[len(first.name) :]) for n in slices[:MAX_SLICES]]
    content = paragraph(told, soft=True) + interval_bars(bars, mark=first.value)
    if slices[MAX_SLICES:]:
        rest = f"and {len(slices) - MAX_SLICES} more slices; evaluation shows all"
        content += paragraph(rest, soft=True)
    if others:
        cells = [(metric.name, metric.value, metric.text) for metric in others]
        content += table(("metric", "value", "interval"), cells, align="lrl")
    yield Section("Quality", content)


def _bar(found: EvidenceDocument, name: str, label: str) -> Bar:
    bounds = found.intervals.get(name)
    low, high = (bounds.low, bounds.high) if bounds else (None, None)
    return Bar(label, found.values.get(name), low, high)


def _comparison(facts: Facts) -> Iterator[Section]:
    found = facts.comparison
    if found is None:
        return
    values = found.values
    title = "Comparison with production"
    if not values.get("production_exists"):
        yield Section(title, paragraph("No model is in production."))
        return
    content = "".join(paragraph(text) for text in [found.reason or _not_worse(found)] if text)
    margin = values.get("regression_margin")
    bounds = found.intervals.get("regression_delta")
    if (delta := values.get("regression_delta")) is not None:
        bar = Bar(
            "worse by (below 0: better)",
            delta,
            bounds.low if bounds else None,
            bounds.high if bounds else None,
            margin,
            "<",
            found.verdict or "",
        )
        content += interval_bars([bar], mark=0.0)
    pairs = [
        (name.removeprefix("candidate_"), value, values.get(f"production_{name[10:]}"))
        for name, value in values.items()
        if name.startswith("candidate_") and not is_labelled(name)
    ]
    primary = facts.value("evaluate", "primary_metric")
    pairs.sort(key=lambda row: (row[0] != primary, row[0]))
    if pairs:
        content += table(("metric", "candidate", "production"), pairs, align="lrr")
    yield Section(title, content)


def _not_worse(found: EvidenceDocument) -> str:
    return "Not worse than production beyond the margin." if found.verdict == "pass" else ""


def _stages(facts: Facts) -> str:
    rows = list(_stage_rows(facts))
    if not rows:
        return paragraph("No stage said anything.")
    headers = ("stage", "result", "gave", "from", "time")
    content = table(headers, rows[:MAX_STAGES], align="llllr", stacked=True)
    if rows[MAX_STAGES:]:
        content += paragraph(f"and {len(rows) - MAX_STAGES} more", soft=True)
    if any(stage.origin == KFP_CACHE for stage in facts.stages):
        told = "From the cache: answered by KFP without a pod, and found from what used it."
        content += paragraph(told, soft=True)
    return content


def _stage_rows(facts: Facts) -> Iterator[tuple[str, str, str, str, str]]:
    for stage in facts.stages:
        origin = {STEP_CACHE: STEP_CACHE, KFP_CACHE: "KFP's cache"}.get(stage.origin, "this run")
        seconds = "" if stage.origin == KFP_CACHE else f"{stage.seconds:.1f} s"
        yield words(stage.step), _result(stage), _gave(stage), origin, seconds
    for task in facts.tasks:
        if task.state == "done" or _told_by_stage(facts, task):
            continue
        told = "did not say how it ended" if task.state == "started" else "failed"
        code = f", exit code {task.exit_code}" if task.exit_code else ""
        yield words(task.task), f"{told}{code}", "", "this run", f"{task.seconds:.1f} s"


def _told_by_stage(facts: Facts, task: Any) -> bool:
    """Whether a row of a stage says already that this task did not pass."""
    return any(
        (one.task, one.process) == (task.task, task.process)
        and one.values.get("verdict") not in {None, "", "pass"}
        for one in facts.stages
    )


def _result(stage: Stage) -> str:
    if stage.attestation is None:
        return f"not proved: {stage.doubt}"
    values = stage.values
    if verdict := values.get("verdict"):
        return one_line(str(verdict))
    if version := values.get("version"):
        return f"version {one_line(str(version))}"
    return "done"


def _gave(stage: Stage) -> str:
    outputs = {name: digest for name, digest in stage.outputs.items() if name != "record"}
    return ", ".join(f"{name} {short(digest)[7:]}" for name, digest in outputs.items())


def _digests(facts: Facts) -> Iterator[Section]:
    found = facts.digests()
    if not found:
        return
    told = "The graph shows their pages: data_report, evaluation, comparison, decision."
    shown = table(("what", "digest"), list(found.items()))
    yield Section("Artifacts", paragraph(told, soft=True) + details("Whole digests", shown))


def _notes(facts: Facts) -> Iterator[Section]:
    if facts.notes:
        yield Section("What could not be read", "".join(map(paragraph, facts.notes)))


def summary(about: About, facts: Facts, verdict: Verdict) -> str:
    """The verdict in short, for KFP's Markdown: no bullets, short tables, short digests."""
    lines = [f"# {markdown_text(about.model_name)}: {_badge(verdict)}"]
    lines += [markdown_text(reason) for reason in verdict.reasons[:MAX_SUMMARY_REASONS]]
    if verdict.remedy:
        lines.append(f"What to change: {markdown_text(verdict.remedy)}")
    if verdict.version:
        lines.append(_version(about, verdict.version))
    if shown := metrics(facts)[:MAX_SUMMARY_METRICS]:
        rows = [(metric.name, metric.value, metric.text) for metric in shown]
        lines.append(markdown_table(("metric", "value", "interval"), rows).rstrip())
    if facts.comparison and (delta := facts.comparison.values.get("regression_delta")) is not None:
        bounds = facts.comparison.intervals.get("regression_delta")
        told = interval_text(delta, *((bounds.low, bounds.high) if bounds else (None, None)))
        lines.append(markdown_text(f"Worse than production by {told}; below 0 is better."))
    if found := facts.digests():
        digests = [(role, short(digest)[7:]) for role, digest in found.items()]
        lines.append(markdown_table(("artifact", "digest"), digests).rstrip())
    return "\n\n".join(lines) + "\n"


def _version(about: About, version: str) -> str:
    """The registered version, as a link where the address of MLflow is known."""
    told = markdown_text(f"Version {version} of {about.model_name} in MLflow")
    parts = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return told
    host = parts.netloc.rpartition("@")[2]
    place = "/".join(quote(part, safe="") for part in (about.model_name, "versions", version))
    return f"[{told}]({parts.scheme}://{quote(host, safe=':[]')}/#/models/{place})"


def lines(verdict: Verdict) -> list[str]:
    """The end of the log: the verdict, and one cause a line, none longer than KFP shows."""
    told = [f"verdict: {_badge(verdict)} (exit code {verdict.exit_code})"]
    if verdict.version:
        told.append(f"version: {verdict.version}")
    told += reason_lines(verdict.reasons)
    if verdict.remedy:
        told += reason_lines([f"to change: {verdict.remedy}"])
    return told


def document(about: About, facts: Facts, verdict: Verdict) -> dict[str, Any]:
    """The facts as JSON."""
    return {
        **asdict(about),
        **asdict(verdict),
        "reasons": list(verdict.reasons),
        "digests": facts.digests(),
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
            for stage in facts.stages
        ],
        "metrics": {
            metric.name: {
                "value": metric.value,
                "interval": asdict(metric.interval) if metric.interval else None,
            }
            for metric in metrics(facts)
        },
        "notes": facts.notes,
    }
