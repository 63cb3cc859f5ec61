"""The policy file: YAML around expressions. docs/policy.md describes the language.

A policy is written by a person and decides about releases, so nothing in it is guessed: unknown and
repeated keys, misspelt metrics, anchors, aliases and tags are errors. Every error has its line
and column in the file, and all are reported at once.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

from assay.core.digest import is_digest
from assay.documents import NodeReader, closest, position
from assay.errors import PolicyError
from assay.evidence.labels import NAME, Malformed
from assay.evidence.selectors import NUMBER, Expression, parse
from assay.governance.policy.names import suggest

MAX_POLICY_BYTES: Final = 1 << 20
MAX_RULES: Final = 1000
ON_FAIL: Final = ("block", "block_and_notify")
REGRESSION: Final = "regression_delta"
SEEN_ROWS_SHARE: Final = 0.01
"""Seen rows raise the accuracy of a model by at most their share."""

_KEYS: Final = (
    "gates",
    "on_fail",
    "confidence",
    "primary_metric",
    "custom_metrics",
    "allowed_modules",
    "steps",
    "correct_for_attempts",
    "checks",
    "seen_rows_share",
    "positive_label",
)
_STEP_KEYS: Final = ("step", "code")
_ENTRY_POINT: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_LIBRARY: Final = "assay."
_RULE_KEYS: Final = ("metric", "when", "confidence", "reason")


@dataclass(frozen=True, slots=True)
class Rule:
    """One gate of a policy."""

    expression: Expression
    line: int
    """Of the expression in the file, from 1."""
    column: int = 1
    confidence: float | None = None
    """Judge by an interval at this level instead of the value; the policy's own level included."""
    when: Expression | None = None
    """The rule applies only when this holds."""
    reason: str = ""
    """The purpose of the rule, for readers of the report."""

    def __str__(self) -> str:
        confidence = f" at confidence {self.confidence:g}" if self.confidence is not None else ""
        condition = f" when {self.when}" if self.when is not None else ""
        return f"{self.expression}{confidence}{condition}"


@dataclass(frozen=True, slots=True)
class StepRule:
    """A step whose evidence counts although it is not the library's, or not of this version."""

    entry_point: str
    """`module:name`, as in its attestations."""
    code: str = ""
    """Digest of all its code; empty for any."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy; it has at least one rule."""

    rules: tuple[Rule, ...]
    on_fail: str = "block"
    confidence: float | None = None
    """Level at which rules on `regression_delta` are judged by the interval."""
    primary_metric: str = ""
    allowed_modules: tuple[str, ...] = ()
    """Import prefixes of estimators that train admits besides scikit-learn."""
    custom_metrics: tuple[str, ...] = ()
    steps: tuple[StepRule, ...] = ()
    """Steps whose evidence counts besides the library's."""
    correct_for_attempts: bool = False
    """Widen intervals by the number of models that were tried on the same test rows."""
    checks: str = ""
    """Digest of the behavioural checks that must have been run; empty for any."""
    seen_rows_share: float = SEEN_ROWS_SHARE
    """Largest share of evaluated rows that the model may have seen."""
    positive_label: str = ""
    """The class for metrics such as recall; empty for the last in sort order."""


def parse_policy(data: bytes, name: str = "policy") -> Policy:
    """Parse a policy.

    Args:
        data: YAML, UTF-8, at most `MAX_POLICY_BYTES`.
        name: Name of the file in errors.

    Raises:
        PolicyError: All problems, each with line and column.
    """
    reader = _Reader(name, data, MAX_POLICY_BYTES, PolicyError)
    node = reader.compose("write 'gates:' and a list of rules")
    policy = reader.policy(node)
    reader.finish()
    return policy


