"""No forge: the branch is the proposal, and `assay release approve` merges it.

Its merge commit says who approved, in trailers that `assay release sync` reads:

    Assay-Branch: assay/income/production/0123456789ab
    Approved-by: Name <mail>
    Signed-off-by: Name <mail>
"""

from collections.abc import Sequence
from typing import Final

from assay.releases.forge.base import Merge, PullRequest
from assay.releases.layout import ROOT
from assay.releases.repository import Repository, Revision
from assay.releases.statement import stamp

BRANCH: Final = "Assay-Branch"
APPROVED: Final = "Approved-by"


class PlainForge:
    """A Git remote and nothing else."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def find(self, branch: str) -> PullRequest | None:
        """See `Forge.find`."""
        if self._repository.branch(branch):
            return PullRequest(0, "", branch, "open")
        for revision in self._repository.history(ROOT):
            if revision.trailer(BRANCH) == branch:
                return _merged(revision)
        return None

    def open(
        self, branch: str, base: str, title: str, body: str, labels: Sequence[str]
    ) -> PullRequest:
        """Return the pushed branch, which is the pull request; see `Forge.open`.

        Args:
            branch: The branch with the proposal.
            base: The branch to merge into.
            title: Title of the pull request.
            body: Its description, in Markdown.
            labels: Labels to add.

        Returns:
            The pull request.
        """
        del base, title, body, labels
        return PullRequest(0, "", branch, "open")

    def update(
        self, request: PullRequest, title: str, body: str, labels: Sequence[str]
    ) -> PullRequest:
        """Do nothing: the commit of the branch has title and body; see `Forge.update`.

        Args:
            request: The pull request.
            title: The new title.
            body: The new description, in Markdown.
            labels: Labels to add.

        Returns:
            The pull request.
        """
        del title, body, labels
        return request

    def close(self, request: PullRequest, comment: str) -> None:
        """Remove the branch."""
        del comment
        if seen := self._repository.branch(request.branch):
            self._repository.delete(request.branch, expected=seen)

    def merged_by(self, commit: str) -> PullRequest | None:
        """See `Forge.merged_by`."""
        revision = self._repository.revision(commit)
        return _merged(revision) if revision.trailer(BRANCH) else None


def _merged(revision: Revision) -> PullRequest:
    by = revision.trailer(APPROVED) or revision.committer
    merge = Merge(revision.commit, by, stamp(revision.at))
    return PullRequest(0, "", revision.trailer(BRANCH), "merged", merge)
