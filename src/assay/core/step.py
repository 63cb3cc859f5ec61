"""What a step is: plain Python whose annotations say what it takes and gives.

A step knows nothing of KFP, stores or digests. It reads its inputs from folders, writes its
outputs into folders, and returns a few values:

    @step
    def train(*, data: Dataset, target: str, seed: int = 0, model: Out[Model]) -> None:
        '''Fits a model.'''

Parameters annotated with a kind (`Dataset`, `Model | None` when optional) are inputs, those with
`Out[kind]` are outputs, a `Source` is a location in the outside world, and everything else is a
parameter, which must be JSON; one that is annotated `Digest` names an artifact. Library
steps and a user's own are written in the same way.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar, overload

from assay.core.signing import Verifier
from assay.core.store import Store
from assay.errors import StepError, UsageError


@dataclass(frozen=True, slots=True)
class Artifact:
    """An input as a step sees it: a checked, read-only folder and its name."""

    path: Path
    """The folder that holds the artifact's files."""
    digest: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    type: ClassVar[str] = ""
    """The `artifactType` of the manifest; subclasses set it."""
    reproducible: ClassVar[bool] = True
    """False where the same inputs may give other bytes: measured times, records of the world."""


class Dataset(Artifact):
    """A table as canonical Parquet parts with its schema; see `assay.data`."""

    type = "application/vnd.assay.dataset.v1"


class Model(Artifact):
    """A fitted scikit-learn pipeline that `mlflow.pyfunc.load_model` loads; see `assay.models`."""

    type = "application/vnd.assay.model.v1"


class Policy(Artifact):
    """The gate's rules: `policy.yaml`."""

    type = "application/vnd.assay.policy.v1"


class Suite(Artifact):
    """A Great Expectations suite: `suite.json`."""

    type = "application/vnd.assay.suite.v1"


class Checks(Artifact):
    """Behavioural checks of a model: `checks.yaml`."""

    type = "application/vnd.assay.checks.v1"


class MonitoringPlan(Artifact):
    """What is watched in production, and who hears of it: `monitoring.yaml`."""

    type = "application/vnd.assay.monitoring-plan.v1"


class Evidence(Artifact):
    """A folder with `evidence.json` (`assay.evidence`). Base of all that a gate may judge."""


class Validation(Evidence):
    """What was found in a dataset: `evidence.json`, `report.html`, `summary.md`."""

    type = "application/vnd.assay.validation.v1"


class Evaluation(Evidence):
    """A model's quality on held-out rows: `evidence.json`, `report.html`, curves."""

    type = "application/vnd.assay.evaluation.v1"


class Measurements(Evidence):
    """What depends on the machine, above all latency: `evidence.json`. Not reproducible."""

    type = "application/vnd.assay.measurements.v1"
    reproducible = False


class Comparison(Evidence):
    """A candidate and the production model on the same rows: `evidence.json`, `report.html`."""

    type = "application/vnd.assay.comparison.v1"


class Selection(Evidence):
    """Which of several candidates was chosen, and why: `evidence.json`, `report.html`."""

    type = "application/vnd.assay.selection.v1"


class Monitoring(Evidence):
    """How soon a monitoring plan sees injected faults: `evidence.json`, `report.html`."""

    type = "application/vnd.assay.monitoring.v1"


class Attempts(Evidence):
    """How many models were tried on the same test rows: `evidence.json`. Not reproducible."""

    type = "application/vnd.assay.attempts.v1"
    reproducible = False


class Rehearsal(Evidence):
    """How long ago a rollback was last rehearsed: `evidence.json`. Not reproducible."""

    type = "application/vnd.assay.rehearsal.v1"
    reproducible = False


class Decision(Artifact):
    """The gate's outcome: `decision.json` (an in-toto test result), `summary.md`."""

    type = "application/vnd.assay.decision.v1"


class Failure(Artifact):
    """Why a sweep's candidate has no model: `failure.json`, `summary.md`."""

    type = "application/vnd.assay.failure.v1"


class Record(Artifact):
    """What was asked of or done to the outside world: `record.json`. Not reproducible."""

    type = "application/vnd.assay.record.v1"
    reproducible = False


A = TypeVar("A", bound=Artifact)


@dataclass(slots=True)
class Out(Generic[A]):
    """An output as a step sees it: an empty folder to write files into.

    An output that is annotated `Out[Kind] | None` is optional: left empty, it has no digest.
    """

    path: Path
    annotations: dict[str, str] = field(default_factory=dict)
    """Text that goes into the manifest; part of the artifact's name."""


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes of the outside world, fetched and hashed before the step runs.

    The step key holds the digest, not the location: the same bytes elsewhere are the same input.
    """

    path: Path
    digest: str
    uri: str
    """Where it was found, credentials removed; for messages, never for results."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a step with side effects may reach: the store, and how records are verified.

    Injected where a parameter is annotated with it; never part of a step key.
    """

    store: Store
    verifier: Verifier | None


_DIGEST: Final = "digest"
Digest = Annotated[str, _DIGEST]
"""A parameter that names an artifact without reading it. The step gets the whole digest, whatever
form the user wrote (`assay.core.resolve`)."""

Values = Mapping[str, str | int | float | bool | list[str]]
"""What a step may return: a few values for the pipeline to branch on, such as a verdict."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a step."""

    kind: type[Artifact]
    optional: bool = False


