"""Decisions, their rows and the verdict that follows from them.

A decision passes only if at least one rule was judged, and every rule that was judged and every
document's own verdict is a pass. `verdict_of` returns a pass only for recognised rows; everything
else blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from assay.evidence.format import Interval

MAX_REASONS: Final = 10
"""Number of failed rules in the one-line reason; the decision has all."""


_NOTHING_JUDGED: Final = "no rule was judged, because none of the policy's rules applied"


class Verdict(StrEnum):
    """The three states of a decision."""

    PASS = "pass"  # noqa: S105 - not a password
    BLOCK = "block"
    INCONCLUSIVE = "inconclusive"


class Outcome(StrEnum):
    """The result of one row."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


class Kind(StrEnum):
    """The subject of a row."""

    RULE = "rule"
    DOCUMENT = "document"
    """An evidence document: its subject, and its own verdict."""


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one rule, or of one document."""

    text: str
    outcome: Outcome
    explanation: str
    """One line."""
    kind: Kind = Kind.RULE
    line: int = 0
    """Of the rule in the policy, from 1; 0 for a document."""
    evidence: str = ""
    """Name of the evidence of a rule; name of a document."""
    value: float | None = None
    """The observed value; None if there was no usable one."""
    interval: Interval | None = None
    """The interval used; None if the value itself was compared."""
    threshold: float | None = None
    reason: str = ""
    """The reason of the rule in the policy."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        interval = self.interval
        return {
            "rule": self.text,
            "outcome": self.outcome.value,
            "explanation": self.explanation,
            "kind": self.kind.value,
            "line": self.line,
            "evidence": self.evidence,
            "value": self.value,
            "interval": None
            if interval is None
            else {
                "low": interval.low,
                "high": interval.high,
                "confidence": interval.confidence,
            },
            "threshold": self.threshold,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Row":
        """As `to_dict` wrote it.

        Raises:
            KeyError, TypeError, ValueError: It did not.
        """
        return cls(
            text=raw["rule"],
            outcome=Outcome(raw["outcome"]),
            explanation=raw["explanation"],
            kind=Kind(raw["kind"]),
            line=raw["line"],
            evidence=raw["evidence"],
            value=raw["value"],
            interval=Interval(**raw["interval"]) if raw["interval"] is not None else None,
            threshold=raw["threshold"],
            reason=raw["reason"],
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """A judgement about one model."""

    model: str
    """Digest."""
    verdict: Verdict
    rows: tuple[Row, ...]
    """Documents first, then rules in the policy's order."""
    on_fail: str = "block"
    policy: str = ""
    """Digest of the policy's bytes."""
    policy_artifact: str = ""
    """Digest of the artifact that holds the policy; empty in a replay."""
    evidence: tuple[str, ...] = ()
    """Names of the documents, sorted: digests of artifacts, or of files in a replay."""
    production: str = ""
    """Digest of the production model; empty without one."""
    test_data: str = ""
    data: str = ""
    """Digest of the dataset that the model's rows were taken from; empty when not given."""

    @property
    def reason(self) -> str:
        """The reasons against a pass as one line; empty if it passed."""
        return "; ".join(self.reasons)

    @property
    def reasons(self) -> list[str]:
        """The reasons against a pass, one sentence each; empty if it passed."""
        return reasons_of(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for programs that follow a gate."""
        return {
            "model": self.model,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "on_fail": self.on_fail,
            "policy": self.policy,
            "policy_artifact": self.policy_artifact,
            "evidence": list(self.evidence),
            "production": self.production,
            "test_data": self.test_data,
            "data": self.data,
            "rules": [row.to_dict() for row in self.rows],
        }


def verdict_of(rows: Sequence[Row]) -> Verdict:
    """The verdict that follows from the rows; no rule judged is a block."""
    outcomes = {row.outcome for row in rows if row.outcome is not Outcome.SKIPPED}
    rule_judged = any(row.kind is Kind.RULE and row.outcome is not Outcome.SKIPPED for row in rows)
    if rule_judged and outcomes == {Outcome.PASS}:
        return Verdict.PASS
    if rule_judged and outcomes <= {Outcome.PASS, Outcome.INCONCLUSIVE}:
        return Verdict.INCONCLUSIVE
    return Verdict.BLOCK


def reasons_of(rows: Sequence[Row]) -> list[str]:
    """The reasons against a pass, rules first; empty if it passed."""
    verdict = verdict_of(rows)
    if verdict is Verdict.PASS:
        return []
    bad = _bad(rows, verdict)
    if not bad:
        return [_NOTHING_JUDGED]
    rules = [row.explanation for row in bad if row.kind is Kind.RULE]
    # A document's own verdict often has the same reason as a rule.
    documents = [
        f"{row.explanation}, {row.text}"
        for row in bad
        if row.kind is Kind.DOCUMENT and not any(rule in row.explanation for rule in rules)
    ]
    reasons = [" ".join(text.split()) for text in dict.fromkeys([*rules, *documents])]
    more = [f"and {len(reasons) - MAX_REASONS} more"] if len(reasons) > MAX_REASONS else []
    return [*reasons[:MAX_REASONS], *more]


def earlier_reason_of(rows: Sequence[Row]) -> str:
    """The reason in the form that earlier versions wrote into decisions."""
    verdict = verdict_of(rows)
    if verdict is Verdict.PASS:
        return ""
    bad = [f"{row.text}: {row.explanation}" for row in _bad(rows, verdict)]
    if not bad:
        return _NOTHING_JUDGED
    more = [f"and {len(bad) - MAX_REASONS} more"] if len(bad) > MAX_REASONS else []
    return " ".join("; ".join([*bad[:MAX_REASONS], *more]).split())


def _bad(rows: Sequence[Row], verdict: Verdict) -> list[Row]:
    wanted = Outcome.FAIL if verdict is Verdict.BLOCK else Outcome.INCONCLUSIVE
    return [row for row in rows if row.outcome is wanted]
