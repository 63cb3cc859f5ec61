"""GitHub's REST form, as far as releases need it. https://docs.github.com/rest"""

from typing import Any

from simulators.forge import Answer, Pull, Route, Simulator

ROOT = r"/api/v3/repos/team/deployments"


class GitHub(Simulator):
    def authorized(self, headers: Any) -> str:
        # PyGithub sends `token …` for personal ones.
        return str(headers.get("authorization", "")).partition(" ")[2]

    def limit(self) -> tuple[int, dict[str, str], Any]:
        return 403, {"Retry-After": "0"}, {"message": "You have exceeded a secondary rate limit."}

    def routes(self) -> list[tuple[str, str, Route]]:
        return [
            ("GET", rf"{ROOT}/pulls", self._list),
            ("POST", rf"{ROOT}/pulls", self._create),
            ("GET", rf"{ROOT}/pulls/(\d+)", self._get),
            ("PATCH", rf"{ROOT}/pulls/(\d+)", self._edit),
            ("POST", rf"{ROOT}/issues/(\d+)/labels", self._label),
            ("POST", rf"{ROOT}/issues/(\d+)/comments", self._comment),
            ("GET", rf"{ROOT}/commits/([0-9a-f]+)", self._commit),
            ("GET", rf"{ROOT}/commits/([0-9a-f]+)/pulls", self._pulls_of),
        ]

    def _json(self, pull: Pull, *, whole: bool) -> dict[str, Any]:
        root = f"{self.url}{ROOT}"
        found: dict[str, Any] = {
            "url": f"{root}/pulls/{pull.number}",
            "issue_url": f"{root}/issues/{pull.number}",
            "html_url": f"{self.url}/team/deployments/pull/{pull.number}",
            "number": pull.number,
            "state": "open" if pull.state == "open" else "closed",
            "title": pull.title,
            "body": pull.body,
            "labels": [{"name": name, "url": f"{root}/labels/{name}"} for name in pull.labels],
            "head": {
                "ref": pull.branch,
                "label": f"team:{pull.branch}",
                "repo": {
                    "id": pull.repository,
                    "url": f"{self.url}/repositories/{pull.repository}",
                },
            },
            "base": {"ref": pull.base, "repo": {"id": Pull.repository, "url": root}},
            "merged_at": pull.merged_at or None,
            # GitHub fills this before the merge too, with a commit for trying it.
            "merge_commit_sha": pull.commit or "f" * 40,
        }
        if whole:
            found["merged"] = pull.state == "merged"
            found["merged_by"] = (
                {"login": pull.merged_by, "url": f"{self.url}/users/x"} if pull.merged_by else None
            )
        return found

    def _list(self, *, query: dict[str, str], body: Any) -> Answer:
        owner, _, branch = query["head"].partition(":")
        assert owner == "team"
        found = self.of_branch(branch) if query.get("page", "1") == "1" else []
        return 200, [self._json(pull, whole=False) for pull in found]

    def _create(self, *, query: Any, body: dict[str, Any]) -> Answer:
        if self.is_open(body["head"]):
            message = f"A pull request already exists for team:{body['head']}."
            return 422, {"message": "Validation Failed", "errors": [{"message": message}]}
        pull = Pull(len(self.pulls) + 1, body["head"], body["base"], body["title"], body["body"])
        self.pulls.append(pull)
        return 201, self._json(pull, whole=True)

    def _get(self, number: str, *, query: Any, body: Any) -> Answer:
        pull = self.pull(number)
        return (200, self._json(pull, whole=True)) if pull else (404, {"message": "Not Found"})

    def _edit(self, number: str, *, query: Any, body: dict[str, Any]) -> Answer:
        pull = self.pull(number)
        assert pull is not None
        pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
        pull.state = body.get("state", pull.state)
        return 200, self._json(pull, whole=True)

    def _label(self, number: str, *, query: Any, body: Any) -> Answer:
        pull = self.pull(number)
        assert pull is not None
        names = body if isinstance(body, list) else body["labels"]
        pull.labels += [name for name in names if name not in pull.labels]
        return 200, [{"name": name} for name in pull.labels]

    def _comment(self, number: str, *, query: Any, body: dict[str, Any]) -> Answer:
        pull = self.pull(number)
        assert pull is not None
        pull.comments.append(body["body"])
        return 201, {"id": 1, "body": body["body"]}

    def _commit(self, commit: str, *, query: Any, body: Any) -> Answer:
        return 200, {"sha": commit, "url": f"{self.url}{ROOT}/commits/{commit}"}

    def _pulls_of(self, commit: str, *, query: dict[str, str], body: Any) -> Answer:
        found = [pull for pull in self.pulls if commit in {pull.commit, *pull.commits}]
        first = query.get("page", "1") == "1"
        return 200, [self._json(pull, whole=False) for pull in found] if first else []
