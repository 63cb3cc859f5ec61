"""All checks of the releases in a checkout of the deployment repository, for its CI.

The release log says what was released before; the history in `.git` shows whether entries were
removed from it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay.errors import AssayError, UsageError
from assay.releases import consistency, layout, log
from assay.releases.approval import checked, replaced
from assay.releases.deployment import Deployment, OpenDeployment
from assay.releases.governing import changed_with, governing
from assay.releases.layout import FILE_NAME, PLAN_FILE, ROOT
from assay.releases.release import MAX_RELEASE_BYTES, parse_release
from assay.releases.repository import MAX_FILE_BYTES, readable

MAX_RELEASES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a release."""

    path: str
    """Of the release, relative to the folder."""
    text: str


def lint(
    deployment: Deployment, folder: Path, changed_since: str = ""
) -> tuple[int, list[Problem]]:
    """Check all releases in a folder, or those that changed since a commit.

    Args:
        deployment: The store and the registry; without a registry the versions that the releases
            name are not checked. Its repository is not used.
        folder: A checked-out deployment repository.
        changed_since: A commit or branch that is trusted, such as the target of a pull request;
            what is equal to it is not checked again, and only its history counts. "" or zeros,
            which a forge gives for no commit: everything is checked.

    Returns:
        The number of releases that were checked, and their problems.

    Raises:
        UsageError: No such folder or commit, or, when everything is checked, a folder without any
            release, which must not pass for a correct one.
        StoreError: The store cannot be reached.
    """
    paths = _release_paths(folder)
    if not paths and not (changed_since and (folder / ROOT).is_dir()):
        raise UsageError(f"{folder} has no {ROOT}/<model>/<environment>/{FILE_NAME}")
    if set(changed_since) == {"0"}:
        changed_since = ""  # what forges give as the parent of a branch's first commit
    with deployment.open_checkout(folder, changed_since or "HEAD") as opened:
        repository = opened.repository
        touched: list[str] = []
        if changed_since:
            touched = repository.changed_in_folder()
            paths = [
                p for p in paths if any(t.startswith(f"{_parent(readable(p))}/") for t in touched)
            ]
        problems = [
            Problem(path, f"{what}, where a release must be a file")
            for path, what in repository.odd(ROOT, repository.commit_of("HEAD")).items()
            if (path in touched or not changed_since) and not (folder / path).is_symlink()
        ]
        for path in paths:
            problems += [
                Problem(readable(path), text) for text in _problems(opened, folder, path, touched)
            ]
    return len(paths), problems


def _release_paths(folder: Path) -> list[str]:
    """The paths of releases, and of links, in a folder.

    Raises:
        UsageError: No such folder, or more than `MAX_RELEASES` paths.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give a checkout of the deployment repository")
    paths = sorted(
        path.relative_to(folder).as_posix()
        for path in (folder / ROOT).rglob("*")
        if path.name == FILE_NAME or path.is_symlink()
    )
    if len(paths) > MAX_RELEASES:
        raise UsageError(f"{folder} has more than {MAX_RELEASES} releases")
    return paths


def _problems(deployment: OpenDeployment, folder: Path, path: str, touched: list[str]) -> list[str]:
    repository = deployment.repository
    file = folder / path
    if file.is_symlink() or any(
        (folder / parent).is_symlink() for parent in file.relative_to(folder).parents[:-1]
    ):
        return ["a link, where a release must be a file"]
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_RELEASE_BYTES + 1)
        release = parse_release(content, FILE_NAME)
    except IsADirectoryError:
        return ["a folder, where a release must be a file"]
    except UsageError as error:
        return [str(error)]
    if layout.path(release.model, release.environment) != path:
        return [f"is about {release.model!r} in {release.environment}, whose path is another"]
    files = {}
    plan = file.parent / PLAN_FILE
    if plan.is_file() and plan.stat().st_size <= MAX_FILE_BYTES:
        files[PLAN_FILE] = plan.read_bytes()
    try:
        consistency.require_whole(deployment, release.model)
        governs = governing(repository, release.model, release.environment)
        result = checked(deployment, release, files, governs)
    except AssayError as error:
        return [str(error)]
    if path in touched:
        result += changed_with(release.model, release.environment, touched)
        entries = deployment.entries(release.model)
        if not log.was_released(entries, release.name, release.environment, release.digest):
            result += replaced(repository, release, repository.head)
    return result


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
