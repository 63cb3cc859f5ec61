"""What a source file imports, read from its text without running it.

Imports inside of functions count, and so do names that are given to `importlib.import_module`,
`importlib.resources.files` and `python -m` as constants. A module that computes such a name
declares what it may be in a constant:

    LOADED_BY_NAME: Final = ("sklearn",)

The names are those of modules that it imports and of packages whose files it reads; an empty tuple
says that nothing which it loads by name takes part in a result. Without the constant such a file is
*unresolved*, and whoever asks must take everything for imported.

Parsing with `ast` takes 10 ms for a large file, and every process that runs a step asks about a
hundred files. So a scan of the bytes comes first. It answers where every import is a statement
on lines of its own and nothing hints at a name that is computed, and leaves all other files to
`ast`.
"""

import ast
import contextlib
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

DECLARATION: Final = "LOADED_BY_NAME"
"""Name of the constant in which a module declares what it loads by name."""
LOADED_BY_NAME: Final = ()
"""This module only looks for such names."""

_DECLARED: Final = f"\n{DECLARATION}: Final = (".encode()
_WORD_BYTES: Final = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
) | frozenset(range(0x80, 0x100))
_LOADERS: Final = frozenset({"importlib", "pkgutil", "runpy", "zipimport"})
"""Modules of Python that load others by name."""
_HARMLESS: Final = frozenset({"importlib.metadata", "importlib.util.find_spec"})
"""What is in `_LOADERS` and loads nothing, entry points apart."""
_BY_NAME: Final = frozenset({"import_module", "__import__"})
"""Functions that import the module that they are given first."""
_COMPUTED: Final = frozenset(
    {
        "exec_module",
        "entry_points",
        "load_module",
        "spec_from_file_location",
        "spec_from_loader",
        "get_data",
        "run_module",
        "run_path",
        "walk_packages",
        "iter_modules",
        "resolve_name",
        "zipimporter",
    }
)
"""Functions of `_LOADERS` that load what somebody computed."""
_RESOURCES: Final = "importlib.resources"
_WITH_AS: Final = 3
"""Words of `NAME as NAME`."""


@dataclass(frozen=True, slots=True)
class Imports:
    """What a source file imports."""

    names: frozenset[tuple[str, str]]
    """Pairs of module and name: ("a.b", "") for `import a.b`, ("a.b", "c") for `from a.b import c`;
    the module with its leading dots where it is relative."""
    unresolved: str = ""
    """Where the file loads something by a name that is computed; "" if nowhere."""
    by_location: str = ""
    """Where it uses its own location, from which it may read any file; "" if nowhere."""
    outside: str = ""
    """As `by_location`, where that may be for another file than one in its own folder or below."""


@functools.lru_cache(maxsize=4096)
def imports_of(source: bytes) -> Imports:
    """What `source` imports."""
    return scan(source) or parse(source)


def scan(source: bytes) -> Imports | None:
    """As `parse`, without building a tree; None where it takes one.

    An import statement in a string, such as an example in a docstring, counts here.
    """
    declared = _declared(source)
    if declared is None and _has_hints(source):
        return None
    if b"\r" in source or b"\f" in source or not _is_plain(source):
        return None
    names = {(name, "") for name in declared or ()}
    for place, whole in _places(source, b"import"):
        found = _statement(source, place) if whole else []
        if found is None or (declared is None and not whole and _is_function(source, place)):
            return None
        names.update(found)
    return None if declared is None and _loads(names, source) else Imports(frozenset(names))


def _declared(source: bytes) -> tuple[str, ...] | None:
    """What the module declares; None where it declares nothing, or in another form."""
    place = source.find(_DECLARED)
    if place < 0:
        return None
    begin = place + len(_DECLARED) - 1
    with contextlib.suppress(ValueError, SyntaxError):
        return _strings(ast.literal_eval(source[begin : source.find(b")", begin) + 1].decode()))
    return None


def _has_hints(source: bytes) -> bool:
    """Whether there may be something besides import statements that `parse` looks for."""
    return (
        b"__file__" in source
        or any(whole for _, whole in _places(source, b"eval"))
        or any(
            whole or source.startswith(b"executable", place)
            for place, whole in _places(source, b"exec")
        )
        or any(_begins_command(source, place) for place, _ in _places(source, b"python"))
    )


def _is_function(source: bytes, place: int) -> bool:
    """Whether `import` at `place` is a part of the name of a function that imports."""
    return source.startswith(b"import_module", place) or source[place - 2 : place] == b"__"


