"""Steps: plain Python functions whose annotations declare their inputs and outputs.

A step does not depend on KFP, stores or digests. It reads its inputs from folders, writes its
outputs into folders, and returns a few values:

    @step
    def train(*, data: Dataset, target: str, seed: int = 0, model: Out[Model]) -> None:
        '''Fits a model.'''

Parameters annotated with a kind (`Dataset`, or `Model | None` if optional) are inputs, those with
`Lazy[kind]` are inputs that are not fetched as a whole, those with `Out[kind]` are outputs, a
`Source` is an external location, and all others are JSON parameters. A parameter annotated `Digest`
refers to an artifact. Steps of the library and of users are written in the same way.
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
    """An input of a step: a verified, read-only folder and its digest."""

    path: Path
    """The folder that holds the artifact's files; of a `Lazy` input those read so far."""
    digest: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    fetch: Callable[[str], Path] | None = field(default=None, repr=False, compare=False)
    """How a file of a `Lazy` input gets into the folder; None if all are there."""

    def file(self, name: str) -> Path:
        """A file of the artifact, which is read from the store if it was not yet.

        Args:
            name: Its path within the artifact.

        Raises:
            IntegrityError: The artifact has no such file, or its bytes do not match its digest.
        """
        return self.path / name if self.fetch is None else self.fetch(name)

    type: ClassVar[str] = ""
    """The `artifactType` of the manifest; subclasses set it."""
    reproducible: ClassVar[bool] = True
    """False if equal inputs may give different bytes, such as measured times."""


class Dataset(Artifact):
    """A table as canonical Parquet parts with its schema; see `assay.data`."""

    type = "application/vnd.assay.dataset.v1"


class Model(Artifact):
    """A fitted scikit-learn pipeline that `mlflow.pyfunc.load_model` loads; see `assay.models`."""

    type = "application/vnd.assay.model.v1"


class Policy(Artifact):
    """The rules of a gate: `policy.yaml`."""

    type = "application/vnd.assay.policy.v1"


class Suite(Artifact):
    """A Great Expectations suite: `suite.json`."""

    type = "application/vnd.assay.suite.v1"


class Checks(Artifact):
    """Behavioural checks of a model: `checks.yaml`."""

    type = "application/vnd.assay.checks.v1"


class MonitoringPlan(Artifact):
    """What is monitored in production, and who gets alarms: `monitoring.yaml`."""

    type = "application/vnd.assay.monitoring-plan.v1"


class Evidence(Artifact):
    """A folder with `evidence.json` (`assay.evidence`). Base class of the inputs of a gate."""


class Validation(Evidence):
    """The result of validating a dataset: `evidence.json`, `report.html`, `summary.md`."""

    type = "application/vnd.assay.validation.v1"


class Evaluation(Evidence):
    """A model's quality on held-out rows: `evidence.json`, `report.html`, curves."""

    type = "application/vnd.assay.evaluation.v1"


class Measurements(Evidence):
    """Measurements of the machine, mainly latency: `evidence.json`. Not reproducible."""

    type = "application/vnd.assay.measurements.v1"
    reproducible = False


class Comparison(Evidence):
    """A candidate and the production model on the same rows: `evidence.json`, `report.html`."""

    type = "application/vnd.assay.comparison.v1"


class Selection(Evidence):
    """Which of several candidates was chosen, and why: `evidence.json`, `report.html`."""

    type = "application/vnd.assay.selection.v1"


class Monitoring(Evidence):
    """How soon a monitoring plan detects injected faults: `evidence.json`, `report.html`."""

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
    """The decision of a gate: `decision.json` (an in-toto test result), `summary.md`."""

    type = "application/vnd.assay.decision.v1"


class Failure(Artifact):
    """Why a sweep's candidate has no model: `failure.json`, `summary.md`."""

    type = "application/vnd.assay.failure.v1"


class Parts(Artifact):
    """How the parts of a dataset are distributed over tasks: `parts.json`."""

    type = "application/vnd.assay.parts.v1"


class Record(Artifact):
    """A query to or change of an external system: `record.json`. Not reproducible."""

    type = "application/vnd.assay.record.v1"
    reproducible = False


