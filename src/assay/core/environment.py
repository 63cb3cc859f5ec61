"""What a process and the libraries in it find: environment variables, installed modules."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping


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
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