def _begins_command(source: bytes, place: int) -> bool:
    """Whether `python` at `place` may end the first of several texts in a list."""
    rest = source[place + len(b"python") : place + 200].lstrip(b"0123456789.")
    return rest[:1] in {b'"', b"'"} and rest[1:].lstrip()[:1] in {b",", b"#", b""}


def _is_plain(source: bytes) -> bool:
    """Whether the bytes are UTF-8, without a mark or a comment that says how to read them."""
    first = source.split(b"\n", 2)[:2]
    return not source.startswith(b"\xef\xbb\xbf") and not any(
        line.lstrip().startswith(b"#") and b"coding" in line for line in first
    )


def _loads(names: Iterable[tuple[str, str]], source: bytes) -> bool:
    """Whether a module that loads others by name is among those that are imported."""
    return any(
        module.partition(".")[0] in _LOADERS
        and (b"entry_points" in source or not _HARMLESS & {module, f"{module}.{name}"})
        for module, name in names
    )


def _places(source: bytes, word: bytes) -> Iterator[tuple[int, bool]]:
    """Where `word` stands, and whether it is a word of its own there."""
    place = -1
    while (place := source.find(word, place + 1)) >= 0:
        end = place + len(word)
        before, after = source[place - 1 : place] if place else b"", source[end : end + 1]
        part = (before and before[0] in _WORD_BYTES) or (after and after[0] in _WORD_BYTES)
        yield place, not part


def _statement(source: bytes, place: int) -> list[tuple[str, str]] | None:
    """The import that the keyword at `place` belongs to; [] if none, None if that is unclear.

    A keyword that is code begins a statement, or follows `from` and a name that do. A statement
    begins at the beginning of a line, after a colon or after a semicolon.
    """
    start, end = source.rfind(b"\n", 0, place) + 1, place + len(b"import")
    before = source[start:place].strip()
    if source[max(0, start - 2) : start] == b"\\\n":
        return None
    if before and not before.startswith(b"from"):
        last = before[max(before.rfind(b":"), before.rfind(b";")) + 1 :].lstrip()
        return [] if last == before or (last and not last.startswith(b"from")) else None
    return _plain(before, _rest(source, end))


@functools.lru_cache(maxsize=4096)  # most statements are in many files
def _plain(before: bytes, after: bytes) -> list[tuple[str, str]] | None:
    """The import of what is before and after the keyword; None if that is not a plain list."""
    if before and after.startswith(b"("):
        if not after.endswith(b")"):
            return None
        after = after[1:-1].strip().removesuffix(b",")
    items = [item.split() for item in after.decode("ascii", "replace").split(",")]
    if not all(len(item) == 1 or (len(item) == _WITH_AS and item[1] == "as") for item in items):
        return None
    names = [item[0] for item in items]
    if not before:
        return [(name, "") for name in names] if all(map(_is_dotted, names)) else None
    module = before.removeprefix(b"from").strip().decode("ascii", "replace")
    name = module.lstrip(".")
    if (name and not _is_dotted(name)) or not (names == ["*"] or all(map(str.isidentifier, names))):
        return None
    return [(module, one) for one in names]


def _rest(source: bytes, place: int) -> bytes:
    """The statement from `place` on, without comments; to the closing bracket if one opens."""
    end = _end_of_line(source, place)
    text = source[place:end].partition(b"#")[0].strip()
    if text.startswith(b"("):
        while b")" not in text and end < len(source):
            place, end = end + 1, _end_of_line(source, end + 1)
            text += b" " + source[place:end].partition(b"#")[0].strip()
    return text


def _end_of_line(source: bytes, place: int) -> int:
    end = source.find(b"\n", place)
    return end if end >= 0 else len(source)


def _is_dotted(name: str) -> bool:
    return all(map(str.isidentifier, name.split(".")))


