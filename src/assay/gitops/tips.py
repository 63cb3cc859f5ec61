"""The branch along its first parents, and the tips of it that `approvals sync` saw.

A forge may put every commit of a pull request on the branch, and Git does not say which of them
was its tip. What a pull request did on the way was on the branch for nobody. So each `sync` writes
the tip that it saw into a chain of its own in the release log, and from these tips follow:

| question | answer |
|---|---|
| which policy governs a release | each that governed since the tip that was seen before it |
| was a release there | when a tip that was seen held it |
| was the branch only moved forward | every tip that was seen is on the line of first parents |

Before any tip was seen, every policy behind the branch counts.
"""

from collections.abc import Iterable

from assay.admission import Governing
from assay.digest import of_bytes
from assay.gitops import log, statement
from assay.gitops.governing import governing, places
from assay.gitops.log import Entry, Event
from assay.gitops.repository import Repository
from assay.signing import Signer
from assay.step import Services


class Line:
    """The commits of the branch itself, and which of them were seen as its tip."""

    def __init__(self, repository: Repository, seen: Iterable[str]) -> None:
        self._repository = repository
        self._place = {commit: place for place, commit in enumerate(repository.line())}
        self._seen = list(seen)
        # What is there now, this run sees.
        known = {*self._seen, repository.head} & self._place.keys()
        self._tips = sorted(known, key=self._place.__getitem__)

    @classmethod
    def read(cls, services: Services, repository: Repository) -> "Line":
        """The line as it is now, with the tips that the log knows; errors as `log.read`."""
        entries = log.read(services.store, _chain(repository), services.verifier)
        # Only these: an intent, which any key may write, says nothing of what was there.
        seen = [e.commit for e in entries if e.event is Event.SEEN and not e.refused]
        return cls(repository, seen)

    def problems(self) -> list[str]:
        """What is wrong with the way that the branch went."""
        left = [commit for commit in self._seen if commit not in self._place]
        if not left:
            return []
        branch, tip = self._repository.settings.branch, left[-1]
        problem = (
            f"branch {branch} left the line of commits that it had: {tip[:12]} was its tip, and is "
            "no longer among the first parents; nothing is recorded. Look at what came, then put "
            f"it behind that commit: git checkout {tip[:12]}; git merge --no-ff origin/{branch}; "
            f"git push origin HEAD:{branch}"
        )
        return [problem]

    def before(self, commit: str) -> str:
        """The last tip that was seen before a commit came; "" when there is none."""
        place = self._place[commit]
        return next((t for t in reversed(self._tips) if self._place[t] < place), "")

    def stayed(self, commit: str, newer: str) -> bool:
        """Whether a tip was seen that held what a commit of the line wrote.

        Args:
            commit: Which.
            newer: The next commit that wrote the same file; "" when there is none.
        """
        end = self._place[newer] if newer else len(self._place)
        return any(self._place[commit] <= self._place[tip] < end for tip in self._tips)

    def policies(self, model: str, environment: str, commit: str) -> list[Governing | None]:
        """Every policy that a release must pass which came with a commit.

        That of the parent, and each that governed after the tip that was seen before: one pull
        request must not first weaken the policy and then bring what only the weaker one passes.
        """
        since = self.before(commit)
        parents = self._repository.revision(commit).parents
        changes = self._repository.changing(places(model, environment), since, commit)
        found: dict[bytes, Governing] = {}
        for place, at in enumerate([*parents[:1], *filter(None, [since]), *changes]):
            policy = governing(self._repository, model, environment, at)
            if policy is not None and policy.content not in found:
                # The parent's needs no word where it was; the others are there no longer.
                name = f"{policy.place} of commit {at[:12]}" if place else policy.place
                found[policy.content] = Governing(name, policy.content)
        return list(found.values()) or [None]


def record(services: Services, repository: Repository, signer: Signer, by: str) -> None:
    """Write down the branch's tip as seen; errors as `log.append`."""
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
    log.append(services.store, entry, signer, services.verifier)


def _chain(repository: Repository) -> str:
    return log.tips_chain(repository.settings.url, repository.settings.branch)