A = TypeVar("A", bound=Artifact)

_LAZY: Final = "lazy"
Lazy = Annotated[A, _LAZY]
"""An input of which the step reads some files only, each by `Artifact.file`: the others are not
fetched, so that a step may look at a part of a dataset that is larger than its disk."""


@dataclass(slots=True)
class Out(Generic[A]):
    """An output of a step: an empty folder to write files into.

    An output annotated `Out[Kind] | None` is optional: if it stays empty, it has no digest.
    """

    path: Path
    annotations: dict[str, str] = field(default_factory=dict)
    """Annotations of the manifest; they are part of the artifact's digest."""


@dataclass(frozen=True, slots=True)
class Source:
    """External data, fetched and hashed before the step runs.

    The step key contains the digest, not the location: equal bytes elsewhere are the same input.
    """

    path: Path
    digest: str
    uri: str
    """The location without credentials; for messages, never for results."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a step with side effects has access to: the store and the verification keys.

    Passed to parameters that are annotated with it; never part of a step key.
    """

    store: Store
    verifier: Verifier | None


_DIGEST: Final = "digest"
Digest = Annotated[str, _DIGEST]
"""A parameter that refers to an artifact without reading it. The step gets the full digest for
every form that users may write (`assay.core.resolve`)."""

Values = Mapping[str, str | int | float | bool | list[str]]
"""The return value of a step: a few values for the pipeline to branch on, such as a verdict."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a step."""

    kind: type[Artifact]
    optional: bool = False
    lazy: bool = False
    """Whether the step fetches the files that it reads."""


