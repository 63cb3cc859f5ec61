"""`assay suite`: work with validation suites."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from assay.cli.console import write_whole
from assay.errors import UsageError


@click.group("suite")
def command() -> None:
    """Work with Great Expectations suites."""


@command.command("draft", short_help="Draft a suite to review.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", default="", help="Column to predict; its labels become a closed set.")
@click.option("--delimiter", default="auto", help="Delimiter of a CSV (default: detected).")
@click.option(
    "--missing-values",
    "missing_values",
    multiple=True,
    help="Text that means a missing value in a CSV; repeatable; replaces the default ones.",
)
@click.option("--encoding", default="utf-8", show_default=True, help="Encoding of a CSV.")
@click.option("--decimal", default=".", show_default=True, help="Decimal mark in a CSV.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File (default: standard output)."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def draft(
    data: Path,
    target: str,
    delimiter: str,
    missing_values: tuple[str, ...],
    encoding: str,
    decimal: str,
    output: Path | None,
    force: bool,
) -> None:
    """Draft a suite for the table DATA.

    It describes this data, not what is correct: review it, and keep what should always hold. The
    notes of each expectation say why it was drafted.
    """
    if output is not None and output.exists() and not force:
        raise UsageError(f"{output} exists; give another name, or --force to replace it")
    reader: dict[str, Any] = {"delimiter": delimiter, "encoding": encoding, "decimal": decimal}
    if missing_values:
        reader["missing_values"] = list(missing_values)
    text = json.dumps(draft_suite(data, target, reader), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    write_whole(text, output)
    click.echo(f"{output}: review it, then run with -p suite={output}", err=True)


def draft_suite(
    data: Path, target: str, reader: Mapping[str, Any] | None = None
) -> dict[str, object]:
    """Draft a suite for the table in `data`, read as the pipeline reads it.

    Args:
        data: The table.
        target: The column to predict; empty for none.
        reader: Parameters of `snapshot_data`, such as `encoding`.

    Returns:
        The suite.
    """
    from assay.components.snapshot_data.step import snapshot_data
    from assay.core import findings
    from assay.core.source import fetch
    from assay.core.step import Out
    from assay.data import suite

    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        table = Path(folder) / "dataset"
        table.mkdir()
        source = fetch(str(data), Path(folder))
        bound = snapshot_data.bind_parameters({"target": target, **(reader or {})})
        values = snapshot_data(data=source, dataset=Out(table), **bound)
        for line in findings.lines(values or {}):
            click.echo(line, err=True)
        drafted: dict[str, object] = suite.draft(table, target=target)
        return drafted
