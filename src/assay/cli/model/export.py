"""`assay model export`: a model or dataset as plain files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from assay.cli.console import NAME, json_option, print_json, use_defaults
from assay.errors import UsageError


@dataclass(slots=True)
class _Target:
    """Replaces KFP's artifact: the export step uses only its path and metadata."""

    path: str
    metadata: dict[str, Any] = field(default_factory=dict)


@click.command("export")
@click.argument("digest", type=NAME)
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="File format of a dataset.",
)
@json_option
def command(digest: str, target: Path, file_format: str, as_json: bool) -> None:
    """Write the model DIGEST as a folder that MLflow loads, or a dataset as one file, to TARGET.

    Every byte is checked against the digests. Example: assay model export income@production model
    """
    from assay.components.export_artifact.step import export_artifact

    use_defaults()
    if target.exists():
        raise UsageError(f"{target} exists already; give a new name")
    dataset, model = _Target(str(target)), _Target(str(target))
    export_artifact(artifact=digest, dataset=dataset, model=model, file_format=file_format)
    metadata = dataset.metadata or model.metadata
    if as_json:
        print_json({"target": str(target), **metadata})
    else:
        click.echo(f"{target}: {metadata['format']} of {metadata['digest']}")
