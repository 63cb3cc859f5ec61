"""`assay compile`: the YAML of every pipeline and component."""

import os
import tempfile
from pathlib import Path

import click

from assay.cli.catalog import component, names, pipeline
from assay.cli.console import json_option, print_json
from assay.errors import AssayError, UsageError
from assay.images import ROLES, image, is_pinned, name_images


class StaleError(AssayError):
    """Compiled files on disk are not what the code compiles to."""


@click.command("compile")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder to write pipelines/NAME/pipeline.yaml and components/NAME/component.yaml into.",
)
@click.option(
    "--images", type=click.Path(path_type=Path), help="JSON file: role to image reference."
)
@click.option("--dev", is_flag=True, help="Admit images that are not pinned by digest.")
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is stale.")
@json_option
def command(output: Path, images: Path | None, dev: bool, check: bool, as_json: bool) -> None:
    """Compile every pipeline, and every component by itself.

    Images must be pinned by digest (--images), because a tag that moves poisons KFP's cache;
    --dev admits this version's development tags.
    """
    if images is not None:
        # Read by assay.images when the components are imported, below.
        os.environ["ASSAY_IMAGES"] = str(images)
    loose = [image(role) for role in ROLES if not is_pinned(image(role))]
    if loose and not dev:
        raise UsageError(
            f"images not pinned by digest: {', '.join(loose)}; give --images with references by "
            "digest, or --dev for a development build"
        )
    compiled = _compile_all()
    written = [str(path) for path in (_check if check else _write)(output, compiled)]
    if as_json:
        print_json(written)
    else:
        for path in written:
            click.echo(path)


def _compile_all() -> dict[str, str]:
    from kfp import compiler

    targets = {f"pipelines/{n}/pipeline.yaml": pipeline(n) for n in names("assay.pipelines")}
    targets |= {f"components/{n}/component.yaml": component(n) for n in names("assay.components")}
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for path, function in targets.items():
            file = Path(folder) / "compiled.yaml"
            compiler.Compiler().compile(function, str(file))
            found[path] = name_images(file.read_text())
    return found


def _write(root: Path, compiled: dict[str, str]) -> list[Path]:
    for path, text in compiled.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return [root / path for path in compiled]


def _check(root: Path, compiled: dict[str, str]) -> list[Path]:
    stale = [
        path
        for path, text in compiled.items()
        if not (root / path).exists() or (root / path).read_text() != text
    ]
    if stale:
        raise StaleError(f"stale: {', '.join(stale)}; run: make goldens")
    return [root / path for path in compiled]
