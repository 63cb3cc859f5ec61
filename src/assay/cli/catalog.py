"""The pipelines and components that this installation holds."""

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
    """The pipeline function called `name`; dashes and underscores are the same.

    Raises:
        UsageError: No such pipeline; suggests a close name.
    """
    wanted = name.replace("-", "_")
    known = names("assay.pipelines")
    if wanted not in known:
        close = closest(wanted, known)
        hint = f"did you mean {close.replace('_', '-')!r}?" if close else "there are: "
        listing = "" if close else ", ".join(item.replace("_", "-") for item in known)
        raise UsageError(f"no pipeline {name!r}; {hint}{listing}")
    _import_kfp()
    module = importlib.import_module(f"assay.pipelines.{wanted}.pipeline")
    return getattr(module, wanted)


def component(name: str) -> Any:
    """The component of the stage called `name`."""
    _import_kfp()
    return getattr(importlib.import_module(f"assay.components.{name}.component"), name)


def _import_kfp() -> None:
    """Import kfp, but not its client of a cluster with it, which takes longer than all the rest.

    The variable is kfp's own way to say so; where it means nothing, this only takes longer.
    """
    if "kfp" in sys.modules:
        return
    with environment({"_KFP_RUNTIME": "true"}):
        importlib.import_module("kfp")
    # Only this without the variable: a task's `dsl` cannot declare components.
    importlib.import_module("kfp.dsl")


def bind_arguments(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a pipeline, each of the type that it declares.

    Text becomes a number, list or object where the parameter asks for one (YAML syntax, which
    includes JSON). What is the name of an option goes into the parameter `options`.

    Raises:
        UsageError: Unknown, missing and ill-typed parameters, all of them.
    """
    signature = inspect.signature(function.pipeline_func)
    options = options_of(function)
    types = {name: one.annotation for name, one in signature.parameters.items()}
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
        # One way and the other may be mixed; what is named by itself wins.
        given = {**options, **bound.get("options", {}), **own}
        # A file may be given as the object that it holds.
        given |= {
            name: json.dumps(given[name])
            for name in _TEXTS & set(given)
            if isinstance(given[name], dict)
        }
        bound["options"] = checked(given, {name: known[name] for name in options if name in known})
    return bound


def options_of(function: Any) -> dict[str, Any]:
    """The options of a pipeline and their defaults: what its parameter `options` holds."""
    parameter = inspect.signature(function.pipeline_func).parameters.get("options")
    return dict(parameter.default) if parameter is not None else {}


def choices_of(function: Any) -> dict[str, tuple[str, ...]]:
    """Values that parameters of a pipeline may have: the `CHOICES` of its module."""
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
    """Text as JSON where it is written as JSON, otherwise as YAML."""
    if text.lstrip().startswith(("{", "[")):
        # JSON admits more than YAML does where programs write it, such as long keys.
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
        # A number with a fraction could have been written otherwise than Python writes it.
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
"""Parameters that are files: a YAML file of parameters may hold the object itself."""
