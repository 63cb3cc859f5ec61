"""Which candidate is the best, and why."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument, Interval
from assay.evidence.labels import is_labelled, label
from assay.models.statistics.metrics import DEFAULT_PRIMARY, LOWER_IS_BETTER


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
    failed: Sequence[str] = ()
    """A line for each candidate that could not be trained."""

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
        models: Their digests; "" for one that could not be trained.
        documents: The evaluation of each, in any order; those that are about no model in the order
            of the candidates that have none.
        trained: What each was trained with; empty, or one for each model.
        primary_metric: Empty: what all evaluations have of the tasks' defaults.

    Raises:
        UsageError: As the step.
    """
    by_model = {document.subjects.get("model", ""): document for document in documents}
    _check(models, documents, by_model, trained)
    failed = _failed(models, [item for item in documents if "model" not in item.subjects], trained)
    documents = [document for document in documents if "model" in document.subjects]
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
        if model
    ]
    if all(item.value is None for item in candidates):
        known = sorted(name for name in documents[0].values if not is_labelled(name))
        raise UsageError(
            f"primary_metric: no candidate has a value of {metric!r}; there are: {', '.join(known)}"
        )
    ranked = sorted(candidates, key=lambda item: (_cost(item, metric), item.place))
    evidence = _evidence(ranked, metric, documents[0].subjects["data"], failed)
    return Choice(metric, ranked, evidence, failed)


def _failed(
    models: Sequence[str], documents: Sequence[EvidenceDocument], trained: Sequence[Any]
) -> tuple[str, ...]:
    """A line for each candidate without a model, in the order of their places.

    Raises:
        UsageError: No candidate has a model; names why, of each.
    """
    reasons = [document.reason for document in documents]
    places = [place for place, model in enumerate(models, 1) if not model]
    lines = tuple(
        f"candidate {place}{f' ({_words(trained[place - 1])})' if trained else ''}: {reason}"
        for place, reason in zip(places, reasons, strict=True)
    )
    if len(places) == len(models):
        raise UsageError(f"no candidate could be trained: {'; '.join(lines)}")
    return lines


def _check(
    models: Sequence[str],
    documents: Sequence[EvidenceDocument],
    by_model: Mapping[str, EvidenceDocument],
    trained: Sequence[Any],
) -> None:
    problems = []
    if not models:
        problems.append("models: there are none to choose from")
    if missing := [model for model in dict.fromkeys(models) if model and model not in by_model]:
        problems.append(f"evaluations: none is about {', '.join(missing)}; evaluate every model")
    failures = sum("model" not in document.subjects for document in documents)
    if failures != list(models).count(""):
        problems.append(
            f"evaluations: {failures} are about no model, and {list(models).count('')} candidates "
            "have none; give one for each"
        )
    if strangers := sorted(set(by_model) - set(models) - {""}):
        names = ", ".join(strangers)
        problems.append(f"evaluations: {names} is not one of the models; leave it out")
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


def _evidence(
    ranked: Sequence[Candidate], metric: str, data: str, failed: Sequence[str]
) -> EvidenceDocument:
    values: dict[str, float | None] = {"candidates": float(len(ranked) + len(failed))}
    if failed:
        values["failed_candidates"] = float(len(failed))
    intervals: dict[str, Interval] = {}
    for item in sorted(ranked, key=lambda item: item.place):
        name = label(metric, candidate=str(item.place))
        values[name] = item.value
        if item.interval is not None:
            intervals[name] = item.interval
    subjects = {"model": ranked[0].model, "data": data}
    return EvidenceDocument(
        subjects,
        values,
        intervals,
        verdict="pass",
        reason="; ".join([_reason(ranked, metric), *(f"failed: {line}" for line in failed)]),
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
