"""Run `git`. No other module starts it.

Each call is bounded in time and output, asks nobody, and runs no program that a repository names:

| rule | how |
|---|---|
| no prompt | `GIT_TERMINAL_PROMPT`, `GIT_ASKPASS`, SSH in batch mode, no credential helper |
| no program of the repository | `core.hooksPath` and `core.fsmonitor` off, `ext::` refused |
| only the given folder | variables that name another repository are removed from the environment |
| stable messages | locale `C` |
| bounds | a time-out, and a limit for the output that is read |

Callers put `--end-of-options` or `--` before values that they did not make themselves.
"""

import contextlib
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from assay.core.environment import inherited
from assay.core.settings import GIT_SSH_COMMAND
from assay.errors import ServiceError

SECONDS: Final = 600.0
"""Time-out of a command."""
MAX_OUTPUT_BYTES: Final = 512 << 20
MAX_ERROR_BYTES: Final = 64 << 10
"""Of the standard error, which is cut there."""
_GRACE_SECONDS: Final = 5.0
_CHUNK_BYTES: Final = 1 << 16
_CONFIGURATION: Final = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "commit.gpgSign": "false",  # releases are signed by assay's own key
    "protocol.ext.allow": "never",
    "gc.auto": "0",
    "credential.helper": "",
}
_LOCAL: Final = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    }
)
"""What a hook of another repository sets; see `git rev-parse --local-env-vars`."""


class GitError(ServiceError):
    """Git refused a command, or did not finish it in time."""

    def __init__(self, message: str, output: bytes = b"", errors: str = "") -> None:
        super().__init__(message)
        self.output = output
        """The standard output."""
        self.errors = errors
        """The standard error, at most `MAX_ERROR_BYTES`."""


class GitNotFoundError(GitError):
    """Git is not installed."""


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one folder."""

    folder: Path = field(default_factory=Path)
    configuration: Mapping[str, str] = field(default_factory=dict)
    """Settings for each command, such as a login; they reach Git through its environment, so that
    they are in no file and on no command line."""
    seconds: float = SECONDS
    """Time-out of a command."""

    def run(self, *command: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> bytes:
        """Run a command.

        Args:
            command: The words behind `git`.
            env: Variables for this command only.
            stdin: The standard input.

        Returns:
            The standard output.

        Raises:
            GitNotFoundError: Git is not installed.
            GitError: Git refused, took longer than `seconds`, or wrote more than
                `MAX_OUTPUT_BYTES`.
        """
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603 - no shell; the callers separate values
                    ["git", *command],  # noqa: S607 - the user's own git
                    cwd=self.folder,
                    env={**environment(self.configuration), **(env or {})},
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            except FileNotFoundError as error:
                if not self.folder.is_dir():
                    raise GitError(f"{self.folder}: no such folder") from error
                raise GitNotFoundError(
                    "Git is not on the PATH; install git 2.38 or later, or add its folder to PATH"
                ) from error
            with process:
                try:
                    output, errors = _read(process, self.seconds, f"git {command[0]}")
                finally:
                    _stop(process)
        text = errors.decode(errors="replace")
        if process.returncode:
            raise GitError(f"git {command[0]}: {text.strip()}", output, text)
        return output

    def text(self, *command: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> str:
        """The output of a command as text without its last line end.

        Bytes that are not UTF-8 become lone surrogates, so that a path can be given back to Git.
        Arguments and errors as `run`.
        """
        output = self.run(*command, env=env, stdin=stdin)
        return output.decode(errors="surrogateescape").removesuffix("\n")


def environment(configuration: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command.

    Args:
        configuration: Settings beside those that every command has.
    """
    variables = {name: value for name, value in inherited().items() if name not in _LOCAL}
    begin = variables.get("GIT_CONFIG_COUNT", "")
    settings = {**_CONFIGURATION, **configuration}
    first = int(begin) if begin.isdecimal() else 0
    for number, (key, value) in enumerate(settings.items(), start=first):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables | {
        "GIT_CONFIG_COUNT": str(first + len(settings)),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_SSH_COMMAND": GIT_SSH_COMMAND.get(),
        "LANGUAGE": "C",
        "LC_ALL": "C",
    }


def _read(process: "subprocess.Popen[bytes]", seconds: float, what: str) -> tuple[bytes, bytes]:
    """Standard output and standard error, read side by side until both are closed."""
    deadline = time.monotonic() + seconds
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, kept in ((process.stdout, output), (process.stderr, errors)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, kept)
        while selector.get_map():
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                text = f"{what}: timed out after {seconds:.0f} s"
                raise GitError(text, errors=text)
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK_BYTES)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif key.data is output or len(errors) < MAX_ERROR_BYTES:
                    key.data.extend(chunk)
            if len(output) > MAX_OUTPUT_BYTES:
                text = f"{what}: more than {MAX_OUTPUT_BYTES} bytes of output"
                raise GitError(text, errors=text)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(deadline - time.monotonic(), _GRACE_SECONDS))
    return bytes(output), bytes(errors)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a command that still runs; asked first, so that Git ends its transports too."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
