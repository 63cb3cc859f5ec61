"""What the stages of a run say: their records, held against the attestations that they name.

A record is a hint: anyone who may write to the store may write one. What a stage was given and gave
is read from its attestation, and what cannot be believed is shown as not proved.

The step cache answers with an attestation of another run, so a record may name any. It counts only
where it leads to what this run itself did: what that used, or what was made of it.

KFP answers a cached task without a pod, so nobody writes a record for it. What such a stage gave
is found from those that used it: the inputs of an attestation are digests, and each has an
attestation of how it was made.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from assay.core.attestation import Attestation, about, load
from assay.core.digest import is_digest
from assay.core.step import Services
from assay.core.tree import get_manifest, read_file
from assay.errors import AssayError
from assay.evidence.format import FILE_NAME, MAX_EVIDENCE_BYTES, EvidenceDocument
from assay.governance.policy import Decision, parse_decision
from assay.governance.policy.decision import FILE_NAME as DECISION_FILE
from assay.governance.policy.decision import MAX_DECISION_BYTES
from assay.runtime import runs

RAN: Final = "ran"
STEP_CACHE: Final = "step cache"
KFP_CACHE: Final = "from the cache"

WORDS: Final[Mapping[str, str]] = {
    "prepare_data": "Check and snapshot",
    "preflight": "Check",
    "snapshot_data": "Snapshot",
    "validate_data": "Validate data",
    "split_data": "Split",
    "try_candidate": "Try a candidate",
    "train": "Train",
    "evaluate": "Evaluate",
    "check_monitoring": "Check monitoring",
    "select_best": "Select the best",
    "resolve_production": "Ask production",
    "release_evidence": "Ask for a rehearsal",
    "compare": "Compare with production",
    "gate": "Gate",
    "register": "Register",
}
"""Stages as the graph names them, in their order."""
_ORDER: Final = {name: place for place, name in enumerate(WORDS)}

PER_MODEL: Final = frozenset({"train", "evaluate", "check_monitoring"})
"""Steps that a sweep runs once for each candidate."""
_SEVERAL: Final = PER_MODEL | {"split_data"}
_ONCE: Final = frozenset({"snapshot_data", "validate_data", "compare", "gate"})
"""Steps that can be another run's, and of which a run has one."""
_ASKERS: Final = ("register", "resolve_production", "release_evidence")
"""Steps that are given the model that is judged, and that no cache answers."""
_FOREIGN: Final = "it belongs to another run's artifacts"
_OTHERS: Final = ("production", "override", "reference", "policy", "suite", "checks", "plan")
"""What inputs begin with that lead out of this run: to another run, or to what people wrote."""
_MAX_FOUND: Final = 300
"""Stages from KFP's cache that are looked for; a sweep of 100 candidates has about 200."""
_ROLES: Final = (
    "dataset", "validation", "train", "test", "model", "evaluation", "measurements",
    "monitoring", "selection", "comparison", "decision",
)  # fmt: skip
"""Outputs that a run's record names."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a run, as far as it is known."""

    step: str
    origin: str
    """`ran`, `step cache`, or `from the cache` of KFP, which leaves no record."""
    seconds: float
    task: str = ""
    process: str = ""
    """Of the task that it ran in."""
    attestation: Attestation | None = None
    """None where it cannot be believed."""
    doubt: str = ""
    """Why what a record says of it is not proved; empty where it is."""

    @property
    def outputs(self) -> dict[str, str]:
        """Name to digest."""
        made = self.attestation.outputs if self.attestation else {}
        return {str(name): output.digest for name, output in made.items()}

    @property
    def values(self) -> Mapping[str, Any]:
        """What it told the pipeline, such as a verdict."""
        return self.attestation.values if self.attestation else {}

    @property
    def verdict(self) -> str:
        """Of a step that judges; empty otherwise."""
        given = self.values.get("verdict")
        return given if isinstance(given, str) else ""


