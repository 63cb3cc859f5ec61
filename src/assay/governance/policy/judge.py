"""Judging evidence by a policy. Fails closed; each reason against a pass is one line.

Decisions in stores contain the explanations, and are compared with a new judgement: changing the
text of an explanation would invalidate them.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from assay.core.digest import require_digest
from assay.documents import closest
from assay.evidence.format import EvidenceDocument, Interval
from assay.evidence.labels import canonical_name, label, metric_of
from assay.evidence.selectors import Expression
from assay.governance.policy.attempts import ATTEMPTS, widened
from assay.governance.policy.language import REGRESSION, Policy, Rule
from assay.governance.policy.names import is_about_model
from assay.governance.policy.terms import LEVEL_TOLERANCE, objection
from assay.governance.policy.verdict import Decision, Kind, Outcome, Row, verdict_of
from assay.text import finding_text, limit, number, regression_text

SHORT_DIGEST: Final = len("sha256:") + 12
_MORE_DATA: Final = "too little test data to decide"
_UPPER: Final = f"{REGRESSION}_upper"
_BOUNDS: Final = (_UPPER, f"{REGRESSION}_lower")
"""Bounds of `regression_delta`'s interval as evidence of their own."""


def judge(
    policy: Policy,
    documents: Mapping[str, EvidenceDocument],
    model: str,
    *,
    data: str = "",
    test_data: str = "",
    production: str | None = None,
) -> Decision:
    """Judge evidence about `model`.

    1. Each document must be about this model, and its test rows and production model if named; or
       about data alone: then about `data`, `test_data`, or data that a document about this model
       names. Evidence about data cannot serve a rule on what only a model has, such as accuracy.
    2. Each document's own verdict, if it has one, must be `pass`, and be made on the policy's terms
       (see `terms`).
    3. Each rule that applies must be satisfied by exactly one finite value.

    Anything that fails blocks; else anything inconclusive makes the decision inconclusive. Without
    a document, or when no rule applied, it blocks.

    Args:
        policy: The rules.
        documents: Evidence documents, by a name for messages and the decision, such as a digest.
        model: Digest of the model.
        data: Digest of the dataset that the model's rows were taken from; "" when not given.
        test_data: Digest of the rows the model was tested on; "" when not given.
        production: Digest of the production model, "" for none; None when not given.

    Returns:
        The judgement.

    Raises:
        UsageError: `model`, or another of the digests, is not a digest.
    """
    require_digest(model, "model")
    for name, digest in {
        "data": data,
        "test_data": test_data,
        "production": production or "",
    }.items():
        if digest:
            require_digest(digest, name)
    scope = _Scope.of(documents, model, data, test_data, production)
    names = sorted(documents)
    rows = [row for name in names for row in _document_rows(name, documents[name], scope, policy)]
    seen = _index(documents, scope)
    rows += [_judge_rule(rule, policy, seen) for rule in policy.rules]
    return Decision(
        model=model,
        verdict=verdict_of(rows),
        rows=tuple(rows),
        on_fail=policy.on_fail,
        evidence=tuple(names),
        production=production or "",
        test_data=test_data,
        data=data,
    )


@dataclass(frozen=True, slots=True)
class _Scope:
    """The subjects of the evidence."""

    model: str
    data: Collection[str]
    """Data that belongs to the model."""
    test_data: str
    production: str | None

    @classmethod
    def of(
        cls,
        documents: Mapping[str, EvidenceDocument],
        model: str,
        data: str,
        test_data: str,
        production: str | None,
    ) -> "_Scope":
        own = cls(model, (), test_data, production)
        named = {
            document.subjects["data"]
            for document in documents.values()
            if "model" in document.subjects
            and "data" in document.subjects
            and not own.objection(document)
        }
        return cls(model, frozenset({data, test_data, *named} - {""}), test_data, production)

    def objection(self, document: EvidenceDocument) -> str:
        """Why a document is not about the judged model; "" if it is."""
        if "model" in document.subjects:
            return self._objection_to_model(document.subjects) or self._objection_to_rival(document)
        data = document.subjects.get("data", "")
        if not data:
            return "does not say what it is about"
        if data not in self.data:
            return (
                f"is about data {_short(data)}, which nothing ties to the model; if the model was "
                "made from it, give its digest as 'data'"
            )
        return ""

    def _objection_to_model(self, subjects: Mapping[str, str]) -> str:
        if subjects["model"] != self.model:
            return f"is about another model, {_short(subjects['model'])}"
        data = subjects.get("data", "")
        if self.test_data and data and data != self.test_data:
            return f"is about other rows, {_short(data)}, than the test data"
        return ""

    def _objection_to_rival(self, document: EvidenceDocument) -> str:
        if self.production is None:
            return ""
        rival = document.subjects.get("production", "")
        if rival and rival != self.production:
            return f"compares with {_short(rival)}, which is not the production model that is named"
        exists = document.values.get("production_exists")
        if exists is not None and exists != (1 if self.production else 0):
            named = "a production model is named" if self.production else "none is named"
            return f"says production_exists {exists:g}, but {named}"
        return ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One value of a name in the evidence."""

    value: float | None
    interval: Interval | None
    note: str
    objection: str
    about_model: bool
    verdict: str | None = None
    """The document's own."""


