"""Git in a clone of the deployment repository: the login, and errors for what Git reports.

The login reaches Git through its environment, bound to the remote's own address: it is in no URL,
no file, no command line and no message.
"""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from assay.core import retry
from assay.core.git import Git, GitError, GitNotFoundError
from assay.errors import ReleaseConflictError, ServiceError
from assay.releases.settings import Settings

SLOW_SECONDS: Final = 30
"""Seconds after which a transfer of less than a kilobyte per second is aborted."""
_TRANSFER: Final = {"http.lowSpeedLimit": "1000", "http.lowSpeedTime": str(SLOW_SECONDS)}
_TRANSIENT: Final = re.compile(
    r"could not resolve host|connection (refused|reset|timed out)|operation (too slow|timed out)"
    r"|early eof|hung up|remote end|http/?\S* ?5\d\d|error: 5\d\d|couldn't connect|timed out"
    r"|cannot lock ref|temporarily",
    re.IGNORECASE,
)
_REFUSED: Final = re.compile(
    r"authentication failed|could not read username|could not read password|permission denied"
    r"|error: 40[13]|access denied|not allowed|protected branch|hook declined|denied to",
    re.IGNORECASE,
)
_LEASE: Final = re.compile(
    r"stale info|\[rejected\]|fetch first|non-fast-forward|failed to update ref|reference already",
    re.IGNORECASE,
)


class UnreachableError(ServiceError):
    """The repository does not answer; a retry may succeed."""


class Runner:
    """Git in one clone or checkout."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._git = Git(folder, {**_TRANSFER, **login(settings)})
        self._settings = settings

    def remote(self, what: str, *command: str) -> None:
        """Run a command that uses the remote, with retries; errors as `run`."""
        retry.call(
            retry.GIT,
            lambda: self.run(*command, what=what),
            lambda error: isinstance(error, UnreachableError),
        )

    def run(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        what: str = "",
    ) -> str:
        """The output of a command, as `Git.text` gives it.

        Args:
            command: The arguments of `git`.
            env: Variables for this command only.
            stdin: The standard input.
            what: The action, for errors: "cannot <what>".

        Returns:
            The standard output without its last line end.

        Raises:
            ReleaseConflictError: The remote was changed since it was fetched.
            UnreachableError: The remote does not answer.
            ServiceError: Any other failure of Git.
        """
        try:
            # Paths are literal; Git would interpret some first characters.
            literal = {"GIT_LITERAL_PATHSPECS": "1", **(env or {})}
            return self._git.text(*command, env=literal, stdin=stdin)
        except GitNotFoundError:
            raise
        except GitError as error:
            raise self._fault(what or f"run git {command[0]}", error.errors) from error

    def content(self, blob: str) -> bytes:
        """The bytes of a blob; errors as `run`."""
        try:
            return self._git.run("cat-file", "blob", blob)
        except GitError as error:
            raise self._fault(f"read {blob}", error.errors) from error

    def _fault(self, what: str, output: str) -> ServiceError:
        """Convert an error of Git to one line without secrets."""
        if token := self._settings.token:
            output = output.replace(token, "***")
        output = re.sub(r"//[^/@\s]*@", "//", output)
        lines = [line.strip() for line in output.split("\n") if line.strip()]
        first = next((line for line in lines if "fatal" in line or "error" in line), "")
        shown = f"deployment repository {self._settings.url}: cannot {what}"
        output_line = (first or " ".join(lines))[:300]
        if _LEASE.search(output):
            return ReleaseConflictError(f"{shown}: it was changed by others; run again")
        if _REFUSED.search(output):
            return ServiceError(
                f"{shown}: refused ({output_line}); check ASSAY_GIT_TOKEN or the SSH key, and "
                "their right "
                "to write"
            )
        if _TRANSIENT.search(output):
            return UnreachableError(f"{shown}: {output_line}; check that it is up, and run again")
        return ServiceError(f"{shown}: {output_line}; check ASSAY_DEPLOYMENTS")


def login(settings: Settings) -> dict[str, str]:
    """The login as a setting of Git; empty where the remote needs none."""
    if not (settings.token and settings.over_http):
        return {}
    parts = urlsplit(settings.url)
    credentials = base64.b64encode(f"{settings.user}:{settings.token}".encode()).decode()
    header = f"Authorization: Basic {credentials}"
    return {f"http.{parts.scheme}://{parts.netloc}/.extraHeader": header}
