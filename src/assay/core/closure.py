"""The modules that a step can import: the static closure of its imports, with their data files.

The closure starts from the module of the step and from `assay.core.execution`, which extracts
inputs and stores outputs. It follows every import of a module of assay or of the package of the
step, and includes the `__init__` of each package on the way. It also includes files other than
Python in the folder of an included module, or in a subfolder that is not a package, because package
data is read from there.

If an import cannot be resolved, `Closure.unresolved` gives the reason, and the caller must assume
that everything is imported. Reasons are a name that is computed at run time (`assay.core.imports`),
an imported module that does not exist, a use of `__file__` outside of the step's own folder, or one
inside it that does not refer to a file of that folder.
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
from assay.errors import StepError

LIBRARY: Final = "assay"
LOADED_BY_NAME: Final = ()
"""Finds files without importing them."""

_EXECUTION: Final = "assay.core.execution"
_PACKAGES_ELSEWHERE: Final = ("assay.components", "assay.pipelines")
"""Packages that may be outside the folder of their parent package; see setup.py."""
_COMPILED: Final = "__pycache__"
_LEFT_OUT: Final = frozenset(
    {
        "component.py",
        "component.yaml",
        "README.md",
        "metadata.yaml",
        "stage.yaml",
        "OWNERS",
        _COMPILED,
    }
)
"""Files in the folder of a step that describe it and do not affect its result."""
_LOCK: Final = f"{LIBRARY}/requirements.txt"
"""Covered by `assay.core.distributions`."""


@dataclass(frozen=True, slots=True)
class Own:
    """The code of a step itself: its folder if that is a package, else the Python files in it."""

    module: str
    """The module that defines the step."""
    package: str
    """Dotted name; "" for a module outside of a package."""
    root: str
    files: Mapping[str, bytes]
    """By path within `root`."""
    file: str
    """File name of the module."""

    @classmethod
    def of(cls, module: str, path: Path) -> "Own":
        """The code of a step in `module`, whose file is `path`."""
        package = module.rpartition(".")[0]
        root = str(path.parent)
        if "__init__.py" not in _list(root):
            names = {path.name, *(name for name in _list(root) if name.endswith(".py"))}
            beside = (path.with_name(name) for name in names)
            files = {file.name: file.read_bytes() for file in beside if file.is_file()}
            return cls(module, "", root, files, path.name)
        files = {
            name: Path(file).read_bytes()
            for name, file in files_below(root)
            if Path(file).is_file()  # a link may lead nowhere, as those of editors do
        }
        return cls(module, package, root, files, path.name)

    @property
    def top(self) -> str:
        """The outermost package; "" for none."""
        return self.package.partition(".")[0]

    @property
    def top_folder(self) -> str:
        """The folder of `top`."""
        return str(Path(self.root, *[".."] * self.package.count(".")).resolve())

    def covers(self, module: str) -> bool:
        """Whether a module is in this folder."""
        return bool(self.package) and f"{module}.".startswith(f"{self.package}.")


@dataclass(slots=True)
class Closure:
    """The modules and files that a step can import."""

    files: dict[str, str] = field(default_factory=dict)
    """Modules outside of its own folder, and data files, by a path such as `assay/core/step.py`."""
    modules: set[str] = field(default_factory=set)
    """Including its own."""
    external: set[str] = field(default_factory=set)
    """Imported names outside of the library, the package of the step and the standard library."""
    unresolved: str = ""
    """Why imports cannot be resolved; "" if they can."""


def closure_of(own: Own) -> Closure:
    """The closure of a step's imports."""
    walk = _Walk(own)
    if own.package:
        walk.add(own.module)
    else:
        walk.look("", imports_of(own.files[own.file]), own.module)
    walk.add(_EXECUTION)
    walk.run()
    return walk.closure


