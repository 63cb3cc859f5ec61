"""What people read in KFP's lists: names of runs, and what a pipeline says of itself."""

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from assay.core.digest import is_digest
from assay.core.resolve import is_short

MAX_PART_CHARS: Final = 40
SEPARATOR: Final = " · "
_UNSAFE: Final = re.compile(r"[^\w.@+=-]+")
_KIND: Final = re.compile(r"(?<=[a-z])(Classifier|Regressor)$")
_SHOWN_DIGITS: Final = 12
_EXIT_TASK: Final = "comp-run-report"


def run_name(pipeline: str, arguments: Mapping[str, Any], otherwise: str) -> str:
    """A run's name: model, data and estimator, such as `income · adult-train · auto`.

    Run lists show nothing else of a run than its name.

    Args:
        pipeline: Its name, which stands for the estimator where there is none.
        arguments: The run's parameters.
        otherwise: The name of a run that has no model or no data.
    """
    model, data, estimator = (
        value if isinstance(value := arguments.get(name), str) else ""
        for name in ("model_name", "data", "estimator")
    )
    word = _KIND.sub("", estimator.rpartition(".")[2])
    parts = [_safe(model), _safe(_stem(data)), _safe(word) or pipeline]
    return SEPARATOR.join(parts) if all(parts) else otherwise


def description(function: Any) -> str:
    """What a pipeline does, what it has to be given, and where to look when it is red; Markdown.

    Args:
        function: The pipeline, whose docstring says it.
    """
    text = inspect.getdoc(function.pipeline_func) or ""
    told = [" ".join(text.split("\n\n")[0].split())]
    inputs = function.component_spec.inputs or {}
    required = [
        f"**{name}**: {' '.join((inputs[name].description or '').split())}"
        for name, parameter in inspect.signature(function.pipeline_func).parameters.items()
        if parameter.default is inspect.Parameter.empty and name in inputs
    ]
    if required:
        told += ["Required:", *required]
    if _EXIT_TASK in function.pipeline_spec.components:
        told.append(
            "When a run is red: open **Run report**, the task beside the box of all others; it "
            "says why, and what to change."
        )
    else:
        told.append("When a run is red: the last line of the red task's log says why.")
    return "\n\n".join(part for part in told if part)


def version_description(function: Any, release: str, digest: str) -> str:
    """What a version says of itself; the digest in it is how the same content is found again."""
    return f"{description(function)}\n\nCompiled by Assay {release}; content `{digest}`."


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text).strip("-")[:MAX_PART_CHARS]


def _stem(location: str) -> str:
    """What people call a table: its file's name, or a digest's first digits."""
    if is_digest(location) or is_short(location):
        return location.partition(":")[2][:_SHOWN_DIGITS]
    try:
        path = urlsplit(location).path if "://" in location else location
    except ValueError:
        return ""
    name = path.rstrip("/").rpartition("/")[2]
    return name.split(".")[0] or name.strip(".")
