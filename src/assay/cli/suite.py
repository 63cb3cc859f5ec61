"""`assay suite`: work with validation suites."""

import json
import os
import tempfile
from pathlib import Path

import click

from assay.errors import UsageError


@click.group("suite")
def command() -> None:
    """Work with Great Expectations suites."""


@command.command("draft", short_help="Write a first suite to review.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", default="", help="Column to predict; its labels become a closed set.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File (default: print).")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def draft(data: Path, target: str, output: Path | None, force: bool) -> None:
    """Write a reviewable first suite for the table DATA.

    It describes this data, not what is right: read it, and keep what should always hold. Each
    expectation says why it was drafted.
    """
    if output is not None and output.exists() and not force:
        raise UsageError(f"{output} exists; give another name, or --force to replace it")
    text = json.dumps(draft_suite(data, target), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    scratch = output.with_name(f".{output.name}.part")
    try:
        scratch.write_text(text)
        os.replace(scratch, output)  # noqa: PTH105 - atomic, whatever is there
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    click.echo(f"{output}: review it, then run with -p suite={output}", err=True)


def draft_suite(data: Path, target: str) -> dict[str, object]:
    """A first suite for the table in `data`, read as the pipeline reads it."""
    from assay import suite
    from assay.components.snapshot_data.step import snapshot_data
    from assay.source import fetch
    from assay.step import Out

    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        table = Path(folder) / "dataset"
        table.mkdir()
        source = fetch(str(data), Path(folder))
        bound = snapshot_data.bind_parameters({"target": target})
        snapshot_data(data=source, dataset=Out(table), **bound)
        drafted: dict[str, object] = suite.draft(table, target=target)
        return drafted