def all_files(own: Own) -> Iterator[tuple[str, str]]:
    """All files of the library and of the outermost package of a step."""
    yield from library_files()
    if own.top and own.top != LIBRARY:
        for name, path in files_below(own.top_folder, own.top):
            if Path(path).is_file():  # not a broken link, such as the lock files of editors
                yield name, path


def library_files() -> Iterator[tuple[str, str]]:
    """All files of the library that a step can import, except those of other steps."""
    skipped = {"cli", *(name.rpartition(".")[2] for name in _PACKAGES_ELSEWHERE)}
    for name, path in files_below(_root(), LIBRARY):
        if name.split("/")[1] not in skipped and name != _LOCK:
            yield name, path


def digest_of(path: str) -> str:
    """SHA-256 of a file in hexadecimal; cached in the process."""
    return hashlib.sha256(read(path)).hexdigest()


def read_ahead() -> None:
    """Find out what the library's modules import, for processes that are forks of this one."""
    for name, path in library_files():
        if name.endswith(".py"):
            imports_of(read(path))


def forget() -> None:
    """Clear the caches, so that all files are read again."""
    for cached in (read, _listing, _root, _elsewhere):
        cached.cache_clear()


class _Walk:
    def __init__(self, own: Own) -> None:
        self.closure = Closure()
        self._own = own
        self._folders = {LIBRARY: _root()}
        if own.top and own.top not in self._folders:
            self._folders[own.top] = own.top_folder
        self._tops = set(self._folders)
        self._todo: list[str] = []
        self._files: dict[str, str] = {}
        self._data: set[str] = set()

    def add(self, module: str) -> None:
        """Add a module and its parent packages to the closure."""
        while module and module not in self.closure.modules:
            self.closure.modules.add(module)
            self._todo.append(module)
            module = module.rpartition(".")[0]

    def run(self) -> None:
        """Follow imports until there are no new modules."""
        while self._todo:
            module = self._todo.pop()
            path = self._find(module)
            folder, _, file = path.rpartition("/")
            is_package = file == "__init__.py"
            package = module if is_package else module.rpartition(".")[0]
            if path and self._own.covers(module):
                source = self._own.files.get(path.removeprefix(f"{self._own.root}/"))
                imports = imports_of(source) if source is not None else None
            elif path:
                name = package.replace(".", "/")
                self.closure.files[f"{name}/{file}"] = path
                self._add_data(name, folder)
                imports = imports_of(read(path))
                if imports.by_location:
                    self._doubt(f"{module}, {imports.by_location}")
            else:
                imports = None
                if self._is_namespace(module):
                    self._add_data(module.replace(".", "/"), self._package(module))
                else:
                    self._doubt(f"module {module} does not exist")
            if imports is not None:
                self.look(package, imports, module)

    def look(self, package: str, imports: Imports, where: str) -> None:
        """Add the imports of a module in `package`."""
        if unresolved := imports.unresolved or imports.outside:
            self._doubt(f"{where}, {unresolved}")
        for imported, name in imports.names:
            self._follow(absolute(imported, package), name, where)

    def _follow(self, module: str, name: str, where: str) -> None:
        top = module.partition(".")[0]
        if top not in self._tops:
            self._add_external(module, name, where)
            return
        if name == "*":
            for submodule in self._submodules(module):
                self.add(f"{module}.{submodule}")
        elif name and self._find(f"{module}.{name}"):
            self.add(f"{module}.{name}")
            return
        if self._find(module) or (name in {"", "*"} and self._is_namespace(module)):
            self.add(module)
        else:
            self._doubt(f"{where} imports {module}, which does not exist")

    def _add_external(self, module: str, name: str, where: str) -> None:
        top = module.partition(".")[0]
        if not top:
            self._doubt(f"{where} imports from above its outermost package")
        elif top not in sys.stdlib_module_names:
            self.closure.external.add(f"{module}.{name}" if name not in {"", "*"} else module)

    def _find(self, module: str) -> str:
        """The file of a module; "" if it does not exist."""
        if module not in self._files:
            folder = self._package(module)
            parent, _, last = module.rpartition(".")
            above = self._package(parent) if parent else ""
            if folder and "__init__.py" in _listing(folder):
                self._files[module] = f"{folder}/__init__.py"
            elif above and _listing(above).get(f"{last}.py") is False:
                self._files[module] = f"{above}/{last}.py"
            else:
                self._files[module] = ""
        return self._files[module]

    def _is_namespace(self, module: str) -> bool:
        """Whether it is a package without `__init__.py`, which has no code."""
        return bool(self._package(module)) and not self._find(module)

    def _package(self, name: str) -> str:
        """The folder of a package, with or without `__init__.py`; "" if it does not exist."""
        if name not in self._folders and (
            name in _PACKAGES_ELSEWHERE or name.rpartition(".")[0] in _PACKAGES_ELSEWHERE
        ):
            self._folders[name] = _elsewhere(name)
        if name not in self._folders:
            parent, _, last = name.rpartition(".")
            above = self._package(parent) if parent else ""
            exists = bool(above) and bool(_listing(above).get(last))
            self._folders[name] = f"{above}/{last}" if exists else ""
        return self._folders[name]

    def _submodules(self, package: str) -> Iterator[str]:
        folder = self._package(package)
        for name, is_folder in _listing(folder).items() if folder else ():
            if name.endswith(".py") and name != "__init__.py":
                yield name.removesuffix(".py")
            elif is_folder and self._find(f"{package}.{name}"):
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
            elif not entry.endswith(".py") and _is_relevant(entry) and path != _LOCK:
                self.closure.files[path] = file

    def _doubt(self, what: str) -> None:
        self.closure.unresolved = self.closure.unresolved or what


