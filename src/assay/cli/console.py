"""What commands print: tables on a terminal, plain lines in a pipe, JSON for programs."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

HOME: Final = ".assay"
"""Folder of the default store and registry, in the current folder."""
SHORT_HEX: Final = 12

PIPE_WIDTH: Final = 240
"""Columns in a pipe, where nobody's window sets them."""

stdout = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
stderr = Console(stderr=True)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")


def use_defaults() -> None:
    """Fill in the environment for work on one machine: a folder and SQLite under `./.assay`.

    Set in the environment, because the tasks of a local run are processes that inherit it.
    """
    home = Path.cwd() / HOME
    os.environ.setdefault("ASSAY_STORE", (home / "store").as_uri())
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")


def short(digest: str) -> str:
    """A digest short enough for a table; commands take only the whole one."""
    prefix, _, digits = digest.partition(":")
    return f"{prefix}:{digits[:SHORT_HEX]}…" if digits else digest


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None
) -> None:
    """A table on a terminal; tab-separated lines with a header line in a pipe."""
    if not stdout.is_terminal:
        for row in (headers, *rows):
            click.echo("\t".join(str(cell) for cell in row))
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    stdout.print(table)


def human_bytes(size: float) -> str:
    """`1.5 MB`: powers of 1,000, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - the unit's step
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
