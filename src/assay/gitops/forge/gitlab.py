"""GitLab, through python-gitlab.

https://docs.gitlab.com/api/merge_requests/
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from assay.errors import UsageError
from assay.gitops.forge.base import TIMEOUT_SECONDS, Merge, PullRequest, calling, failed
from assay.gitops.settings import Settings
from assay.gitops.statement import stamp

T = TypeVar("T")

NAME: Final = "GitLab"
PUBLIC: Final = "https://gitlab.com"
_STATES: Final = {"opened": "open", "locked": "open"}
_EXISTS: Final = 409


class GitLabForge:
    """Merge requests of one project."""

    def __init__(self, settings: Settings) -> None:
        try:
            from gitlab import Gitlab
        except ImportError as error:
            raise UsageError(
                "GitLab needs python-gitlab; install it: pip install 'kfp-assay[forges]'"
            ) from error
        if not settings.token:
            raise UsageError("ASSAY_GIT_TOKEN is not set, and GitLab opens nothing without it")
        client = Gitlab(
            settings.forge_url or PUBLIC,
            private_token=settings.token,
            timeout=TIMEOUT_SECONDS,
            retry_transient_errors=False,  # tenacity retries, in one place
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
        """See `Forge.open`."""
        from gitlab.exceptions import GitlabError

        def create() -> Any:
            try:
                return self._project.mergerequests.create(
                    {
                        "source_branch": branch,
                        "target_branch": base,
                        "title": title,
                        "description": body,
                        "labels": ",".join(labels),
                        "remove_source_branch": True,
                    }
                )
            except GitlabError as error:
                if error.response_code == _EXISTS and (found := self._find(branch)) is not None:
                    return found
                raise

        made = _request(self._call(f"open a merge request for {branch}", create))
        return self.update(made, title, body, labels)

    def update(
        self, request: PullRequest, title: str, body: str, labels: Sequence[str]
    ) -> PullRequest:
        """See `Forge.update`."""

        def change() -> None:
            native = self._project.mergerequests.get(request.number)
            wanted = sorted({*native.labels, *labels})
            if (native.title, native.description, sorted(native.labels)) != (title, body, wanted):
                native.title, native.description, native.labels = title, body, wanted
                native.save()

        self._call(f"update merge request {request.number}", change)
        return request

    def close(self, request: PullRequest, comment: str) -> None:
        """See `Forge.close`."""

        def shut() -> None:
            native = self._project.mergerequests.get(request.number)
            native.notes.create({"body": comment})
            native.state_event = "close"
            native.save()

        self._call(f"close merge request {request.number}", shut)

    def merged_by(self, commit: str) -> PullRequest | None:
        """See `Forge.merged_by`."""

        def ask() -> PullRequest | None:
            found = self._project.commits.get(commit, lazy=True).merge_requests()
            for item in found:
                if item["state"] == "merged" and item["target_branch"] == self._base:
                    return _request(self._project.mergerequests.get(item["iid"]))
            return None

        return self._call(f"ask who merged {commit[:12]}", ask)

    def _find(self, branch: str) -> Any:
        found = self._project.mergerequests.list(
            source_branch=branch,
            target_branch=self._base,
            state="all",
            order_by="created_at",
            sort="desc",
            get_all=False,
        )
        opened = [native for native in found if native.state == "opened"]
        return next(iter(opened or found), None)

    def _call(self, what: str, work: Callable[[], T]) -> T:
        from gitlab.exceptions import GitlabError
        from requests.exceptions import RequestException

        def attempt() -> T:
            try:
                return work()
            except GitlabError as error:
                said = str(error.error_message)
                raise failed(NAME, what, error.response_code or 0, said) from error
            except RequestException as error:
                raise failed(NAME, what, 0, "") from error

        return calling(NAME, what, attempt)


def _request(native: Any) -> PullRequest:
    merge = None
    if native.state == "merged":
        user = getattr(native, "merge_user", None) or getattr(native, "merged_by", None) or {}
        commit = native.merge_commit_sha or native.squash_commit_sha or native.sha
        at = stamp(datetime.fromisoformat(native.merged_at))
        merge = Merge(commit, str(user.get("username", "somebody who has left")), at)
    state = _STATES.get(native.state, native.state)
    return PullRequest(native.iid, native.web_url, native.source_branch, state, merge)