_Index = dict[str, list[_Seen]]


class _Refusal(Exception):  # noqa: N818 - never leaves this module
    """Evidence that cannot be used, and why."""


class _Unclear(Exception):  # noqa: N818 - never leaves this module
    """Evidence that is itself inconclusive, and why."""


def _index(documents: Mapping[str, EvidenceDocument], scope: _Scope) -> _Index:
    """The values of all documents, by name in the spelling of rules."""
    seen: _Index = {}
    for _, document in sorted(documents.items()):
        other = scope.objection(document)
        for name, value in document.values.items():
            finite = value if value is not None and math.isfinite(value) else None
            seen.setdefault(canonical_name(name), []).append(
                _Seen(
                    finite,
                    document.intervals.get(name),
                    document.notes.get(name, ""),
                    other,
                    "model" in document.subjects,
                    document.verdict,
                )
            )
    for _, document in sorted(documents.items()):
        for name, note in document.notes.items():
            # A note without a value is the reason why the value is missing.
            if name not in document.values and canonical_name(name) not in seen:
                seen[canonical_name(name)] = [_Seen(None, None, note, "", True)]
    return seen


def _document_rows(
    name: str, document: EvidenceDocument, scope: _Scope, policy: Policy
) -> Iterable[Row]:
    """Rows for what a document is about and for its own verdict, if it has one."""
    text = f"evidence {_short(name)}"
    if problem := scope.objection(document):
        yield Row(text, Outcome.FAIL, problem, Kind.DOCUMENT, evidence=name)
        return
    if problem := objection(document, policy):
        yield Row(text, Outcome.FAIL, problem, Kind.DOCUMENT, evidence=name)
        return
    if (attempts := document.values.get(ATTEMPTS)) is not None:
        explanation = (
            "this is the first model tried on this test data"
            if attempts == 1
            else f"{attempts:.0f} models were tried on this test data, this one among them"
        )
        yield Row(text, Outcome.PASS, explanation, Kind.DOCUMENT, evidence=name, value=attempts)
    if document.verdict is None:
        return
    outcome = {"pass": Outcome.PASS, "inconclusive": Outcome.INCONCLUSIVE}.get(
        document.verdict, Outcome.FAIL
    )
    explanation = f"its own verdict is {document.verdict}"
    if outcome is not Outcome.PASS and document.reason:
        explanation = f"{document.reason} ({explanation})"
    yield Row(text, outcome, explanation, Kind.DOCUMENT, evidence=name)


@dataclass(frozen=True, slots=True)
class _Finding:
    outcome: Outcome
    explanation: str
    value: float | None = None
    interval: Interval | None = None


def _judge_rule(rule: Rule, policy: Policy, seen: _Index) -> Row:
    try:
        finding = _finding(rule, policy, seen)
    except _Refusal as refusal:
        finding = _Finding(Outcome.FAIL, str(refusal))
    except _Unclear as unclear:
        finding = _Finding(Outcome.INCONCLUSIVE, str(unclear))
    return Row(
        text=str(rule),
        outcome=finding.outcome,
        explanation=finding.explanation,
        line=rule.line,
        evidence=rule.expression.evidence_name,
        value=finding.value,
        interval=finding.interval,
        threshold=rule.expression.threshold,
        reason=rule.reason,
    )


def _finding(rule: Rule, policy: Policy, seen: _Index) -> _Finding:
    corrected = policy.correct_for_attempts
    if rule.when is not None:
        condition, _ = _find(rule.when, seen)
        if not rule.when.holds(condition):
            explanation = f"does not apply: {rule.when.evidence_name} is {number(condition)}"
            return _Finding(Outcome.SKIPPED, explanation)
    value, intervals = _find(rule.expression, seen)
    if policy.primary_metric and rule.expression.metric in {REGRESSION, *_BOUNDS}:
        _require_primary(policy.primary_metric, seen)
    bound = rule.expression.metric in _BOUNDS
    if bound and (rule.confidence is not None or corrected):
        # A bound has no level; its interval has one.
        delta, intervals = _sibling(rule.expression, seen)
        whole = _require_level(intervals, rule.confidence, REGRESSION)
        upper = rule.expression.metric == _UPPER
        if value != (whole.high if upper else whole.low):
            raise _Refusal(f"{rule.expression.metric} is not the bound of its own interval")
        if corrected:
            whole = widened(whole, delta, _attempts(seen))
            value = whole.high if upper else whole.low
        return _by_bound(rule.expression, value, whole, seen)
    if rule.confidence is not None:
        interval = _require_level(intervals, rule.confidence, rule.expression.metric)
        if corrected:
            interval = widened(interval, value, _attempts(seen))
        return _by_interval(rule.expression, value, interval, seen)
    if bound:
        return _by_bound(rule.expression, value, _whole_of(rule.expression, seen), seen)
    outcome = Outcome.PASS if rule.expression.holds(value) else Outcome.FAIL
    return _Finding(outcome, _sentence(rule.expression, value, None, seen), value)


