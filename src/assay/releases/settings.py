"""The deployment repository and forge, from the environment.

The variables are in `assay.core.settings`. Over SSH, Git's own settings count (`GIT_SSH_COMMAND`,
an agent, `~/.ssh`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from assay.core.settings import (
    DEPLOYMENTS,
    DEPLOYMENTS_BRANCH,
    FORGE,
    FORGE_URL,
    GIT_TOKEN,
    GIT_USER,
)
from assay.errors import UsageError

_SCHEMES: Final = frozenset({"http", "https", "ssh", "file"})
_HOSTS: Final = {"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "gitea"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where releases are proposed and merged."""

    url: str
    """URL of the repository, without credentials."""
    branch: str = "main"
    forge: str = "none"
    forge_url: str = ""
    """Scheme, host and port of the forge; empty for the public one or none."""
    user: str = "oauth2"
    token: str = field(default="", repr=False)

    @property
    def repository(self) -> str:
        """`owner/name`, as forges call the repository."""
        path = urlsplit(self.url).path if "://" in self.url else self.url.partition(":")[2]
        return path.strip("/").removesuffix(".git")

    @property
    def has_forge(self) -> bool:
        """Whether a forge opens and merges the pull requests."""
        return self.forge != "none"

    @property
    def over_http(self) -> bool:
        """Whether Git speaks HTTP to it."""
        return self.url.startswith(("http://", "https://"))


def settings_from_env() -> Settings:
    """The deployment repository that the environment names.

    Raises:
        UsageError: A variable is missing or invalid; names all of them.
    """
    url = DEPLOYMENTS.require()
    if problems := [*filter(None, [FORGE.problem()]), *_problems_of(url)]:
        raise UsageError.all_of(problems)
    if ":" not in url:
        url = Path(url).expanduser().resolve().as_uri()
    parts = urlsplit(url) if "://" in url else urlsplit("")  # `user@host:path` has no parts
    host = parts.hostname or ""
    own = f"{parts.scheme}://{parts.netloc}" if parts.scheme.startswith("http") else ""
    return Settings(
        url=url,
        branch=DEPLOYMENTS_BRANCH.get(),
        forge=FORGE.get() or _HOSTS.get(host, "none"),
        forge_url=FORGE_URL.get().rstrip("/") or ("" if host in _HOSTS else own),
        user=GIT_USER.get(),
        token=GIT_TOKEN.get(),
    )


def _problems_of(url: str) -> list[str]:
    if url.startswith("-") or "::" in url:
        return ["ASSAY_DEPLOYMENTS: not the URL of a repository"]
    if "://" not in url:
        return []
    parts, problems = urlsplit(url), []
    if parts.scheme not in _SCHEMES:
        problems.append(f"ASSAY_DEPLOYMENTS: {parts.scheme}:// is not a way to reach it; use https")
    if parts.password or (parts.username and parts.scheme != "ssh"):
        problems.append("ASSAY_DEPLOYMENTS: remove the login from the URL; use ASSAY_GIT_TOKEN")
    return problems
