"""Output of commands: tables on a terminal, plain lines in a pipe, JSON for programs."""

import codecs
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.core.digest import is_digest
from assay.core.environment import set_defaults
from assay.core.settings import MLFLOW_URI, STORE
from assay.errors import UsageError
from assay.text import one_line, short

HOME: Final = ".assay"
"""Folder of the default store and registry, within the current folder."""
SETTINGS: Final = "assay.env"
"""The settings file that `assay init` writes for the shell."""

PIPE_WIDTH: Final = 240
"""Columns of output in a pipe, where there is no window."""

stdout = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
stderr = Console(stderr=True)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class Name(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """An argument that names an artifact; the command gets the full digest.

    A digest, a unique prefix of one, MODEL@ALIAS or MODEL/VERSION: see `assay.core.resolve`.
    """

    name = "digest"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Resolve the argument to a full digest.

        Args:
            value: The argument.
            param: The parameter, for click.
            ctx: The context, for click.

        Returns:
            The digest.

        Raises:
            AssayError: As `assay.governance.model_names.resolve`.
        """
        del ctx
        if not value or is_digest(value):
            return str(value)
        from assay.core.context import store_from_env
        from assay.governance.model_names import resolve

        use_defaults()
        return resolve(value, store_from_env(), param.human_readable_name if param else "digest")


NAME: Final = Name()
NAMES_HELP: Final = (
    "DIGEST may be a unique prefix of a digest, or MODEL@ALIAS or MODEL/VERSION of the registry."
)


def use_defaults() -> None:
    """Set the environment for work on one machine: a folder and SQLite under `./.assay`.

    In the environment, because the tasks of a local run are processes that inherit it.
    """
    home = Path.cwd() / HOME
    set_defaults(
        {
            STORE.name: (home / "store").as_uri(),
            MLFLOW_URI.name: f"sqlite:///{home / 'mlflow.db'}",
        }
    )


def print_json(value: Any) -> None:
    """Print one JSON document to standard output."""
    # Characters that the encoding lacks are written as escapes of JSON, not of Python.
    ascii_only = codecs.lookup(sys.stdout.encoding or "ascii").name != "utf-8"
    click.echo(json.dumps(value, indent=2, ensure_ascii=ascii_only))


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None
) -> None:
    """Print a table to a terminal, or tab-separated lines with a header line to a pipe.

    A table never breaks a digest, because a broken one cannot be copied: with two columns the
    terminal wraps long lines, with more columns a digest is shortened.

    Args:
        headers: Names of the columns.
        rows: The cells of each row.
        title: Title above the table; not printed to a pipe.
    """
    if not stdout.is_terminal:
        for row in (headers, *rows):
            click.echo("\t".join(one_line(str(cell)) for cell in row))
        return
    rows = [[one_line(str(cell)) for cell in row] for row in rows]
    if len(headers) == 2:  # noqa: PLR2004 - facts
        width = max(len(str(row[0])) for row in (headers, *rows))
        for name, value in rows:
            line = Text.assemble((f"{name!s:{width}}  ", "bold"), str(value))
            stdout.print(line, soft_wrap=True)
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for place, header in enumerate(headers):
        digests = any(is_digest(row[place]) for row in rows)
        table.add_column(header, overflow="fold", no_wrap=digests)
    for row in rows:
        table.add_row(*(short(cell) if is_digest(cell) else str(cell) for cell in row))
    stdout.print(table)


def human_bytes(size: float) -> str:
    """`1.5 MB`: a size in units of powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - the unit's step
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def write_whole(text: str, output: Path) -> None:
    """Write an output file atomically.

    Raises:
        UsageError: It cannot be written; an existing file is unchanged.
    """
    scratch = output.with_name(f".{output.name}.part")
    try:
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, output)  # noqa: PTH105 - atomic, whatever is there
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
