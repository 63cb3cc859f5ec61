"""The variables and modules that this process and the libraries in it have.

What Assay itself reads is in `assay.core.settings`. Here variables are set, for libraries and for
processes that this one starts.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping


def inherited(**changed: str) -> dict[str, str]:
    """The variables of this process with those in `changed`, for a process that it starts."""
    return {**os.environ, **changed}


def set_variables(variables: Mapping[str, str]) -> None:
    """Set variables in this process."""
    os.environ.update(variables)


def set_defaults(variables: Mapping[str, str]) -> None:
    """Set those of `variables` that are not set."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def replace_variables(variables: Mapping[str, str]) -> None:
    """Set `variables`, and unset all others."""
    os.environ.clear()
    os.environ.update(variables)


def unset_variables(*prefixes: str) -> None:
    """Unset the variables whose names begin with one of `prefixes`."""
    for name in [name for name in os.environ if name.startswith(prefixes)]:
        del os.environ[name]


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set `variables` in this process; afterwards they are what they were, or not there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def hidden_modules(*names: str) -> Iterator[None]:
    """Let modules pass for not installed, unless they have been imported already.

    For libraries that import whatever they find and do without it just as well.
    """
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # what Python takes for not installed
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def silence_mlflow() -> None:
    """Let MLflow send no usage data, unless the user wants it to.

    MLflow looks at this once, when it is imported.
    """
    set_defaults({"MLFLOW_DISABLE_TELEMETRY": "true"})
