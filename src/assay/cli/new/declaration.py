"""What a stage's KFP component declares: merged from its steps, its task function and stage.yaml.

Parameters, their types, defaults and meanings come from the signature and docstring of each step
that the task runs, and of the function in `task.py` where there is one. `stage.yaml` says what a
step cannot: which of them the component has, and what KFP shows beside them.
"""

import ast
import importlib
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from assay.cli.new.docstring import Docstring, Entry
from assay.cluster.stages import FILE, LIBRARY, Component, Stage, read_stage
from assay.core.step import Services, Step, json_type
from assay.errors import StepError, UsageError
from assay.runtime.foreign import Foreign
from assay.runtime.kfp import SETTINGS, FinalStatus

STEP: Final = "step"
TASK: Final = "task"
REQUIRED: Final = inspect.Parameter.empty
"""The default of a parameter that has none."""

_TYPES: Final[Mapping[type, str]] = {
    **{kind: kind.__name__ for kind in (str, int, float, bool, list, dict)},
    FinalStatus: "dsl.PipelineTaskFinalStatus",
}
"""Types that a KFP component's parameter can have, and how the component writes them."""
_OF_A_VERDICT: Final = frozenset({"verdict", "reason", "reasons"})
"""Values that the task reads itself."""
_IMPORTED: Final = frozenset({STEP, TASK, "dsl", "component", "execute", "execute_all", "guard"})
"""Names that the generated file uses for something else."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input of the component."""

    name: str
    type: str
    """As an annotation."""
    default: Any
    meaning: str


@dataclass(frozen=True, slots=True)
class Output:
    """An output parameter of the component."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that `component.py` says."""

    stage: Stage
    package: str
    """Dotted name of the stage's package."""
    description: str
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    packages: Mapping[str, str]
    """The package of each step, by the step's name, in the order in which they run."""
    is_step: bool
    """False where step.py has a plain function, which the task calls."""
    has_task: bool
    """Whether task.py has a function that runs the steps."""


def declaration(folder: Path, package: str) -> Declaration:
    """What the component of a stage declares.

    Args:
        folder: The stage's.
        package: Dotted name of the folder as a package, which can be imported.

    Raises:
        UsageError: Files that cannot be read or imported, parameters without a meaning or with a
            type that KFP does not have, and names that do not exist; names all.
    """
    stage = read_stage(folder, package.rpartition(".")[2])
    interface = _Interface(stage, package)
    declared = interface.declaration()
    if interface.problems:
        raise UsageError.all_of(interface.problems)
    return declared


@dataclass(frozen=True, slots=True)
class _Source:
    """A function that declares parameters and outputs."""

    function: Callable[..., Any]
    file: str
    text: Docstring
    hints: Mapping[str, Any]
    """Annotations by parameter, strings evaluated."""
    step: Step | None = None

    @classmethod
    def of(cls, given: Any) -> "_Source":
        step = given if isinstance(given, Step) else None
        function = given.function if step else given
        file = _shown(inspect.getfile(function))
        hints = typing.get_type_hints(function)
        return cls(function, file, Docstring.of(function), hints, step)


