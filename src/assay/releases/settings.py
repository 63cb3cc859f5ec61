"""Which deployment repository and forge: all of it comes from the environment.

| variable | meaning | default |
|---|---|---|
| `ASSAY_DEPLOYMENTS` | URL or path of the deployment repository | none |
| `ASSAY_DEPLOYMENTS_BRANCH` | its branch | `main` |
| `ASSAY_FORGE` | `github`, `gitlab`, `gitea` (Forgejo too), or `none` | by the URL's host |
| `ASSAY_FORGE_URL` | the forge's address, where it is not the repository's host | that host |
| `ASSAY_GIT_TOKEN` | token for Git over HTTP(S) and for the forge | none |
| `ASSAY_GIT_USER` | user that goes with the token, where the forge asks for one | `oauth2` |
| `ASSAY_APPROVAL_DAYS` | how long an approval counts | 365 |

Over SSH, Git's own settings count (`GIT_SSH_COMMAND`, an agent, `~/.ssh`).
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from assay.errors import UsageError

FORGES: Final = ("github", "gitlab", "gitea", "none")
APPROVAL_DAYS: Final = 365
_MAX_DIGITS: Final = 5
_HOSTS: Final = {"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "gitea"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where releases are proposed and merged."""

    url: str
    """Of the repository, without credentials."""
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
    def over_http(self) -> bool:
        """Whether Git speaks HTTP to it."""
        return self.url.startswith(("http://", "https://"))


def settings_from_env() -> Settings:
    """The deployment repository that the environment names.

    Raises:
        UsageError: None is named, or a variable cannot be used; names all that cannot.
    """
    url = os.environ.get("ASSAY_DEPLOYMENTS", "")
    if not url:
        raise UsageError(
            "ASSAY_DEPLOYMENTS is not set; give the deployment repository's URL, such as "
            "https://forge.example/team/deployments.git, or the path of a bare repository"
        )
    problems = []
    parts = urlsplit(url) if "://" in url else None
    if parts is None and not url.startswith("-") and ":" not in url:
        url = Path(url).expanduser().resolve().as_uri()
    elif url.startswith("-") or "::" in url:
        problems.append("ASSAY_DEPLOYMENTS: not the URL of a repository")
    elif parts is not None and parts.scheme not in {"http", "https", "ssh", "file"}:
        problems.append(f"ASSAY_DEPLOYMENTS: {parts.scheme}:// is not a way to reach it; use https")
    if parts is not None and (parts.password or (parts.username and parts.scheme != "ssh")):
        problems.append("ASSAY_DEPLOYMENTS: put no login into the URL; use ASSAY_GIT_TOKEN")
    host = parts.hostname or "" if parts else ""
    forge = os.environ.get("ASSAY_FORGE", "") or _HOSTS.get(host, "none")
    if forge not in FORGES:
        problems.append(f"ASSAY_FORGE: no forge {forge!r}; there are: {', '.join(FORGES)}")
    if problems:
        raise UsageError.all_of(problems)
    own = f"{parts.scheme}://{parts.netloc}" if parts and parts.scheme.startswith("http") else ""
    return Settings(
        url=url,
        branch=os.environ.get("ASSAY_DEPLOYMENTS_BRANCH", "") or "main",
        forge=forge,
        forge_url=os.environ.get("ASSAY_FORGE_URL", "").rstrip("/")
        or ("" if host in _HOSTS else own),
        user=os.environ.get("ASSAY_GIT_USER", "") or "oauth2",
        token=os.environ.get("ASSAY_GIT_TOKEN", "").strip(),
    )


def approval_days() -> int:
    """How many days an approval counts.

    Raises:
        UsageError: `ASSAY_APPROVAL_DAYS` is no whole number from 1 to 99999.
    """
    text = os.environ.get("ASSAY_APPROVAL_DAYS", "") or str(APPROVAL_DAYS)
    if not text.isdecimal() or len(text) > _MAX_DIGITS or int(text) == 0:
        raise UsageError(
            f"ASSAY_APPROVAL_DAYS: {text[:40]!r} is not a number of days from 1 to "
            f"{10**_MAX_DIGITS - 1}"
        )
    return int(text)