@dataclass(slots=True)
class Facts:
    """What is known of a run."""

    tasks: list[runs.TaskRecord] = field(default_factory=list)
    """By the time of their start; hints."""
    stages: list[Stage] = field(default_factory=list)
    """In the order of the pipeline."""
    notes: list[str] = field(default_factory=list)
    """What could not be read, one sentence each."""
    evaluation: EvidenceDocument | None = None
    measurements: EvidenceDocument | None = None
    comparison: EvidenceDocument | None = None
    validation: EvidenceDocument | None = None
    decision: Decision | None = None

    def proved(self, step: str) -> list[Stage]:
        """The executions of a step that are proved."""
        return [one for one in self.stages if one.step == step and one.attestation is not None]

    def stage(self, step: str) -> Stage | None:
        """The execution that the run's end rests on: what register or gate used, or the last."""
        found = self.proved(step)
        if len(found) < 2 or step == "register":  # noqa: PLR2004 - nothing to choose among
            return found[-1] if found else None
        above = self.stage("register" if step == "gate" else "gate")
        used = set(_used(above.attestation)) if above and above.attestation else set()
        best = max(found, key=lambda one: len(used & set(one.outputs.values())))
        if used & set(best.outputs.values()):
            return best
        if step not in _SEVERAL:
            return found[-1]
        chosen = self._chosen()
        about_it = [one for one in found if chosen in _names(one)]
        # Of the splits of a sweep, the first holds the test rows out.
        return found[0] if step == "split_data" else (about_it or found)[-1]

    def digests(self) -> dict[str, str]:
        """What the run made, by role."""
        found: dict[str, str] = {}
        for step in dict.fromkeys(one.step for one in self.stages):
            main = self.stage(step)
            made = main.outputs if main else {}
            found.update({role: digest for role, digest in made.items() if role in _ROLES})
        if chosen := self._chosen():
            found["model"] = chosen
        return {role: found[role] for role in _ROLES if role in found}

    def value(self, step: str, name: str) -> str:
        """A value of a step as text; empty where there is none."""
        main = self.stage(step)
        return str(main.values.get(name, "")) if main else ""

    def _chosen(self) -> str:
        """Digest of the model that was judged, or chosen of several; empty where none was."""
        selected = self.stage("select_best")
        told = [self.stage(step) for step in ("register", "gate", *_ASKERS[1:])]
        given = [_model_of(one.attestation) for one in told if one and one.attestation]
        chosen = selected.values.get("model") if selected else ""
        return next((str(one) for one in (*given, chosen) if is_digest(one)), "")


def _model_of(record: Attestation) -> str:
    """The model that an execution judged, asked about or registered; empty where it names none."""
    named = (record.parameters.get("model"), record.inputs.get("model"))
    candidate = record.inputs.get("candidate") if record.step == "compare" else None
    return next((str(one) for one in (*named, candidate) if is_digest(one)), "")


def _names(stage: Stage) -> set[str]:
    given = stage.attestation.input_digests() if stage.attestation else []
    return {*given, *stage.outputs.values()}


def read(services: Services, run: str, own: str) -> Facts:
    """All that is known of a run; never raises for what it finds.

    Args:
        services: The store, and whose signatures count.
        run: Id of the run.
        own: Name of the task that asks; its own record says nothing yet.
    """
    facts = Facts()
    found = _tried(facts, "the run's records", lambda: runs.tasks(services.store, run)) or []
    facts.tasks = [task for task in found if task.task != own]
    for task in facts.tasks:
        facts.stages += [_stage(services, run, task, step) for step in task.steps]
    facts.stages.sort(key=_place)
    itself = _Own(services, run, facts.stages)
    facts.stages = [itself.checked(one) for one in facts.stages]
    known = [one.attestation for one in facts.stages if one.attestation is not None]
    facts.stages += [
        _held(Stage(record.step, KFP_CACHE, 0.0), record)
        for record in _behind(services, known, facts.notes)
    ]
    facts.stages.sort(key=_place)
    for step, name in [
        ("evaluate", "evaluation"),
        ("evaluate", "measurements"),
        ("compare", "comparison"),
        ("validate_data", "validation"),
    ]:
        setattr(facts, name, _evidence(services, facts, step, name))
    facts.decision = _decision(services, facts)
    return facts


def _place(stage: Stage) -> int:
    return _ORDER.get(stage.step, len(_ORDER))


def _stage(services: Services, run: str, task: runs.TaskRecord, step: runs.StepRecord) -> Stage:
    """A step as a record has it, with the attestation that the record names if it fits."""
    origin = STEP_CACHE if step.cached else RAN
    stage = Stage(step.step, origin, step.seconds, task.task, task.process)
    try:
        record = load(services.store, step.attestation, services.verifier)
    except AssayError as error:
        return replace(stage, doubt=str(error))
    # What was computed in this run says so; what asks or changes the outside world is never cached.
    if record.details.invocation != run and (not step.cached or record.side_effects):
        return replace(stage, doubt="the attestation that its record names is of another run")
    return _held(stage, record)


def _held(stage: Stage, record: Attestation) -> Stage:
    """A stage with its attestation, if that is about such a stage."""
    library = f"assay.components.{stage.step}.step:{stage.step}"
    if record.step != stage.step:
        doubt = f"the attestation that its record names is of {record.step}"
    elif stage.step in WORDS and record.entry_point != library:
        doubt = f"it was made by {record.entry_point}, not by {library}"
    else:
        return replace(stage, attestation=record)
    return replace(stage, doubt=doubt)


