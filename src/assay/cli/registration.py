"""Summary of a run that registered a model."""

import json
import shlex
from dataclasses import dataclass
from typing import Any, Final

from assay.core.digest import is_digest
from assay.core.settings import DEPLOYMENTS, MLFLOW_URI
from assay.core.store import Store
from assay.core.tree import get_manifest, read_file
from assay.errors import AssayError
from assay.evidence.format import FILE_NAME, MAX_EVIDENCE_BYTES, EvidenceDocument, Interval
from assay.printable import public
from assay.runtime import events, local

MAX_RECORD_BYTES: Final = 1 << 20
SHOWN_METRICS: Final = (
    "accuracy", "balanced_accuracy", "roc_auc", "f1", "f1_macro", "log_loss",
    "root_mean_squared_error", "mean_absolute_error", "r2",
    "regression_delta", "accuracy_gap", "safety_violations",
)  # fmt: skip
"""Metrics to print, in this order, if the run measured them; the report has all."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with its interval."""

    name: str
    value: float
    interval: Interval | None

    def __str__(self) -> str:
        text = f"{self.name} {self.value:.4g}"
        if self.interval is None:
            return text
        low, high, level = self.interval.low, self.interval.high, self.interval.confidence
        return f"{text} ({low:.4g} to {high:.4g} at {100 * level:g} %)"

    def to_dict(self) -> dict[str, float | None]:
        """For programs."""
        interval = self.interval
        return {
            "value": self.value,
            "low": None if interval is None else interval.low,
            "high": None if interval is None else interval.high,
            "confidence": None if interval is None else interval.confidence,
        }


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered model and its metrics."""

    model: str
    """Digest."""
    name: str
    uri: str
    version: str
    registered: str
    """`new`, or `existing` if the same bytes had been registered before."""
    tracking_uri: str
    """Without user and password, which MLflow takes from its own variables as well."""
    metrics: tuple[Metric, ...]

    @property
    def load(self) -> str:
        """Python code that loads the model, from any folder."""
        return (
            f"import mlflow; mlflow.set_tracking_uri({self.tracking_uri!r}); "
            f"model = mlflow.pyfunc.load_model({self.uri!r})"
        )

    @property
    def next(self) -> str:
        """The next command."""
        name = shlex.quote(self.name)
        if DEPLOYMENTS.get():
            return f"assay release promote {name} dev"
        return f"assay model production {name} --set {self.version}"

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "model": self.model,
            "name": self.name,
            "uri": self.uri,
            "version": self.version,
            "registered": self.registered,
            "trackingUri": self.tracking_uri,
            "load": self.load,
            "next": self.next,
            "metrics": {metric.name: metric.to_dict() for metric in self.metrics},
        }


def registration_of(result: local.Outcome, store: Store) -> Registration | None:
    """The model that a run registered, or None.

    Raises:
        StoreError: The store no longer answers.
        IntegrityError: A blob of the run does not match its digest.
    """
    task = result.task("register")
    if task is None or task.state != events.DONE or not is_digest(task.outputs.get("record")):
        return None
    stored = json.loads(_read(store, task.outputs["record"], "record.json", MAX_RECORD_BYTES))
    return Registration(
        model=str(stored["model"]),
        name=str(stored["model_name"]),
        uri=str(task.values.get("model_uri", "")),
        version=str(task.values.get("version", "")),
        registered=str(task.values.get("registered", "")),
        tracking_uri=public(MLFLOW_URI.get()),
        metrics=metrics(result, store),
    )


def metrics(result: local.Outcome, store: Store) -> tuple[Metric, ...]:
    """The metrics of the run's evaluation and comparison; empty without them.

    Raises:
        StoreError: The store no longer answers.
        IntegrityError: A blob of the run does not match its digest.
    """
    measured: dict[str, Metric] = {}
    for name, output in (("evaluate", "evaluation"), ("compare", "comparison")):
        task = result.task(name)
        digest = task.outputs.get(output) if task else ""
        if not digest:
            continue
        document = EvidenceDocument.parse(_read(store, digest, FILE_NAME, MAX_EVIDENCE_BYTES))
        for metric in SHOWN_METRICS:
            value = document.values.get(metric)
            if value is not None:
                measured[metric] = Metric(metric, value, document.intervals.get(metric))
    return tuple(measured[name] for name in SHOWN_METRICS if name in measured)


def _read(store: Store, digest: str, name: str, max_bytes: int) -> bytes:
    data = read_file(store, get_manifest(store, digest), name, max_bytes)
    if data is None:
        raise AssayError(f"{digest} has no {name}; see: assay show {digest}")
    return data
