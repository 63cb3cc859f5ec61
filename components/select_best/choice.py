"""Which candidate is the best, and why."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import UsageError
from assay.evidence import EvidenceDocument, Interval, label
from assay.labels import is_labelled
from assay.statistics.metrics import DEFAULT_PRIMARY, LOWER_IS_BETTER


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and what was measured of it."""

    place: int
    """In the list, from 1."""
    model: str
    value: float | None
    """The primary metric; None where it is not defined."""
    interval: Interval | None
    words: str
    """What it was trained with."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen."""

    metric: str
    ranked: Sequence[Candidate]
    """Best first; those without a value last."""
    evidence: EvidenceDocument

    @property
    def best(self) -> Candidate:
        """The chosen one."""
        return self.ranked[0]


def choose(
    models: Sequence[str],
    documents: Sequence[EvidenceDocument],
    trained: Sequence[Mapping[str, Any]],
    primary_metric: str,
) -> Choice:
    """Rank the candidates.

    Args:
        models: Their digests.
        documents: The evaluation of each, in any order.
        trained: What each was trained with; empty, or one for each model.
        primary_metric: Empty: what all evaluations have of the tasks' defaults.

    Raises:
        UsageError: As the step.
    """
    by_model = {document.subjects.get("model", ""): document for document in documents}
    _check(models, documents, by_model, trained)
    metric = primary_metric or _default(documents)
    candidates = [
        Candidate(
            place,
            model,
            by_model[model].values.get(metric),
            by_model[model].intervals.get(metric),
            _words(trained[place - 1]) if trained else "",
        )
        for place, model in enumerate(models, 1)
    ]
    if all(item.value is None for item in candidates):
        known = sorted(name for name in documents[0].values if not is_labelled(name))
        raise UsageError(
            f"primary_metric: no candidate has a value of {metric!r}; there are: {', '.join(known)}"
        )
    ranked = sorted(candidates, key=lambda item: (_cost(item, metric), item.place))
    return Choice(metric, ranked, _evidence(ranked, metric, documents[0].subjects["data"]))


def _check(
    models: Sequence[str],
    documents: Sequence[EvidenceDocument],
    by_model: Mapping[str, EvidenceDocument],
    trained: Sequence[Any],
) -> None:
    problems = []
    if not models:
        problems.append("models: there are none to choose from")
    if missing := [model for model in dict.fromkeys(models) if model not in by_model]:
        problems.append(f"evaluations: none is about {', '.join(missing)}; evaluate every model")
    if strangers := sorted(set(by_model) - set(models)):
        problems.append(f"evaluations: {', '.join(strangers)} is none of the models; leave it out")
    data = sorted({document.subjects.get("data", "") for document in documents})
    if len(data) > 1:
        problems.append(
            f"evaluations: made on different rows ({', '.join(data)}); evaluate all on the same"
        )
    if trained and len(trained) != len(models):
        problems.append(f"candidates: {len(trained)} for {len(models)} models; give one for each")
    if problems:
        raise UsageError.all_of(problems)


def _default(documents: Sequence[EvidenceDocument]) -> str:
    """The task's default, which its evaluations have and others do not."""
    for name in dict.fromkeys(DEFAULT_PRIMARY.values()):
        if all(name in document.values for document in documents):
            return name
    raise UsageError("primary_metric: the evaluations have no metric in common; name one")


def _cost(candidate: Candidate, metric: str) -> float:
    if candidate.value is None:
        return math.inf
    return candidate.value if metric in LOWER_IS_BETTER else -candidate.value


def _evidence(ranked: Sequence[Candidate], metric: str, data: str) -> EvidenceDocument:
    values: dict[str, float | None] = {"candidates": float(len(ranked))}
    intervals: dict[str, Interval] = {}
    for item in sorted(ranked, key=lambda item: item.place):
        name = label(metric, candidate=str(item.place))
        values[name] = item.value
        if item.interval is not None:
            intervals[name] = item.interval
    subjects = {"model": ranked[0].model, "data": data}
    return EvidenceDocument(
        subjects, values, intervals, verdict="pass", reason=_reason(ranked, metric)
    )


def _reason(ranked: Sequence[Candidate], metric: str) -> str:
    best = ranked[0]
    text = f"candidate {best.place} of {len(ranked)}: {metric} {best.value:.6g}"
    rivals = [item for item in ranked[1:] if item.model != best.model and item.value is not None]
    if not rivals:
        return f"{text}; there is no other to compare with"
    second = rivals[0]
    if second.value == best.value:
        return f"{text}; candidate {second.place} has the same, and the one listed first is taken"
    text += f"; next is candidate {second.place} with {second.value:.6g}"
    if _overlap(best.interval, second.interval):
        return f"{text}, within the intervals: the difference may be chance"
    return text


def _overlap(one: Interval | None, other: Interval | None) -> bool:
    return bool(one and other and one.low <= other.high and other.low <= one.high)


def _words(trained: Mapping[str, Any]) -> str:
    estimator = str(trained.get("estimator", "auto")).rpartition(".")[2]
    given = json.dumps(trained.get("hyperparameters") or {}, sort_keys=True, ensure_ascii=False)
    return estimator if given == "{}" else f"{estimator} {given}"
