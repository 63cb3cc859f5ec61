"""Determine the imports of a source file without running it.

Imports inside of functions are included, and so are constant names in calls of
`importlib.import_module` and `importlib.resources.files`, and in `python -m` commands. A module
that computes such a name must declare the possible values in a constant:

    LOADED_BY_NAME: Final = ("sklearn",)

The names are those of modules that it imports and of packages whose files it reads. An empty tuple
declares that nothing that is loaded by name affects a result. Without the constant the file is
*unresolved*, and callers must assume that it imports everything.

Parsing a large file with `ast` takes 10 ms, and every process that runs a step needs about a
hundred files. The bytes are therefore scanned first. The scan handles files in which all imports
are separate statements and no name is computed; all other files are parsed with `ast`.
"""

import ast
import contextlib
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

DECLARATION: Final = "LOADED_BY_NAME"
"""Name of the constant that declares what a module loads by name."""
LOADED_BY_NAME: Final = ()
"""This module only searches for such names."""

_DECLARED: Final = f"\n{DECLARATION}: Final = (".encode()
_WORD_BYTES: Final = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
) | frozenset(range(0x80, 0x100))
_LOADERS: Final = frozenset({"importlib", "pkgutil", "runpy", "zipimport"})
"""Standard modules that load other modules by name."""
_HARMLESS: Final = frozenset({"importlib.metadata", "importlib.util.find_spec"})
"""Parts of `_LOADERS` that load nothing, except entry points."""
_BY_NAME: Final = frozenset({"import_module", "__import__"})
"""Functions that import the module in their first argument."""
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
"""Functions of `_LOADERS` that load computed names."""
_RESOURCES: Final = "importlib.resources"
_WITH_AS: Final = 3
"""Number of words of `NAME as NAME`."""


@dataclass(frozen=True, slots=True)
class Imports:
    """The imports of a source file."""

    names: frozenset[tuple[str, str]]
    """Pairs of module and name: ("a.b", "") for `import a.b`, ("a.b", "c") for `from a.b import c`.
    Relative modules have leading dots."""
    unresolved: str = ""
    """The first place that loads a computed name; "" if there is none."""
    by_location: str = ""
    """The first use of `__file__`, which may serve to read any file; "" if there is none."""
    outside: str = ""
    """Like `by_location`, if the use is not restricted to files in the module's own folder."""


@functools.lru_cache(maxsize=4096)
def imports_of(source: bytes) -> Imports:
    """The imports of a source file."""
    return scan(source) or parse(source)


def scan(source: bytes) -> Imports | None:
    """Like `parse`, but without a syntax tree; None if one is needed.

    Import statements in strings, such as examples in docstrings, are included.
    """
    declared = _declared(source)
    if declared is None and _has_hints(source):
        return None
    if b"\r" in source or b"\f" in source or not _is_plain(source):
        return None
    names = {(name, "") for name in declared or ()}
    for place, whole in _places(source, b"import"):
        names_of = _statement(source, place) if whole else []
        if names_of is None or (declared is None and not whole and _is_function(source, place)):
            return None
        names.update(names_of)
    return None if declared is None and _loads(names, source) else Imports(frozenset(names))


def _declared(source: bytes) -> tuple[str, ...] | None:
    """The declared names; None if there is no declaration, or it has another form."""
    place = source.find(_DECLARED)
    if place < 0:
        return None
    begin = place + len(_DECLARED) - 1
    with contextlib.suppress(ValueError, SyntaxError):
        return _strings(ast.literal_eval(source[begin : source.find(b")", begin) + 1].decode()))
    return None


def _has_hints(source: bytes) -> bool:
    """Whether there may be constructs other than import statements that `parse` handles."""
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
    """Whether `import` at `place` is part of the name of an import function."""
    return source.startswith(b"import_module", place) or source[place - 2 : place] == b"__"


def _begins_command(source: bytes, place: int) -> bool:
    """Whether `python` at `place` may be the end of the first of several strings in a list."""
    rest = source[place + len(b"python") : place + 200].lstrip(b"0123456789.")
    return rest[:1] in {b'"', b"'"} and rest[1:].lstrip()[:1] in {b",", b"#", b""}


def _is_plain(source: bytes) -> bool:
    """Whether the file has neither a byte order mark nor a coding comment."""
    first = source.split(b"\n", 2)[:2]
    return not source.startswith(b"\xef\xbb\xbf") and not any(
        line.lstrip().startswith(b"#") and b"coding" in line for line in first
    )


def _loads(names: Iterable[tuple[str, str]], source: bytes) -> bool:
    """Whether one of the imported modules loads others by name."""
    return any(
        module.partition(".")[0] in _LOADERS
        and (b"entry_points" in source or not _HARMLESS & {module, f"{module}.{name}"})
        for module, name in names
    )


def _places(source: bytes, word: bytes) -> Iterator[tuple[int, bool]]:
    """The positions of `word`, and whether it is a whole word there."""
    place = -1
    while (place := source.find(word, place + 1)) >= 0:
        end = place + len(word)
        before, after = source[place - 1 : place] if place else b"", source[end : end + 1]
        part = (before and before[0] in _WORD_BYTES) or (after and after[0] in _WORD_BYTES)
        yield place, not part


