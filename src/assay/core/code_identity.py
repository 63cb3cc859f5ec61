"""The code digest: what of the code can change a step's result.

It covers the step's own folder, the library (without the command line, which no step imports), the
locked requirements and whatever is installed in another version, and the Python version and machine
type.
"""

import functools
import hashlib
import importlib.util
import inspect
import os
import platform
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from assay import __version__
from assay.core.digest import PREFIX, canonical_json, of_bytes
from assay.core.settings import GIT_COMMIT, GIT_REPOSITORY
from assay.core.step import Step
from assay.errors import StepError, UsageError

_LIBRARY_SKIPS: Final = frozenset({"cli", "components", "pipelines"})
"""Sub-packages of `assay` that no step imports, or that count as the step's own code."""
_STEP_SKIPS: Final = frozenset(
    {"component.py", "component.yaml", "README.md", "metadata.yaml", "OWNERS"}
)
"""Files of a stage's folder that say something about the step but do not take part in it."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_GIT_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class CodeIdentity:
    """What a step was computed by; `digest` goes into the step key."""

    step: str
    library: str
    requirements: str

    @property
    def digest(self) -> str:
        """One digest of all three."""
        return of_bytes(
            canonical_json(
                {"step": self.step, "library": self.library, "requirements": self.requirements}
            )
        )


class Installed(NamedTuple):
    """The part of a code identity that all steps share."""

    library: str
    requirements: str


@dataclass(frozen=True, slots=True)
class Commit:
    """The Git commit that the code was built from; `dirty` when files differed from it."""

    repository: str
    commit: str
    dirty: bool = False


def identity(step: Step) -> CodeIdentity:
    """The identity of the code that runs when `step` is executed in this process.

    Raises:
        StepError: The step's source is not in a file, such as one typed at a prompt.
    """
    module = sys.modules.get(step.function.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        raise StepError(f"step {step.name}: its source is not in a file; put it into a module")
    code = getattr(inspect.unwrap(step.function), "__code__", None)
    written = getattr(code, "co_filename", "")
    if step.function.__module__.startswith("assay.") and not _same(written, file):
        raise StepError(
            f"step {step.name}: says that it is of {step.function.__module__}, and was "
            f"written in {written}; a step has the name of the module that it is in"
        )
    return _identity(Path(file).resolve())


def _same(one: str, other: str) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def identity_of(entry_point: str) -> CodeIdentity:
    """The identity that a step of this installation has, without importing its module.

    Args:
        entry_point: `module:name`.

    Raises:
        StepError: There is no such module here.
    """
    module = entry_point.partition(":")[0]
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None or found.origin is None:
        raise StepError(f"step {entry_point!r}: this installation has no module {module!r}")
    return _identity(Path(found.origin).resolve())


def _identity(path: Path) -> CodeIdentity:
    # A step in a package is its whole folder; a lone module is just itself.
    packaged = (path.parent / "__init__.py").exists()
    files = _files(path.parent, frozenset(), _STEP_SKIPS) if packaged else iter([path])
    return CodeIdentity(
        step=_digest_files(path.parent, files),
        library=_library_digest(),
        requirements=_requirements_digest(),
    )


def installed() -> Installed:
    """What a process that starts now would run, whatever this one has loaded.

    Read anew, and what `identity` goes on with.
    """
    _library_digest.cache_clear()
    _requirements_digest.cache_clear()
    return Installed(_library_digest(), _requirements_digest())


@functools.cache
def _library_digest() -> str:
    root = Path(__file__).resolve().parents[1]
    return _digest_files(root, _files(root, _LIBRARY_SKIPS, frozenset()))


@functools.cache
def _requirements_digest() -> str:
    """Digest of the lock, and of the distributions installed here that stray from it.

    An environment that strays from the lock must not share a step key with one that keeps to it.
    One that lacks distributions may: an image holds only what its steps import, and a step that
    misses one fails instead of giving another result.
    """
    locked: dict[str, set[str]] = {}
    lock = (Path(__file__).resolve().parents[1] / "requirements.txt").read_text()
    # A name may stand there more than once, with a version for each range of Python versions.
    for match in re.finditer(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)", lock, re.MULTILINE):
        locked.setdefault(_normal(match[1]), set()).add(match[2])
    strays = set()
    for folder in {
        sysconfig.get_paths()["purelib"],
        sysconfig.get_paths()["platlib"],
        *site.getsitepackages(),
    }:
        if not os.path.isdir(folder):  # noqa: PTH112 - this runs in every step; os is 5x quicker
            continue
        for entry in os.listdir(folder):  # noqa: PTH208
            name, _, version = entry.removesuffix(".dist-info").partition("-")
            versions = locked.get(_normal(name), set())
            if entry.endswith(".dist-info") and versions and version not in versions:
                strays.add(f"{_normal(name)}=={version}")
    python = ".".join(platform.python_version_tuple()[:2])
    return of_bytes(
        canonical_json(
            {
                "locked": {name: sorted(versions) for name, versions in locked.items()},
                "strays": sorted(strays),
                "python": f"{platform.python_implementation()} {python}",
                "machine": platform.machine(),
            }
        )
    )


def _normal(name: str) -> str:
    # PEP 503.
    return re.sub(r"[-_.]+", "-", name).lower()


def _files(root: Path, skip_folders: frozenset[str], skip_files: frozenset[str]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name for name in folders if name != "__pycache__" and name not in skip_folders
        )
        for name in sorted(names):
            if name not in skip_files and not name.endswith((".pyc", "~")):
                yield Path(folder, name)


def _digest_files(root: Path, files: Iterator[Path]) -> str:
    hasher = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        hasher.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return PREFIX + hasher.hexdigest()


def commit() -> Commit | None:
    """The commit this code was built from: `ASSAY_GIT_COMMIT` (images set it), or the checkout.

    None where neither tells; the code digest names the code all the same.

    Raises:
        UsageError: `ASSAY_GIT_COMMIT` is not a commit's full name.
    """
    value = GIT_COMMIT.get()
    if value:
        commit_id, _, flag = value.partition("+")
        if not _COMMIT.fullmatch(commit_id):
            raise UsageError(
                f"ASSAY_GIT_COMMIT: {commit_id[:80]!r} is not a commit's full name; "
                "set it to what `git rev-parse HEAD` prints"
            )
        repository = GIT_REPOSITORY.get() or f"pkg:pypi/kfp-assay@{__version__}"
        return Commit(repository, commit_id, flag == "dirty")
    return _checkout_commit()


@functools.cache
def _checkout_commit() -> Commit | None:
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    commit_id = _git(root, "rev-parse", "HEAD")
    if not _COMMIT.fullmatch(commit_id):
        return None
    # User information before an @ may hold a token.
    remote = re.sub(r"//[^/@]*@", "//", _git(root, "config", "remote.origin.url"))
    dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return Commit(
        f"git+{remote}" if remote else f"pkg:pypi/kfp-assay@{__version__}", commit_id, dirty
    )


def _git(root: Path, *arguments: str) -> str:
    from assay.core.git import Git, GitError  # a cached answer needs no Git

    try:
        return Git(root, seconds=_GIT_SECONDS).text(*arguments).strip()
    except GitError:
        return ""
