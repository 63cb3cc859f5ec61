"""Judging evidence by a policy. Fails closed; every way not to pass is told in one line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from assay.evidence import EvidenceDocument, Interval
from assay.policy.language import Expression, Policy, Rule

_TOLERANCE: Final = 1e-9


class Verdict(StrEnum):
    """The three states of a decision."""

    PASS = "pass"  # noqa: S105 - not a password
    BLOCK = "block"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one rule."""

    text: str
    outcome: str
    """`pass`, `fail`, `inconclusive` or `skipped`."""
    explanation: str
    line: int = 0
    value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rule": self.text,
            "outcome": self.outcome,
            "explanation": self.explanation,
            "line": self.line,
            "value": self.value,
        }


class _Refusal(Exception):  # noqa: N818 - never leaves this module
    """Evidence that cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class _Found:
    value: float
    interval: Interval | None


def judge(
    policy: Policy, documents: Sequence[EvidenceDocument], model: str
) -> tuple[Verdict, list[Row]]:
    """Judge evidence about `model`.

    1. Each document must be about this model, or about data only. Whether that data is what the
       model was made from, no document can tell; `register` follows the records to find out.
    2. Each document's own verdict, if it has one, must be `pass`.
    3. Each rule that applies must be satisfied by exactly one finite value.

    Any failure blocks; else anything inconclusive makes the decision inconclusive. A decision in
    which no rule was judged blocks.
    """
    rows = [row for document in documents for row in _document_rows(document, model)]
    usable = [document for document in documents if not _foreign(document, model)]
    judged = [_judge_rule(rule, usable) for rule in policy.rules]
    rows += judged
    if not any(row.outcome != "skipped" for row in judged):
        rows.append(Row("at least one rule", "fail", "no rule of the policy applied"))
    if not documents:
        rows.append(Row("evidence", "fail", "no evidence was given"))
    outcomes = {row.outcome for row in rows}
    if "fail" in outcomes:
        return Verdict.BLOCK, rows
    return (Verdict.INCONCLUSIVE if "inconclusive" in outcomes else Verdict.PASS), rows


def _foreign(document: EvidenceDocument, model: str) -> str | None:
    """Why a document is not about what is judged, or None."""
    about = document.subjects.get("model")
    if about is not None:
        return None if about == model else f"is about another model, {about}"
    if "data" not in document.subjects:
        return "does not say what it is about"
    return None


def _document_rows(document: EvidenceDocument, model: str) -> list[Row]:
    subject = document.subjects.get("model") or document.subjects.get("data") or "nothing"
    name = f"evidence about {subject[:19]}"
    if reason := _foreign(document, model):
        return [Row(name, "fail", reason)]
    if document.verdict is None or document.verdict == Verdict.PASS:
        return []
    outcome = "inconclusive" if document.verdict == Verdict.INCONCLUSIVE else "fail"
    return [Row(name, outcome, document.reason or f"its own verdict is {document.verdict}")]


def _judge_rule(rule: Rule, documents: Sequence[EvidenceDocument]) -> Row:
    text = str(rule.expression)
    if rule.confidence is not None:
        text += f" at confidence {rule.confidence:g}"
    try:
        if rule.when is not None and not _applies(rule.when, documents):
            return Row(text, "skipped", f"applies only when {rule.when}", rule.line)
        found = _find(rule.expression, documents)
        if rule.confidence is None:
            return _by_value(rule, text, found)
        return _by_interval(rule, text, found, rule.confidence)
    except _Refusal as refusal:
        return Row(text, "fail", str(refusal), rule.line)


def _applies(when: Expression, documents: Sequence[EvidenceDocument]) -> bool:
    return when.holds(_find(when, documents).value)


def _by_value(rule: Rule, text: str, found: _Found) -> Row:
    outcome = "pass" if rule.expression.holds(found.value) else "fail"
    return Row(text, outcome, f"{rule.expression.metric} is {found.value:.6g}", rule.line, found.value)


def _by_interval(rule: Rule, text: str, found: _Found, confidence: float) -> Row:
    interval = found.interval
    if interval is None:
        raise _Refusal(f"the evidence gives no confidence interval, the value is {found.value:.6g}")
    if abs(interval.confidence - confidence) > _TOLERANCE:
        raise _Refusal(
            f"the evidence's interval is at confidence {interval.confidence:g}, not {confidence:g}; "
            "evaluate at the policy's confidence"
        )
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        raise _Refusal("the evidence's interval has a bound that is not a number")
    if not interval.low <= found.value <= interval.high:
        raise _Refusal("the evidence's interval does not hold its own value")
    low, high = (rule.expression.holds(bound) for bound in (interval.low, interval.high))
    shown = f"{found.value:.6g}, interval {interval.low:.6g} to {interval.high:.6g}"
    # For == and != the ends do not tell what lies between; only a point can satisfy them.
    if rule.expression.comparison in {"==", "!="} and interval.low != interval.high:
        low, high = (False, True) if rule.expression.holds(found.value) else (False, False)
    if low and high:
        outcome = "pass"
    elif low or high:
        outcome = "inconclusive"
        shown += "; the interval holds the threshold: more test data would tell"
    else:
        outcome = "fail"
    return Row(text, outcome, shown, rule.line, found.value)


def _find(expression: Expression, documents: Sequence[EvidenceDocument]) -> _Found:
    """The one finite value under the expression's name.

    Raises:
        _Refusal: Missing, not a number, or two that differ.
    """
    name = expression.evidence_name
    holders = [document for document in documents if name in document.values]
    if not holders:
        raise _Refusal(_missing(name, documents))
    notes = [document.notes[name] for document in holders if name in document.notes]
    values = [document.values[name] for document in holders]
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    if len(numbers) != len(values):
        because = f": {notes[0]}" if notes else ""
        raise _Refusal(f"{name} is not a number{because}")
    if any(number != numbers[0] for number in numbers):
        raise _Refusal(f"two pieces of evidence disagree on {name}: {', '.join(map(str, numbers))}")
    intervals = [document.intervals[name] for document in holders if name in document.intervals]
    return _Found(numbers[0], intervals[0] if intervals else None)


def _missing(name: str, documents: Sequence[EvidenceDocument]) -> str:
    known = sorted({other for document in documents for other in document.values})
    for document in documents:
        if name in document.notes:
            return f"{name} is missing: {document.notes[name]}"
    if name.startswith("regression_delta") and any(
        document.values.get("production_exists") == 0 for document in documents
    ):
        return (
            f"{name} is missing, because no model is in production; to admit a first model, "
            "add to the rule: when: production_exists == 1"
        )
    close = get_close_matches(name, known, n=1)
    hint = f"the evidence has {close[0]}" if close else "no evidence of that name"
    return f"{name} is missing; {hint}"

