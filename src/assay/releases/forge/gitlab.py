"""GitLab, through python-gitlab.

https://docs.gitlab.com/api/merge_requests/

As with GitHub, each retried call is one request.
"""

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from assay.errors import ServiceError, UsageError
from assay.releases.forge.base import TIMEOUT_SECONDS, Merge, PullRequest, calling, failed
from assay.releases.settings import Settings
from assay.releases.statement import stamp

T = TypeVar("T")

NAME: Final = "GitLab"
PUBLIC: Final = "https://gitlab.com"
_STATES: Final = {"opened": "open", "locked": "open"}
PAGE: Final = 100
MAX_REQUESTS: Final = 2000
_EXISTS: Final = 409


class GitLabForge:
    """Merge requests of one project."""

    def __init__(self, settings: Settings) -> None:
        from gitlab import Gitlab

        if not settings.token:
            raise UsageError("ASSAY_GIT_TOKEN is not set, and GitLab requires a token")
        client = Gitlab(
            settings.forge_url or PUBLIC,
            private_token=settings.token,
            timeout=TIMEOUT_SECONDS,
            retry_transient_errors=False,  # assay.core.retry does
            keep_base_url=True,
        )
        self._base = settings.branch
        self._project = client.projects.get(settings.repository, lazy=True)

    def find(self, branch: str) -> PullRequest | None:
        """See `Forge.find`."""
        native = self._call(f"look for the merge request of {branch}", lambda: self._find(branch))
        return native and _request(native)

    def open(
        self, branch: str, base: str, title: str, body: str, labels: Sequence[str]
    ) -> PullRequest:
        """Open a pull request; an existing one of the branch is updated instead.

        Args:
            branch: The branch with the proposal.
            base: The branch to merge into.
            title: Title of the pull request.
            body: Its description, in Markdown.
            labels: Labels to add.

        Returns:
            The pull request.

        Raises:
            ServiceError: The forge refuses, or does not answer.
        """
        content = {
            "source_branch": branch,
            "target_branch": base,
            "title": title,
            "description": body,
            "labels": ",".join(labels),
            "remove_source_branch": True,
        }
        try:
            made = self._call(
                f"open a merge request for {branch}",
                lambda: self._project.mergerequests.create(content),
            )
            request = _request(made)
        except ServiceError as error:
            # One exists already, from a lost answer to this call or from another process.
            exists = getattr(error.__cause__, "response_code", 0) == _EXISTS
            result = self.find(branch) if exists else None
            if result is None:
                raise
            request = result
        return self.update(request, title, body, labels)

    def update(
        self, request: PullRequest, title: str, body: str, labels: Sequence[str]
    ) -> PullRequest:
        """Change an open pull request; labels that people added are kept.

        Args:
            request: The pull request.
            title: The new title.
            body: The new description, in Markdown.
            labels: Labels to add.

        Returns:
            The pull request.

        Raises:
            ServiceError: The forge refuses, or does not answer.
        """
        native = self._whole(request.number)
        wanted = sorted({*native.labels, *labels})
        if (native.title, native.description, sorted(native.labels)) != (title, body, wanted):
            native.title, native.description, native.labels = title, body, wanted
            self._call(f"update merge request {request.number}", native.save)
        return request

    def close(self, request: PullRequest, comment: str) -> None:
        """See `Forge.close`."""
        native = self._whole(request.number)
        what = f"close merge request {request.number}"
        self._call(what, lambda: native.notes.create({"body": comment}))
        native.state_event = "close"
        self._call(what, native.save)

    def merged_by(self, commit: str) -> PullRequest | None:
        """See `Forge.merged_by`."""
        result = self._call(
            f"ask who merged {commit[:12]}",
            lambda: self._project.commits.get(commit, lazy=True).merge_requests(),
        )
        for item in result:
            if item["state"] == "merged" and item["target_branch"] == self._base:
                return _request(self._whole(item["iid"]))
        return None

    def _find(self, branch: str) -> Any:
        result = self._project.mergerequests.list(
            source_branch=branch,
            target_branch=self._base,
            state="all",
            order_by="created_at",
            sort="desc",
            per_page=PAGE,
            iterator=True,
        )
        newest = None
        for native in itertools.islice(result, MAX_REQUESTS):
            if native.source_project_id != native.target_project_id:
                continue  # a fork may have a branch of this name
            if native.state == "opened":
                return native
            newest = newest or native
        return newest

    def _whole(self, number: int) -> Any:
        return self._call(
            f"read merge request {number}", lambda: self._project.mergerequests.get(number)
        )

    def _call(self, what: str, work: Callable[[], T]) -> T:
        from gitlab.exceptions import GitlabError
        from requests.exceptions import RequestException

        def attempt() -> T:
            try:
                return work()
            except GitlabError as error:
                message = str(error.error_message)
                raise failed(NAME, what, error.response_code or 0, message) from error
            except RequestException as error:
                raise failed(NAME, what, 0, "") from error

        return calling(NAME, what, attempt)


def _request(native: Any) -> PullRequest:
    merge = None
    if native.state == "merged":
        user = getattr(native, "merge_user", None) or getattr(native, "merged_by", None) or {}
        commit = native.merge_commit_sha or native.squash_commit_sha or native.sha
        at = stamp(datetime.fromisoformat(native.merged_at))
        merge = Merge(commit, str(user.get("username", "a deleted user")), at)
    state = _STATES.get(native.state, native.state)
    return PullRequest(native.iid, native.web_url, native.source_branch, state, merge)
