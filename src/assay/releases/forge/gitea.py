"""Gitea and Forgejo, whose API is a handful of JSON calls.

https://docs.gitea.com/api/

There is no maintained client library: the generated ones are years old.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import urllib3

from assay.documents import Limits, read_json
from assay.errors import UsageError
from assay.releases.forge.base import TIMEOUT_SECONDS, Merge, PullRequest, calling, failed
from assay.releases.settings import Settings
from assay.releases.statement import stamp

NAME: Final = "Gitea"
PUBLIC: Final = "https://codeberg.org"
PAGE: Final = 50
MAX_PAGES: Final = 40
MAX_ANSWER_BYTES: Final = 32 << 20
LABEL_COLOUR: Final = "#2f6fde"
_CONFLICT: Final = 409
_NOT_FOUND: Final = 404
_CLIENT_ERROR: Final = 400


class GiteaForge:
    """Pull requests of one repository."""

    def __init__(self, settings: Settings) -> None:
        if not settings.token:
            raise UsageError("ASSAY_GIT_TOKEN is not set, and Gitea requires a token")
        self._base = settings.branch
        root = settings.forge_url or PUBLIC
        self._root = f"{root}/api/v1/repos/{quote(settings.repository)}"
        self._headers = {
            "Authorization": f"token {settings.token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        self._pool = urllib3.PoolManager(
            retries=False,  # assay.core.retry does
            timeout=urllib3.Timeout(connect=TIMEOUT_SECONDS, read=TIMEOUT_SECONDS),
        )

    def find(self, branch: str) -> PullRequest | None:
        """See `Forge.find`."""
        newest = None
        for page in range(1, MAX_PAGES + 1):
            query = f"/pulls?state=all&sort=recentupdate&limit={PAGE}&page={page}"
            result = self._call(f"look for the pull request of {branch}", "GET", query) or []
            for raw in result:
                head, base = raw["head"], raw["base"]
                if head["ref"] != branch or base["ref"] != self._base:
                    continue
                if head["repo_id"] != base["repo_id"]:
                    continue  # a fork may have a branch of this name
                if raw["state"] == "open":
                    return _request(raw)
                newest = newest or raw
            if len(result) < PAGE:
                break
        return _request(newest) if newest else None

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
        content = {"head": branch, "base": base, "title": title, "body": body}
        what = f"open a pull request for {branch}"
        made = self._call(what, "POST", "/pulls", content, admit=_CONFLICT)
        # One exists already, from a lost answer to this call or from another process.
        request = _request(made) if made is not None else self.find(branch)
        if request is None:
            raise failed(NAME, what, _CONFLICT, "it exists already, but was not found")
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
        what, path = f"update pull request {request.number}", f"/pulls/{request.number}"
        raw = self._call(what, "GET", path)
        if (raw["title"], raw["body"]) != (title, body):
            self._call(what, "PATCH", path, {"title": title, "body": body})
        missing = set(labels) - {label["name"] for label in raw["labels"] or []}
        if missing:
            known = {
                label["name"]: label["id"]
                for label in self._call("read the labels", "GET", f"/labels?limit={PAGE}") or []
            }
            numbers = [known.get(name) or self._label(name) for name in sorted(missing)]
            self._call(what, "POST", f"/issues/{request.number}/labels", {"labels": numbers})
        return request

    def close(self, request: PullRequest, comment: str) -> None:
        """See `Forge.close`."""
        what = f"close pull request {request.number}"
        self._call(what, "POST", f"/issues/{request.number}/comments", {"body": comment})
        self._call(what, "PATCH", f"/pulls/{request.number}", {"state": "closed"})

    def merged_by(self, commit: str) -> PullRequest | None:
        """See `Forge.merged_by`."""
        what = f"ask who merged {commit[:12]}"
        raw = self._call(what, "GET", f"/commits/{quote(commit)}/pull", admit=_NOT_FOUND)
        if raw is None or not raw["merged"] or raw["base"]["ref"] != self._base:
            return None
        return _request(raw)

    def _label(self, name: str) -> int:
        content = {"name": name, "color": LABEL_COLOUR}
        return int(self._call(f"make the label {name}", "POST", "/labels", content)["id"])

    def _has_pulls(self) -> bool:
        """Whether the repository exists and has pull requests.

        For some time after the first push Gitea treats it as empty, and answers that it has none.
        """
        try:
            answer = self._pool.request("GET", self._root, headers=self._headers, redirect=False)
            raw = _parsed(answer.data[:MAX_ANSWER_BYTES])
        except (urllib3.exceptions.HTTPError, ValueError):
            return False
        return isinstance(raw, dict) and raw.get("has_pull_requests") is True

    def _call(
        self, what: str, method: str, path: str, content: Any = None, *, admit: int = 0
    ) -> Any:
        """The answer's JSON; None where it has the status `admit`."""
        body = json.dumps(content).encode() if content is not None else None

        def attempt() -> Any:
            try:
                answer = self._pool.request(
                    method, self._root + path, body=body, headers=self._headers, redirect=False
                )
            except urllib3.exceptions.HTTPError as error:
                # Its text contains the URL; leave it out, although the token is in the header.
                raise failed(NAME, what, 0, "") from error
            if answer.status == admit:
                return None
            data = answer.data[:MAX_ANSWER_BYTES]
            if answer.status >= _CLIENT_ERROR:
                wait = answer.headers.get("retry-after", "")
                seconds = float(wait) if wait.isdecimal() else 0.0
                passing = answer.status == _NOT_FOUND and self._has_pulls()
                raise failed(
                    NAME, what, answer.status, _message_of(data), wait=seconds, passing=passing
                )
            return _parsed(data) if data else None

        return calling(NAME, what, attempt)


def _request(raw: Any) -> PullRequest:
    merge = None
    if raw["merged"] and raw["merge_commit_sha"]:
        user = raw["merged_by"] or {}
        at = stamp(datetime.fromisoformat(raw["merged_at"]))
        merge = Merge(raw["merge_commit_sha"], str(user.get("login", "a deleted user")), at)
    state = "merged" if merge else raw["state"]
    return PullRequest(raw["number"], raw["html_url"], raw["head"]["ref"], state, merge)


def _parsed(data: bytes) -> Any:
    """An answer's JSON.

    Raises:
        ValueError: It is not JSON, or too deep.
    """
    limits = Limits(MAX_ANSWER_BYTES, values=2_000_000)
    return read_json(data, NAME, limits, error=ValueError)


def _message_of(data: bytes) -> str:
    try:
        raw = _parsed(data)
    except ValueError:
        return ""
    return str(raw.get("message", "")) if isinstance(raw, dict) else ""
