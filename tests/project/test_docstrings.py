"""Docstrings of public functions with three parameters or more have all sections."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = (
    *("core", "data", "documents", "evidence", "models", "monitoring"),
    *("cli", "cluster", "governance", "releases", "runtime"),
)
"""Packages of the library in which this holds."""
MIN_PARAMETERS: Final = 3
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(node: ast.AST, docstring: str = "") -> Iterator[tuple[Function, str]]:
    """Public functions; `__init__` with the docstring of its class, which may document it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child, ast.get_docstring(child) or "")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if child.name == "__init__":
                yield child, docstring
            elif not child.name.startswith("_"):
                yield child, ""


def parameters(function: Function) -> list[str]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += filter(None, (arguments.vararg, arguments.kwarg))
    return [item.arg for item in named if item.arg not in {"self", "cls"}]


def missing_sections(function: Function, of_class: str) -> list[str]:
    docstring = of_class + (ast.get_docstring(function) or "")
    returns = ast.unparse(function.returns) if function.returns else ""
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(function))
    needed = {
        "Args:": True,
        "Returns:": returns not in {"", "None"} and "Yields:" not in docstring,
        "Raises:": raises,
    }
    return [name for name, is_needed in needed.items() if is_needed and name not in docstring]


@pytest.mark.parametrize("room", ROOMS)
def test_public_functions_document_arguments_results_and_errors(room: str) -> None:
    problems = []
    for path in sorted((ROOT / "src" / "assay" / room).rglob("*.py")):
        for function, of_class in public_functions(ast.parse(path.read_text(encoding="utf-8"))):
            decorators = " ".join(map(ast.unparse, function.decorator_list))
            # The docstring of a command is its help, which lists the options.
            if "overload" in decorators or ".command(" in decorators:
                continue
            if len(parameters(function)) < MIN_PARAMETERS:
                continue
            if missing := missing_sections(function, of_class):
                where = f"{path.relative_to(ROOT)}:{function.lineno}"
                problems.append(f"{where}: {function.name} has no {' or '.join(missing)}")
    assert not problems, "\n".join(problems)


def test_a_missing_section_is_reported() -> None:
    source = inspect.cleandoc(
        '''
        def add(a: int, b: int, c: int) -> int:
            """Add numbers.

            Args:
                a: The first.
            """
            if c > 9:
                raise ValueError("too large")
            return a + b + c
        '''
    )
    ((function, of_class),) = public_functions(ast.parse(source))
    assert parameters(function) == ["a", "b", "c"]
    assert missing_sections(function, of_class) == ["Returns:", "Raises:"]
