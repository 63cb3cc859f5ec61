"""GitLab's REST form, as far as releases need it. https://docs.gitlab.com/api/rest/"""

from typing import Any

from simulators.forge import Answer, Pull, Route, Simulator

ROOT = r"/api/v4/projects/(?:team/deployments|7)"
STATES = {"open": "opened"}


class GitLab(Simulator):
    def authorized(self, headers: Any) -> str:
        return str(headers.get("private-token", ""))

    def limit(self) -> tuple[int, dict[str, str], Any]:
        return 429, {"Retry-After": "0"}, {"message": "Too Many Requests"}

    def routes(self) -> list[tuple[str, str, Route]]:
        return [
            ("GET", rf"{ROOT}/merge_requests", self._list),
            ("POST", rf"{ROOT}/merge_requests", self._create),
            ("GET", rf"{ROOT}/merge_requests/(\d+)", self._get),
            ("PUT", rf"{ROOT}/merge_requests/(\d+)", self._edit),
            ("POST", rf"{ROOT}/merge_requests/(\d+)/notes", self._note),
            ("GET", rf"{ROOT}/repository/commits/([0-9a-f]+)/merge_requests", self._of_commit),
        ]

    def _json(self, pull: Pull) -> dict[str, Any]:
        return {
            "id": 1000 + pull.number,
            "iid": pull.number,
            "project_id": Pull.repository,
            "source_project_id": pull.repository,
            "target_project_id": Pull.repository,
            "title": pull.title,
            "description": pull.body,
            "state": STATES.get(pull.state, pull.state),
            "labels": list(pull.labels),
            "source_branch": pull.branch,
            "target_branch": pull.base,
            "web_url": f"{self.url}/team/deployments/-/merge_requests/{pull.number}",
            "merge_user": {"username": pull.merged_by} if pull.merged_by else None,
            "merged_at": pull.merged_at.replace("Z", ".000Z") or None,
            "merge_commit_sha": pull.commit or None,
            "squash_commit_sha": None,
            "sha": "e" * 40,
        }

    def _list(self, *, query: dict[str, str], body: Any) -> Answer:
        return 200, [self._json(pull) for pull in self.of_branch(query["source_branch"])]

    def _create(self, *, query: Any, body: dict[str, Any]) -> Answer:
        branch = body["source_branch"]
        if self.is_open(branch):
            return 409, {"message": ["Another open merge request already exists: !1"]}
        pull = Pull(
            len(self.pulls) + 1, branch, body["target_branch"], body["title"], body["description"]
        )
        pull.labels = [name for name in body.get("labels", "").split(",") if name]
        self.pulls.append(pull)
        return 201, self._json(pull)

    def _get(self, number: str, *, query: Any, body: Any) -> Answer:
        pull = self.pull(number)
        return (200, self._json(pull)) if pull else (404, {"message": "404 Not found"})

    def _edit(self, number: str, *, query: Any, body: dict[str, Any]) -> Answer:
        pull = self.pull(number)
        assert pull is not None
        pull.title, pull.body = body.get("title", pull.title), body.get("description", pull.body)
        if "labels" in body:
            names = body["labels"]
            pull.labels = names.split(",") if isinstance(names, str) else list(names)
        if body.get("state_event") == "close":
            pull.state = "closed"
        return 200, self._json(pull)

    def _note(self, number: str, *, query: Any, body: dict[str, Any]) -> Answer:
        pull = self.pull(number)
        assert pull is not None
        pull.comments.append(body["body"])
        return 201, {"id": 1, "body": body["body"]}

    def _of_commit(self, commit: str, *, query: Any, body: Any) -> Answer:
        return 200, [
            self._json(pull) for pull in self.pulls if commit in {pull.commit, *pull.commits}
        ]