def absolute(module: str, package: str) -> str:
    """The absolute name of a module imported in `package`; "" above the outermost package."""
    name = module.lstrip(".")
    level = len(module) - len(name)
    if not level:
        return name
    parts = package.split(".") if package else []
    if level > len(parts):
        return ""
    parents = parts[: len(parts) + 1 - level]
    return ".".join([*parents, name] if name else parents)


def files_below(
    folder: str, prefix: str = "", *, whole: bool = False, above: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """The files below a folder, by path within it.

    Args:
        folder: The folder.
        prefix: What the paths begin with.
        whole: Take those as well that say something about a step and take no part in it.
        above: Real paths of the folders that it was reached through.

    Yields:
        Path within the folder, and path of the file.

    Raises:
        StepError: A link leads to a folder that it is in.
    """
    above = (*above, os.path.realpath(folder))
    for name, is_folder in sorted(_list(folder).items()):
        if not (_is_relevant(name) or (whole and name in _LEFT_OUT - {_COMPILED})):
            continue
        path, file = f"{prefix}/{name}" if prefix else name, f"{folder}/{name}"
        if not is_folder:
            yield path, file
            continue
        real = os.path.realpath(file)
        if any(f"{outer}/".startswith(f"{real.rstrip('/')}/") for outer in above):
            raise StepError(
                f"{file} is a link to {real}, a folder that it is in; remove the link, because "
                "the files of that folder belong to a step"
            )
        yield from files_below(file, path, whole=whole, above=above)


def _is_relevant(name: str) -> bool:
    return name not in _LEFT_OUT and not name.endswith((".pyc", "~"))


def _list(folder: str) -> dict[str, bool]:
    """By name of an entry of a folder: whether it is a folder."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.is_dir() for entry in entries}


_listing = functools.cache(_list)


@functools.cache
def _root() -> str:
    return str(Path(__file__).resolve().parents[1])


@functools.cache
def _elsewhere(name: str) -> str:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        return ""  # a module, or it does not exist
    return str(Path(spec.origin).resolve().parent) if spec.origin else ""


@functools.cache
def read(path: str) -> bytes:
    """The content of a file; cached in the process."""
    with open(path, "rb") as stream:  # noqa: PTH123 - reads a hundred files in every step
        return stream.read()
