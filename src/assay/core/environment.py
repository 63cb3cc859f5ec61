"""Change the environment variables and modules of this process, for libraries and child processes.

The variables that Assay itself reads are in `assay.core.settings`.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping


def inherited(**changed: str) -> dict[str, str]:
    """The variables of this process, updated with `changed`, for a child process."""
    return {**os.environ, **changed}


def set_variables(variables: Mapping[str, str]) -> None:
    """Set variables in this process."""
    os.environ.update(variables)


def set_defaults(variables: Mapping[str, str]) -> None:
    """Set the variables that are unset."""
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
    """Set variables in this process while the block runs, and restore them afterwards."""
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
    """Make modules appear as not installed, unless they have been imported already.

    For libraries that import optional modules which are not needed.
    """
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # marks a module as not importable
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def silence_mlflow() -> None:
    """Disable the telemetry of MLflow, unless the user has enabled it.

    Must be called before MLflow is imported.
    """
    set_defaults({"MLFLOW_DISABLE_TELEMETRY": "true"})