def _by_bound(
    expression: Expression, value: float, whole: Interval | None, seen: _Index
) -> _Finding:
    """Judge a bound, of the interval `whole`; None when that is unknown."""
    explanation = _sentence(expression, value, None, seen)
    if expression.holds(value):
        return _Finding(Outcome.PASS, explanation, value)
    if whole is None or _whole(expression, whole)[1]:
        return _Finding(Outcome.FAIL, explanation, value)
    # Another number of the interval satisfies the rule: the data does not show a violation.
    low, high = (number(end, beside=expression.threshold) for end in (whole.low, whole.high))
    explanation += f", and the interval is {low} to {high}: {_MORE_DATA}"
    return _Finding(Outcome.INCONCLUSIVE, explanation, value, whole)


def _whole_of(expression: Expression, seen: _Index) -> Interval | None:
    """The interval that a bound belongs to; None where the evidence gives none, or several."""
    try:
        _, intervals = _sibling(expression, seen)
    except (_Refusal, _Unclear):
        return None
    interval = intervals[0] if intervals else None
    return None if any(other != interval for other in intervals) else interval


def _by_interval(
    expression: Expression, value: float, interval: Interval, seen: _Index
) -> _Finding:
    explanation = _sentence(expression, value, interval, seen)
    satisfied, violated = _whole(expression, interval)
    if satisfied and expression.holds(value):
        outcome = Outcome.PASS
    elif satisfied:
        outcome = Outcome.FAIL
        explanation += "; the interval contradicts the value"
    elif violated:
        outcome = Outcome.FAIL
    else:
        outcome = Outcome.INCONCLUSIVE
        explanation += f", which lies within the interval: {_MORE_DATA}"
    return _Finding(outcome, explanation, value, interval)


def _sentence(expression: Expression, value: float, interval: Interval | None, seen: _Index) -> str:
    """The value and the limit, as a sentence that begins with the value."""
    metric, comparison, threshold = expression.metric, expression.comparison, expression.threshold
    bounds = None if interval is None else (interval.low, interval.high, interval.confidence)
    name = expression.evidence_name
    if not metric.startswith(REGRESSION) or comparison not in {"<", "<="}:
        return finding_text(name, value, bounds, comparison, threshold)
    if metric in _BOUNDS:
        compared = f"{_compared(seen)}{label('', **expression.labels)}"
        end = "may be worse by up to" if metric == _UPPER else "is worse by at least"
        return (
            f"{compared} {end} {number(value, beside=threshold)}; "
            f"allowed {limit(comparison, threshold)}"
        )
    compared = metric.removeprefix(f"{REGRESSION}_") if metric != REGRESSION else _compared(seen)
    name = f"{compared}{label('', **expression.labels)}"
    return regression_text(name, value, bounds, comparison, threshold)


def _compared(seen: _Index) -> str:
    """The metric that a comparison is by, as its evidence names it."""
    whole = [item.value for item in seen.get(REGRESSION, [])]
    prefix = f"{REGRESSION}_"
    named = [
        name.removeprefix(prefix)
        for name, items in seen.items()
        if name.startswith(prefix)
        and name not in _BOUNDS
        and [item.value for item in items] == whole
    ]
    # Two metrics with equal differences cannot be distinguished.
    return named[0] if len(named) == 1 else "the primary metric"


def _whole(expression: Expression, interval: Interval) -> tuple[bool, bool]:
    """Whether every number of the interval satisfies the expression, and whether none does."""
    low, high = expression.holds(interval.low), expression.holds(interval.high)
    if expression.comparison not in {"==", "!="}:
        # For an ordering, a condition that holds at both ends holds between.
        return low and high, not low and not high
    point = interval.low == interval.high == expression.threshold
    outside = not interval.low <= expression.threshold <= interval.high
    return (point, outside) if expression.comparison == "==" else (outside, point)


