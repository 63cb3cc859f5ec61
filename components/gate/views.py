"""What people look at: the decision as a page and as Markdown, the same bytes every time."""

from typing import Final

from assay.policy import Decision, Kind, Outcome, Row
from assay.report import Section, cards, markdown_table, markdown_text, page, paragraph, table

HEADERS: Final = ("rule", "outcome", "seen", "threshold", "line", "why", "reason for the rule")
_NONE: Final = "\u2013"


def report(decision: Decision) -> str:
    """A self-contained page."""
    rules = [row for row in decision.rows if row.kind is Kind.RULE]
    counts = [(outcome.value, sum(r.outcome is outcome for r in rules)) for outcome in Outcome]
    # An empty column would push the others out of a narrow window.
    shown = len(HEADERS) - (not any(row.reason for row in rules))
    cells = [_cells(row)[:shown] for row in rules]
    sections = [
        Section("Rules", cards(counts) + table(HEADERS[:shown], cells, align="llrrr")),
        Section("Evidence", _evidence(decision)),
        Section("About", table(("what", "digest"), _about(decision))),
    ]
    lead = decision.reason or "Every rule that applies holds."
    return page("Decision", sections, verdict=decision.verdict.value, subtitle=lead)


def summary(decision: Decision) -> str:
    """The same in short."""
    lead = f"{markdown_text(decision.reason)}\n\n" if decision.reason else ""
    rows = [(row.text, row.outcome.value, row.explanation) for row in decision.rows]
    return (
        f"# Decision: {decision.verdict.value}\n\n{lead}"
        + markdown_table(("rule", "outcome", "why"), rows)
        + "\n"
        + markdown_table(("what", "digest"), _about(decision))
    )


def _cells(row: Row) -> tuple[object, ...]:
    return (
        row.text,
        row.outcome.value,
        _seen(row),
        _exact(row.threshold),
        row.line,
        row.explanation,
        row.reason or _NONE,
    )


def _seen(row: Row) -> str:
    # With all digits: a rounded number could look as if it met a threshold that it missed.
    if row.interval is None:
        return _exact(row.value)
    return f"{_exact(row.value)} [{_exact(row.interval.low)}, {_exact(row.interval.high)}]"


def _exact(number: float | None) -> str:
    return _NONE if number is None else repr(float(number)).removesuffix(".0")


def _evidence(decision: Decision) -> str:
    rows = [row for row in decision.rows if row.kind is Kind.DOCUMENT]
    if not decision.evidence:
        return paragraph("No evidence was given.")
    told = {row.evidence for row in rows}
    cells = [(row.evidence, row.outcome.value, row.explanation) for row in rows]
    cells += [(name, _NONE, "gives no verdict") for name in decision.evidence if name not in told]
    return table(("evidence", "outcome", "why"), cells)


def _about(decision: Decision) -> list[tuple[str, str]]:
    return [
        ("model", decision.model),
        ("production model", decision.production or "none"),
        ("data", decision.data or "not told"),
        ("test data", decision.test_data or "not told"),
        ("policy", decision.policy_artifact or _NONE),
        ("policy.yaml", decision.policy),
        ("on failure", decision.on_fail),
        *(("evidence", name) for name in decision.evidence),
    ]
