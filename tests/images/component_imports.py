"""What a component may import, read from the code: also what it imports only when it needs it."""

import ast
import sys
from pathlib import Path

from assay.cluster.stages import library_folders

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    **{f"assay.components.{name}": folder for name, folder in library_folders().items()},
    "assay": ROOT / "src" / "assay",
}


def reached(*modules: str) -> dict[str, str]:
    """Modules of other distributions that `modules` reach, each with one of ours that imports it.

    Every import statement counts, wherever it stands, but for those that only type checkers see.
    """
    seen: set[str] = set()
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        module = todo.pop()
        file = _file(module)
        if module in seen or file is None:
            continue
        seen.add(module)
        for name in _imports(file):
            if _file(name) is not None:
                todo.append(name)
            elif name.partition(".")[0] not in {*sys.stdlib_module_names, "assay"}:
                found[name] = module
    return found


def _file(module: str) -> Path | None:
    for package, folder in FOLDERS.items():
        if module == package or module.startswith(f"{package}."):
            path = folder.joinpath(*module.removeprefix(package).strip(".").split("."))
            for candidate in (path / "__init__.py", path.with_suffix(".py")):
                if candidate.is_file():
                    return candidate
    return None


def _imports(file: Path) -> list[str]:
    tree = ast.parse(file.read_text())
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    names: list[str] = []
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names += [
                f"{node.module}.{alias.name}"
                for alias in node.names
                if _file(f"{node.module}.{alias.name}")
            ]
    return names