def _statement(source: bytes, place: int) -> list[tuple[str, str]] | None:
    """The import statement of the keyword at `place`; [] if it is not one, None if that is unclear.

    The keyword begins a statement, or follows `from` and a name at the beginning of a statement. A
    statement begins at the beginning of a line, after a colon or after a semicolon.
    """
    start, end = source.rfind(b"\n", 0, place) + 1, place + len(b"import")
    before = source[start:place].strip()
    if source[max(0, start - 2) : start] == b"\\\n":
        return None
    if before and not before.startswith(b"from"):
        last = before[max(before.rfind(b":"), before.rfind(b";")) + 1 :].lstrip()
        return [] if last == before or (last and not last.startswith(b"from")) else None
    return _plain(before, _rest(source, end))


@functools.lru_cache(maxsize=4096)  # most statements occur in many files
def _plain(before: bytes, after: bytes) -> list[tuple[str, str]] | None:
    """Parse the text before and after the keyword; None if it is not a plain list of names."""
    if before and after.startswith(b"("):
        if not after.endswith(b")"):
            return None
        after = after[1:-1].strip().removesuffix(b",")
    items = [item.split() for item in after.decode("ascii", "replace").split(",")]
    if not all(map(_is_item, items)):
        return None
    names = [item[0] for item in items]
    if not before:
        return [(name, "") for name in names] if all(map(_is_dotted, names)) else None
    return _from_module(before, names)


def _is_item(words: list[str]) -> bool:
    """Whether the words are `NAME` or `NAME as NAME`."""
    return len(words) == 1 or (len(words) == _WITH_AS and words[1] == "as")


def _from_module(before: bytes, names: list[str]) -> list[tuple[str, str]] | None:
    module = before.removeprefix(b"from").strip().decode("ascii", "replace")
    name = module.lstrip(".")
    if (name and not _is_dotted(name)) or not (names == ["*"] or all(map(str.isidentifier, names))):
        return None
    return [(module, item) for item in names]


def _rest(source: bytes, place: int) -> bytes:
    """The rest of the statement without comments, up to the closing bracket if one opens."""
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
    """The imports of a source file, from its syntax tree."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        return Imports(frozenset(), f"not valid Python ({error})")
    except (RecursionError, MemoryError):
        return Imports(frozenset(), "an expression that is nested too deeply to parse")
    finder = _Finder(tree)
    finder.visit_all(tree)
    if finder.declared is not None:
        return Imports(frozenset({*finder.names, *((name, "") for name in finder.declared)}))
    unresolved = finder.unresolved or (finder.computed if _loads(finder.names, source) else "")
    try:
        outside = finder.by_location if finder.by_location and _leaves(tree) else ""
    except RecursionError:  # a chain of hundreds of calls
        outside = finder.by_location
    return Imports(frozenset(finder.names), unresolved, finder.by_location, outside)


class _Finder(ast.NodeVisitor):
    """Collects imports, and constructs that may import further modules."""

    def __init__(self, tree: ast.Module) -> None:
        self.names: set[tuple[str, str]] = set()
        self.unresolved = ""
        self.computed = ""
        self.by_location = ""
        self._constants = dict(_constants(tree))
        self.declared = _strings(self._constants.get(DECLARATION))
        self._pending: list[ast.AST] = []

    def visit_all(self, tree: ast.Module) -> None:
        """Visit every node in the order of the source.

        Without recursion, because a sum of hundreds of terms is a tree of that depth, and the
        result must not depend on the stack of the caller.
        """
        self._pending = [tree]
        while self._pending:
            node = self._pending.pop()
            size = len(self._pending)
            super().visit(node)
            self._pending[size:] = reversed(self._pending[size:])

    def visit(self, node: ast.AST) -> None:
        """Queue a node for `visit_all`."""
        self._pending.append(node)

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
        """Handle a list that begins with a Python executable: `python -m NAME` imports NAME."""
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
        """Whether it is `resources.NAME` of importlib, or a name imported from there."""
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
    """The result of an expression with `__file__`."""

    MODULE = 1
    """The path of the module's file."""
    FOLDER = 2
    """The path of its folder."""
    FILE = 3
    """The path of a file in the folder, by a constant name."""
    CONTENT = 4
    """The content of a file."""


def _leaves(tree: ast.Module) -> bool:
    """Whether `__file__` is used for anything other than files in the folder of the module."""
    pending: list[tuple[ast.AST, bool]] = [(tree, True)]
    while pending:
        node, whole = pending.pop()  # a subexpression, as in `node.parent`, is not whole
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
        pending += [(child, not goes_on) for child in ast.iter_child_nodes(node)]
    return False


def _place(node: ast.expr) -> _Place | None:
    """The result of an expression; None without `__file__`, or if it leaves the folder."""
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
    """The result of a function of a path."""
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
    """The result of a method of a path."""
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
    """The result of joining a folder, or a file below it, with constant names."""
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
"""Functions that convert a path to a path."""


def _constants(tree: ast.Module) -> Iterator[tuple[str, object]]:
    """The literal constants of the module."""
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