def parse(source: bytes) -> Imports:
    """What `source` imports, from its syntax tree."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        return Imports(frozenset(), f"not valid Python ({error})")
    except (RecursionError, MemoryError):
        return Imports(frozenset(), "an expression that is nested too deeply to parse")
    found = _Finder(tree)
    found.visit_all(tree)
    if found.declared is not None:
        return Imports(frozenset({*found.names, *((name, "") for name in found.declared)}))
    unresolved = found.unresolved or (found.computed if _loads(found.names, source) else "")
    try:
        outside = found.by_location if found.by_location and _leaves(tree) else ""
    except RecursionError:  # a chain of hundreds of calls
        outside = found.by_location
    return Imports(frozenset(found.names), unresolved, found.by_location, outside)


class _Finder(ast.NodeVisitor):
    """Collects imports, and whatever may import something else."""

    def __init__(self, tree: ast.Module) -> None:
        self.names: set[tuple[str, str]] = set()
        self.unresolved = ""
        self.computed = ""
        self.by_location = ""
        self._constants = dict(_constants(tree))
        self.declared = _strings(self._constants.get(DECLARATION))
        self._waiting: list[ast.AST] = []

    def visit_all(self, tree: ast.Module) -> None:
        """Visit every node in the order of the source.

        Without recursion: a sum of hundreds of terms is a tree of that depth, and the answer must
        not depend on how deep the caller's own stack is.
        """
        self._waiting = [tree]
        while self._waiting:
            node = self._waiting.pop()
            size = len(self._waiting)
            super().visit(node)
            self._waiting[size:] = reversed(self._waiting[size:])

    def visit(self, node: ast.AST) -> None:
        """Leave a node to `visit_all`."""
        self._waiting.append(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.names.add((alias.name, ""))
            if alias.asname and alias.name == _RESOURCES:
                self._doubt(node, f"{alias.name} under another name")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            self.names.add((module, alias.name))
            self._look(node, alias.name, used=bool(alias.asname) or alias.name not in _BY_NAME)
            whole = f"{module}.{alias.name}"
            if whole == "sys.executable" or (
                whole.startswith(_RESOURCES)
                and (alias.asname or whole not in {_RESOURCES, f"{_RESOURCES}.files"})
            ):
                self._doubt(node, whole)

    def visit_Call(self, node: ast.Call) -> None:
        called = _last(node.func)
        if called in _BY_NAME or (called == "files" and self._is_of_resources(node.func)):
            name = self._text(node.args[0]) if len(node.args) == 1 and not node.keywords else ""
            if name and not name.startswith("."):
                self.names.add((name, ""))
            else:
                self._doubt(node, f"{called} of a name that is computed")
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                self.visit(argument)
        else:
            self.generic_visit(node)

    def visit_List(self, node: ast.List) -> None:
        self._command(node, node.elts)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        self._command(node, node.elts)

    def visit_Name(self, node: ast.Name) -> None:
        self._look(node, node.id)
        if node.id in {"exec", "eval"}:
            self._doubt(node, node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._look(node, node.attr)
        if node.attr == "executable":
            self._doubt(node, "sys.executable")
        if self._is_of_resources(node):
            self._doubt(node, f"resources.{node.attr}")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._look(node, node.value)

    def _command(self, node: ast.expr, words: list[ast.expr]) -> None:
        """A list of words that begins with a Python is a command: `python -m NAME` imports it."""
        if len(words) > 1 and _is_python(words[0]):
            texts = [self._text(word) for word in words]
            place = texts.index("-m") + 1 if "-m" in texts else len(texts)
            if place < len(texts) and texts[place]:
                self.names |= {(texts[place], ""), (texts[place], "__main__")}
            else:
                self._doubt(node, "a program that Python runs")
            words = words[1:]
        for word in words:
            self.visit(word)

    def _is_of_resources(self, node: ast.expr) -> bool:
        """Whether it is `resources.NAME` of importlib, or a name that was imported from there."""
        if isinstance(node, ast.Name):
            return (_RESOURCES, node.id) in self.names
        if not isinstance(node, ast.Attribute) or _last(node.value) != "resources":
            return False
        if isinstance(node.value, ast.Attribute):
            return _last(node.value.value) == "importlib"
        return ("importlib", "resources") in self.names

    def _text(self, node: ast.expr) -> str:
        value: object = node.value if isinstance(node, ast.Constant) else None
        if isinstance(node, ast.Name):
            value = self._constants.get(node.id)
        return value if isinstance(value, str) else ""

    def _look(self, node: ast.stmt | ast.expr, word: str, *, used: bool = True) -> None:
        if used and word in _BY_NAME:
            self._doubt(node, word)
        if word in _COMPUTED and not self.computed:
            self.computed = f"line {node.lineno}: {word}"
        if word == "__file__" and not self.by_location:
            self.by_location = f"line {node.lineno}: {word}"

    def _doubt(self, node: ast.stmt | ast.expr, what: str) -> None:
        self.unresolved = self.unresolved or f"line {node.lineno}: {what}"


class _Place(IntEnum):
    """What an expression with `__file__` gives."""

    MODULE = 1
    """The path of the module's file."""
    FOLDER = 2
    """That of its folder."""
    FILE = 3
    """That of a file in the folder, by a constant name."""
    CONTENT = 4
    """What is in a file."""


