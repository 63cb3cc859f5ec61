"""Build, push and describe the images: what `make images`, `push`, `pin-base` and `sbom` call."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from assay import __version__
from assay.core.code_identity import commit
from assay.errors import AssayError, UsageError
from assay.runtime.images import ROLES, development_image, read_images

ROOT: Final = Path(__file__).resolve().parent.parent
BASE: Final = ROOT / "images" / "base"
SBOMS: Final = ROOT / "dist" / "sbom"
DIGESTS: Final = ROOT / "images" / "digests.json"
DESCRIPTIONS: Final = {
    "data": "Assay: the components that read raw data: pyarrow, Great Expectations.",
    "train": "Assay: the components that load or fit a model: scikit-learn, MLflow's client.",
    "release": "Assay: the components that decide: clients of MLflow, Kubernetes and registries.",
    "deploy": "Assay: the components that promote and roll back: Git, forges, scikit-learn.",
}
"""By role, for the images' labels."""
PIP_SETTINGS: Final = ("PIP_INDEX_URL", "PIP_CERT", "PIP_DEFAULT_TIMEOUT")
"""Passed on to the build's first stage, which is not shipped."""
FILE: Final = click.Path(path_type=Path, dir_okay=False)
FOLDER: Final = click.Path(path_type=Path, file_okay=False)


def run(*command: str, capture: bool = False) -> str:
    """Run a program; its output is shown or returned.

    Raises:
        UsageError: It is not installed.
        AssayError: It failed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            command, cwd=ROOT, text=True, capture_output=capture, check=False
        )
    except FileNotFoundError as error:
        raise UsageError(f"{command[0]} is not installed") from error
    except OSError as error:
        raise UsageError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode:
        why = (done.stderr or "").strip().splitlines()
        raise AssayError(f"{' '.join(command[:2])}: {why[-1] if why else 'failed, see above'}")
    return (done.stdout or "").strip()


def require_engine() -> None:
    """Raises a UsageError where no Docker engine answers."""
    try:
        run("docker", "version", "--format", "{{.Server.Version}}", capture=True)
    except AssayError as error:
        raise UsageError(f"no Docker engine answers ({error}); install or start one") from error


def require_images(tags: Iterable[str]) -> None:
    """Raises a UsageError that lists the images that are not built."""
    found = run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", capture=True)
    if missing := [tag for tag in tags if tag not in found.split()]:
        raise UsageError(f"not built: {', '.join(missing)}; run: make images")


def require_wheel() -> None:
    """Raises a UsageError unless there is exactly one wheel to put into the images."""
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    if len(wheels) != 1:
        raise UsageError(f"dist/ holds {len(wheels)} wheels, expected 1; run: make wheel")


def digest_in_registry(tag: str) -> str:
    """The reference by digest that the registry gave for what was pushed or pulled by a tag.

    Raises:
        AssayError: It gave none.
    """
    words = ("docker", "image", "inspect", "-f", "{{json .RepoDigests}}", tag)
    found: list[str] = json.loads(run(*words, capture=True))
    repository = tag.rpartition(":")[0]
    for reference in found:
        if reference.startswith(f"{repository}@sha256:"):
            return reference
    raise AssayError(f"the registry gave no digest for {tag}, only {', '.join(found) or 'nothing'}")


def shown(path: Path) -> Path:
    """A path as a reader in the repository knows it."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


@click.group()
def main() -> None:
    """The images' helper."""


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(ROLES))
@click.option("--base", default="", help="Base image; the pinned one by default.")
def build(names: tuple[str, ...], base: str) -> None:
    """Build all images, or those named, and print their sizes in MB."""
    require_engine()
    require_wheel()
    source = commit()
    settings = {
        "BASE_IMAGE": base or BASE.read_text(encoding="utf-8").strip(),
        "VERSION": __version__,
        "COMMIT": f"{source.commit}{'+dirty' if source.dirty else ''}" if source else "",
        "REPOSITORY": source.repository if source else "",
        **{name: os.environ[name] for name in PIP_SETTINGS if os.environ.get(name)},
    }
    arguments = [word for pair in settings.items() for word in ("--build-arg", "=".join(pair))]
    for name in names or ROLES:
        role = ["--build-arg", f"ROLE={name}", "--build-arg", f"DESCRIPTION={DESCRIPTIONS[name]}"]
        words = ["--network", "host", *arguments, *role, "-f", "images/Dockerfile"]
        run("docker", "build", *words, "-t", development_image(name), ".")
    for tag in map(development_image, names or ROLES):
        size = run("docker", "image", "inspect", "-f", "{{.Size}}", tag, capture=True)
        click.echo(f"{tag}\t{int(size) / 1e6:.0f} MB")


