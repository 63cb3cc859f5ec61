"""Code that is not locked: modules outside of the library, the step's package and the lock.

Such code is loaded in two cases. A step outside of the library imports packages that are next to
it, or distributions that are not locked. A model consists of classes that `ASSAY_ALLOWED_CLASSES`
admits. The code runs in both cases, so it is part of the code identity:

- For a module of an installed distribution: the name, version and file list (`RECORD`) of the
  distribution, and the names and versions of all distributions that it requires.
- For any other module: all files of its outermost package, and the code that these import.

Modules are found by the finders of this process (`sys.meta_path`) and are not imported.
"""

import functools
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Final

from assay.core import closure, distributions
from assay.core.digest import of_bytes
from assay.core.imports import imports_of

LOADED_BY_NAME: Final = ()
"""Finds modules; imports none of them."""

_STUBS: Final = frozenset({"_typeshed"})
"""Modules for type checkers only."""
_DIST_INFO: Final = ".dist-info"
_REQUIRED: Final = re.compile(r"Requires-Dist:\s*([A-Za-z0-9._-]+)([^\n]*)")
_OF_AN_EXTRA: Final = re.compile(r"\bextra\s*==")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the code of a module is."""

    name: str
    """Of its outermost package, or of the module if it is in none; a namespace package's name is
    that of the package or module in it."""
    version: str
    """Of its distribution; "" if it is in none."""
    listing: str
    """Digest of the distribution's file list; "" if it is in none."""
    info: str
    """The distribution's `.dist-info` folder; "" if it is in none."""
    files: tuple[tuple[str, str], ...]
    """Path within the package, and path of the file; empty for a distribution."""

    @property
    def digest(self) -> str:
        """Of the code: the distribution's file list, or the files."""
        return self.listing or _digest_of(self.files)


@dataclass(slots=True)
class Unlocked:
    """The code that modules load."""

    files: dict[str, str] = field(default_factory=dict)
    """Files in no distribution, by a path such as `helpers/tools.py`."""
    distributions: set[str] = field(default_factory=set)
    """`name==version`, and for one that is not locked the digest of its file list."""
    missing: set[str] = field(default_factory=set)
    """Modules that are imported and were not found."""

    @property
    def lines(self) -> list[str]:
        """All of it as text: a line for each distribution and file."""
        digests = (f"{name} {closure.digest_of(path)}" for name, path in self.files.items())
        return sorted({*self.distributions, *digests})


def code_of(modules: Iterable[str], beside: str = "", known: Iterable[str] = ()) -> Unlocked:
    """The code that modules load when they are imported.

    Args:
        modules: Dotted names, which may go on with names in the module.
        beside: A folder in which modules are found besides those on Python's path.
        known: Files that are covered elsewhere. Their imports are followed.

    Returns:
        The code, and the modules that were not found.
    """
    walk = _Walk(beside, frozenset(known))
    for module in modules:
        walk.add(module)
    return walk.run()


def find(module: str, beside: str = "") -> Origin | None:
    """Where the code of a module is.

    Args:
        module: Dotted name, which may go on with names in the module.
        beside: As in `code_of`.

    Returns:
        Its origin; None if there is no such module.
    """
    name, places = _located(module, beside)
    if not places:
        return None
    top = Path(places[0]).parents[name.count(".")]
    path = Path(places[0]).relative_to(top).as_posix()
    hint = distributions.locked().distribution_of(module) or name
    info = _owner(str(top), path, distributions.normal(hint))
    if info:
        _, version = _name_and_version(info)
        return Origin(name, version, _listing_of(info), info, ())
    return Origin(name, "", "", "", tuple(_files(name, places)))


def distribution_of(origin: Origin) -> str:
    """The normalised name of the distribution that a module is in; "" if it is in none."""
    return _name_and_version(origin.info)[0] if origin.info else ""


def forget() -> None:
    """Look for all modules again when they are asked for next."""
    for cached in (_located, _owner, _listing_of, _infos):
        cached.cache_clear()


