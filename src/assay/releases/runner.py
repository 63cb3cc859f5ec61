"""Git's commands: credentials by the environment, its words turned into our errors.

Credentials reach Git through its environment (`GIT_CONFIG_COUNT`), bound to the remote's own
address: they stand in no URL, no file, no command line and no message.
"""

import base64
import os
import re
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from assay.core.settings import GIT_SSH_COMMAND
from assay.errors import ReleaseConflictError, ServiceError
from assay.releases.settings import Settings

if TYPE_CHECKING:
    from git import Repo

ATTEMPTS: Final = 5
SLOW_SECONDS: Final = 30
"""A transfer that moves less than a kilobyte a second for so long is given up."""
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
    """The repository does not answer; it may when it is tried again."""


class Runner:
    """Git in one clone."""

    def __init__(self, repo: "Repo", settings: Settings) -> None:
        self._repo = repo
        self._settings = settings

    def remote(self, what: str, *command: str) -> None:
        """A command that talks to the remote, again after a transient fault; errors as `run`."""

        @retry(
            retry=retry_if_exception_type(UnreachableError),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.2, max=5),
            reraise=True,
        )
        def attempt() -> None:
            self.run(*command, what=what)

        attempt()

    def run(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        istream: bytes | None = None,
        what: str = "",
    ) -> str:
        """A command's output.

        Args:
            command: Without `git`.
            env: Variables for this command only.
            istream: Its input.
            what: What could not be done, for errors.

        Raises:
            ReleaseConflictError: The remote is no longer as it was seen.
            UnreachableError: The remote does not answer.
            ServiceError: Anything else that Git refuses.
        """
        from git.exc import GitCommandError, GitCommandNotFound

        options: dict[str, Any] = {"env": dict(env or {})}
        try:
            if istream is not None:
                with tempfile.TemporaryFile() as stream:
                    stream.write(istream)
                    stream.seek(0)
                    return str(self._repo.git.execute(["git", *command], istream=stream, **options))
            return str(self._repo.git.execute(["git", *command], **options))
        except GitCommandNotFound as error:
            raise ServiceError("git is not installed; install it, 2.38 or later") from error
        except GitCommandError as error:
            raise self._fault(what or f"run git {command[0]}", str(error.stderr)) from error

    def _fault(self, what: str, output: str) -> ServiceError:
        """What Git said, as one of our errors, in one line and without secrets."""
        if token := self._settings.token:
            output = output.replace(token, "***")
        output = re.sub(r"//[^/@\s]*@", "//", output).strip().removeprefix("stderr:").strip(" '\n")
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        told = next((line for line in lines if "fatal" in line or "error" in line), "")
        shown = f"deployment repository {self._settings.url}: cannot {what}"
        said = (told or " ".join(lines))[:300]
        if _LEASE.search(output):
            return ReleaseConflictError(f"{shown}: somebody else has changed it; run again")
        if _REFUSED.search(output):
            return ServiceError(
                f"{shown}: refused ({said}); check ASSAY_GIT_TOKEN or the SSH key, and their right "
                "to write"
            )
        if _TRANSIENT.search(output):
            return UnreachableError(f"{shown}: {said}; check that it is up, and run again")
        return ServiceError(f"{shown}: {said}; check ASSAY_DEPLOYMENTS")


def environment(settings: Settings) -> dict[str, str]:
    """What Git is told in its environment, the login among it."""
    configuration = {
        "core.hooksPath": os.devnull,
        "commit.gpgSign": "false",  # records are signed by assay's own key
        "protocol.ext.allow": "never",
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": str(SLOW_SECONDS),
        "gc.auto": "0",
        "credential.helper": "",
    }
    if settings.token and settings.over_http:
        parts = urlsplit(settings.url)
        login = f"{settings.user}:{settings.token}".encode()
        header = f"Authorization: Basic {base64.b64encode(login).decode()}"
        configuration[f"http.{parts.scheme}://{parts.netloc}/.extraHeader"] = header
    variables = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": GIT_SSH_COMMAND.get(),
        "GIT_CONFIG_COUNT": str(len(configuration)),
    }
    for number, (key, value) in enumerate(configuration.items()):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables
