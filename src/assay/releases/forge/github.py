"""GitHub, through PyGithub.

https://docs.github.com/rest/pulls

Each retried call is one request: with a forge that fails every second time, two requests together
would never succeed.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from assay.errors import ServiceError, UsageError
from assay.releases.forge.base import TIMEOUT_SECONDS, Merge, PullRequest, calling, failed
from assay.releases.settings import Settings
from assay.releases.statement import stamp

if TYPE_CHECKING:
    from github.PullRequest import PullRequest as Native
    from github.Repository import Repository as NativeRepository

T = TypeVar("T")

NAME: Final = "GitHub"
_EXISTS: Final = 422


class GitHubForge:
    """Pull requests of one repository."""

    def __init__(self, settings: Settings) -> None:
        from github import Auth, Consts, Github

        if not settings.token:
            raise UsageError("ASSAY_GIT_TOKEN is not set, and GitHub requires a token")
        root = settings.forge_url
        client = Github(
            base_url=f"{root}/api/v3" if root else Consts.DEFAULT_BASE_URL,
            auth=Auth.Token(settings.token),
            timeout=TIMEOUT_SECONDS,
            retry=None,  # assay.core.retry does
            seconds_between_requests=None,
            seconds_between_writes=None,
            lazy=True,
        )
        self._owner = settings.repository.partition("/")[0]
        self._base = settings.branch
        self._repository: NativeRepository = client.get_repo(settings.repository)

    def find(self, branch: str) -> PullRequest | None:
        """See `Forge.find`."""
        result = self._call(f"look for the pull request of {branch}", lambda: self._find(branch))
        return _request(self._whole(result.number), branch) if result else None

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
        try:
            made = self._call(
                f"open a pull request for {branch}",
                lambda: self._repository.create_pull(
                    base=base, head=branch, title=title, body=body
                ),
            )
            request = PullRequest(made.number, made.html_url, branch, "open")
        except ServiceError as error:
            # One exists already, from a lost answer to this call or from another process.
            exists = getattr(error.__cause__, "status", 0) == _EXISTS
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
        what = f"update pull request {request.number}"
        missing = set(labels) - {label.name for label in native.labels}
        if (native.title, native.body) != (title, body):
            self._call(what, lambda: native.edit(title=title, body=body))
        if missing:
            self._call(what, lambda: native.add_to_labels(*sorted(missing)))
        return request

    def close(self, request: PullRequest, comment: str) -> None:
        """See `Forge.close`."""
        native = self._whole(request.number)
        what = f"close pull request {request.number}"
        self._call(what, lambda: native.create_issue_comment(comment))
        self._call(what, lambda: native.edit(state="closed"))

    def merged_by(self, commit: str) -> PullRequest | None:
        """See `Forge.merged_by`."""
        result = self._call(
            f"ask who merged {commit[:12]}",
            lambda: list(self._repository.get_commit(commit).get_pulls()),
        )
        for native in result:
            if native.base.ref == self._base and native.merged_at:
                whole = self._whole(native.number)
                return _request(whole, whole.head.ref)
        return None

    def _find(self, branch: str) -> "Native | None":
        result = list(
            self._repository.get_pulls(
                state="all",
                head=f"{self._owner}:{branch}",
                base=self._base,
                sort="created",
                direction="desc",
            )
        )
        # An owner may have a fork of its own repository; one that was removed since is null.
        own = [
            native for native in result if getattr(native.head.repo, "id", 0) == native.base.repo.id
        ]
        opened = [native for native in own if native.state == "open"]
        return next(iter(opened or own), None)

    def _whole(self, number: int) -> "Native":
        # A list does not say who merged.
        return self._call(
            f"read pull request {number}", lambda: self._repository.get_pull(number).complete()
        )

    def _call(self, what: str, work: Callable[[], T]) -> T:
        from github import GithubException
        from requests.exceptions import RequestException

        def attempt() -> T:
            try:
                return work()
            except GithubException as error:
                wait = float((error.headers or {}).get("retry-after", "") or 0)
                raise failed(
                    NAME, what, error.status or 0, _message_of(error), wait=wait
                ) from error
            except RequestException as error:
                raise failed(NAME, what, 0, "") from error

        return calling(NAME, what, attempt)


def _request(native: "Native", branch: str) -> PullRequest:
    merge = None
    if native.merged_at is not None and native.merge_commit_sha:
        by = getattr(native.merged_by, "login", None) or "a deleted user"
        merge = Merge(native.merge_commit_sha, by, stamp(native.merged_at))
    state = "merged" if merge else native.state
    return PullRequest(native.number, native.html_url, branch, state, merge)


def _message_of(error: Any) -> str:
    data = error.data
    return str(data.get("message", "")) if isinstance(data, dict) else ""