class _Walk:
    def __init__(self, beside: str, known: frozenset[str]) -> None:
        self._beside = beside
        self._known = known
        self._found = Unlocked()
        self._todo: list[str] = []
        self._seen: set[str] = set()

    def add(self, module: str) -> None:
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names | _STUBS and module not in self._seen:
            self._seen.add(module)
            self._todo.append(module)

    def run(self) -> Unlocked:
        while self._todo:
            module = self._todo.pop()
            if module.partition(".")[0] == closure.LIBRARY:
                self._found.files.update(closure.library_files())
                continue
            origin = find(module, self._beside)
            if origin is None:
                self._found.missing.add(module)
            elif origin.info:
                self._add_distribution(origin.info)
            else:
                self._add_files(origin)
        return self._found

    def _add_files(self, origin: Origin) -> None:
        for name, path in origin.files:
            if name in self._found.files or name in self._seen:
                continue
            if os.path.realpath(path) in self._known:
                self._seen.add(name)
            else:
                self._found.files[name] = path
            if not name.endswith(".py"):
                continue
            package = ".".join(name.split("/")[:-1])
            for imported, item in imports_of(closure.read(path)).names:
                module = closure.absolute(imported, package)
                # What is imported from within the package is among its files.
                within = f"{module}.".startswith(f"{origin.name}.") and "/" in name
                if module and not within:
                    self.add(f"{module}.{item}" if item not in {"", "*"} else module)

    def _add_distribution(self, info: str) -> None:
        name, version = _name_and_version(info)
        line = f"{name}=={version}"
        if version not in distributions.locked().versions.get(name, ()):
            line = f"{line} {_listing_of(info)}"
        if line in self._found.distributions:
            return
        self._found.distributions.add(line)
        for required in _requires(info):
            if required in _infos():
                self._add_distribution(_infos()[required])


@functools.cache
def _located(module: str, beside: str) -> tuple[str, tuple[str, ...]]:
    """The outermost package of a module that is no namespace, or the module; and its places.

    Returns:
        Name and places: a package's folder, a module's file, or the folders of a namespace package
        in which no more of the name is. Without places there is no such module.
    """
    name = ""
    within: list[str] | None = None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        if within is None:
            spec = _spec(name) or (PathFinder.find_spec(name, [beside]) if beside else None)
        else:
            # By the last part of its name: for a whole one its parents would have to be imported.
            spec = PathFinder.find_spec(part, within)
        if spec is None:
            return "", ()
        if spec.origin and spec.has_location:
            place = Path(spec.origin)
            if spec.submodule_search_locations is not None:
                place = place.parent
            while not place.exists() and place != place.parent:
                place = place.parent  # the archive that it is in
            return name, (str(place),)
        within = list(spec.submodule_search_locations or ())
        if not within:
            return "", ()
    return name, tuple(within or ())


def _spec(name: str) -> Any:
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        if find_spec is not None and (spec := find_spec(name, None, None)) is not None:
            return spec
    return None


def _files(name: str, places: Iterable[str]) -> Iterator[tuple[str, str]]:
    prefix = name.replace(".", "/")
    for place in places:
        if not os.path.isdir(place):  # noqa: PTH112 - as in `closure`
            yield f"{prefix.rpartition('/')[0]}/{Path(place).name}".lstrip("/"), place
            continue
        for path, file in closure.files_below(place, prefix, whole=True):
            if Path(file).is_file():
                yield path, file


@functools.cache
def _owner(folder: str, path: str, hint: str) -> str:
    """The `.dist-info` in a folder whose distribution has a file, or files below a path."""
    infos = [name for name in os.listdir(folder) if name.endswith(_DIST_INFO)]  # noqa: PTH208
    for name in sorted(infos, key=lambda name: (_name_and_version(name)[0] != hint, name)):
        listing = b"\n" + _text(f"{folder}/{name}/RECORD").encode()
        if any(f"\n{path}{end}".encode() in listing for end in ("/", ",")):
            return f"{folder}/{name}"
    return ""


@functools.cache
def _listing_of(info: str) -> str:
    """Digest of a distribution's files, without those that its installer writes."""
    lines = _text(f"{info}/RECORD").splitlines()
    kept = (
        line
        for line in lines
        if not line.startswith(("../", f"{Path(info).name}/")) and ".pyc," not in line
    )
    return of_bytes("\n".join(sorted(kept)).encode())


def _requires(info: str) -> Iterator[str]:
    """Normalised names of what a distribution requires, without its extras."""
    for name, marker in _REQUIRED.findall(_text(f"{info}/METADATA").partition("\n\n")[0]):
        if not _OF_AN_EXTRA.search(marker):
            yield distributions.normal(name)


@functools.cache
def _infos() -> Mapping[str, str]:
    """The `.dist-info` folder of each distribution on Python's path, by normalised name."""
    infos: dict[str, str] = {}
    for entry in sys.path:
        folder = entry or "."
        if os.path.isdir(folder):  # noqa: PTH112
            for name in os.listdir(folder):  # noqa: PTH208
                if name.endswith(_DIST_INFO):
                    infos.setdefault(_name_and_version(name)[0], f"{folder}/{name}")
    return infos


def _name_and_version(info: str) -> tuple[str, str]:
    name, _, version = Path(info).name.removesuffix(_DIST_INFO).partition("-")
    return distributions.normal(name), version


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _digest_of(files: Iterable[tuple[str, str]]) -> str:
    lines = (f"{name}\0{closure.digest_of(path)}\n" for name, path in sorted(files))
    return of_bytes("".join(lines).encode())