@dataclass(frozen=True)
class Step:
    """A step function with what its annotations say; call it as the plain function it is."""

    function: Callable[..., Values | None]
    name: str
    inputs: Mapping[str, Port]
    list_inputs: Mapping[str, Port]
    """Inputs that are lists of artifacts."""
    sources: Mapping[str, bool]
    """Location parameters, and whether each may be left empty."""
    outputs: Mapping[str, Port]
    parameters: Mapping[str, inspect.Parameter]
    types: Mapping[str, type]
    """Type of what a caller gives, by name: of an input or source, the text that names it."""
    digests: frozenset[str]
    """Parameters that are annotated `Digest`."""
    services: tuple[str, ...]
    """Parameters that take the injected `Services`."""
    side_effects: bool
    """Never answered from the step cache: asks or changes the outside world."""
    asks_registry: bool
    """Needs MLflow's client, which a local run loads once; see `assay.runtime.fork_server`."""

    def __call__(self, **arguments: Any) -> Values | None:
        """Run the function itself, with no store, cache or record."""
        return self.function(**arguments)

    @property
    def entry_point(self) -> str:
        """`module:name`, by which `assay reproduce` finds the code again."""
        return f"{self.function.__module__}:{self.function.__name__}"

    def bind_parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`given` with defaults filled in; every parameter has a value, none is unknown.

        Raises:
            UsageError: Names all unknown and all missing parameters.
        """
        unknown = sorted(set(given) - set(self.parameters))
        bound = {
            name: given.get(name, parameter.default) for name, parameter in self.parameters.items()
        }
        missing = sorted(name for name, value in bound.items() if value is inspect.Parameter.empty)
        problems = [f"{self.name}: unknown parameter {name!r}" for name in unknown]
        problems += [f"{self.name}: parameter {name!r} is missing" for name in missing]
        if problems:
            raise UsageError.all_of(problems)
        return bound


_SCALARS: Final = (str, int, float, bool, list, dict)


@overload
def step(function: Callable[..., Values | None]) -> Step: ...


@overload
def step(
    *, side_effects: bool, asks_registry: bool = False
) -> Callable[[Callable[..., Values | None]], Step]: ...


def step(
    function: Callable[..., Values | None] | None = None,
    *,
    side_effects: bool = False,
    asks_registry: bool = False,
) -> Step | Callable[[Callable[..., Values | None]], Step]:
    """Make a step of a function whose parameters are keyword-only and annotated.

    Args:
        function: The function; its name is the step's.
        side_effects: True for a step that asks or changes the outside world. Such a step is never
            answered from the step cache.
        asks_registry: True for a step with side effects that needs MLflow's client, and nothing
            that computes: a local run may run it in a fork of a process that has MLflow loaded.

    Raises:
        StepError: An annotation that is no kind, output, source or JSON type, no output at all
            (a record needs something that it is about), or a step that asks the registry and says
            nothing of side effects.
    """
    if function is None:
        return lambda wrapped: _make_step(wrapped, side_effects, asks_registry)
    return _make_step(function, side_effects, asks_registry)


def _make_step(
    function: Callable[..., Values | None], side_effects: bool, asks_registry: bool
) -> Step:
    # One branch for each thing that an annotation can say.
    problems: list[str] = []
    hints = typing.get_type_hints(function)
    annotated = typing.get_type_hints(function, include_extras=True)
    inputs: dict[str, Port] = {}
    list_inputs: dict[str, Port] = {}
    sources: dict[str, bool] = {}
    outputs: dict[str, Port] = {}
    parameters: dict[str, inspect.Parameter] = {}
    services: list[str] = []
    types_of: dict[str, type] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            problems.append(f"make {name!r} keyword-only (put * first)")
            continue
        hint, optional = _strip_none(hints.get(name, Any))
        origin = typing.get_origin(hint)
        (argument, *_) = (*typing.get_args(hint), None)
        if origin is Out and isinstance(argument, type) and issubclass(argument, Artifact):
            outputs[name] = Port(argument, optional)
        elif hint is Source:
            sources[name] = optional
        elif hint is Services and side_effects:
            services.append(name)
        elif isinstance(hint, type) and issubclass(hint, Artifact):
            inputs[name] = Port(hint, optional)
        elif origin is list and isinstance(argument, type) and issubclass(argument, Artifact):
            list_inputs[name] = Port(argument, optional)
        elif (origin or hint) in _SCALARS:
            parameters[name] = parameter
            types_of[name] = origin or hint
        else:
            problems.append(
                f"{name!r} is annotated {_written(hint)}, which a step cannot take; use an "
                "artifact kind, Out[kind], Source, str, int, float, bool, list, dict or, with side "
                "effects, Services"
            )
    if problems:
        raise StepError.all_of(problems, where=f"step {function.__name__}")
    _require_sense(function.__name__, bool(outputs), side_effects, asks_registry)
    return Step(
        function=function,
        name=function.__name__,
        inputs=inputs,
        list_inputs=list_inputs,
        sources=sources,
        outputs=outputs,
        parameters=parameters,
        types={**dict.fromkeys((*inputs, *sources), str), **dict.fromkeys(list_inputs, list)}
        | types_of,
        digests=frozenset(name for name in parameters if annotated.get(name) == Digest),
        services=tuple(services),
        side_effects=side_effects,
        asks_registry=asks_registry,
    )


def _written(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else repr(hint)


def _require_sense(name: str, outputs: bool, side_effects: bool, asks_registry: bool) -> None:
    if not outputs:
        raise StepError(f"step {name} has no output; give it at least a record")
    if asks_registry and not side_effects:
        raise StepError(
            f"step {name} asks the registry, which is a side effect: say "
            "@step(side_effects=True, asks_registry=True)"
        )


def json_type(annotation: Any) -> type:
    """The plain type of an annotation: `list` of `list[str] | None`."""
    hint, _ = _strip_none(annotation)
    found: type = typing.get_origin(hint) or hint
    return found


def _strip_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        arguments = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        if len(arguments) == 1:
            return arguments[0], True
    return hint, False
