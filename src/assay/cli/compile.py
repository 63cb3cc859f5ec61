"""`assay compile`: the YAML of every pipeline and component."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from assay.cli.catalog import choices_of, component, names, pipeline
from assay.cli.console import json_option, print_json
from assay.cluster.apply import with_profile
from assay.cluster.profile import MAX_PROFILE_BYTES, Profile, parse_profile, schema
from assay.cluster.stages import library_stages
from assay.documents import read_regular
from assay.errors import AssayError, UsageError
from assay.runtime.compiled import compile_component, compile_pipeline
from assay.runtime.images import read_images


class StaleError(AssayError):
    """Compiled files on disk differ from the compiled code."""


@click.command("compile")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder to write pipelines/NAME/pipeline.yaml and components/*/NAME/component.yaml into.",
)
@click.option(
    "--images", type=click.Path(path_type=Path), help="JSON file: role to image reference."
)
@click.option("--dev", is_flag=True, help="Admit images that are not pinned by digest.")
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is stale.")
@click.option(
    "--profile", type=click.Path(path_type=Path), help="Profile of the cluster's pods; YAML."
)
@click.option("--print-profile-schema", is_flag=True, help="Print a profile's JSON schema.")
@click.option("--upload", is_flag=True, help="Also upload the pipelines to KFP.")
@click.option("--endpoint", default="", help="URL of KFP's API (default: KFP_ENDPOINT).")
@click.option(
    "--namespace", default="", help="Namespace of a multi-user KFP (default: KFP_NAMESPACE)."
)
@json_option
def command(
    output: Path,
    images: Path | None,
    dev: bool,
    check: bool,
    profile: Path | None,
    print_profile_schema: bool,
    upload: bool,
    endpoint: str,
    namespace: str,
    as_json: bool,
) -> None:
    """Compile every pipeline, and every component.

    Images must be pinned by digest (--images), because a tag that moves makes KFP's cache
    wrong; --dev admits this version's development tags.

    --profile adds the configuration of a cluster's pods: secrets, resources, time-outs, retries,
    nodes (docs/profiles.md).
    """
    if print_profile_schema:
        print_json(schema())
        return
    references = read_images(images, development=dev)
    if check and upload:
        raise UsageError("give --check or --upload, not both")
    compiled = _compile_all(references, read_profile(profile) if profile else None)
    if upload:
        _upload(compiled, endpoint, namespace)
    written = [str(path) for path in (_check if check else _write)(output, compiled)]
    if as_json:
        print_json(written)
    else:
        for path in written:
            click.echo(path)


def read_profile(path: Path) -> Profile:
    """The profile in a file.

    Raises:
        UsageError: The file cannot be read, or is not a valid profile.
    """
    data = read_regular(path, MAX_PROFILE_BYTES, "--profile")
    return parse_profile(data, str(path))


def compile_one(function: Any, images: Mapping[str, str], profile: Profile | None = None) -> str:
    """The YAML of a pipeline of this installation.

    Args:
        function: A function decorated with `@dsl.pipeline`.
        images: Image by role.
        profile: The profile of the cluster's pods.

    Returns:
        The compiled YAML.
    """
    choices = choices_of(function)
    profiled = function if profile is None else with_profile(function, profile)
    return compile_pipeline(profiled, images, choices)


def _compile_all(images: Mapping[str, str], profile: Profile | None) -> dict[str, str]:
    compiled = {
        f"pipelines/{name}/pipeline.yaml": compile_one(pipeline(name), images, profile)
        for name in names("assay.pipelines")
    }
    compiled |= {
        f"components/{stage.category}/{name}/component.yaml": compile_component(
            component(name), images
        )
        for name, stage in library_stages().items()
    }
    return compiled


def _upload(compiled: dict[str, str], endpoint: str, namespace: str) -> None:
    from assay.cli.upload import upload
    from assay.cluster.client import Endpoint, Kfp

    kfp = Kfp(Endpoint.from_env(endpoint, namespace))
    for name in names("assay.pipelines"):
        upload(kfp, pipeline(name), compiled[f"pipelines/{name}/pipeline.yaml"])


def _write(root: Path, compiled: dict[str, str]) -> list[Path]:
    for path, text in compiled.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return [root / path for path in compiled]


def _check(root: Path, compiled: dict[str, str]) -> list[Path]:
    stale = [
        path
        for path, text in compiled.items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text
    ]
    if stale:
        raise StaleError(f"stale: {', '.join(stale)}; run: make goldens")
    return [root / path for path in compiled]