def _leaves(tree: ast.Module) -> bool:
    """Whether `__file__` is used for more than to name or to read files in the module's folder."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    while waiting:
        node, whole = waiting.pop()  # a part, as in `node.parent`, is not whole
        place = _place(node) if isinstance(node, ast.expr) else None
        if place is _Place.CONTENT or (place is _Place.FILE and whole):
            continue
        if place is not None or "__file__" in {
            getattr(node, name, "") for name in ("id", "attr", "name", "value")
        }:
            return True
        goes_on = isinstance(node, ast.Attribute | ast.BinOp | ast.Subscript | ast.FormattedValue)
        if isinstance(node, ast.Call):
            goes_on = _last(node.func) in _OF_PATHS
        waiting += [(child, not goes_on) for child in ast.iter_child_nodes(node)]
    return False


def _place(node: ast.expr) -> _Place | None:
    """What an expression gives; None if it has no `__file__`, or goes elsewhere from there."""
    if isinstance(node, ast.Name):
        return _Place.MODULE if node.id == "__file__" else None
    if isinstance(node, ast.Attribute):
        parent = node.attr == "parent" and _place(node.value) is _Place.MODULE
        return _Place.FOLDER if parent else None
    if isinstance(node, ast.BinOp):
        divided = isinstance(node.op, ast.Div)
        return _joined(_place(node.left), [node.right]) if divided else None
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and (place := _place(node.func.value)):
        return _of_method(node.func.attr, place, node.args)
    return _of_function(node)


def _of_function(node: ast.Call) -> _Place | None:
    """What a function of a path gives."""
    called = _last(node.func)
    place = _place(node.args[0]) if node.args else None
    if called in {"Path", "str", "fspath", "abspath", "realpath"} and len(node.args) == 1:
        return place
    if called == "dirname" and place is _Place.MODULE:
        return _Place.FOLDER
    if called == "join":
        return _joined(place, node.args[1:])
    return _Place.CONTENT if called == "open" and place in _FILES else None


def _of_method(called: str, place: _Place, arguments: list[ast.expr]) -> _Place | None:
    """What the method of a path gives."""
    if called in {"resolve", "absolute", "as_posix"} and not arguments:
        return place
    if called == "joinpath":
        return _joined(place, arguments)
    if called == "with_name" and place is _Place.MODULE:
        return _joined(_Place.FOLDER, arguments)
    if called in {"open", "read_text", "read_bytes"} and place in _FILES:
        return _Place.CONTENT
    return None


def _joined(place: _Place | None, words: list[ast.expr]) -> _Place | None:
    """A folder, or what is below it, joined with constant names."""
    within = place in {_Place.FOLDER, _Place.FILE} and bool(words)
    for word in words:
        name = word.value if isinstance(word, ast.Constant) else None
        within = within and isinstance(name, str) and _is_within(name)
    return _Place.FILE if within else None


def _is_within(name: str) -> bool:
    return not name.startswith("/") and "\\" not in name and ".." not in name.split("/")


_FILES: Final = frozenset({_Place.MODULE, _Place.FILE})
_OF_PATHS: Final = frozenset(
    {"Path", "str", "fspath", "abspath", "realpath", "dirname", "join", "joinpath", "relpath"}
)
"""Functions that make a path of a path."""


def _constants(tree: ast.Module) -> Iterator[tuple[str, object]]:
    """The module's own constants that are literals."""
    for node in tree.body:
        if not isinstance(node, ast.AnnAssign | ast.Assign) or node.value is None:
            continue
        target: ast.expr = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name):
            with contextlib.suppress(ValueError, TypeError, RecursionError, MemoryError):
                yield target.id, ast.literal_eval(node.value)


def _strings(value: object) -> tuple[str, ...] | None:
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return value
    return None


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_python(word: ast.expr) -> bool:
    if isinstance(word, ast.Constant):
        program = word.value.rpartition("/")[2] if isinstance(word.value, str) else ""
        return program.rstrip("0123456789.") == "python"
    return _last(word) == "executable"
