"""Environment variables from the mounted files of Secrets and the ConfigMap of a cluster.

A mounted Secret takes a third of the space in the workflow that a reference for each of its keys
takes, and Argo keeps each about seven times. If a Secret is missing, the pod does not wait forever:
the task starts, and reports the missing variable in one line.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from assay.core.environment import set_variables
from assay.core.settings import SETTINGS, Setting
from assay.errors import UsageError

FOLDER: Final = Path("/etc/assay")
"""The folder in a pod with a folder for each kind of Secret, and `config` for the ConfigMap."""
CONFIG_FOLDER: Final = "config"
MAX_FILE_BYTES: Final = 1 << 20
"""Kubernetes' limit."""

RUNNER, MLFLOW, NOTIFY, GIT = "runner", "mlflow", "notify", "git"

VARIABLES: Final[Mapping[str, Mapping[str, str]]] = {
    kind: {
        setting.mounted.removeprefix(f"{kind}/"): setting.name
        for setting in SETTINGS
        if setting.mounted.startswith(f"{kind}/")
    }
    for kind in (RUNNER, MLFLOW, NOTIFY, GIT)
}
"""The keys of each kind of Secret, and their environment variables."""

REQUIRED_KEYS: Final[Mapping[str, tuple[str, ...]]] = {RUNNER: ("access-key", "secret-key")}
"""The required keys of each kind of Secret. Signing keys are optional."""

CONFIG: Final = tuple(setting.name for setting in SETTINGS if setting.config_map)
"""Variables that the ConfigMap may contain. A step reports a missing one, where Kubernetes would
leave its pod waiting."""


def use(folder: Path = FOLDER) -> None:
    """Set the environment variables of mounted files; variables that are set are kept.

    Only the listed variables, because a ConfigMap must not set others, such as PYTHONPATH.

    Raises:
        UsageError: A file is not text, or is too large.
    """
    if not folder.is_dir():
        return
    for setting, path in _places(folder):
        if not setting.is_set and path.is_file():
            with path.open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES or b"\0" in data:
                raise UsageError(f"{path}: not text of at most {MAX_FILE_BYTES} bytes; correct it")
            try:
                set_variables({setting.name: data.decode()})
            except UnicodeDecodeError:
                raise UsageError(f"{path}: not UTF-8; correct it") from None


def _places(folder: Path) -> Iterator[tuple[Setting, Path]]:
    for setting in SETTINGS:
        if setting.mounted:
            yield setting, folder / setting.mounted
        elif setting.config_map:
            yield setting, folder / CONFIG_FOLDER / setting.name
