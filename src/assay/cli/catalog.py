"""The pipelines and components of this installation."""

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from assay.cluster.stages import LIBRARY, library_folders
from assay.core.environment import environment
from assay.documents import closest, read_json, read_yaml, shown, some
from assay.documents.options import checked, hint, typed
from assay.errors import UsageError


def names(package: str) -> list[str]:
    """Names of the stages or pipelines in `assay.components` or `assay.pipelines`, sorted."""
    if package == LIBRARY:
        return list(library_folders())
    root = importlib.import_module(package)
    return sorted(module.name for module in pkgutil.iter_modules(root.__path__) if module.ispkg)


def pipeline(name: str) -> Any:
    """The pipeline function named `name`; dashes and underscores are equivalent.

    Raises:
        UsageError: There is no such pipeline; the message suggests a similar name.
    """
    wanted = name.replace("-", "_")
    known = names("assay.pipelines")
    if wanted not in known:
        close = closest(wanted, known)
        hint = f"did you mean {close.replace('_', '-')!r}?" if close else "pipelines: "
        listing = "" if close else ", ".join(item.replace("_", "-") for item in known)
        raise UsageError(f"no pipeline {name!r}; {hint}{listing}")
    _import_kfp()
    module = importlib.import_module(f"assay.pipelines.{wanted}.pipeline")
    return getattr(module, wanted)


def component(name: str) -> Any:
    """The component of the stage named `name`."""
    _import_kfp()
    return getattr(importlib.import_module(f"assay.components.{name}.component"), name)


def _import_kfp() -> None:
    """Import kfp without its cluster client, whose import takes longer than everything else.

    kfp defines the variable for this; a version that ignores it only takes longer.
    """
    if "kfp" in sys.modules:
        return
    with environment({"_KFP_RUNTIME": "true"}):
        importlib.import_module("kfp")
    # Import this module without the variable: a task's `dsl` cannot declare components.
    importlib.import_module("kfp.dsl")


def bind_arguments(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a pipeline, converted to the declared types.

    Text becomes a number, list or object if the parameter has that type (YAML syntax, which
    includes JSON). Options are collected in the parameter `options`.

    Raises:
        UsageError: Unknown, missing and ill-typed parameters, all of them.
    """
    signature = inspect.signature(function.pipeline_func)
    options = options_of(function)
    types = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    known = {**{name: type(value) for name, value in options.items()}, **types}
    problems = some([n for n in given if n not in known], lambda name: _unknown(name, known))
    bound: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, value in given.items():
        if name in known:
            try:
                place = bound if name in types else own
                place[name] = _convert(value, known[name], is_text=name in _TEXTS)
            except (ValueError, UsageError) as error:
                problems.append(f"parameter {name!r}: {error}")
    problems += [
        f"parameter {name!r} is missing; give it with -p {name}=…"
        for name, parameter in signature.parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in given
    ]
    problems += _choice_problems(function, bound)
    if problems:
        raise UsageError.all_of(problems)
    if options:
        # Both forms may be combined; an option given by its own name has priority.
        given = {**options, **bound.get("options", {}), **own}
        # Instead of a file, its content may be given as an object.
        given |= {
            name: json.dumps(given[name])
            for name in _TEXTS & set(given)
            if isinstance(given[name], dict)
        }
        bound["options"] = checked(given, {name: known[name] for name in options if name in known})
    return bound


def options_of(function: Any) -> dict[str, Any]:
    """The options of a pipeline and their defaults, from its parameter `options`."""
    parameter = inspect.signature(function.pipeline_func).parameters.get("options")
    return dict(parameter.default) if parameter is not None else {}


def choices_of(function: Any) -> dict[str, tuple[str, ...]]:
    """The admitted values of parameters of a pipeline: the `CHOICES` of its module."""
    return dict(function.pipeline_func.__globals__.get("CHOICES", {}))


def _choice_problems(function: Any, bound: Mapping[str, Any]) -> list[str]:
    return [
        f"parameter {name!r}: {shown(bound[name])} is not a choice; {hint(bound[name], values)}"
        for name, values in choices_of(function).items()
        if name in bound and bound[name] not in values
    ]


def _unknown(name: str, known: Iterable[str]) -> str:
    close = closest(name, known)
    hint = f"did you mean {close!r}?" if close else "see: assay run PIPELINE --help-parameters"
    return f"no parameter {shown(name)}; {hint}"


def _read(text: str, wanted: type) -> Any:
    """Parse text as JSON if it looks like JSON, otherwise as YAML."""
    if text.lstrip().startswith(("{", "[")):
        # JSON written by programs may have what YAML does not admit, such as long keys.
        try:
            return read_json(text, "value")
        except UsageError:
            pass
    try:
        return read_yaml(text, "value").value
    except UsageError as error:
        raise ValueError(f"not a {wanted.__name__} in YAML or JSON: {error}") from error


def _convert(value: Any, wanted: type, *, is_text: bool) -> Any:
    if is_text and isinstance(value, dict):
        return json.dumps(value)
    if wanted is str:
        # A number with a fraction may have had another spelling than Python's.
        if not isinstance(value, str) and type(value) is not int:
            raise ValueError(f"expected text, got {shown(value)}; put it in quotes")
        return str(value)
    if isinstance(value, str):
        value = _read(value, wanted)
    if wanted is list and isinstance(value, str | int | float):
        value = [value]
    if wanted is int and isinstance(value, float):
        raise ValueError(f"expected a whole number, got {shown(value)}")
    return typed(value, wanted)


_TEXTS: Final = frozenset({"policy", "suite", "checks", "monitoring"})
"""Parameters that are files; a YAML file of parameters may contain the object itself."""
