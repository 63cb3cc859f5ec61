"""The branch along its first parents, and its tips that `release sync` recorded.

A forge may add every commit of a pull request to the branch, and Git does not record which of them
was its tip. The intermediate commits were never the state of the branch. So each `sync` records the
tip that it fetched in a chain of its own in the release log. From these tips follow:

| question | answer |
|---|---|
| which policies govern a release | each from the recorded tip before it to the one after |
| what permits the next environment | the releases in an earlier recorded tip |
| was a release in the environment | if a recorded tip has it |
| did the branch only move forward | every recorded tip is on the line of first parents |

Before the first recorded tip, every policy in the history of the branch counts.
"""

from collections.abc import Iterable

from assay.core.digest import of_bytes
from assay.governance.admission import Governing
from assay.releases import log, statement
from assay.releases.deployment import OpenDeployment
from assay.releases.governing import governing, policy_paths
from assay.releases.log import Entry, Event
from assay.releases.repository import Repository


class Line:
    """The commits of the branch itself, and which of them were recorded as its tip."""

    def __init__(self, repository: Repository, seen: Iterable[str]) -> None:
        self._repository = repository
        self._place = {commit: place for place, commit in enumerate(repository.line())}
        self._seen = list(seen)
        # This run records the current tip.
        known = {*self._seen, repository.head} & self._place.keys()
        self._tips = sorted(known, key=self._place.__getitem__)

    @classmethod
    def read(cls, deployment: OpenDeployment) -> "Line":
        """The current line, with the tips in the log; errors as `log.read`."""
        repository = deployment.repository
        entries = deployment.entries(_chain(repository))
        # Not intents: any key may write those.
        seen = [e.commit for e in entries if e.event is Event.SEEN and not e.refused]
        return cls(repository, seen)

    def problems(self) -> list[str]:
        """Problems of the branch's history."""
        left = [commit for commit in self._seen if commit not in self._place]
        return [self._left(left[-1], "was its tip")] if left else []

    def left(self, commit: str) -> str:
        """The problem when a recorded commit was merged, but is not on the branch itself."""
        if not commit or commit in self._place or not self._repository.contains(commit):
            return ""
        return self._left(commit, "is in the release log")

    def _left(self, commit: str, was: str) -> str:
        branch = self._repository.settings.branch
        return (
            f"branch {branch} left the line of commits that it had: {commit[:12]} {was}, and is "
            "no longer among the first parents; nothing is recorded. Review the new commits, "
            "then merge "
            f"them behind that commit: git checkout {commit[:12]}; git merge --no-ff "
            f"origin/{branch}; git push origin HEAD:{branch}"
        )

    def before(self, commit: str) -> str:
        """The last recorded tip before a commit; "" without one."""
        place = self._place[commit]
        return next((t for t in reversed(self._tips) if self._place[t] < place), "")

    def stayed(self, commit: str, newer: str) -> bool:
        """Whether a recorded tip has the file that a commit of the line wrote.

        Args:
            commit: The commit.
            newer: The next commit that wrote the same file; "" without one.
        """
        end = self._place[newer] if newer else len(self._place)
        return any(self._place[commit] <= self._place[tip] < end for tip in self._tips)

    def opened(self, commit: str, earlier: str) -> bool:
        """Whether a tip with `earlier` was recorded before `commit`."""
        since = self.before(commit)
        return bool(since) and self._place.get(earlier, len(self._place)) <= self._place[since]

    def policies(self, model: str, environment: str, commit: str) -> list[Governing | None]:
        """Every policy that the release of a commit must pass.

        That of the parent, and each from the recorded tip before to the first one that has the
        commit: a pull request must not first weaken the policy and then add a release that passes
        only the weaker one. Commits of all parents count, because a pull request may merge the
        branch into itself, and the earlier branch is then no longer among the first parents.

        Args:
            model: Name of the model.
            environment: Where.
            commit: The commit with the release.

        Returns:
            The policies; a single None without any.
        """
        since = self.before(commit)
        # Before the first recorded tip, also later merges.
        after = (t for t in self._tips if self._place[t] >= self._place[commit])
        until = next(after) if since else self._repository.head
        parents = self._repository.revision(commit).parents
        changes = self._repository.changing(policy_paths(model, environment), since, until)
        result: dict[bytes, Governing] = {}
        for place, at in enumerate([*parents[:1], *filter(None, [since]), *changes]):
            policy = governing(self._repository, model, environment, at)
            if policy is not None and policy.content not in result:
                # The parent's policy is known by its path; the others need their commit.
                name = f"{policy.place} of commit {at[:12]}" if place else policy.place
                result[policy.content] = Governing(name, policy.content)
        return list(result.values()) or [None]


def record_tip(deployment: OpenDeployment, by: str) -> None:
    """Record the tip of the branch; errors as `log.append`."""
    repository = deployment.repository
    chain = _chain(repository)
    if not repository.head:
        return
    entry = Entry(
        event=Event.SEEN,
        model=chain,
        environment="",
        digest=of_bytes(chain.encode()),
        release="",
        at=statement.now(),
        by=by,
        commit=repository.head,
    )
    deployment.append(entry)


def _chain(repository: Repository) -> str:
    return log.tips_chain(repository.settings.url, repository.settings.branch)
