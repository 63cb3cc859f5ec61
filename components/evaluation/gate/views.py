"""The decision as a page and as Markdown, the same bytes every time."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from assay.governance.policy import Decision, Kind, Outcome, Row
from assay.reports.figures import interval_bar
from assay.reports.markdown import markdown_table, markdown_text
from assay.reports.page import (
    MAX_OPEN_ROWS,
    Section,
    details,
    joined,
    long_table,
    page,
    paragraph,
    table,
)
from assay.text import short

HEADERS: Final = ("rule", "outcome", "result", "line", "reason")
MAX_BARS: Final = 40
MAX_MARKDOWN_ROWS: Final = 50
HOLDS: Final = "Every rule that applies holds."
_NONE: Final = "\u2013"
_ORDER: Final = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS, Outcome.SKIPPED)


def report(decision: Decision) -> str:
    """A self-contained page."""
    rules = _worst_first(decision, Kind.RULE)
    model = short(decision.model)
    verdict = decision.verdict.value
    sections = []
    if measured := [row for row in rules if row.value is not None and row.threshold is not None]:
        sections.append(Section("What was measured", joined(map(_bar, measured[:MAX_BARS]))))
    sections += [
        Section("Rules", _rules(rules)),
        Section("Evidence", _evidence(decision)),
        Section("About", details("All digests", table(("what", "digest"), _about(decision)))),
    ]
    counts = [
        f"{sum(r.outcome is outcome for r in rules)} {word}"
        for outcome, word in zip(
            _ORDER, ("failed", "undecided", "passed", "did not apply"), strict=True
        )
    ]
    return page(
        "Decision",
        sections,
        verdict=verdict,
        subtitle=f"Model {model}. Rules: {', '.join(counts)}.",
        reasons=decision.reasons or [HOLDS],
        preview=f"Assay decision on {model}: {verdict}. {decision.reason or HOLDS}",
    )


def summary(decision: Decision) -> str:
    """The decision in short, as Markdown."""
    lead = "".join(f"{markdown_text(text)}\n\n" for text in decision.reasons or [HOLDS])
    rows = [
        (row.text, row.outcome.value, row.explanation)
        for kind in (Kind.RULE, Kind.DOCUMENT)
        for row in _worst_first(decision, kind)
    ]
    more = len(rows) - MAX_MARKDOWN_ROWS
    rest = f"\n{more} more are in the report.\n" if more > 0 else ""
    return (
        f"# Decision: {decision.verdict.value}\n\n{lead}"
        + markdown_table(("rule", "outcome", "result"), rows[:MAX_MARKDOWN_ROWS])
        + rest
        + "\n"
        + markdown_table(
            ("what", "digest"), [(what, short(name)) for what, name in _about(decision)]
        )
    )


def _worst_first(decision: Decision, kind: Kind) -> list[Row]:
    """Failed rules first, otherwise in the policy's order."""
    return sorted(
        (row for row in decision.rows if row.kind is kind),
        key=lambda row: _ORDER.index(row.outcome),
    )


def _bar(row: Row) -> Markup:
    interval = row.interval
    # A rule's text is its evidence's name, the comparison and the threshold.
    comparison = row.text[len(row.evidence) :].split()[0]
    return interval_bar(
        row.evidence,
        row.value,
        interval.low if interval else None,
        interval.high if interval else None,
        threshold=row.threshold,
        allowed=comparison,
        outcome=row.outcome.value,
    )


def _rules(rules: Sequence[Row]) -> Markup:
    # An empty column would push the others out of a narrow window.
    shown = len(HEADERS) - (not any(row.reason for row in rules))
    cells = [
        (row.text, row.outcome.value, row.explanation, row.line, row.reason)[:shown]
        for row in rules
    ]
    bad = [
        cell
        for cell, row in zip(cells, rules, strict=True)
        if row.outcome in {Outcome.FAIL, Outcome.INCONCLUSIVE}
    ]
    everything = long_table(HEADERS[:shown], cells, "rules", align="lllr", stacked=True)
    if bad and len(cells) > MAX_OPEN_ROWS:
        return table(HEADERS[:shown], bad, align="lllr", stacked=True) + everything
    return everything


def _evidence(decision: Decision) -> Markup:
    rows = [row for row in decision.rows if row.kind is Kind.DOCUMENT]
    if not decision.evidence:
        return paragraph("No evidence was given.")
    shown = {row.evidence for row in rows}
    cells = [(short(row.evidence), row.outcome.value, row.explanation) for row in rows]
    cells += [
        (short(name), _NONE, "gives no verdict") for name in decision.evidence if name not in shown
    ]
    return long_table(("evidence", "outcome", "why"), cells, "documents", stacked=True)


def _about(decision: Decision) -> list[tuple[str, str]]:
    return [
        ("model", decision.model),
        ("production model", decision.production or "none"),
        ("data", decision.data or "unknown"),
        ("test data", decision.test_data or "unknown"),
        ("policy", decision.policy_artifact or _NONE),
        ("policy.yaml", decision.policy),
        ("on failure", decision.on_fail),
        *(("evidence", name) for name in decision.evidence),
    ]
