"""Which modules a step can import: the static closure of its imports, with their data files.

The closure starts from the step's own files and from `assay.core.execution`, which lays out inputs
and stores outputs. It follows every import of a module of assay, or of the package that the step
belongs to, and takes in the `__init__` of each package on the way. Files that are not Python and
lie in the folder of a module of the closure, or below it in a folder that is no package, belong
to it: whoever reads package data reads it from there.

Where something cannot be resolved, `Closure.unresolved` says what, and the caller must take
everything for imported: a name that is computed at run time (`assay.core.imports`), a module that
is imported and not there, or a use of `__file__` outside of the step's own folder.
"""

import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from assay.core.imports import Imports, imports_of

LIBRARY: Final = "assay"
LOADED_BY_NAME: Final = ()
"""Finds files; imports none of them."""

_EXECUTION: Final = "assay.core.execution"
_PACKAGES_ELSEWHERE: Final = ("assay.components", "assay.pipelines")
"""Packages that need not lie in the folder of the package above them: setup.py."""
_LEFT_OUT: Final = frozenset(
    {"component.py", "component.yaml", "README.md", "metadata.yaml", "OWNERS", "__pycache__"}
)
"""What lies in a step's folder, says something about the step, and does not take part in it."""
_LOCK: Final = f"{LIBRARY}/requirements.txt"
"""Counted by `assay.core.distributions`."""


@dataclass(frozen=True, slots=True)
class Own:
    """A step's own code: its folder if it is in a package, else its module alone."""

    package: str
    """Dotted name; "" for a module that is in no package."""
    root: str
    files: Mapping[str, bytes]
    """By path within `root`."""

    @classmethod
    def of(cls, module: str, path: Path) -> "Own":
        """The own code of a step that is defined in `module`, at `path`."""
        package = module.rpartition(".")[0]
        root = str(path.parent)
        if "__init__.py" not in _list(root):
            return cls("", root, {path.name: path.read_bytes()})
        files = {name: Path(file).read_bytes() for name, file in _files_below(root)}
        return cls(package, root, files)

    def covers(self, module: str) -> bool:
        """Whether a module lies in the folder."""
        return bool(self.package) and f"{module}.".startswith(f"{self.package}.")


@dataclass(slots=True)
class Closure:
    """What a step can import, besides its own code."""

    files: dict[str, str] = field(default_factory=dict)
    """Modules and data files by a path that says what they are: `assay/core/step.py`."""
    modules: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    """Names imported from outside of the library, of the step's package and of Python itself."""
    unresolved: str = ""


def closure_of(own: Own) -> Closure:
    """The closure of a step's imports."""
    walk = _Walk(own)
    for name, source in own.files.items():
        if name.endswith(".py"):
            module, is_package = _module_of(own.package, name)
            walk.look(module, imports_of(source), name, is_package=is_package)
    if own.package:
        walk.add(own.package.rpartition(".")[0])
    walk.add(_EXECUTION)
    walk.run()
    return walk.found


def library_files() -> Iterator[tuple[str, str]]:
    """All files of the library that any step could import, but for those of other steps."""
    skipped = {"cli", *(name.rpartition(".")[2] for name in _PACKAGES_ELSEWHERE)}
    for name, path in _files_below(_folders()[LIBRARY], LIBRARY):
        if name.split("/")[1] not in skipped and name != _LOCK:
            yield name, path


def digest_of(path: str) -> str:
    """SHA-256 of a file of the library, in hexadecimal; it is read once in a process."""
    return _read(path)[0]


def forget() -> None:
    """Read all files again when they are asked for next."""
    for cached in (_read, _listing, _folders):
        cached.cache_clear()


class _Walk:
    def __init__(self, own: Own) -> None:
        self.found = Closure()
        self._own = own
        self._folders: dict[str, str] = dict(_folders())
        top, _, below = own.package.partition(".")
        if top and top not in self._folders:
            levels = below.count(".") + 1 if below else 0
            self._folders[top] = str(Path(own.root, *[".."] * levels).resolve())
        self._tops = {name.partition(".")[0] for name in self._folders}
        self._todo: list[str] = []
        self._files: dict[str, str] = {}
        self._data: set[str] = set()

    def add(self, module: str) -> None:
        """Have a module, and the packages that it is in, looked at."""
        while module and module not in self.found.modules and not self._own.covers(module):
            self.found.modules.add(module)
            self._todo.append(module)
            module = module.rpartition(".")[0]

    def run(self) -> None:
        """Follow imports until there are no new ones."""
        while self._todo:
            module = self._todo.pop()
            path = self._find(module)
            if not path:
                self._doubt(f"there is no module {module}")
                continue
            folder, is_package = os.path.dirname(path), path.endswith("/__init__.py")  # noqa: PTH120
            name = module.replace(".", "/")
            self.found.files[f"{name}/__init__.py" if is_package else f"{name}.py"] = path
            self._add_data(name if is_package else name.rpartition("/")[0], folder)
            imports = _read(path)[1]
            if imports.by_location:
                self._doubt(f"{module}, {imports.by_location}")
            self.look(module, imports, module, is_package=is_package)

    def look(self, module: str, imports: Imports, where: str, *, is_package: bool) -> None:
        """Add what a module imports."""
        if imports.unresolved:
            self._doubt(f"{where}, {imports.unresolved}")
        package = module if is_package else module.rpartition(".")[0]
        for imported, name in imports.names:
            self._follow(_absolute(imported, package), name, where)

    def _follow(self, module: str, name: str, where: str) -> None:
        top = module.partition(".")[0]
        if top not in self._tops:
            if not top:
                self._doubt(f"{where} imports from a package above its own")
            elif top not in sys.stdlib_module_names:
                self.found.others.add(f"{module}.{name}" if name not in {"", "*"} else module)
            return
        if name == "*":
            for submodule in self._submodules(module):
                self.add(f"{module}.{submodule}")
        elif name and self._find(f"{module}.{name}"):
            self.add(f"{module}.{name}")
            return
        if self._own.covers(module) or self._find(module):
            self.add(module)
        else:
            self._doubt(f"{where} imports {module}, which is not there")

    def _find(self, module: str) -> str:
        """The file of a module; "" if there is none."""
        if module not in self._files:
            folder = self._package(module)
            parent, _, last = module.rpartition(".")
            above = self._package(parent) if parent else ""
            if folder:
                self._files[module] = f"{folder}/__init__.py"
            elif above and _listing(above).get(f"{last}.py") is False:
                self._files[module] = f"{above}/{last}.py"
            else:
                self._files[module] = ""
        return self._files[module]

    def _package(self, name: str) -> str:
        """The folder of a package; "" if it is none."""
        if name not in self._folders:
            parent, _, last = name.rpartition(".")
            above = self._package(parent) if parent else ""
            folder = f"{above}/{last}"
            there = bool(above) and bool(_listing(above).get(last))
            self._folders[name] = folder if there and "__init__.py" in _listing(folder) else ""
        return self._folders[name]

    def _submodules(self, package: str) -> Iterator[str]:
        folder = self._package(package)
        for name, is_folder in _listing(folder).items() if folder else ():
            if name.endswith(".py") and name != "__init__.py":
                yield name.removesuffix(".py")
            elif is_folder and self._package(f"{package}.{name}"):
                yield name

    def _add_data(self, name: str, folder: str) -> None:
        if folder in self._data:
            return
        self._data.add(folder)
        for entry, is_folder in _listing(folder).items():
            path, file = f"{name}/{entry}", f"{folder}/{entry}"
            if is_folder:
                if not any(item.endswith(".py") for item in _listing(file)):
                    self._add_data(path, file)
            elif not entry.endswith(".py") and _counts(entry) and path != _LOCK:
                self.found.files[path] = file

    def _doubt(self, what: str) -> None:
        self.found.unresolved = self.found.unresolved or what


def _module_of(package: str, name: str) -> tuple[str, bool]:
    """The module in file `name` of a package's folder, and whether it is a package."""
    *folders, last = name.removesuffix(".py").split("/")
    parts = [part for part in (package, *folders) if part]
    if last == "__init__":
        return ".".join(parts), True
    return ".".join([*parts, last]), False


def _absolute(module: str, package: str) -> str:
    """The absolute name of a module that is imported in `package`; "" if there is none."""
    name = module.lstrip(".")
    level = len(module) - len(name)
    if not level:
        return name
    parents = package.split(".")[: len(package.split(".")) + 1 - level] if package else []
    return ".".join([*parents, name] if name else parents) if parents else ""


def _files_below(folder: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, is_folder in sorted(_list(folder).items()):
        if not _counts(name):
            continue
        path = f"{prefix}/{name}" if prefix else name
        if is_folder:
            yield from _files_below(f"{folder}/{name}", path)
        else:
            yield path, f"{folder}/{name}"


def _counts(name: str) -> bool:
    return name not in _LEFT_OUT and not name.endswith((".pyc", "~"))


def _list(folder: str) -> dict[str, bool]:
    """Names in a folder, and whether each is a folder."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.is_dir() for entry in entries}


_listing = functools.cache(_list)


@functools.cache
def _folders() -> dict[str, str]:
    root = Path(__file__).resolve().parents[1]
    folders = {LIBRARY: str(root)}
    for name in _PACKAGES_ELSEWHERE:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            folders[name] = str(Path(spec.origin).resolve().parent)
    return folders


@functools.cache
def _read(path: str) -> tuple[str, Imports]:
    with open(path, "rb") as stream:  # noqa: PTH123 - a hundred files in every step
        data = stream.read()
    imports = imports_of(data) if path.endswith(".py") else Imports(frozenset())
    return hashlib.sha256(data).hexdigest(), imports