@main.command()
@click.option("--registry", required=True, help="Host and path, such as ghcr.io/me/assay.")
@click.option("-o", "--output", type=FILE, default=DIGESTS, help="images/digests.json by default.")
@click.option(
    "--tags", type=FILE, help="JSON file: role to local tag; those of `build` by default."
)
def push(registry: str, output: Path, tags: Path | None) -> None:
    """Push all images, and write their references by digest."""
    require_engine()
    built = read_images(tags, development=True)
    require_images(built.values())
    references = {}
    for name, tag in built.items():
        target = f"{registry.rstrip('/')}/{tag}"
        run("docker", "tag", tag, target)
        run("docker", "push", target)
        references[name] = digest_in_registry(target)
    output.write_text(json.dumps(references, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    click.echo(f"written: {shown(output)}")


@main.command("pin-base")
@click.option("--file", "pin", type=FILE, default=BASE, help="images/base by default.")
def pin_base(pin: Path) -> None:
    """Ask the registry for the digest that the base image's tag names now."""
    require_engine()
    tag = pin.read_text(encoding="utf-8").strip().partition("@")[0]
    try:
        run("docker", "pull", "--quiet", tag, capture=True)
    except AssayError as error:
        raise AssayError(
            f"{shown(pin)} is unchanged, because the registry did not answer for "
            f"{tag} ({error}); run this on a machine that can reach the registry"
        ) from error
    pin.write_text(f"{tag}@{digest_in_registry(tag).partition('@')[2]}\n", encoding="utf-8")
    click.echo(pin.read_text(encoding="utf-8").strip())


def make_environment(name: str, folder: Path) -> None:
    """Create a virtual environment with the content of an image: its lock and the wheel."""
    require_wheel()
    uv = str(Path(sys.executable).with_name("uv"))
    python = str(folder / "bin" / "python")
    lock = f"images/{name}/requirements.txt"
    run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    run(uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", lock)
    wheels = [str(path) for path in (ROOT / "dist").glob("*.whl")]
    run(uv, "pip", "install", "--quiet", "--python", python, "--no-deps", *wheels)


@main.command()
@click.argument("name", type=click.Choice(ROLES))
@click.argument("folder", type=FOLDER)
def environment(name: str, folder: Path) -> None:
    """Create a virtual environment with the content of an image."""
    make_environment(name, folder)


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(ROLES))
@click.option("-o", "--output", type=FOLDER, default=SBOMS, help="dist/sbom by default.")
def sbom(names: tuple[str, ...], output: Path) -> None:
    """Write an SBOM per image, or for those named: NAME.cdx.json (CycloneDX), its Python packages.

    It does not include the base image, Git and SSH; scanners read those from the image.
    """
    output.mkdir(parents=True, exist_ok=True)
    tool = str(Path(sys.executable).with_name("cyclonedx-py"))
    for name in names or ROLES:
        with tempfile.TemporaryDirectory() as folder:
            make_environment(name, Path(folder) / name)
            file = output / f"{name}.cdx.json"
            python = str(Path(folder) / name / "bin" / "python")
            run(tool, "environment", "--output-reproducible", "-o", str(file), python)
            _describe(file, name)
        click.echo(f"written: {shown(file)}")


def _describe(file: Path, name: str) -> None:
    """Add the name and the base of the image to its SBOM."""
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    document["metadata"]["component"] = {
        "type": "container",
        "name": development_image(name).partition(":")[0],
        "version": __version__,
        "properties": [{"name": "assay:base", "value": BASE.read_text(encoding="utf-8").strip()}],
    }
    for component in document["components"]:
        # The path of the wheel on this machine.
        references = component.get("externalReferences", [])
        component["externalReferences"] = [
            item for item in references if not item["url"].startswith("file:")
        ]
    file.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except AssayError as failure:
        click.echo(f"error: {failure}", err=True)
        sys.exit(failure.exit_code)
    except click.ClickException as failure:
        failure.show()
        sys.exit(failure.exit_code)
