"""What the stages of a run say: their records, held against the attestations that they name.

A record is a hint: anyone who may write to the store may write one. What a stage was given and gave
is read from its attestation, and what cannot be believed is shown as not proved.

KFP answers a cached task without a pod, so nobody writes a record for it. What such a stage gave
is found from those that used it: the inputs of an attestation are digests, and each has an
attestation of how it was made.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from assay import runs
from assay.attestation import Attestation, about, load
from assay.digest import is_digest
from assay.errors import AssayError
from assay.evidence import FILE_NAME, MAX_EVIDENCE_BYTES, EvidenceDocument
from assay.policy import Decision, parse_decision
from assay.policy.decision import FILE_NAME as DECISION_FILE
from assay.policy.decision import MAX_DECISION_BYTES
from assay.step import Services
from assay.tree import get_manifest, read_file

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
        """The execution that the run's end rests on: of several, the gate's, or the last."""
        found = self.proved(step)
        if step not in _SEVERAL or not found:
            return found[-1] if found else None
        judged, chosen = self.stage("gate"), self._chosen()
        used = set(_used(judged.attestation)) if judged and judged.attestation else set()
        for one in found:
            if used & set(one.outputs.values()):
                return one
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
        judged, selected = self.stage("gate"), self.stage("select_best")
        given = judged.attestation.parameters if judged and judged.attestation else {}
        chosen = given.get("model") or (selected.values.get("model") if selected else "")
        return str(chosen) if is_digest(chosen) else ""


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
    known = [one.attestation for one in facts.stages if one.attestation is not None]
    facts.stages += [
        _held(Stage(record.step, KFP_CACHE, 0.0), record)
        for record in _behind(services, known, facts.notes)
    ]
    facts.stages.sort(key=lambda one: _ORDER.get(one.step, len(_ORDER)))
    for step, name in [
        ("evaluate", "evaluation"),
        ("evaluate", "measurements"),
        ("compare", "comparison"),
        ("validate_data", "validation"),
    ]:
        setattr(facts, name, _evidence(services, facts, step, name))
    facts.decision = _decision(services, facts)
    return facts


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


def _behind(
    services: Services, known: Iterable[Attestation], notes: list[str]
) -> list[Attestation]:
    """The executions that KFP's cache stood in for: those that made what the known ones used."""
    queue, found = list(known), list[Attestation]()
    made = {output.digest for record in queue for output in record.outputs.values()}
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
    return sum(output.digest in wanted for output in record.outputs.values())


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
