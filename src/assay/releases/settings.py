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
    problems = list(filter(None, [FORGE.problem()]))
    parts = urlsplit(url) if "://" in url else None
    if parts is None and not url.startswith("-") and ":" not in url:
        url = Path(url).expanduser().resolve().as_uri()
    elif url.startswith("-") or "::" in url:
        problems.append("ASSAY_DEPLOYMENTS: not the URL of a repository")
    elif parts is not None and parts.scheme not in {"http", "https", "ssh", "file"}:
        problems.append(f"ASSAY_DEPLOYMENTS: {parts.scheme}:// is not a way to reach it; use https")
    if parts is not None and (parts.password or (parts.username and parts.scheme != "ssh")):
        problems.append("ASSAY_DEPLOYMENTS: remove the login from the URL; use ASSAY_GIT_TOKEN")
    host = parts.hostname or "" if parts else ""
    if problems:
        raise UsageError.all_of(problems)
    own = f"{parts.scheme}://{parts.netloc}" if parts and parts.scheme.startswith("http") else ""
    return Settings(
        url=url,
        branch=DEPLOYMENTS_BRANCH.get(),
        forge=FORGE.get() or _HOSTS.get(host, "none"),
        forge_url=FORGE_URL.get().rstrip("/") or ("" if host in _HOSTS else own),
        user=GIT_USER.get(),
        token=GIT_TOKEN.get(),
    )
