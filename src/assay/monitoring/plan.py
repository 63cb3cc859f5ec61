"""The monitoring plan: monitored metrics, their alarm thresholds, and who receives the alarms.

```yaml
format: assay-monitoring/1
significance: 0.001          # chance of a false alarm per detector and window; default 0.001
rows_per_day: 20000          # traffic, to express rows as time; optional
detectors:
  - name: features
    metric: psi
    columns: all             # or a list; only for metrics of a column
    threshold: 0.1
    window: 1000             # rows
    receiver: ml-on-call@example.org
```

docs/monitoring.md describes the format. A detector without threshold, window or receiver is
incomplete but valid; the gate distinguishes the two.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from assay.documents import MAX_NAMED, NodeReader, closest, shown
from assay.evidence.selectors import NUMBER

FILE_NAME: Final = "monitoring.yaml"
FORMAT: Final = "assay-monitoring/1"
"""docs/monitoring.md describes how to raise the version."""
MAX_PLAN_BYTES: Final = 1 << 20
MAX_DETECTORS: Final = 200
MIN_WINDOW: Final = 20
"""Shares and distributions of fewer rows are meaningless."""
MAX_WINDOW: Final = 1_000_000
MAX_DELAY: Final = 10_000_000
DEFAULT_SIGNIFICANCE: Final = 0.001
MAX_SIGNIFICANCE: Final = 0.1
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that a detector may monitor."""

    meaning: str
    upper: float
    """The largest meaningful threshold."""
    of_column: bool = False
    tasks: tuple[str, ...] = ("binary", "multiclass", "regression")
    of_labels: bool = False
    """Whether it needs labels, which arrive late."""


_CLASSES: Final = ("binary", "multiclass")
METRICS: Final[Mapping[str, Metric]] = {
    "psi": Metric("population stability index of a column", math.inf, of_column=True),
    "ks": Metric("Kolmogorov-Smirnov distance of a numeric column", 1, of_column=True),
    "missing_share": Metric("rise of the share of missing values", 1, of_column=True),
    "out_of_range_share": Metric(
        "rise of the share of values outside of the range, or of unknown categories",
        1,
        of_column=True,
    ),
    "prediction_psi": Metric("population stability index of the predictions", math.inf),
    "positive_rate": Metric("change of the share predicted positive", 1, tasks=("binary",)),
    "accuracy": Metric("fall of the accuracy", 1, tasks=_CLASSES, of_labels=True),
    "mean_absolute_error": Metric(
        "rise of the mean absolute error, as a share of what it was",
        math.inf,
        tasks=("regression",),
        of_labels=True,
    ),
}

