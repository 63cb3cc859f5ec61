"""Print the structure of the library: rooms, and the imports within and between them.

Run it with `make structure`; it fails where modules import each other in a circle.
"""

import graphlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import grimp

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Print the table of rooms, and fail where modules import each other in a circle."""
    sys.path.insert(0, str(ROOT / ".typing"))
    graph: Any = grimp.build_graph("assay")
    modules = sorted(graph.modules)
    imports = {name: set(graph.find_modules_directly_imported_by(name)) for name in modules}
    circle = _circle(imports)
    edges: Counter[tuple[str, str]] = Counter(
        (_room(name), _room(target)) for name in modules for target in imports[name]
    )
    counts = Counter(map(_room, modules))
    print(f"{'room':12} modules  imports rooms")  # noqa: T201 - this is the answer
    for room, count in sorted(counts.items()):
        below = sorted({to for (of, to) in edges if of == room and to != room})
        print(f"{room:12} {count:7}  {', '.join(below)}")  # noqa: T201
    between = sum(1 for of, to in edges if of != to)
    inner = sum(count for (of, to), count in edges.items() if of == to)
    print(  # noqa: T201
        f"{len(modules)} modules in {len(counts)} rooms; {sum(edges.values())} imports, {inner} of "
        f"them within a room; {between} edges between rooms"
    )
    if circle:
        sys.exit(f"circle of imports: {' -> '.join(circle)}")


def _room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "assay"


def _circle(imports: dict[str, set[str]]) -> list[str]:
    """The modules of one circle; empty when there is none."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


if __name__ == "__main__":
    main()
