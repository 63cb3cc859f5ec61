"""What a person wants to know of a run that registered a model."""

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
"""Metrics to print, in this order, where the run measured them; the report has all."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number and how far it can be trusted."""

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
        own = self.interval
        return {
            "value": self.value,
            "low": None if own is None else own.low,
            "high": None if own is None else own.high,
            "confidence": None if own is None else own.confidence,
        }


@dataclass(frozen=True, slots=True)
class Passed:
    """A registered model, and what was measured of it."""

    model: str
    """Digest."""
    name: str
    uri: str
    version: str
    registered: str
    """`new`, or `existing` where the same bytes had been registered before."""
    tracking_uri: str
    """Without user and password, which MLflow takes from its own variables as well."""
    metrics: tuple[Metric, ...]

    @property
    def load(self) -> str:
        """Python that loads the model, as it stands, in any folder."""
        return (
            f"import mlflow; mlflow.set_tracking_uri({self.tracking_uri!r}); "
            f"model = mlflow.pyfunc.load_model({self.uri!r})"
        )

    @property
    def next(self) -> str:
        """The command to type next."""
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


def passed(outcome: local.Outcome, store: Store) -> Passed | None:
    """What a run registered, or None.

    Raises:
        StoreError: The store no longer answers.
        IntegrityError: What the run has just written is not what its name says.
    """
    task = outcome.task("register")
    if task is None or task.state != events.DONE or not is_digest(task.outputs.get("record")):
        return None
    record = json.loads(_read(store, task.outputs["record"], "record.json", MAX_RECORD_BYTES))
    return Passed(
        model=str(record["model"]),
        name=str(record["model_name"]),
        uri=str(task.values.get("model_uri", "")),
        version=str(task.values.get("version", "")),
        registered=str(task.values.get("registered", "")),
        tracking_uri=public(MLFLOW_URI.get()),
        metrics=metrics(outcome, store),
    )


def metrics(outcome: local.Outcome, store: Store) -> tuple[Metric, ...]:
    """What the run's evaluation and comparison measured; empty where neither was made.

    Raises:
        StoreError: The store no longer answers.
        IntegrityError: What the run has just written is not what its name says.
    """
    found: dict[str, Metric] = {}
    for name, output in (("evaluate", "evaluation"), ("compare", "comparison")):
        task = outcome.task(name)
        digest = task.outputs.get(output) if task else ""
        if not digest:
            continue
        document = EvidenceDocument.parse(_read(store, digest, FILE_NAME, MAX_EVIDENCE_BYTES))
        for metric in SHOWN_METRICS:
            value = document.values.get(metric)
            if value is not None:
                found[metric] = Metric(metric, value, document.intervals.get(metric))
    return tuple(found[name] for name in SHOWN_METRICS if name in found)


def _read(store: Store, digest: str, name: str, max_bytes: int) -> bytes:
    data = read_file(store, get_manifest(store, digest), name, max_bytes)
    if data is None:
        raise AssayError(f"{digest} holds no {name}; see: assay show {digest}")
    return data