_KEYS: Final = ("format", "significance", "rows_per_day", "detectors")
_DETECTOR_KEYS: Final = (
    "name", "metric", "columns", "threshold", "window", "receiver", "delay", "minimum", "maximum",
    "reason",
)  # fmt: skip
_RANGE_METRIC: Final = "out_of_range_share"


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector of a plan."""

    name: str
    metric: str
    """One of `METRICS`."""
    columns: tuple[str, ...] | None = None
    """Columns to monitor; None for all features that the metric supports."""
    threshold: float | None = None
    """Minimum change for an alarm, in the unit of the metric."""
    window: int | None = None
    """Number of rows in a window."""
    receiver: str = ""
    """Who gets the alarm."""
    delay: int = 0
    """Rows after which the label of a row is known; only for metrics that need labels."""
    minimum: float | None = None
    """For `out_of_range_share`; None for the minimum of the reference."""
    maximum: float | None = None
    reason: str = ""

    def gaps(self) -> list[str]:
        """The missing fields of a complete plan, one line each."""
        fields = {
            "threshold": self.threshold is not None,
            "window": self.window is not None,
            "receiver": bool(self.receiver),
        }
        return [
            f"detector {self.name!r} has no {key}" for key, is_set in fields.items() if not is_set
        ]


@dataclass(frozen=True, slots=True)
class Plan:
    """A parsed plan; it has at least one detector."""

    detectors: tuple[Detector, ...]
    significance: float = DEFAULT_SIGNIFICANCE
    """Significance level of each detector and window."""
    rows_per_day: float | None = None

    def to_yaml(self) -> str:
        """The plan as YAML; `parse_plan` of the result returns an equal plan."""
        document: dict[str, Any] = {"format": FORMAT}
        if self.significance != DEFAULT_SIGNIFICANCE:
            document["significance"] = self.significance
        if self.rows_per_day is not None:
            document["rows_per_day"] = self.rows_per_day
        document["detectors"] = [_to_dict(detector) for detector in self.detectors]
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _to_dict(detector: Detector) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": detector.name, "metric": detector.metric}
    if METRICS[detector.metric].of_column:
        fields["columns"] = ALL if detector.columns is None else list(detector.columns)
    optional = {
        "threshold": detector.threshold,
        "window": detector.window,
        "receiver": detector.receiver or None,
        "delay": detector.delay or None,
        "minimum": detector.minimum,
        "maximum": detector.maximum,
        "reason": detector.reason or None,
    }
    return {**fields, **{key: value for key, value in optional.items() if value is not None}}


def parse_plan(data: bytes, name: str = "monitoring") -> Plan:
    """Parse a plan.

    Args:
        data: YAML, UTF-8, at most `MAX_PLAN_BYTES`.
        name: Name of the file in error messages.

    Raises:
        UsageError: The plan is invalid; the message lists every problem with line and column.
    """
    reader = _Reader(name, data, MAX_PLAN_BYTES)
    node = reader.compose(f"write 'format: {FORMAT}', then 'detectors:' and a list of them")
    plan = reader.plan(node)
    reader.finish()
    return plan


class _Reader(NodeReader):
    """Reads the nodes of a plan."""

    def plan(self, node: Any) -> Plan:
        """The plan; incomplete if there was a problem, so call `finish` afterwards."""
        fields = self._fields(node, _KEYS, "plan")
        if (written := self._text(fields.get("format"))) != FORMAT:
            problem = f"format {written!r}" if written else "no 'format'"
            self._add(fields.get("format", node), f"{problem}; write 'format: {FORMAT}'")
        level = self._number(fields, "significance", 0, MAX_SIGNIFICANCE, above=True)
        return Plan(
            detectors=self._detectors(node, fields.get("detectors")),
            significance=DEFAULT_SIGNIFICANCE if level is None else level,
            rows_per_day=self._number(fields, "rows_per_day", 0, math.inf, above=True),
        )

    def _detectors(self, root: Any, node: Any) -> tuple[Detector, ...]:
        if node is None:
            self._add(root, "no 'detectors'; a plan needs at least one")
        elif not isinstance(node, yaml.SequenceNode) or not node.value:
            self._add(node, "'detectors' must be a list of at least one")
        elif len(node.value) > MAX_DETECTORS:
            self._add(node, f"{len(node.value)} detectors, the limit is {MAX_DETECTORS}")
        else:
            detectors = [self._detector(item) for item in node.value]
            self._require_distinct(node.value, detectors)
            return tuple(detector for detector in detectors if detector is not None)
        return ()

    def _require_distinct(self, nodes: list[Any], detectors: list[Detector | None]) -> None:
        names = Counter(detector.name for detector in detectors if detector)
        for node, detector in zip(nodes, detectors, strict=True):
            if detector and detector.name and names[detector.name] > 1:
                self._add(node, f"two detectors are called {detector.name!r}")

    def _detector(self, node: Any) -> Detector | None:
        if not isinstance(node, yaml.MappingNode):
            self._add(node, "write a detector as '- name: ...' with metric, threshold and more")
            return None
        fields = self._fields(node, _DETECTOR_KEYS, "detector")
        name, metric = self._text(fields.get("name")), self._text(fields.get("metric"))
        if not name.strip():
            self._add(fields.get("name", node), "a detector needs a 'name'")
        if metric not in METRICS:
            close = closest(metric, METRICS)
            hint = f"did you mean {close!r}?" if close else f"use one of {', '.join(METRICS)}"
            problem = f"unknown metric {metric!r}" if metric else "a detector needs a 'metric'"
            self._add(fields.get("metric", node), f"{problem}; {hint}")
            return None
        self._require_applicable(fields, metric)
        low = self._number(fields, "minimum", -math.inf, math.inf)
        high = self._number(fields, "maximum", -math.inf, math.inf)
        if low is not None and high is not None and low > high:
            self._add(fields["minimum"], f"minimum {low:g} is above maximum {high:g}")
        return Detector(
            name=name,
            metric=metric,
            columns=self._columns(fields.get("columns")),
            threshold=self._number(fields, "threshold", 0, METRICS[metric].upper),
            window=self._whole(fields, "window", MIN_WINDOW, MAX_WINDOW),
            receiver=self._receiver(fields.get("receiver")),
            delay=self._whole(fields, "delay", 0, MAX_DELAY) or 0,
            minimum=low,
            maximum=high,
            reason=self._text(fields.get("reason")),
        )

    def _require_applicable(self, fields: Mapping[str, Any], metric: str) -> None:
        """Report fields that do not apply to a metric."""
        for key, allowed in (
            ("columns", METRICS[metric].of_column),
            ("delay", METRICS[metric].of_labels),
            ("minimum", metric == _RANGE_METRIC),
            ("maximum", metric == _RANGE_METRIC),
        ):
            if key in fields and not allowed:
                self._add(fields[key], f"{key!r} does not apply to {metric}; leave it out")

    def _columns(self, node: Any) -> tuple[str, ...] | None:
        if node is None or (isinstance(node, yaml.ScalarNode) and node.value == ALL):
            return None
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._add(node, f"'columns' must be {ALL} or a list of at least one column")
            return None
        columns = [self._text(item) for item in node.value]
        counts = Counter(columns)
        named = zip(node.value, columns, strict=True)
        repeated = [(item, column) for item, column in named if counts[column] > 1]
        for item, column in repeated[:MAX_NAMED]:
            self._add(item, f"column {shown(column)} is given twice")
        return tuple(columns)

    def _receiver(self, node: Any) -> str:
        text = " ".join(self._text(node).split())
        try:
            parts = urlsplit(text)
            secret = "@" in parts.netloc or bool(parts.query)
        except ValueError:
            secret = False
        if secret:
            self._add(node, "a receiver's address must hold no password or query; name the channel")
        return text

    def _number(
        self, fields: Mapping[str, Any], key: str, low: float, high: float, *, above: bool = False
    ) -> float | None:
        """A number in [low, high], or in (low, high] if `above`; None if it is left out."""
        text = self._text(fields.get(key)).strip()
        if not text:
            return None
        value = float(text) if NUMBER.fullmatch(text) else math.nan
        if not (low <= value <= high) or not math.isfinite(value) or (above and value == low):
            bounds = [f"above {low:g}" if above else f"at least {low:g}"] * math.isfinite(low)
            bounds += [f"at most {high:g}"] * math.isfinite(high)
            expected = f" {', '.join(bounds)}" if bounds else ""
            self._add(fields[key], f"{key} {text!r}: give a number{expected}")
            return None
        return value

    def _whole(self, fields: Mapping[str, Any], key: str, low: int, high: int) -> int | None:
        text = self._text(fields.get(key)).strip()
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(high))):
            value = None
        else:
            value = int(text)
        if value is None or not low <= value <= high:
            self._add(fields[key], f"{key} {text!r}: give whole rows, from {low} to {high}")
            return None
        return value
