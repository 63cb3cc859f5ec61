"""The code identity: a digest of all code that can affect the result of a step.

It has three parts, each with a digest:

- the step's own folder;
- the library's modules that the step can import, with their data files (`assay.core.closure`);
- the locked versions of the distributions that these modules import, with all of their
  requirements, and the Python version and machine type (`assay.core.distributions`). Steps outside
  of the library depend on all locked distributions, because optional requirements are known only
  for those that the steps of the library import.

It also covers code that is not locked (`assay.core.unlocked`): what a step outside of the library
imports besides, and the classes in `ASSAY_ALLOWED_CLASSES`, for steps that create or load models.

If an import of a step cannot be resolved, its code identity covers all modules of the library
(except the command line, which steps do not import), all files of the outermost package of the
step, and all locked distributions.
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
"""Finds the modules of steps without importing them."""
VERSION: Final = 2
"""Version of the format of code identities."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_GIT_SECONDS: Final = 5
_ADMITS_CLASSES: Final = "assay.models.allowed"
"""A step that can import it may load the classes of `ASSAY_ALLOWED_CLASSES`."""


class Scope(StrEnum):
    """How much of the library a code identity covers."""

    CLOSURE = "closure"
    """The modules that the step can import."""
    LIBRARY = "library"
    """All modules."""


@dataclass(frozen=True, slots=True)
class CodeIdentity:
    """The code of a step; `digest` is part of the step key."""

    step: str
    """Digest of the step's own files."""
    modules: str
    """Digest of the modules of the library and their data files."""
    distributions: str
    """Digest of the locked versions and the platform."""
    scope: Scope = Scope.CLOSURE
    version: int = VERSION
    """Version of the format; version 1 covers the whole library, with the names in `PARTS`."""
    missing: tuple[str, ...] = field(default=(), compare=False)
    """Modules that the step imports and that were not found. Their code is not covered, so the
    result must not be cached."""

    @property
    def parts(self) -> dict[str, str]:
        """The digests by their names in the format."""
        digests = (self.step, self.modules, self.distributions)
        return dict(zip(PARTS[self.version], digests, strict=True))

    @property
    def digest(self) -> str:
        """The digest of all three parts."""
        return of_bytes(canonical_json(self.parts))

    def has_sources_of(self, other: "CodeIdentity") -> bool:
        """Whether both have the same sources, in any environment."""
        own, others = (
            (each.version, each.scope, each.step, each.modules) for each in (self, other)
        )
        return own == others


PARTS: Final[Mapping[int, tuple[str, str, str]]] = {
    1: ("step", "library", "requirements"),
    2: ("step", "modules", "distributions"),
}
"""Names of the parts of a code identity by the version of the format."""


class Installed(NamedTuple):
    """Digests of all modules and distributions that steps can import."""

    modules: str
    distributions: str


@dataclass(frozen=True, slots=True)
class Commit:
    """The Git commit of the code; `dirty` if files differed from it."""

    repository: str
    commit: str
    dirty: bool = False


_known: Final[dict[tuple[str, Path, str, tuple[str, ...]], CodeIdentity]] = {}
"""Cached identities by module, file and own code of a step, which is read again each time."""


def identity(step: Step) -> CodeIdentity:
    """The identity of the code that runs when `step` is executed in this process.

    Raises:
        StepError: The source of the step is not in a file, for example at an interactive prompt.
    """
    module = sys.modules.get(step.function.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        raise StepError(f"step {step.name}: its source is not in a file; put it into a module")
    code = getattr(inspect.unwrap(step.function), "__code__", None)
    origin = getattr(code, "co_filename", "")
    if step.function.__module__.startswith("assay.") and not _same(origin, file):
        raise StepError(
            f"step {step.name}: its module is {step.function.__module__}, but it is defined in "
            f"{origin}; `__module__` must be the module that defines the step"
        )
    return _identity(step.function.__module__, Path(file).resolve())


def _same(first: str, second: str) -> bool:
    return Path(first).resolve() == Path(second).resolve()


def identity_of(entry_point: str) -> CodeIdentity:
    """The identity of a step of this installation, without importing its module.

    Args:
        entry_point: `module:name`.

    Raises:
        StepError: This installation does not have the module.
    """
    module = entry_point.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise StepError(f"step {entry_point!r}: this installation has no module {module!r}")
    return _identity(module, Path(spec.origin).resolve())


def _identity(module: str, path: Path) -> CodeIdentity:
    own = closure.Own.of(module, path)
    step = _digest_of({name: hashlib.sha256(data).hexdigest() for name, data in own.files.items()})
    key = (module, path, step, tuple(ALLOWED_CLASSES.get()))
    if key in _known:
        return _known[key]
    imported = closure.closure_of(own)
    lock = distributions.locked()
    names, unresolved = None, imported.unresolved
    if not unresolved and (names := lock.of_imports(imported.external)) is None:
        # An unknown module, such as one next to the step, may import anything.
        unresolved = "imports a module that is not in a locked distribution"
    others = unlocked.code_of(
        (name for name in imported.external if lock.distribution_of(name) is None),
        beside=own.root if not own.package else str(Path(own.top_folder).parent),
        known=[os.path.realpath(f"{own.root}/{name}") for name in own.files],
    )
    files = {**others.files, **imported.files}
    if own.top != closure.LIBRARY:
        names = None  # a distribution may load any other that is installed
    if unresolved:
        logger.debug("%s: its code identity covers the whole library: %s", module, unresolved)
        files |= closure.all_files(own)
    if unresolved or _ADMITS_CLASSES in imported.modules:
        others.distributions.update(_admitted())
    result = CodeIdentity(
        step=step,
        modules=_digest_of({name: closure.digest_of(path) for name, path in files.items()}),
        distributions=distributions.digest_of(names, others.distributions),
        scope=Scope.LIBRARY if unresolved else Scope.CLOSURE,
        missing=tuple(sorted(others.missing)),
    )
    if own.top == closure.LIBRARY and not unresolved:
        # Of what else took part, a process reads each file once.
        _known[key] = result
    return result


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
    """The code that a new process would run, regardless of the modules loaded in this one.

    Clears the caches, so that `identity` uses the same files.
    """
    closure.forget()
    distributions.forget()
    unlocked.forget()
    _known.clear()
    files = {name: closure.digest_of(path) for name, path in closure.library_files()}
    return Installed(_digest_of(files), distributions.digest_of(None))


def commit() -> Commit | None:
    """The commit of this code: `ASSAY_GIT_COMMIT`, which images set, or the commit of the checkout.

    Returns:
        The commit; None if it is unknown. The code digest identifies the code in any case.

    Raises:
        UsageError: `ASSAY_GIT_COMMIT` is not a full commit id.
    """
    value = GIT_COMMIT.get()
    if value:
        commit_id, _, flag = value.partition("+")
        if not _COMMIT.fullmatch(commit_id):
            raise UsageError(
                f"ASSAY_GIT_COMMIT: {commit_id[:80]!r} is not a full commit id; "
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
    # The user information before an @ may contain a token.
    remote = re.sub(r"//[^/@]*@", "//", _git(root, "config", "remote.origin.url"))
    dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return Commit(
        f"git+{remote}" if remote else f"pkg:pypi/kfp-assay@{__version__}", commit_id, dirty
    )


def _git(root: Path, *arguments: str) -> str:
    from assay.core.git import Git, GitError  # cached results do not need Git

    try:
        return Git(root, seconds=_GIT_SECONDS).text(*arguments).strip()
    except GitError:
        return ""