@dataclass
class _Interface:
    """The sources of a component, and what is wrong with them."""

    stage: Stage
    package: str
    problems: list[str] = field(default_factory=list)

    def declaration(self) -> Declaration:
        given = self.stage.component
        packages = {name: self._package(name) for name in given.steps}
        sources = [self._load(package, STEP, name) for name, package in packages.items()]
        has_task = (self.stage.folder / f"{TASK}.py").is_file()
        task = self._load(self.package, TASK, self.stage.name) if has_task else None
        steps = [source for source in sources if source]
        own = [source for source in steps if source.function.__name__ == self.stage.name]
        parameters = self._parameters(steps, task)
        outputs = self._outputs([*steps, *([task] if task else [])])
        if not self.problems:
            self._require_sense(given, parameters)
        described = [*own, *([task] if task else []), *steps]
        return Declaration(
            stage=self.stage,
            package=self.package,
            description=self._description(described[0].text if described else None),
            parameters=tuple(parameters),
            outputs=tuple(outputs),
            packages=packages,
            is_step=all(source.step for source in steps),
            has_task=has_task,
        )

    def _package(self, step: str) -> str:
        return self.package if step == self.stage.name else f"{LIBRARY}.{step}"

    def _load(self, package: str, module: str, name: str) -> _Source | None:
        """A function of a stage's module; None, and a problem, if it does not exist."""
        file = f"{package.replace('.', '/')}/{module}.py"
        if package == self.package:
            file = str(self.stage.folder / f"{module}.py")
        try:
            function = getattr(importlib.import_module(f"{package}.{module}"), name, None)
            if callable(function):
                return _Source.of(function)
        except StepError as error:
            self.problems += [f"{file}: {problem}" for problem in error.problems]
            self._require_described(file, *_read(Path(file), name))
        except Exception as error:  # noqa: BLE001 - whatever a module raises when it is imported
            self.problems.append(f"{file}: cannot be imported: {type(error).__name__}: {error}")
        else:
            self.problems.append(f"{file}: no function {name!r}; name the stage's function so")
        return None

    def _parameters(self, steps: list[_Source], task: _Source | None) -> list[Parameter]:
        """The parameters of the steps that the component has, then those of the task function."""
        given = self.stage.component
        every = self._of_steps(steps)
        named = {
            "parameters": given.parameters or (), "hides": given.hides, "required": given.required
        }  # fmt: skip
        for key, names in named.items():
            self._require_known(key, names, every)
        chosen = every if given.parameters is None else given.parameters
        kept = {name: every[name] for name in chosen if name in every and name not in given.hides}
        for name, required in given.required.items():
            if name in kept:
                kept[name] = _with_requirement(kept[name], required=required)
        kept |= {parameter.name: parameter for parameter in (self._of(task) if task else ())}
        if given.settings:
            kept[SETTINGS] = Parameter(SETTINGS, "dict", {}, self._of_settings())
        return list(kept.values())

    def _of_steps(self, steps: list[_Source]) -> dict[str, Parameter]:
        """All parameters of the steps, by name; required if one of the steps requires it.

        A parameter that an earlier step gives is not a parameter of the component.
        """
        merged: dict[str, Parameter] = {}
        made: set[str] = set()
        for source in steps:
            for parameter in self._of(source):
                name = parameter.name
                if name in merged and parameter.default is REQUIRED:
                    merged[name] = replace(merged[name], default=REQUIRED)
                elif name not in made:
                    merged.setdefault(name, parameter)
            made |= {*(source.step.outputs if source.step else ()), *source.text.returns}
        return merged

    def _of(self, source: _Source) -> Iterator[Parameter]:
        """The parameters that one function declares, and problems where it does not do so."""
        signature = inspect.signature(source.function)
        names = list(signature.parameters)
        if source.step is None and source.file.endswith(f"{TASK}.py"):
            names = names[1:]  # the first is the task itself
        shown = self.stage.component.artifacts
        described = source.text.arguments
        for name in sorted(set(described) - set(signature.parameters)):
            self.problems.append(
                f"{source.file}: {name!r} is in Args and not in the signature; take it out"
            )
        services = source.step.services if source.step else ()
        self._require_described(source.file, [n for n in names if n not in services], described)
        for name in names:
            entry = described.get(name, Entry(""))
            if source.step is not None:
                if name not in source.step.outputs and name not in services:
                    yield _of_step(source.step, name, entry)
            elif name not in shown:
                yield from self._plain(source, signature.parameters[name], entry)

    def _require_described(self, file: str, names: Iterable[str], known: Iterable[str]) -> None:
        if missing := [name for name in names if name not in known]:
            self.problems.append(
                f"{file}: not described: {', '.join(missing)}; write a line 'NAME: what it means' "
                "for each into the docstring's Args"
            )

    def _plain(
        self, source: _Source, parameter: inspect.Parameter, entry: Entry
    ) -> Iterator[Parameter]:
        """A parameter of a function that is no step."""
        hint = source.hints.get(parameter.name, parameter.annotation)
        kind = _TYPES.get(json_type(hint))
        if kind is None:
            self.problems.append(
                f"{source.file}: {parameter.name!r} is annotated {hint!r}, which KFP has no type "
                f"for; use one of {', '.join(kind.__name__ for kind in _TYPES)}"
            )
        else:
            kind = f"Optional[{kind}]" if parameter.default is None else kind
            yield Parameter(parameter.name, kind, parameter.default, entry.meaning)

    def _outputs(self, sources: list[_Source]) -> list[Output]:
        given = self.stage.component
        made: dict[str, Output] = {}
        digests: set[str] = set()
        for source in sources:
            for name in source.step.outputs if source.step else ():
                entry = source.text.arguments.get(name, Entry(""))
                made[name] = Output(name, "str", _digest_of(entry.meaning))
                digests.add(name)
            for name, entry in source.text.returns.items():
                made[name] = Output(name, entry.type, entry.meaning)
        for name, parts in given.lists.items():
            self._require_known("lists", parts, made)
            made[name] = Output(name, "list", f"The digests {_listing(parts)} in one list.")
        names = given.outputs
        if names is None:
            names = tuple(name for name in made if name not in _OF_A_VERDICT)
        self._require_known("outputs", names, made)
        chosen = [made[name] for name in names if name in made]
        self.problems += [
            f"{self._file()}: output {output.name!r} has no type that KFP has; write "
            f"'{output.name} (TYPE): what it means' into the docstring's Returns, TYPE one of "
            "str, int, float, bool, list, dict"
            for output in chosen
            if output.type not in _TYPES.values()
        ]
        return [
            replace(output, name=f"{output.name}_digest")
            if output.name in given.artifacts and output.name in digests
            else output
            for output in chosen
        ]

    def _require_known(self, key: str, names: Iterable[str], known: Iterable[str]) -> None:
        if unknown := [name for name in names if name not in known]:
            self.problems.append(
                f"{self._file(FILE)}: component.{key}: unknown: {', '.join(unknown)}; known are "
                f"{', '.join(known)}"
            )

    def _require_sense(self, given: Component, parameters: list[Parameter]) -> None:
        names = {parameter.name for parameter in parameters}
        self.problems += [
            f"{self._file()}: {name!r} is a name that component.py needs itself; choose another"
            for name in sorted(names & _IMPORTED)
        ]
        self.problems += [
            f"{self._file(FILE)}: component.artifacts: {name!r} is a parameter; choose another name"
            for name in sorted(names & set(given.artifacts))
        ]
        if not given.base_image and not self.package.startswith(f"{LIBRARY}."):
            self.problems.append(
                f"{self._file(FILE)}: component.base_image is missing; name the image that holds "
                f"{self.package}"
            )

    def _file(self, name: str = "step.py") -> str:
        return str(self.stage.folder / name)

    def _description(self, text: Docstring | None) -> str:
        paragraphs = [text.description] if text else []
        given = self.stage.component
        if len(given.steps) > 1:
            paragraphs.append(f"One task runs the steps {_listing(given.steps)}.")
        if given.judge == "block":
            paragraphs.append(
                "A verdict other than pass fails the task, with exit code 4, or 5 if it is "
                "inconclusive, after the result is stored."
            )
        if given.judge == "reject":
            paragraphs.append(
                "A verdict other than pass fails the task, with exit code 3, after the result is "
                "stored."
            )
        return "\n\n".join(paragraphs)

    def _of_settings(self) -> str:
        given = self.stage.component
        more = "More of these parameters"
        if given.parameters is not None:
            more = f"More parameters of {_listing(given.steps)}"
        return (
            f"{more}, as one object, whose values win; `epoch`, any text, only changes KFP's cache "
            "key."
        )


