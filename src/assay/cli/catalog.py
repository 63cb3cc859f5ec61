"""The pipelines and components that this installation holds."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from assay.documents import closest, read_json, read_yaml, shown, some
from assay.environment import environment
from assay.errors import UsageError


def names(package: str) -> list[str]:
    """Names of the stages or pipelines in `assay.components` or `assay.pipelines`, sorted."""
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
    includes JSON).

    Raises:
        UsageError: Unknown, missing and ill-typed parameters, all of them.
    """
    signature = inspect.signature(function.pipeline_func)
    problems = []
    bound: dict[str, Any] = {}
    unknown = [name for name in given if name not in signature.parameters]
    problems += some(unknown, lambda name: _unknown(name, signature.parameters))
    for name, value in given.items():
        if name not in signature.parameters:
            continue
        try:
            bound[name] = _convert(value, signature.parameters[name].annotation)
        except (ValueError, UsageError) as error:
            problems.append(f"parameter {name!r}: {error}")
    problems += [
        f"parameter {name!r} is missing; give it with -p {name}=…"
        for name, parameter in signature.parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in given
    ]
    if problems:
        raise UsageError.all_of(problems)
    return bound


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


def _convert(value: Any, wanted: type) -> Any:
    if wanted is str:
        # A number with a fraction could have been written otherwise than Python writes it.
        if not isinstance(value, str) and type(value) is not int:
            raise ValueError(f"expected text, got {shown(value)}; put it in quotes")
        return str(value)
    if isinstance(value, str):
        value = _read(value, wanted)
    if wanted is list and isinstance(value, str | int | float):
        value = [value]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ValueError(f"expected {_WORDS.get(wanted, wanted.__name__)}, got {shown(value)}")
    return value


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list such as [a, b]",
    dict: "an object such as {max_iter: 100}",
}
