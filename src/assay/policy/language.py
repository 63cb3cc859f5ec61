"""The policy language: YAML around expressions such as `accuracy{sex="Female"} >= 0.80`.

```
expression = name [ "{" label "=" text { "," label "=" text } "}" ] comparison number
comparison = "<" | "<=" | ">" | ">=" | "==" | "!="
```

Names and label texts follow Prometheus. Every error has its line and column, and all are told.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import yaml

from assay.errors import PolicyError
from assay.evidence import label

MAX_POLICY_BYTES: Final = 1 << 20
MAX_RULES: Final = 1000
ON_FAIL: Final = ("block", "block_and_notify")

KNOWN_METRICS: Final = {
    "evaluate": (
        "accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc",
        "average_precision", "log_loss", "brier_score", "matthews_corrcoef",
        "expected_calibration_error", "precision_macro", "recall_macro", "f1_macro",
        "f1_weighted", "r2", "mean_absolute_error", "root_mean_squared_error",
        "median_absolute_error", "mean_absolute_percentage_error", "safety_violations",
        "test_rows", "latency_p50_ms", "latency_p99_ms", "throughput_rows_per_s", "model_bytes",
    ),
    "compare": (
        "production_exists", "regression_delta", "regression_delta_lower",
        "regression_delta_upper", "minimum_detectable_difference", "mcnemar_p_value",
    ),
    "validate_data": (
        "rows", "columns", "expectations", "failed_expectations", "duplicate_rows_share",
        "missing_share", "drifted_columns", "drifted_columns_share", "drift_score",
    ),
}  # fmt: skip
"""Evidence names by the stage that gives them; `<metric>_gap` too. Others are a user's own."""

_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TEXT = re.compile(r'"((?:[^"\\\n]|\\["\\n])*)"')
_OPERATOR = re.compile(r"<=|>=|==|!=|<|>")


@dataclass(frozen=True, slots=True)
class Expression:
    """One comparison of an evidence value with a number."""

    metric: str
    labels: Mapping[str, str]
    comparison: str
    threshold: float

    @property
    def evidence_name(self) -> str:
        """The name under which the value stands in the evidence."""
        return label(self.metric, **self.labels)

    def holds(self, value: float) -> bool:
        """Whether `value` satisfies the comparison; NaN and infinities never do."""
        return math.isfinite(value) and _OPERATORS[self.comparison](value, self.threshold)

    def __str__(self) -> str:
        number = f"{self.threshold:.17g}"
        shorter = repr(self.threshold).removesuffix(".0")
        shown = shorter if float(shorter) == self.threshold else number
        return f"{self.evidence_name} {self.comparison} {shown}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One gate of a policy."""

    expression: Expression
    line: int
    """Where it stands in the file, from 1."""
    confidence: float | None = None
    """Judge by the bounds of an interval at this level, instead of the value."""
    when: Expression | None = None
    """The rule applies only when this holds."""
    reason: str = ""
    """Why the rule is there, for readers of a report."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy."""

    rules: tuple[Rule, ...]
    on_fail: str = "block"
    allowed_modules: tuple[str, ...] = ()


