"""The code identity: what of the code can change a step's result.

It covers three things, a digest each:

- the step's own folder;
- the library's modules that the step can import, with their data files (`assay.core.closure`);
- the locked versions of the distributions that these modules import, with all that these require,
  and the Python version and machine type (`assay.core.distributions`). For steps outside of the
  library all locked distributions count: which ones load others that they do not require is known
  of those that the library's steps import, and of no more.

Code that no lock knows counts too (`assay.core.unlocked`): what a step outside of the library
imports besides, and the classes that `ASSAY_ALLOWED_CLASSES` admits, for steps that make or load
models.

A step that imports something which cannot be resolved gets all modules of the library (without the
command line, which no step imports), all files of the outermost package that it is in, and all
locked distributions.
"""

import functools
import hashlib
import importlib.util
import inspect
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from assay import __version__
from assay.core import closure, distributions, unlocked
from assay.core.digest import canonical_json, of_bytes
from assay.core.settings import ALLOWED_CLASSES, GIT_COMMIT, GIT_REPOSITORY
from assay.core.step import Step
from assay.errors import StepError, UsageError
from assay.printable import public

logger = logging.getLogger(__name__)

LOADED_BY_NAME: Final = ()
"""Looks for the modules of steps without importing them."""
VERSION: Final = 2
"""The version of the format in which code identities are written."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_GIT_SECONDS: Final = 5
_ADMITS_CLASSES: Final = "assay.models.allowed"
"""Whoever can import it may load the classes of `ASSAY_ALLOWED_CLASSES`."""


class Scope(StrEnum):
    """How much of the library a code identity covers."""

    CLOSURE = "closure"
    """What the step can import."""
    LIBRARY = "library"
    """Everything."""


@dataclass(frozen=True, slots=True)
class CodeIdentity:
    """What a step was computed by; `digest` goes into the step key."""

    step: str
    """Of the step's own files."""
    modules: str
    """Of the library's modules and their data files."""
    distributions: str
    """Of the locked versions and the platform."""
    scope: Scope = Scope.CLOSURE
    version: int = VERSION
    """Of the format: 1 covers the whole library, and names the parts as `PARTS` says."""
    missing: tuple[str, ...] = field(default=(), compare=False)
    """Modules that the step imports and that are not found here. Their code is not covered, so the
    step's result must not answer for another execution."""

    @property
    def parts(self) -> dict[str, str]:
        """The digests by the names that they have in the format."""
        digests = (self.step, self.modules, self.distributions)
        return dict(zip(PARTS[self.version], digests, strict=True))

    @property
    def digest(self) -> str:
        """One digest of all three."""
        return of_bytes(canonical_json(self.parts))


PARTS: Final[Mapping[int, tuple[str, str, str]]] = {
    1: ("step", "library", "requirements"),
    2: ("step", "modules", "distributions"),
}
"""Names of the parts of a code identity by the version of the format."""


class Installed(NamedTuple):
    """All code and all distributions that steps can import, but for the steps' own code."""

    modules: str
    distributions: str


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
    return _identity(step.function.__module__, Path(file).resolve())


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
    return _identity(module, Path(found.origin).resolve())


def _identity(module: str, path: Path) -> CodeIdentity:
    own = closure.Own.of(module, path)
    found = closure.closure_of(own)
    lock = distributions.locked()
    names, unresolved = None, found.unresolved
    if not unresolved and (names := lock.of_imports(found.others)) is None:
        # What is not known, such as a module beside the step's, may import whatever it likes.
        unresolved = "imports a module of which no locked distribution is known"
    others = unlocked.code_of(
        (name for name in found.others if lock.distribution_of(name) is None),
        beside=own.root if not own.package else str(Path(own.top_folder).parent),
        known=[os.path.realpath(f"{own.root}/{name}") for name in own.files],
    )
    files = {**others.files, **found.files}
    if own.top != closure.LIBRARY:
        names = None  # a distribution may load any other that is installed
    if unresolved:
        logger.debug("%s: the whole library counts as its code: %s", module, unresolved)
        files |= closure.all_files(own)
    if unresolved or _ADMITS_CLASSES in found.modules:
        others.distributions.update(_admitted())
    return CodeIdentity(
        step=_digest_of(
            {name: hashlib.sha256(data).hexdigest() for name, data in own.files.items()}
        ),
        modules=_digest_of({name: closure.digest_of(path) for name, path in files.items()}),
        distributions=distributions.digest_of(names, others.distributions),
        scope=Scope.LIBRARY if unresolved else Scope.CLOSURE,
        missing=tuple(sorted(others.missing)),
    )


def _admitted() -> list[str]:
    """The code of the classes that the platform admits; without those that are not installed.

    They count among the distributions: whether evidence was made by the library's own code does
    not depend on what else is installed where that is asked.
    """
    given = ALLOWED_CLASSES.get()
    classes = [name for name in given if all(map(str.isidentifier, name.split(".")))]
    return unlocked.code_of(classes).lines


def _digest_of(digests: Mapping[str, str]) -> str:
    lines = (f"{name}\0{digest}\n" for name, digest in sorted(digests.items()))
    return of_bytes("".join(lines).encode())


def installed() -> Installed:
    """What a process that starts now would run, whatever this one has loaded.

    Read anew, and what `identity` goes on with.
    """
    closure.forget()
    distributions.forget()
    unlocked.forget()
    files = {name: closure.digest_of(path) for name, path in closure.library_files()}
    return Installed(_digest_of(files), distributions.digest_of(None))


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
        repository = public(GIT_REPOSITORY.get()) or f"pkg:pypi/kfp-assay@{__version__}"
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
