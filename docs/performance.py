"""The measurements of docs/performance.md and docs/scale.md, from docs/performance.json.

`python docs/performance.py` adds what the benchmarks left in `.bench` to the JSON file, and writes
both pages; `make bench` runs it last. The JSON file is committed, so that anyone can write the
pages again and compare (docs/generate.py --check).

A file of `.bench` is `{"title": …, "rows": [{"name", "value", "unit", "beside", "ratio",
"asked"}]}`; see tests/measured.py.
"""

import json
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
BENCH: Final = ROOT / ".bench"
MEASURED: Final = ROOT / "docs" / "performance.json"
PAGE: Final = ROOT / "docs" / "performance.md"
SCALE: Final = ROOT / "docs" / "scale.md"
PRICE: Final = "price-of-trust-1000000"
"""The measurement that docs/scale.md is computed from, and the size of its CSV."""
GIGABYTES: Final = 0.1303
LARGE_GIGABYTES: Final = 100
SCRIPT: Final = ROOT / "tests" / "benchmarks" / "plain_script.py"
LIBRARIES: Final = (
    "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "great-expectations", "evidently",
    "mlflow-skinny", "kfp", "minio",
)  # fmt: skip
FIELDS: Final = {"name", "value", "unit", "beside", "ratio", "asked"}


def machine() -> dict[str, Any]:
    """What the figures of this machine depend on."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "processor": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{gigabytes:.0f} GB",
        "system": f"{platform.system()}, {platform.python_implementation()} "
        f"{platform.python_version()}",
        "libraries": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def collect(document: dict[str, Any], folder: Path, here: dict[str, Any]) -> dict[str, Any]:
    """The document with the files of a folder added.

    Args:
        document: `{"machine": …, "measured": {name: file}}`; what another machine measured is left
            out, because figures of two machines do not belong on one page.
        folder: The folder of the files, `.bench`.
        here: The machine that wrote them.

    Returns:
        The new document.
    """
    known = document["measured"] if document["machine"] == here else {}
    measured = {**known, **{path.stem: load(path) for path in sorted(folder.glob("*.json"))}}
    return {"machine": here, "measured": dict(sorted(measured.items(), key=_natural))}


def load(path: Path) -> dict[str, Any]:
    """A file of `.bench`; ends the process with one line if it has another form."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.keys() != {"title", "rows"}:
        sys.exit(f"{path}: not an object of title and rows; write it with measured.keep")
    for row in document["rows"]:
        if row.keys() != FIELDS:
            sys.exit(f"{path}: a row has not the fields {', '.join(sorted(FIELDS))}")
    loaded: dict[str, Any] = document
    return loaded


def parts(document: dict[str, Any]) -> dict[str, str]:
    """The generated parts of the pages by name."""
    about = [f"| {what} | {value} |" for what, value in document["machine"].items()]
    tables = [
        f"### {one['title']}\n\n{_table(one['rows'])}" for one in document["measured"].values()
    ]
    return {
        "machine": "\n".join(["| | |", "| --- | --- |", *about]),
        "measured": "\n\n".join(tables),
        "script": f"```python\n{SCRIPT.read_text(encoding='utf-8')}```",
        "scale": _scale(document["measured"].get(PRICE, {"rows": []})["rows"]),
    }


def render(page: str, document: dict[str, Any]) -> str:
    """A page with its generated parts made anew."""
    for name, content in parts(document).items():
        begin, end = f"<!-- measured:{name} -->", f"<!-- /measured:{name} -->"
        head, found, rest = page.partition(begin)
        if found:
            _, _, tail = rest.partition(end)
            page = f"{head}{begin}\n\n{content}\n\n{end}{tail}"
    return page


def rendered(page: Path) -> str:
    """A page as it must be."""
    document = json.loads(MEASURED.read_text(encoding="utf-8"))
    return render(page.read_text(encoding="utf-8"), document)


def _scale(rows: list[dict[str, Any]]) -> str:
    """The costs of each step for one gigabyte of CSV and for a large table, in proportion."""
    values = {row["name"]: row["value"] for row in rows}
    lines = [
        f"| step | processor seconds per GB | hours for {LARGE_GIGABYTES} GB | peak memory |",
        "| --- | --- | --- | --- |",
    ]
    for name, value in values.items():
        peak = values.get(f"{name}, peak of memory")
        if peak is None:
            continue
        seconds = value / GIGABYTES
        hours = seconds * LARGE_GIGABYTES / 3600
        lines.append(f"| {name} | {_number(seconds)} | {_number(hours)} | {_number(peak)} MB |")
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| what | measured | beside | ratio | asked |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        cells = (
            row["name"],
            _quantity(row["value"], row["unit"]),
            _quantity(row["beside"], row["unit"]),
            _number(row["ratio"]),
            _number(row["asked"]),
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _quantity(value: Any, unit: str) -> str:
    """A value with its unit; text has its own."""
    text = _number(value)
    return f"{text} {unit}" if text and unit and not isinstance(value, str) else text


def _number(value: Any) -> str:
    """A number with three significant digits; text as it is, None as nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int) or abs(value) >= 100:  # noqa: PLR2004
        return f"{round(value):,}"
    return f"{value:.3g}"


def _natural(item: tuple[str, Any]) -> list[Any]:
    """Names in order, with the numbers within them by size."""
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", item[0])]


def main() -> None:
    """Collect, and write the JSON file and the pages."""
    document = json.loads(MEASURED.read_text(encoding="utf-8"))
    document = collect(document, BENCH, machine())
    MEASURED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for page in (PAGE, SCALE):
        page.write_text(rendered(page), encoding="utf-8")


if __name__ == "__main__":
    main()