class _Problem(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def parse_expression(text: str) -> Expression:
    """Parse one expression.

    Raises:
        PolicyError: With the column.
    """
    try:
        return _expression(text)
    except _Problem as problem:
        raise PolicyError(f"column {problem.offset + 1}: {problem}") from problem


def parse_policy(data: bytes, name: str = "policy") -> Policy:
    """Parse a policy.

    Args:
        data: YAML, UTF-8, at most `MAX_POLICY_BYTES`.
        name: What to call the file in errors.

    Raises:
        PolicyError: All that is wrong, each with line and column.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(f"{name}: {len(data)} bytes, the limit is {MAX_POLICY_BYTES}")
    try:
        node = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise PolicyError(f"{name}: not UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        reason = getattr(error, "problem", None) or str(error)
        raise PolicyError(f"{name}:{where} not YAML: {reason}") from error
    return _Reader(name).policy(node)


class _Reader:
    """Walks the YAML nodes, which know their places, and collects every problem."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._problems: list[str] = []
        self._custom: tuple[str, ...] = ()

    def policy(self, node: Any) -> Policy:
        known = ("gates", "on_fail", "confidence", "custom_metrics", "allowed_modules")
        if not isinstance(node, yaml.MappingNode):
            raise PolicyError(f"{self._name}: not a policy; write 'gates:' and a list of rules")
        fields = self._fields(node, known, "policy")
        self._custom = self._texts(fields.get("custom_metrics"))
        confidence = self._confidence(fields.get("confidence"))
        gates = fields.get("gates")
        rules: list[Rule] = []
        if not isinstance(gates, yaml.SequenceNode) or not gates.value:
            self._add(gates or node, "'gates' must be a list of at least one rule")
        elif len(gates.value) > MAX_RULES:
            self._add(gates, f"{len(gates.value)} rules, the limit is {MAX_RULES}")
        else:
            found = [self._rule(item, confidence) for item in gates.value]
            rules = [rule for rule in found if rule is not None]
        on_fail = self._text(fields.get("on_fail")) or "block"
        if on_fail not in ON_FAIL:
            self._add(fields["on_fail"], f"on_fail {on_fail!r}: use one of {', '.join(ON_FAIL)}")
        modules = self._texts(fields.get("allowed_modules"))
        if self._problems:
            raise PolicyError("; ".join(self._problems))
        return Policy(tuple(rules), on_fail, modules)

    def _rule(self, node: Any, confidence: float | None) -> Rule | None:
        if not isinstance(node, yaml.MappingNode):
            self._add(node, "a rule is written '- metric: accuracy > 0.94'")
            return None
        fields = self._fields(node, ("metric", "when", "confidence", "reason"), "rule")
        if "metric" not in fields:
            self._add(node, "a rule needs 'metric', such as 'metric: accuracy > 0.94'")
            return None
        expression = self._expression(fields["metric"])
        when = self._expression(fields["when"]) if "when" in fields else None
        own = self._confidence(fields.get("confidence"))
        if expression is None:
            return None
        if own is None and expression.metric.startswith("regression_delta"):
            own = confidence
        reason = self._text(fields.get("reason")) or ""
        return Rule(expression, node.start_mark.line + 1, own, when, reason)

    def _expression(self, node: Any) -> Expression | None:
        text = self._text(node)
        if text is None:
            return None
        try:
            expression = _expression(text)
        except _Problem as problem:
            self._add(node, str(problem), problem.offset)
            return None
        if suggestion := self._suggest(expression.metric):
            self._add(
                node,
                f"unknown metric {expression.metric!r}; did you mean {suggestion!r}? "
                "(a metric of your own goes into custom_metrics)",
            )
        return expression

    def _suggest(self, metric: str) -> str | None:
        known = [name for names in KNOWN_METRICS.values() for name in names]
        # Anything may follow candidate_ and production_: both models' values of any metric.
        base = metric.removeprefix("candidate_").removeprefix("production_").removesuffix("_gap")
        if metric in known or base in known or metric in self._custom:
            return None
        return next(iter(get_close_matches(metric, known, n=1, cutoff=0.75)), None)

    def _fields(self, node: Any, known: Sequence[str], what: str) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
                self._add(key, f"unknown key {name!r} in a {what}; {hint}")
            elif name in fields:
                self._add(key, f"key {name!r} stands there twice")
            fields[name] = value
        return fields

    def _text(self, node: Any) -> str | None:
        if node is None:
            return None
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self._add(node, "expected text")
        return None

    def _texts(self, node: Any) -> tuple[str, ...]:
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self._add(node, "expected a list")
            return ()
        return tuple(text for item in node.value if (text := self._text(item)) is not None)

    def _confidence(self, node: Any) -> float | None:
        text = self._text(node)
        if text is None:
            return None
        if not _NUMBER.fullmatch(text) or not 0 < float(text) < 1:
            self._add(node, f"confidence {text!r}: give a number between 0 and 1, such as 0.95")
            return None
        return float(text)

    def _add(self, node: Any, message: str, offset: int = 0) -> None:
        mark = node.start_mark
        quoted = isinstance(node, yaml.ScalarNode) and node.style in {'"', "'"}
        column = mark.column + 1 + offset + quoted
        self._problems.append(f"{self._name} line {mark.line + 1}, column {column}: {message}")


def _expression(text: str) -> Expression:
    scanner = _Scanner(text)
    metric = scanner.take(_NAME, "a metric's name, such as accuracy")
    labels: dict[str, str] = {}
    if scanner.skip("{"):
        while not scanner.skip("}"):
            if labels:
                scanner.expect(",", "',' or '}'")
            key = scanner.take(_NAME, "a label's name, such as sex")
            if key in labels:
                raise _Problem(scanner.offset, f"label {key!r} stands there twice")
            scanner.expect("=", "'='")
            quoted = scanner.take(_TEXT, 'a label\'s value in double quotes, such as "Female"')
            labels[key] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], quoted[1:-1])
    comparison = scanner.take(_OPERATOR, "one of < <= > >= == !=")
    number = scanner.take(_NUMBER, "a number, such as 0.94")
    scanner.end()
    threshold = float(number)
    if not math.isfinite(threshold):
        raise _Problem(0, f"{number} is too large")
    return Expression(metric, labels, comparison, threshold)


class _Scanner:
    """Takes tokens from a text and knows how far it is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.offset = 0

    def take(self, pattern: re.Pattern[str], wanted: str) -> str:
        self._blanks()
        match = pattern.match(self._text, self.offset)
        if match is None:
            found = self._text[self.offset : self.offset + 10] or "the end"
            raise _Problem(self.offset, f"expected {wanted}, found {found!r} in {self._text!r}")
        self.offset = match.end()
        return match[0]

    def skip(self, sign: str) -> bool:
        self._blanks()
        there = self._text.startswith(sign, self.offset)
        self.offset += len(sign) if there else 0
        return there

    def expect(self, sign: str, wanted: str) -> None:
        self.take(re.compile(re.escape(sign)), wanted)

    def end(self) -> None:
        self._blanks()
        if self.offset < len(self._text):
            rest = self._text[self.offset :]
            raise _Problem(self.offset, f"{rest!r} is more than one comparison; write one per rule")

    def _blanks(self) -> None:
        while self._text[self.offset : self.offset + 1] in {" ", "\t"}:
            self.offset += 1
