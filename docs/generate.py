"""Write what documentation says about code: each stage's table of inputs and outputs.

`python docs/generate.py` rewrites the part between the markers of every components/*/README.md;
with `--check` it fails instead when one is stale. The tables come from the components themselves.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from assay.cli.catalog import component, names

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- generated:io -->", "<!-- /generated:io -->"


def table(function: Any) -> str:
    """The inputs and outputs of a component as two Markdown tables."""
    spec = function.component_spec
    inputs = [
        (name, _type(item), _default(item), item.description or "")
        for name, item in (spec.inputs or {}).items()
    ]
    outputs = [
        (name, _type(item), item.description or "") for name, item in (spec.outputs or {}).items()
    ]
    parts = []
    if inputs:
        parts.append(_markdown(("input", "type", "default", "meaning"), inputs))
    if outputs:
        parts.append(_markdown(("output", "type", "meaning"), outputs))
    return "\n\n".join(parts)


def _type(item: Any) -> str:
    return str(item.type).removeprefix("system.").split("@")[0]


def _default(item: Any) -> str:
    if not item.optional:
        return "required"
    return f"`{item.default!r}`"


def _markdown(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return (
            "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"
        )

    return "\n".join([line(headers), line(("---",) * len(headers)), *map(line, rows)])


def render(path: Path, function: Any) -> str:
    """The README at `path` with its table made anew."""
    text = path.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{path}: no {BEGIN} … {END} markers; put them where the table belongs")
    head, rest = text.split(BEGIN, 1)
    _, tail = rest.split(END, 1)
    return f"{head}{BEGIN}\n\n{table(function)}\n\n{END}{tail}"


def main() -> None:
    """Rewrite or check every stage's README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a table is stale")
    check = parser.parse_args().check
    stale = []
    for name in names("assay.components"):
        path = ROOT / "components" / name / "README.md"
        text = render(path, component(name))
        if text != path.read_text():
            stale.append(str(path.relative_to(ROOT)))
            if not check:
                path.write_text(text)
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}; run: make goldens")


if __name__ == "__main__":
    main()
