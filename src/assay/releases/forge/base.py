"""The interface of forges.

An adapter converts the errors of its client to these:

| cause | error |
|---|---|
| no token, a wrong one, or one without the right | `ServiceError`, says which variable |
| answers 429 and 5xx, or no answer, that outlive every retry | `ServiceError` |
| the forge refuses the request itself | `ServiceError` with its message |

A client's error never reaches a user: its text may contain headers.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from assay.core import retry
from assay.errors import ServiceError

T = TypeVar("T")

TIMEOUT_SECONDS: Final = 20
MAX_BODY_CHARS: Final = 60_000
"""GitHub admits 65,536 characters in the description of a pull request; GitLab and Gitea more."""
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Merge:
    """Who merged a pull request, and when."""

    commit: str
    by: str
    at: str
    """RFC 3339, UTC."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A proposal; on GitLab, a merge request."""

    number: int
    """0 without a forge."""
    url: str
    branch: str
    state: str
    """`open`, `merged` or `closed`."""
    merge: Merge | None = None


class Forge(Protocol):
    """Where releases are proposed."""

    def find(self, branch: str) -> PullRequest | None:
        """The pull request of a branch of this repository: the open one, else the newest.

        A branch of the same name in a fork is another one.
        """

    def open(
        self, branch: str, base: str, title: str, body: str, labels: Sequence[str]
    ) -> PullRequest:
        """Open a pull request; an existing one of the branch is updated instead.

        Args:
            branch: With the proposal.
            base: The branch to merge into.
            title: Of the pull request.
            body: Its description, in Markdown.
            labels: To add.

        Returns:
            The pull request.

        Raises:
            ServiceError: The forge refuses, or does not answer.
        """

    def update(
        self, request: PullRequest, title: str, body: str, labels: Sequence[str]
    ) -> PullRequest:
        """Change an open pull request; labels that people added stay.

        Args:
            request: The pull request.
            title: The new title.
            body: The new description, in Markdown.
            labels: To add.

        Returns:
            The pull request.

        Raises:
            ServiceError: The forge refuses, or does not answer.
        """

    def close(self, request: PullRequest, comment: str) -> None:
        """Close a pull request without merging it."""

    def merged_by(self, commit: str) -> PullRequest | None:
        """The merged pull request that brought a commit into the branch."""


def calling(name: str, what: str, work: Callable[[], T]) -> T:
    """Call `work`, and retry after a transient fault.

    Args:
        name: Of the forge.
        what: The action, for errors: "cannot <what>".
        work: Raises what `failed` makes; other exceptions pass through.
        first_wait: Seconds before the second attempt.

    Returns:
        The result of `work`.

    Raises:
        ServiceError: The faults outlived every retry.
    """
    try:
        return retry.call(retry.FORGE, work)
    except retry.TransientError as error:
        raise ServiceError(
            f"{name}: cannot {what}: {error}, after {retry.FORGE}; run again later"
        ) from error


def failed(
    name: str, what: str, status: int, message: str, *, wait: float = 0.0, passing: bool = False
) -> Exception:
    """The error for an answer of a forge.

    Args:
        name: Of the forge.
        what: The action, for errors: "cannot <what>".
        status: Of HTTP; 0 where there was no answer.
        message: The forge's message.
        wait: Seconds that it requests to wait.
        passing: Whether the fault is transient, whatever the status.

    Returns:
        A `ServiceError`, or for a transient fault the error that `calling` retries.
    """
    message = " ".join(message.split())[:200]
    limited = status == _FORBIDDEN and re.search(r"rate limit|abuse", message, re.IGNORECASE)
    if passing or status == 0 or status in retry.TRANSIENT_STATUS or limited:
        kind = f"answered {status}" if status else "did not answer"
        return retry.TransientError(f"it {'limits the rate' if limited else kind}", wait)
    if status == _UNAUTHORIZED:
        hint = "ASSAY_GIT_TOKEN is missing, wrong or expired"
    elif status == _FORBIDDEN:
        hint = "ASSAY_GIT_TOKEN lacks the right to write code and pull requests"
    elif status == _NOT_FOUND:
        hint = "check ASSAY_DEPLOYMENTS, and that ASSAY_GIT_TOKEN may see that repository"
    else:
        hint = "check the repository's settings"
    return ServiceError(f"{name}: cannot {what}: answered {status} ({message}); {hint}")


def bounded(body: str) -> str:
    """A body within the limits of every forge."""
    if len(body) <= MAX_BODY_CHARS:
        return body
    return f"{body[:MAX_BODY_CHARS]}\n\n… cut here; the files of the branch have the full text\n"
