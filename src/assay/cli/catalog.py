"""The pipelines and components that this installation holds."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import yaml

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
        close = get_close_matches(wanted, known, n=1)
        hint = f"did you mean {close[0].replace('_', '-')!r}?" if close else "there are: "
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
    for name, value in given.items():
        if name not in signature.parameters:
            close = get_close_matches(name, signature.parameters, n=1)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else "see: assay run PIPELINE --help-parameters"
            )
            problems.append(f"no parameter {name!r}; {hint}")
            continue
        try:
            bound[name] = _convert(value, signature.parameters[name].annotation)
        except ValueError as error:
            problems.append(f"parameter {name!r}: {error}")
    problems += [
        f"parameter {name!r} is missing; give it with -p {name}=…"
        for name, parameter in signature.parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in given
    ]
    if problems:
        raise UsageError.all_of(problems)
    return bound


def _convert(value: Any, wanted: type) -> Any:
    if wanted is str:
        if not isinstance(value, str | int | float):
            raise ValueError(f"expected text, got {value!r}")
        return str(value)
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"not a {wanted.__name__} in YAML or JSON: {value!r}") from error
    if wanted is list and isinstance(value, str | int | float):
        value = [value]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ValueError(f"expected {_WORDS.get(wanted, wanted.__name__)}, got {value!r}")
    return value


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list such as [a, b]",
    dict: "an object such as {max_iter: 100}",
}