class _Reader(NodeReader):
    """Reads the nodes of a policy."""

    _custom: tuple[str, ...] = ()

    def policy(self, node: Any) -> Policy:
        """The policy; not valid if there was a problem, so call `finish` after it."""
        fields = self._fields(node, _KEYS, "policy")
        self._custom = self._names(fields.get("custom_metrics"), "a metric", dotted=False)
        confidence = self._confidence(fields.get("confidence"))
        on_fail = self._text(fields.get("on_fail"), "block")
        if on_fail not in ON_FAIL:
            close = closest(on_fail, ON_FAIL)
            hint = f"did you mean {close!r}?" if close else f"use one of {', '.join(ON_FAIL)}"
            self._add(fields["on_fail"], f"unknown action {on_fail!r}; {hint}")
        return Policy(
            rules=self._rules(node, fields.get("gates"), confidence),
            on_fail=on_fail,
            confidence=confidence,
            primary_metric=self._primary_metric(fields.get("primary_metric")),
            allowed_modules=self._names(fields.get("allowed_modules"), "a module", dotted=True),
            custom_metrics=self._custom,
            steps=self._steps(fields.get("steps")),
            correct_for_attempts=self._truth(fields.get("correct_for_attempts")),
            checks=self._digest(fields.get("checks")),
            seen_rows_share=self._share(fields.get("seen_rows_share")),
            positive_label=self._text(fields.get("positive_label")),
        )

    def _digest(self, node: Any) -> str:
        text = self._text(node)
        if text and not is_digest(text):
            self._add(node, f"{text!r} is not a digest; `assay passport` of an evaluation shows it")
        return text

    def _share(self, node: Any) -> float:
        if node is None:
            return SEEN_ROWS_SHARE
        text = self._text(node)
        if not NUMBER.fullmatch(text) or not 0 <= float(text) <= 1:
            self._add(node, f"seen_rows_share {text!r}: give a share from 0 to 1, such as 0.01")
            return SEEN_ROWS_SHARE
        return float(text)

    def _steps(self, node: Any) -> tuple[StepRule, ...]:
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self._add(node, "expected a list, such as [{step: package.module:evaluate}]")
            return ()
        result = [self._step(item) for item in node.value]
        return tuple(rule for rule in result if rule is not None)

    def _step(self, node: Any) -> StepRule | None:
        if not isinstance(node, yaml.MappingNode):
            self._add(node, "write a step as '- step: package.module:evaluate'")
            return None
        fields = self._fields(node, _STEP_KEYS, "step")
        entry_point, digest = self._text(fields.get("step")), self._text(fields.get("code"))
        if not _ENTRY_POINT.fullmatch(entry_point):
            self._add(
                fields.get("step", node),
                f"{entry_point!r} is not an entry point, such as package.module:evaluate",
            )
        if digest and not is_digest(digest):
            self._add(fields["code"], f"{digest!r} is not a digest; `assay passport` shows it")
        if entry_point.startswith(_LIBRARY) and not digest:
            self._add(node, "give the code of a step of the library, because it counts without")
        return StepRule(entry_point, digest)

    def _truth(self, node: Any) -> bool:
        text = self._text(node, "false")
        if text not in {"true", "false"}:
            self._add(node, f"expected true or false, not {text!r}")
        return text == "true"

    def _rules(self, root: Any, gates: Any, confidence: float | None) -> tuple[Rule, ...]:
        if gates is None:
            self._add(root, "no 'gates'; a policy needs at least one rule")
        elif not isinstance(gates, yaml.SequenceNode) or not gates.value:
            self._add(gates, "'gates' must be a list of at least one rule")
        elif len(gates.value) > MAX_RULES:
            self._add(gates, f"{len(gates.value)} rules, the limit is {MAX_RULES}")
        else:
            rules = [self._rule(item, confidence) for item in gates.value]
            return tuple(rule for rule in rules if rule is not None)
        return ()

    def _rule(self, node: Any, confidence: float | None) -> Rule | None:
        if not isinstance(node, yaml.MappingNode):
            self._add(node, "write a rule as '- metric: accuracy > 0.94'")
            return None
        fields = self._fields(node, _RULE_KEYS, "rule")
        when = self._expression(fields["when"]) if "when" in fields else None
        own = self._confidence(fields.get("confidence"))
        reason = self._text(fields.get("reason"))
        if "metric" not in fields:
            self._add(node, "a rule needs 'metric', such as 'metric: accuracy > 0.94'")
            return None
        expression = self._expression(fields["metric"])
        if expression is None:
            return None
        if own is None and expression.metric.startswith(REGRESSION):
            own = confidence
        line, column = position(self._source, fields["metric"], 0)
        return Rule(expression, line, column, own, when, reason)

    def _expression(self, node: Any) -> Expression | None:
        if not isinstance(node, yaml.ScalarNode):
            self._add(node, "expected an expression, such as accuracy > 0.94")
            return None
        text = self._text(node)
        try:
            expression = parse(text)
        except Malformed as problem:
            self._add(node, str(problem), problem.offset)
            return None
        self._check_spelling(node, expression.metric, len(text) - len(text.lstrip()))
        return expression

    def _check_spelling(self, node: Any, metric: str, offset: int = 0) -> None:
        if metric not in self._custom and (close := suggest(metric)):
            self._add(
                node,
                f"unknown metric {metric!r}; did you mean {close!r}? "
                "(list a metric of your own under custom_metrics)",
                offset,
            )

    def _primary_metric(self, node: Any) -> str:
        if node is None:
            return ""
        metric = self._text(node)
        if NAME.fullmatch(metric):
            self._check_spelling(node, metric)
        elif isinstance(node, yaml.ScalarNode):
            self._add(node, f"{metric!r} is not the name of a metric, such as accuracy")
        return metric

    def _names(self, node: Any, what: str, *, dotted: bool) -> tuple[str, ...]:
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self._add(node, f"expected a list, such as [{'package.module' if dotted else 'lift'}]")
            return ()
        result = []
        for item in node.value:
            text = self._text(item)
            parts = text.split(".") if dotted else [text]
            if not all(NAME.fullmatch(part) and (":" not in part or not dotted) for part in parts):
                self._add(item, f"{text!r} is not the name of {what}")
            result.append(text)
        return tuple(result)

    def _confidence(self, node: Any) -> float | None:
        if node is None:
            return None
        text = self._text(node)
        if not NUMBER.fullmatch(text) or not 0 < float(text) < 1:
            self._add(node, f"confidence {text!r}: give a number between 0 and 1, such as 0.95")
            return None
        return float(text)