def _read(file: Path, name: str) -> tuple[list[str], Iterable[str]]:
    """Parameters of a function that cannot be imported, and those that its docstring describes."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            names = [item.arg for item in node.args.kwonlyargs if not _is_services(item)]
            return names, Docstring.parse(ast.get_docstring(node) or "").arguments
    return [], ()


def _is_services(argument: ast.arg) -> bool:
    return isinstance(argument.annotation, ast.Name) and argument.annotation.id == Services.__name__


def _shown(path: str) -> str:
    """A path as a person in the working directory would write it."""
    folder = str(Path.cwd())
    return path.removeprefix(f"{folder}/")


def _of_step(step: Step, name: str, entry: Entry) -> Parameter:
    if name in step.inputs and issubclass(step.inputs[name].kind, Foreign):
        return Parameter(name, "dsl.Input[dsl.Artifact]", REQUIRED, entry.meaning)
    if name in step.inputs:
        default = "" if step.inputs[name].optional else REQUIRED
        return Parameter(name, "str", default, _digest_of(entry.meaning))
    if name in step.list_inputs:
        default_list: Any = [] if step.list_inputs[name].optional else REQUIRED
        return Parameter(name, "list", default_list, _digest_of(entry.meaning, several=True))
    if name in step.sources:
        return Parameter(name, "str", "" if step.sources[name] else REQUIRED, entry.meaning)
    default = step.parameters[name].default
    kind = _TYPES[step.types[name]]
    return Parameter(name, f"Optional[{kind}]" if default is None else kind, default, entry.meaning)


def _with_requirement(parameter: Parameter, *, required: bool) -> Parameter:
    empty = {"str": "", "list": [], "dict": {}, "int": 0, "float": 0.0, "bool": False}
    return replace(parameter, default=REQUIRED if required else empty[parameter.type])


def _digest_of(meaning: str, *, several: bool = False) -> str:
    """What an artifact's digest is, from what the artifact is."""
    return f"Digest{'s' if several else ''} of {meaning[:1].lower()}{meaning[1:]}"


def _listing(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
