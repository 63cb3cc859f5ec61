"""What is known of a run: the records of its stages, checked against the attestations they name.

A record is a hint: anyone with write access to the store can write one. The inputs and outputs of a
stage are read from its attestation, and what the attestation does not confirm is shown as not
proved.

The step cache answers with an attestation of another run, so a record may name any attestation. It
counts only if it is connected to an execution of this run: if its outputs were used by one, or
derived from one.

KFP answers a cached task without a pod, so no record of it exists. The outputs of such a stage are
found from the stages that used them: the inputs of an attestation are digests, and each has an
attestation of the execution that made it.
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
    "resolve_production": "Find the production model",
    "release_evidence": "Find rollback drills",
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
"""Steps that may have been executed by another run, and of which a run has one execution."""
_UNCACHED: Final = ("register", "resolve_production", "release_evidence")
"""Steps that take the judged model as an input and are never cached."""
_FOREIGN: Final = "it belongs to another run's artifacts"
_OTHERS: Final = ("production", "override", "reference", "policy", "suite", "checks", "plan")
"""Prefixes of inputs from outside of this run: from another run, or written by people."""
_MAX_CACHED: Final = 300
"""Limit of stages from KFP's cache; a sweep of 100 candidates has about 200."""
_ROLES: Final = (
    "dataset", "validation", "train", "test", "model", "evaluation", "measurements",
    "monitoring", "selection", "comparison", "decision",
)  # fmt: skip
"""Outputs that the record of a run names."""

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
    """None if it is not proved."""
    doubt: str = ""
    """Why the record of it is not proved; empty if it is."""

    @property
    def outputs(self) -> dict[str, str]:
        """Name to digest."""
        made = self.attestation.outputs if self.attestation else {}
        return {str(name): output.digest for name, output in made.items()}

    @property
    def values(self) -> Mapping[str, Any]:
        """The values that it returned to the pipeline, such as a verdict."""
        return self.attestation.values if self.attestation else {}

    @property
    def verdict(self) -> str:
        """Of a step that judges; empty otherwise."""
        given = self.values.get("verdict")
        return given if isinstance(given, str) else ""


@dataclass(slots=True)
class RunHistory:
    """What is known of a run."""

    tasks: list[runs.TaskStatus] = field(default_factory=list)
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
        """The execution behind the result of the run: what register or gate used, or the last."""
        executions = self.proved(step)
        if len(executions) < 2 or step == "register":  # noqa: PLR2004 - nothing to choose among
            return executions[-1] if executions else None
        above = self.stage("register" if step == "gate" else "gate")
        used = set(_used(above.attestation)) if above and above.attestation else set()
        best = max(executions, key=lambda one: len(used & set(one.outputs.values())))
        if used & set(best.outputs.values()):
            return best
        if step not in _SEVERAL:
            return executions[-1]
        chosen = self._chosen()
        of_chosen = [one for one in executions if chosen in _names(one)]
        # Of the splits of a sweep, the first holds the test rows out.
        return executions[0] if step == "split_data" else (of_chosen or executions)[-1]

    def digests(self) -> dict[str, str]:
        """What the run made, by role."""
        outputs: dict[str, str] = {}
        for step in dict.fromkeys(one.step for one in self.stages):
            main = self.stage(step)
            made = main.outputs if main else {}
            outputs.update({role: digest for role, digest in made.items() if role in _ROLES})
        if chosen := self._chosen():
            outputs["model"] = chosen
        return {role: outputs[role] for role in _ROLES if role in outputs}

    def value(self, step: str, name: str) -> str:
        """A value of a step as text; empty if it has none."""
        main = self.stage(step)
        return str(main.values.get(name, "")) if main else ""

    def _chosen(self) -> str:
        """Digest of the model that was judged, or selected; empty if none was."""
        selected = self.stage("select_best")
        stages = [self.stage(step) for step in ("register", "gate", *_UNCACHED[1:])]
        given = [_model_of(one.attestation) for one in stages if one and one.attestation]
        chosen = selected.values.get("model") if selected else ""
        return next((str(one) for one in (*given, chosen) if is_digest(one)), "")


def _model_of(record: Attestation) -> str:
    """The model that an execution judged, asked about or registered; empty if it names none."""
    named = (record.parameters.get("model"), record.inputs.get("model"))
    candidate = record.inputs.get("candidate") if record.step == "compare" else None
    return next((str(one) for one in (*named, candidate) if is_digest(one)), "")


def _names(stage: Stage) -> set[str]:
    given = stage.attestation.input_digests() if stage.attestation else []
    return {*given, *stage.outputs.values()}


