"""`assay new step`: create a step of your own from a template."""

import keyword
import shutil
import sys
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final

import click

from assay import __version__
from assay.cli.new.component import NAME, generated
from assay.errors import UsageError

FILES: Final = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "{name}/__init__.py": "init.py.txt",
    "{name}/step.py": "step.py.txt",
    "{name}/stage.yaml": "stage.yaml.txt",
    "tests/test_{name}.py": "test.py.txt",
}
"""Path of each file of the project, and its template in `assay.cli.templates.step`."""
MAX_NAME: Final = 40
_TAKEN: Final = frozenset({"assay", "kfp", "tests", "step", "component", "dataset", "data"})
"""Names that the generated files use for other purposes."""


@click.command("step", short_help="Create a step with component and test.")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Parent of the new folder NAME (default: current folder).",
)
def command(name: str, folder: Path) -> None:
    """Create a step with its component, test and README in a new folder NAME.

    The template is a working step on a dataset, with cache, attestation and KFP component. Edit
    it; docs/steps.md describes inputs and outputs of steps.
    """
    project = folder / name
    if problems := [*_name_problems(name), *_folder_problems(folder, project)]:
        raise UsageError.all_of(problems)
    values = {"name": name, "project": name.replace("_", "-"), "version": __version__}
    templates = resources.files("assay.cli.templates.step")
    try:
        for place, template in FILES.items():
            path = project / place.format(name=name)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = templates.joinpath(template).read_text(encoding="utf-8")
            path.write_text(Template(text).substitute(values), encoding="utf-8")
        component = project / name / NAME
        component.write_text(generated(component.parent), encoding="utf-8")
    except OSError as error:
        # The folder is new, so nothing of the user is lost.
        shutil.rmtree(project, ignore_errors=True)
        raise UsageError(f"cannot write {project}: {error.strerror}") from error
    for path in [*(project / place.format(name=name) for place in FILES), component]:
        click.echo(path)
    click.echo(f"try it: cd {project} && pip install -e .[dev] && pytest", err=True)


def _name_problems(name: str) -> list[str]:
    if not (name.isascii() and name.isidentifier() and name == name.lower()):
        return [
            f"NAME: {name!r} is not a step name; use lower-case letters, digits and underscores"
        ]
    if name.startswith("_") or len(name) > MAX_NAME:
        return [f"NAME: {name!r} must begin with a letter and have at most {MAX_NAME} characters"]
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in _TAKEN:
        return [
            f"NAME: {name!r} has another meaning in Python or in the template; choose another name"
        ]
    if name in sys.stdlib_module_names:
        return [f"NAME: {name!r} is a module of Python's standard library; choose another name"]
    return []


def _folder_problems(folder: Path, project: Path) -> list[str]:
    if folder.exists() and not folder.is_dir():
        return [f"--folder: {folder} is not a folder"]
    if project.exists():
        return [f"{project} exists; choose another NAME or --folder"]
    return []
