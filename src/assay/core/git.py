"""Run `git`. No other module starts it.

Each call is limited in time and output, never prompts, and runs no program that a repository sets:

| rule | how |
|---|---|
| no prompt | `GIT_TERMINAL_PROMPT`, `GIT_ASKPASS`, SSH in batch mode, no credential helper |
| no program of the repository | `core.hooksPath` and `core.fsmonitor` off, `ext::` refused |
| only the given folder | variables that select another repository are removed |
| stable messages and output | locale `C`; settings of the user that change them are overridden |
| limits | a timeout, and a maximum size of the output |

Callers put `--end-of-options` or `--` before untrusted values.
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
"""Timeout of a command."""
MAX_OUTPUT_BYTES: Final = 512 << 20
MAX_ERROR_BYTES: Final = 64 << 10
"""Standard error is truncated to this size."""
_GRACE_SECONDS: Final = 5.0
_CHUNK_BYTES: Final = 1 << 16
_CONFIGURATION: Final = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "commit.gpgSign": "false",  # releases are signed by assay's own key
    "protocol.ext.allow": "never",
    "gc.auto": "0",
    "credential.helper": "",
    # Settings of the person who runs it that add to what is parsed, or change it.
    "log.showSignature": "false",
    "log.follow": "false",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
    "diff.relative": "false",
    "color.ui": "false",
    # Settings that push more than the one branch, or refuse to push.
    "push.followTags": "false",
    "push.gpgSign": "false",
    "push.recurseSubmodules": "no",
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
"""Variables that a hook of another repository sets; see `git rev-parse --local-env-vars`."""


class GitError(ServiceError):
    """A Git command failed or timed out."""

    def __init__(self, message: str, output: bytes = b"", errors: str = "") -> None:
        """An error with the output of the command.

        Args:
            message: The error message.
            output: Standard output.
            errors: Standard error.
        """
        super().__init__(message)
        self.output = output
        self.errors = errors


class GitNotFoundError(GitError):
    """Git is not installed."""


@dataclass(frozen=True, slots=True)
class Git:
    """Runs Git commands in one folder."""

    folder: Path = field(default_factory=Path)
    configuration: Mapping[str, str] = field(default_factory=dict)
    """Git configuration of each command, such as credentials. It is passed in environment
    variables, so that it is not visible in files or on command lines."""
    seconds: float = SECONDS
    """Timeout of a command."""

    def run(self, *command: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> bytes:
        """Run a command.

        Args:
            command: The arguments of `git`.
            env: Additional environment variables.
            stdin: The standard input.

        Returns:
            The standard output.

        Raises:
            GitNotFoundError: Git is not installed.
            GitError: The command failed, timed out after `seconds`, or wrote more than
                `MAX_OUTPUT_BYTES`.
        """
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603 - no shell; the callers separate values
                    ["git", *command],  # noqa: S607 - the user's own git
                    cwd=self.folder,
                    env={**environment(self.configuration), **(env or {})},
                    stdin=file,
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
        """Run a command and decode its output.

        Args:
            command: The arguments of `git`.
            env: Additional environment variables.
            stdin: The standard input.

        Returns:
            The standard output without the last line end. Bytes that are not UTF-8 are decoded with
            `surrogateescape`, so that paths can be passed to Git again.

        Raises:
            GitNotFoundError: Git is not installed.
            GitError: As for `run`.
        """
        output = self.run(*command, env=env, stdin=stdin)
        return output.decode(errors="surrogateescape").removesuffix("\n")


def environment(configuration: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command.

    Args:
        configuration: Git configuration in addition to that of every command.
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
    """Read standard output and standard error until both are closed."""
    deadline = time.monotonic() + seconds
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, buffer in ((process.stdout, output), (process.stderr, errors)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, buffer)
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
    """Stop a running command; with SIGTERM first, so that Git stops its transports too."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