def read(services: Services, run: str, own: str) -> RunHistory:
    """All that is known of a run; never raises for what it finds.

    Args:
        services: The store, and the keys that attestations are verified with.
        run: Id of the run.
        own: Name of the calling task, whose own record is not complete yet.
    """
    history = RunHistory()
    records = _tried(history, "the run's records", lambda: runs.tasks(services.store, run)) or []
    history.tasks = [task for task in records if task.task != own]
    for task in history.tasks:
        history.stages += [_stage(services, run, task, step) for step in task.steps]
    history.stages.sort(key=_place)
    itself = _Own(services, run, history.stages)
    history.stages = [itself.checked(one) for one in history.stages]
    known = [one.attestation for one in history.stages if one.attestation is not None]
    history.stages += [
        _held(Stage(record.step, KFP_CACHE, 0.0), record)
        for record in _behind(services, known, history.notes)
    ]
    history.stages.sort(key=_place)
    for step, name in [
        ("evaluate", "evaluation"),
        ("evaluate", "measurements"),
        ("compare", "comparison"),
        ("validate_data", "validation"),
    ]:
        setattr(history, name, _evidence(services, history, step, name))
    history.decision = _decision(services, history)
    return history


def _place(stage: Stage) -> int:
    return _ORDER.get(stage.step, len(_ORDER))


def _stage(services: Services, run: str, task: runs.TaskStatus, step: runs.StepStatus) -> Stage:
    """A step as a record has it, with the attestation that the record names if it fits."""
    origin = STEP_CACHE if step.cached else RAN
    stage = Stage(step.step, origin, step.seconds, task.task, task.process)
    try:
        record = load(services.store, step.attestation, services.verifier)
    except AssayError as error:
        return replace(stage, doubt=str(error))
    # An execution of this run has its id; steps with side effects are never cached.
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
    """The executions of the run itself: attestations with its id, and those that they depend on."""

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
        self._judged = {_model_of(record) for record in own if record.step in _UNCACHED} - {""}
        self._recorded: dict[str, set[frozenset[str]]] = {}
        """By step: the outputs of the executions that records name."""
        for record in records:
            self._recorded.setdefault(record.step, set()).add(frozenset(_made(record)))

    def checked(self, stage: Stage) -> Stage:
        """The stage, with a doubt if it does not belong to the run; to be called in their order."""
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
        if step in _ONCE and (step in self._settled or len(self._recorded[step]) > 1):
            return False
        if step in {"compare", "gate"} and _model_of(record) not in (self._judged or self._known):
            return False
        if not any(_used(record)):
            return step not in self._settled
        # Executions that KFP's cache replaced are between it and what is known.
        between = [record, *_behind(self._services, [record], [], self._known)]
        available = self._known.union(*map(_made, between))
        return all(any(_used(one)) and set(_used(one)) <= available for one in between)


def _made(record: Attestation) -> set[str]:
    return {output.digest for output in record.outputs.values()}


def _behind(
    services: Services,
    known: Iterable[Attestation],
    notes: list[str],
    up_to: Iterable[str] = (),
) -> list[Attestation]:
    """The executions that KFP's cache replaced: those that made what the known ones used.

    Args:
        services: The store, and the keys that attestations are verified with.
        known: Executions to begin with.
        notes: Receives what could not be determined.
        up_to: Artifacts whose executions are known already.
    """
    queue, executions = list(known), list[Attestation]()
    made = set(up_to).union(*map(_made, queue))
    while queue and len(executions) < _MAX_CACHED:
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
                executions.append(record)
                queue.append(record)
    return executions


def _used(record: Attestation) -> Iterator[str]:
    """Artifacts of the same run that an execution used, by name or as a whole."""
    for name, value in [*sorted(record.inputs.items()), *sorted(record.parameters.items())]:
        if not name.startswith(_OTHERS):
            yield from filter(is_digest, value if isinstance(value, list) else [value])


def _shared(record: Attestation, wanted: list[str]) -> int:
    return len(_made(record).intersection(wanted))


def _evidence(
    services: Services, history: RunHistory, step: str, name: str
) -> EvidenceDocument | None:
    content = _file(services, history, step, name, FILE_NAME, MAX_EVIDENCE_BYTES)
    if content is None:
        return None
    return _tried(history, f"the {name}", lambda: EvidenceDocument.parse(content))


def _decision(services: Services, history: RunHistory) -> Decision | None:
    content = _file(services, history, "gate", "decision", DECISION_FILE, MAX_DECISION_BYTES)
    return (
        None
        if content is None
        else _tried(history, "the decision", lambda: parse_decision(content))
    )


def _file(
    services: Services, history: RunHistory, step: str, name: str, path: str, limit: int
) -> bytes | None:
    """A file of an output of a step; None if there is no such output, or it cannot be read."""
    main = history.stage(step)
    digest = main.outputs.get(name) if main else None
    if not digest:
        return None
    return _tried(
        history,
        f"the {name}",
        lambda: read_file(services.store, get_manifest(services.store, digest), path, limit),
    )


def _tried(history: RunHistory, what: str, work: Callable[[], _T]) -> _T | None:
    try:
        return work()
    except AssayError as error:
        history.notes.append(f"{what} cannot be read: {error}")
        return None
