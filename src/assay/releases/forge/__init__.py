"""Forges: where a release is proposed, and merged by a person.

```
base.py     what every adapter does, and its errors
plain.py    no forge: the branch is the proposal, `assay release approve` merges it
github.py   through PyGithub
gitlab.py   through python-gitlab
gitea.py    Gitea and Forgejo, whose API needs no client of its own
```
"""

from assay.releases.forge.base import Forge, Merge, PullRequest
from assay.releases.repository import Repository

__all__ = ["Forge", "Merge", "PullRequest", "open_forge"]


def open_forge(repository: Repository) -> Forge:
    """The forge that the repository's settings name."""
    settings = repository.settings
    if settings.forge == "github":
        from assay.releases.forge.github import GitHubForge

        return GitHubForge(settings)
    if settings.forge == "gitlab":
        from assay.releases.forge.gitlab import GitLabForge

        return GitLabForge(settings)
    if settings.forge == "gitea":
        from assay.releases.forge.gitea import GiteaForge

        return GiteaForge(settings)
    from assay.releases.forge.plain import PlainForge

    return PlainForge(repository)
