"""Gitea's REST form, as far as releases need it. https://docs.gitea.com/api/

A test beside it runs a real Gitea; this one can fail on demand, and is there where Gitea is not.
"""

from dataclasses import dataclass, field
from typing import Any

from simulators.forge import Answer, Pull, Route, Simulator

ROOT = r"/api/v1/repos/team/deployments"


@dataclass
class Gitea(Simulator):
    labels: list[str] = field(default_factory=list)
    """Of the repository; a label's id is its place, from 1."""
    late: int = 0
    """For so many requests still take the repository for empty."""

    def authorized(self, headers: Any) -> str:
        return str(headers.get("authorization", "")).removeprefix("token ")

    def limit(self) -> tuple[int, dict[str, str], Any]:
        return 429, {"Retry-After": "0"}, {"message": "Too Many Requests"}

    def routes(self) -> list[tuple[str, str, Route]]:
        return [
            ("GET", ROOT, self._repository),
            ("GET", rf"{ROOT}/pulls", self._list),
            ("POST", rf"{ROOT}/pulls", self._create),
            ("GET", rf"{ROOT}/pulls/(\d+)", self._get),
            ("PATCH", rf"{ROOT}/pulls/(\d+)", self._edit),
            ("GET", rf"{ROOT}/labels", self._labels),
            ("POST", rf"{ROOT}/labels", self._make_label),
            ("POST", rf"{ROOT}/issues/(\d+)/labels", self._label),
            ("POST", rf"{ROOT}/issues/(\d+)/comments", self._comment),
            ("GET", rf"{ROOT}/commits/([0-9a-f]+)/pull", self._pull_of),
        ]

    def _json(self, pull: Pull) -> dict[str, Any]:
        merged = pull.state == "merged"
        return {
            "number": pull.number,
            "html_url": f"{self.url}/team/deployments/pulls/{pull.number}",
            "state": "open" if pull.state == "open" else "closed",
            "title": pull.title,
            "body": pull.body,
            "labels": [{"id": 0, "name": name} for name in pull.labels],
            "head": {"ref": pull.branch, "repo_id": pull.repository},
            "base": {"ref": pull.base, "repo_id": Pull.repository},
            "merged": merged,
            "merged_at": pull.merged_at or None,
            "merged_by": {"login": pull.merged_by} if merged else None,
            "merge_commit_sha": pull.commit or None,
        }

    def _repository(self, *, query: Any, body: Any) -> Answer:
        return 200, {"name": "deployments", "has_pull_requests": True}

    def _list(self, *, query: dict[str, str], body: Any) -> Answer:
        if self.late:
            self.late -= 1
            return 404, {"message": "not found"}
        found = list(reversed(self.pulls)) if query.get("page", "1") == "1" else []
        return 200, [self._json(pull) for pull in found]

    def _create(self, *, query: Any, body: dict[str, Any]) -> Answer:
        if self.is_open(body["head"]):
            return 409, {"message": "pull request already exists for these targets"}
        pull = Pull(len(self.pulls) + 1, body["head"], body["base"], body["title"], body["body"])
        self.pulls.append(pull)
        return 201, self._json(pull)

    def _get(self, number: str, *, query: Any, body: Any) -> Answer:
        pull = self.pull(number)
        return (200, self._json(pull)) if pull else (404, {"message": "not found"})

    def _edit(self, number: str, *, query: Any, body: dict[str, Any]) -> Answer:
        pull = self.pull(number)
        assert pull is not None
        pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
        pull.state = body.get("state", pull.state)
        return 201, self._json(pull)

    def _labels(self, *, query: Any, body: Any) -> Answer:
        return 200, [{"id": place, "name": name} for place, name in enumerate(self.labels, 1)]

    def _make_label(self, *, query: Any, body: dict[str, Any]) -> Answer:
        assert body["color"].startswith("#")
        self.labels.append(body["name"])
        return 201, {"id": len(self.labels), "name": body["name"]}

    def _label(self, number: str, *, query: Any, body: dict[str, Any]) -> Answer:
        pull = self.pull(number)
        assert pull is not None
        names = [self.labels[place - 1] for place in body["labels"]]
        pull.labels += [name for name in names if name not in pull.labels]
        return 200, [{"name": name} for name in pull.labels]

    def _comment(self, number: str, *, query: Any, body: dict[str, Any]) -> Answer:
        pull = self.pull(number)
        assert pull is not None
        pull.comments.append(body["body"])
        return 201, {"id": 1, "body": body["body"]}

    def _pull_of(self, commit: str, *, query: Any, body: Any) -> Answer:
        found = next((pull for pull in self.pulls if pull.commit == commit), None)
        return (200, self._json(found)) if found else (404, {"message": "not found"})
