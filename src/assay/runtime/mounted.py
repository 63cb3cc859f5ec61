"""What a cluster's Secrets and ConfigMap give a pod: files, which become environment variables.

Mounted, a Secret takes a third of the room in the workflow that a reference for each of its keys
takes, and Argo keeps each about seven times; so what every task gets is one Secret. A Secret that
is missing does not leave the pod waiting for ever: the task starts, and names in one line the
variable that is not set.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from assay.errors import UsageError

FOLDER: Final = Path("/etc/assay")
"""Where a pod has a folder for each kind of Secret, and `config` for the ConfigMap."""
CONFIG_FOLDER: Final = "config"
MAX_FILE_BYTES: Final = 1 << 20
"""Kubernetes admits no more."""

RUNNER, MLFLOW, NOTIFY, GIT = "runner", "mlflow", "notify", "git"

VARIABLES: Final[Mapping[str, Mapping[str, str]]] = {
    RUNNER: {
        "access-key": "AWS_ACCESS_KEY_ID",
        "secret-key": "AWS_SECRET_ACCESS_KEY",
        "private-key": "ASSAY_SIGNING_KEY",
        "public-key": "ASSAY_VERIFY_KEYS",
    },
    MLFLOW: {"username": "MLFLOW_TRACKING_USERNAME", "password": "MLFLOW_TRACKING_PASSWORD"},
    NOTIFY: {"url": "ASSAY_NOTIFY_URL"},
    GIT: {"token": "ASSAY_GIT_TOKEN"},
}
"""By kind of secret: the Secret's keys, and the environment variables that they become."""

REQUIRED_KEYS: Final[Mapping[str, tuple[str, ...]]] = {RUNNER: ("access-key", "secret-key")}
"""By kind of secret: keys without which no task can work. Signing keys are optional."""

CONFIG: Final[Mapping[str, str]] = {RUNNER: "ASSAY_STORE", MLFLOW: "MLFLOW_TRACKING_URI"}
"""By kind of secret: the variable of the ConfigMap that says where the service is."""

OPTIONAL_CONFIG: Final[Mapping[str, tuple[str, ...]]] = {
    RUNNER: ("ASSAY_SOURCES", "ASSAY_ALLOWED_CLASSES"),
    GIT: (
        "ASSAY_DEPLOYMENTS",
        "ASSAY_DEPLOYMENTS_BRANCH",
        "ASSAY_FORGE",
        "ASSAY_FORGE_URL",
        "ASSAY_GIT_USER",
        "ASSAY_APPROVAL_DAYS",
        "ASSAY_PUSHGATEWAY",
    ),
}
"""By kind of secret: variables that the ConfigMap may hold. A step that misses one says so itself,
where Kubernetes would leave its pod waiting."""


def use(folder: Path = FOLDER) -> None:
    """Make what is mounted part of this process's environment; what is set already stays.

    Only variables that are known here: a ConfigMap must not change what a process is.

    Raises:
        UsageError: A file that is no text, or is too large.
    """
    if not folder.is_dir():
        return
    for name, path in _places(folder):
        if name not in os.environ and path.is_file():
            with path.open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES or b"\0" in data:
                raise UsageError(f"{path}: no text of at most {MAX_FILE_BYTES} bytes; mend it")
            try:
                os.environ[name] = data.decode()
            except UnicodeDecodeError:
                raise UsageError(f"{path}: not UTF-8; mend it") from None


def _places(folder: Path) -> Iterator[tuple[str, Path]]:
    for kind, keys in VARIABLES.items():
        for key, name in keys.items():
            yield name, folder / kind / key
    for name in (*CONFIG.values(), *(one for names in OPTIONAL_CONFIG.values() for one in names)):
        yield name, folder / CONFIG_FOLDER / name