def _require_primary(metric: str, seen: _Index) -> None:
    """Refuse a comparison by another metric than the policy's.

    Raises:
        _Refusal: It was made by another metric, or does not name it.
    """
    named, _ = _find(Expression(f"{REGRESSION}_{metric}", {}, "==", 0), seen)
    whole, _ = _find(Expression(REGRESSION, {}, "==", 0), seen)
    if named != whole:
        raise _Refusal(
            f"{REGRESSION} is not that of {metric}, the policy's primary_metric; compare by it"
        )


def _attempts(seen: _Index) -> float:
    """The number of tried models; an error without it, because intervals cannot be corrected."""
    attempts, _ = _find(Expression(ATTEMPTS, {}, ">=", 1), seen)
    if attempts < 1:
        raise _Refusal(f"{ATTEMPTS} is {attempts:g}, and the model itself is one")
    return attempts


def _require_level(
    intervals: Sequence[Interval | None], confidence: float | None, metric: str
) -> Interval:
    """The one well-formed interval at this level, or at any when none is asked for.

    Raises:
        _Refusal: None, several, malformed, or at another level.
    """
    interval = intervals[0] if intervals else None
    if interval is None or any(other is None for other in intervals):
        raise _Refusal(f"the evidence gives no confidence interval of {metric}")
    if any(other != interval for other in intervals):
        raise _Refusal(f"two documents give different intervals of {metric}")
    # In this form, NaN as the level is refused.
    if confidence is not None and not abs(interval.confidence - confidence) <= LEVEL_TOLERANCE:
        raise _Refusal(
            f"the evidence's interval of {metric} is at confidence {interval.confidence:g}, not "
            f"{confidence:g}; evaluate at the policy's level"
        )
    if not (
        math.isfinite(interval.low)
        and math.isfinite(interval.high)
        and interval.low <= interval.high
    ):
        raise _Refusal(f"the evidence's interval of {metric} has no finite, ordered bounds")
    return interval


def _sibling(expression: Expression, seen: _Index) -> tuple[float, list[Interval | None]]:
    """The `regression_delta` that a bound belongs to, and its intervals."""
    return _find(Expression(REGRESSION, expression.labels, "==", 0), seen)


def _find(expression: Expression, seen: _Index) -> tuple[float, list[Interval | None]]:
    """The one finite value under the expression's name, and its intervals.

    Raises:
        _Refusal: Missing, not a number, two that differ, or from evidence about something else.
    """
    name = expression.evidence_name
    seen_values = seen.get(name, [])
    if not seen_values:
        raise _Refusal(_missing(name, seen))
    for item in seen_values:
        if item.objection:
            raise _Refusal(f"{name} comes from evidence that {item.objection}")
        if not item.about_model and is_about_model(expression.metric):
            raise _Refusal(f"{name} comes from evidence about data, not about the model")
    values = [item.value for item in seen_values]
    if len(set(values)) > 1:
        result = ", ".join("not a number" if value is None else repr(value) for value in values)
        raise _Refusal(f"the evidence contradicts itself on {name}: {result}")
    if values[0] is None:
        note = next((f": {item.note}" for item in seen_values if item.note), "")
        _require_clear(expression, seen_values, note)
        raise _Refusal(f"{name} has no value{_first_model(name, seen) or note}")
    return values[0], [item.interval for item in seen_values]


def _require_clear(expression: Expression, seen_values: Sequence[_Seen], note: str) -> None:
    """Stop where the value is missing because the data is inconclusive.

    That is: the evidence gives an interval instead, some numbers of which satisfy the expression,
    or its own verdict is inconclusive. Never a pass, which requires a value.

    Raises:
        _Unclear: The data is inconclusive.
    """
    name = expression.evidence_name
    for item in seen_values:
        own = item.interval
        if own is not None and not _whole(expression, own)[1]:
            low, high = (number(end, beside=expression.threshold) for end in (own.low, own.high))
            raise _Unclear(f"{name} may be anything from {low} to {high}{note}")
    if all(item.verdict == "inconclusive" for item in seen_values):
        raise _Unclear(f"{name} cannot be told{note}")


def _missing(name: str, seen: _Index) -> str:
    if hint := _first_model(name, seen):
        return f"{name} is missing{hint}"
    close = closest(name, _same_metric(name, seen), 0) or closest(name, seen)
    return f"{name} is missing; " + (
        f"did you mean {close}?" if close else "no evidence of a similar name was given"
    )


def _same_metric(name: str, seen: _Index) -> list[str]:
    return [other for other in seen if metric_of(other) == metric_of(name)]


def _first_model(name: str, seen: _Index) -> str:
    exists = [value.value for value in seen.get("production_exists", [])]
    if name.startswith(REGRESSION) and set(exists) == {0}:
        return (
            ", because no model is in production; to admit a first model, add to the rule "
            "'when: production_exists == 1'"
        )
    return ""


def _short(name: str) -> str:
    return f"{name[:SHORT_DIGEST]}…" if name.startswith("sha256:") else name
