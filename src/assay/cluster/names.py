"""Texts in KFP's UI: names of runs, and descriptions of pipelines."""

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

    The list of runs shows only the names.

    Args:
        pipeline: Name of the pipeline, used if there is no estimator.
        arguments: Parameters of the run.
        otherwise: The name of a run without model or data.

    Returns:
        The name.
    """
    model, data, estimator = (
        value if isinstance(value := arguments.get(name), str) else ""
        for name in ("model_name", "data", "estimator")
    )
    word = _KIND.sub("", estimator.rpartition(".")[2])
    parts = [_safe(model), _safe(_stem(data)), _safe(word) or pipeline]
    return SEPARATOR.join(parts) if all(parts) else otherwise


def description(function: Any) -> str:
    """The description of a pipeline, its required parameters, and help on failures; Markdown.

    Args:
        function: The pipeline; its docstring is the description.
    """
    text = inspect.getdoc(function.pipeline_func) or ""
    paragraphs = [" ".join(text.split("\n\n")[0].split())]
    inputs = function.component_spec.inputs or {}
    required = [
        f"**{name}**: {' '.join((inputs[name].description or '').split())}"
        for name, parameter in inspect.signature(function.pipeline_func).parameters.items()
        if parameter.default is inspect.Parameter.empty and name in inputs
    ]
    if required:
        paragraphs += ["Required:", *required]
    if _EXIT_TASK in function.pipeline_spec.components:
        paragraphs.append(
            "If a run fails: open **Run report**, the task beside the box of all others; it "
            "gives the reason, and what to change."
        )
    else:
        paragraphs.append(
            "If a run fails: the last line of the log of the failed task gives the reason."
        )
    return "\n\n".join(part for part in paragraphs if part)


def version_description(function: Any, release: str, digest: str) -> str:
    """The description of a version; equal content is recognised by the digest in it.

    Args:
        function: The pipeline.
        release: Version of Assay.
        digest: Digest of the compiled content.

    Returns:
        Markdown.
    """
    return f"{description(function)}\n\nCompiled by Assay {release}; content `{digest}`."


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text).strip("-")[:MAX_PART_CHARS]


def _stem(location: str) -> str:
    """A short name of a table: the name of its file, or the first digits of a digest."""
    if is_digest(location) or is_short(location):
        return location.partition(":")[2][:_SHOWN_DIGITS]
    try:
        path = urlsplit(location).path if "://" in location else location
    except ValueError:
        return ""
    name = path.rstrip("/").rpartition("/")[2]
    return name.split(".")[0] or name.strip(".")
