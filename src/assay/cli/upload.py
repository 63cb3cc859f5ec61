"""Uploading compiled pipelines, for `assay compile --upload` and `assay submit`."""

import tempfile
from pathlib import Path
from typing import Any

import click

from assay import __version__
from assay.cluster.client import Kfp, Version
from assay.cluster.names import description, version_description
from assay.core.digest import of_bytes


def upload(kfp: Kfp, function: Any, package: str) -> tuple[str, str]:
    """Upload a compiled pipeline, unless KFP has the same content.

    Args:
        kfp: The API.
        function: The pipeline.
        package: The compiled YAML.

    Returns:
        The ids of pipeline and version.
    """
    digest = of_bytes(package.encode())
    version = Version(
        __version__,
        digest,
        description(function),
        version_description(function, __version__, digest),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(package, encoding="utf-8")
        pipeline_id, version_id, name, new = kfp.upload(function.name, path, version)
    state = "uploaded" if new else "unchanged"
    click.echo(f"pipeline {function.name}, version {name}: {state}", err=True)
    return pipeline_id, version_id