@dataclass(frozen=True)
class Step:
    """A step function with its declared inputs and outputs; it can be called like the function."""

    function: Callable[..., Values | None]
    name: str
    inputs: Mapping[str, Port]
    list_inputs: Mapping[str, Port]
    """Inputs that are lists of artifacts."""
    sources: Mapping[str, bool]
    """By name of a location parameter: whether it may be empty."""
    outputs: Mapping[str, Port]
    parameters: Mapping[str, inspect.Parameter]
    types: Mapping[str, type]
    """Type of each argument by name; inputs and sources are given as text."""
    digests: frozenset[str]
    """Parameters annotated `Digest`."""
    services: tuple[str, ...]
    """Parameters annotated `Services`."""
    side_effects: bool
    """Whether it queries or changes external systems; such a step is never cached."""
    asks_registry: bool
    """Whether it needs MLflow's client, which a local run loads once; see
    `assay.runtime.fork_server`."""

    def __call__(self, **arguments: Any) -> Values | None:
        """Run the function itself, without store, cache or attestation."""
        return self.function(**arguments)

    @property
    def entry_point(self) -> str:
        """`module:name`, which `assay reproduce` uses to find the code."""
        return f"{self.function.__module__}:{self.function.__name__}"

    def bind_parameters(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Add the defaults to `arguments`, so that every parameter has a value.

        Raises:
            UsageError: Parameters are unknown or missing; the message lists all of them.
        """
        unknown = sorted(set(arguments) - set(self.parameters))
        bound = {
            name: arguments.get(name, parameter.default)
            for name, parameter in self.parameters.items()
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
    """Declare a function with annotated keyword-only parameters as a step.

    Args:
        function: The function; its name is the name of the step.
        side_effects: True for a step that queries or changes external systems. Such a step is never
            answered from the step cache.
        asks_registry: True for a step with side effects that needs MLflow's client and does no
            computation: a local run may run it in a fork of a process that has MLflow loaded.

    Returns:
        The step; a decorator if `function` is None.

    Raises:
        StepError: A parameter is not keyword-only, an annotation is not a kind, output, source or
            JSON type, the step has no output, it uses variables of a function around it, or it asks
            the registry without side effects.
    """
    if function is None:
        return lambda wrapped: _make_step(wrapped, side_effects, asks_registry)
    return _make_step(function, side_effects, asks_registry)


def _make_step(
    function: Callable[..., Values | None], side_effects: bool, asks_registry: bool
) -> Step:
    problems: list[str] = []
    if free := function.__code__.co_freevars:
        # The step key covers parameters and modules, so two such steps would share answers.
        problems.append(
            f"it uses {', '.join(free)} of the function that defines it; define the step at the "
            "top level of a module, and make these its parameters"
        )
    hints = typing.get_type_hints(function)
    annotated = typing.get_type_hints(function, include_extras=True)
    ports = _Ports()
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            problems.append(f"make {name!r} keyword-only (put * first)")
            continue
        hint, optional = _strip_none(hints.get(name, Any))
        lazy = _LAZY in getattr(annotated.get(name), "__metadata__", ())
        if hint is Services and side_effects:
            ports.services.append(name)
        elif not ports.add(parameter, hint, optional=optional, lazy=lazy):
            problems.append(
                f"{name!r} is annotated {_written(hint)}, which a step cannot take; use an "
                "artifact kind, Out[kind], Source, str, int, float, bool, list, dict or, with side "
                "effects, Services"
            )
    if problems:
        raise StepError.all_of(problems, where=f"step {function.__name__}")
    _require_consistent(function.__name__, bool(ports.outputs), side_effects, asks_registry)
    return Step(
        function=function,
        name=function.__name__,
        inputs=ports.inputs,
        list_inputs=ports.list_inputs,
        sources=ports.sources,
        outputs=ports.outputs,
        parameters=ports.parameters,
        types={
            **dict.fromkeys((*ports.inputs, *ports.sources), str),
            **dict.fromkeys(ports.list_inputs, list),
            **ports.types,
        },
        digests=frozenset(name for name in ports.parameters if annotated.get(name) == Digest),
        services=tuple(ports.services),
        side_effects=side_effects,
        asks_registry=asks_registry,
    )


@dataclass(slots=True)
class _Ports:
    """The parameters of a step function, grouped by their annotations."""

    inputs: dict[str, Port] = field(default_factory=dict)
    list_inputs: dict[str, Port] = field(default_factory=dict)
    outputs: dict[str, Port] = field(default_factory=dict)
    sources: dict[str, bool] = field(default_factory=dict)
    parameters: dict[str, inspect.Parameter] = field(default_factory=dict)
    types: dict[str, type] = field(default_factory=dict)
    """Of `parameters`."""
    services: list[str] = field(default_factory=list)

    def add(self, parameter: inspect.Parameter, hint: Any, *, optional: bool, lazy: bool) -> bool:
        """Add a parameter to its group; False if the annotation belongs to no group."""
        name, origin = parameter.name, typing.get_origin(hint)
        if hint is Source:
            self.sources[name] = optional
        elif (kind := _kind_of(hint)) is not None:
            group = {Out: self.outputs, list: self.list_inputs}.get(origin, self.inputs)
            group[name] = Port(kind, optional, lazy)
        elif (origin or hint) in _SCALARS:
            self.parameters[name] = parameter
            self.types[name] = origin or hint
        else:
            return False
        return True


def _kind_of(hint: Any) -> type[Artifact] | None:
    """The kind in `Kind`, `Out[Kind]` or `list[Kind]`; None for every other annotation."""
    if typing.get_origin(hint) in {Out, list}:
        hint = next(iter(typing.get_args(hint)), None)
    return hint if isinstance(hint, type) and issubclass(hint, Artifact) else None


def _written(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else repr(hint)


def _require_consistent(name: str, outputs: bool, side_effects: bool, asks_registry: bool) -> None:
    if not outputs:
        raise StepError(f"step {name} has no output; give it at least one, such as a Record")
    if asks_registry and not side_effects:
        raise StepError(
            f"step {name} asks the registry, which is a side effect: write "
            "@step(side_effects=True, asks_registry=True)"
        )


def json_type(annotation: Any) -> type:
    """The type of an annotation without parameters: `list` for `list[str] | None`."""
    hint, _ = _strip_none(annotation)
    plain: type = typing.get_origin(hint) or hint
    return plain


def _strip_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        arguments = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        if len(arguments) == 1:
            return arguments[0], True
    return hint, False
