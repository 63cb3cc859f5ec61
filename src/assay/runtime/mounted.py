"""What a cluster's Secrets and ConfigMap give a pod: files, which become environment variables.

Mounted, a Secret takes a third of the room in the workflow that a reference for each of its keys
takes, and Argo keeps each about seven times; so what every task gets is one Secret. A Secret that
is missing does not leave the pod waiting forever: the task starts, and names in one line the
variable that is not set.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from assay.core.environment import set_variables
from assay.core.settings import SETTINGS, Setting
from assay.errors import UsageError

FOLDER: Final = Path("/etc/assay")
"""Where a pod has a folder for each kind of Secret, and `config` for the ConfigMap."""
CONFIG_FOLDER: Final = "config"
MAX_FILE_BYTES: Final = 1 << 20
"""Kubernetes admits no more."""

RUNNER, MLFLOW, NOTIFY, GIT = "runner", "mlflow", "notify", "git"

VARIABLES: Final[Mapping[str, Mapping[str, str]]] = {
    kind: {
        setting.mounted.removeprefix(f"{kind}/"): setting.name
        for setting in SETTINGS
        if setting.mounted.startswith(f"{kind}/")
    }
    for kind in (RUNNER, MLFLOW, NOTIFY, GIT)
}
"""By kind of secret: the Secret's keys, and the environment variables that they become."""

REQUIRED_KEYS: Final[Mapping[str, tuple[str, ...]]] = {RUNNER: ("access-key", "secret-key")}
"""By kind of secret: keys without which no task can work. Signing keys are optional."""

CONFIG: Final = tuple(setting.name for setting in SETTINGS if setting.config_map)
"""Variables that the ConfigMap may hold. A step that misses one says so itself, where Kubernetes
would leave its pod waiting."""


def use(folder: Path = FOLDER) -> None:
    """Make what is mounted part of this process's environment; what is set already stays.

    Only variables that are known here: a ConfigMap must not change what a process is.

    Raises:
        UsageError: A file that is no text, or is too large.
    """
    if not folder.is_dir():
        return
    for setting, path in _places(folder):
        if not setting.is_set and path.is_file():
            with path.open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES or b"\0" in data:
                raise UsageError(f"{path}: no text of at most {MAX_FILE_BYTES} bytes; mend it")
            try:
                set_variables({setting.name: data.decode()})
            except UnicodeDecodeError:
                raise UsageError(f"{path}: not UTF-8; mend it") from None


def _places(folder: Path) -> Iterator[tuple[Setting, Path]]:
    for setting in SETTINGS:
        if setting.mounted:
            yield setting, folder / setting.mounted
        elif setting.config_map:
            yield setting, folder / CONFIG_FOLDER / setting.name