class _Own:
    """What a run did itself, by the attestations that have its id, and what they lead to."""

    def __init__(self, services: Services, run: str, stages: Iterable[Stage]) -> None:
        self._services, self._run = services, run
        records = [one.attestation for one in stages if one.attestation is not None]
        own = [record for record in records if record.details.invocation == run]
        reached = [*own, *_behind(services, own, [])]
        self._known = {name for one in reached for name in (*_made(one), *_used(one))}
        self._settled = {record.step for record in reached}
        """Steps of which the run's execution is known."""
        if any(record.step == "register" for record in own):
            self._settled |= _ONCE  # it was given all of these, or what was made of them
        self._judged = {_model_of(record) for record in own if record.step in _ASKERS} - {""}
        self._told: dict[str, set[frozenset[str]]] = {}
        """By step: what executions gave of which the records tell."""
        for record in records:
            self._told.setdefault(record.step, set()).add(frozenset(_made(record)))

    def checked(self, stage: Stage) -> Stage:
        """The stage, with a doubt if it does not belong to the run; to be asked in their order."""
        record = stage.attestation
        if record is None or record.details.invocation == self._run:
            return stage
        if not self._belongs(record):
            return replace(stage, attestation=None, doubt=_FOREIGN)
        self._known |= {*_made(record), *_used(record)}
        return stage

    def _belongs(self, record: Attestation) -> bool:
        step = record.step
        if self._known & _made(record):
            return True
        if step in _ONCE and (step in self._settled or len(self._told[step]) > 1):
            return False
        if step in {"compare", "gate"} and _model_of(record) not in (self._judged or self._known):
            return False
        if not any(_used(record)):
            return step not in self._settled
        # What KFP's cache stood in for is between it and what is known.
        between = [record, *_behind(self._services, [record], [], self._known)]
        there = self._known.union(*map(_made, between))
        return all(any(_used(one)) and set(_used(one)) <= there for one in between)


def _made(record: Attestation) -> set[str]:
    return {output.digest for output in record.outputs.values()}


def _behind(
    services: Services,
    known: Iterable[Attestation],
    notes: list[str],
    up_to: Iterable[str] = (),
) -> list[Attestation]:
    """The executions that KFP's cache stood in for: those that made what the known ones used.

    Args:
        services: The store, and whose signatures count.
        known: Executions to begin with.
        notes: Gets what could not be found out.
        up_to: Artifacts of which it is known already how they were made.
    """
    queue, found = list(known), list[Attestation]()
    made = set(up_to).union(*map(_made, queue))
    while queue and len(found) < _MAX_FOUND:
        wanted = [digest for digest in _used(queue.pop(0)) if digest not in made]
        for digest in wanted:
            if digest in made:
                continue
            made.add(digest)
            try:
                # Never of a step with side effects: KFP runs those every time.
                records = [
                    record
                    for record in about(services.store, digest, services.verifier)
                    if not record.side_effects and isinstance(record.step, str)
                ]
            except AssayError as error:
                notes.append(f"how {digest} was made is not proved: {error}")
                continue
            if records:
                # Of several, the first that made most of what was used.
                record = max(records, key=lambda one: _shared(one, wanted))
                made.update(output.digest for output in record.outputs.values())
                found.append(record)
                queue.append(record)
    return found


def _used(record: Attestation) -> Iterator[str]:
    """Artifacts of the same run that an execution used, by name or as a whole."""
    for name, value in [*sorted(record.inputs.items()), *sorted(record.parameters.items())]:
        if not name.startswith(_OTHERS):
            yield from filter(is_digest, value if isinstance(value, list) else [value])


def _shared(record: Attestation, wanted: list[str]) -> int:
    return len(_made(record).intersection(wanted))


def _evidence(services: Services, facts: Facts, step: str, name: str) -> EvidenceDocument | None:
    content = _file(services, facts, step, name, FILE_NAME, MAX_EVIDENCE_BYTES)
    if content is None:
        return None
    return _tried(facts, f"the {name}", lambda: EvidenceDocument.parse(content))


def _decision(services: Services, facts: Facts) -> Decision | None:
    content = _file(services, facts, "gate", "decision", DECISION_FILE, MAX_DECISION_BYTES)
    return (
        None if content is None else _tried(facts, "the decision", lambda: parse_decision(content))
    )


def _file(
    services: Services, facts: Facts, step: str, name: str, path: str, limit: int
) -> bytes | None:
    """A file of what a step gave; None where it gave nothing, or it cannot be read."""
    main = facts.stage(step)
    digest = main.outputs.get(name) if main else None
    if not digest:
        return None
    return _tried(
        facts,
        f"the {name}",
        lambda: read_file(services.store, get_manifest(services.store, digest), path, limit),
    )


def _tried(facts: Facts, what: str, work: Callable[[], _T]) -> _T | None:
    try:
        return work()
    except AssayError as error:
        facts.notes.append(f"{what} cannot be read: {error}")
        return None
