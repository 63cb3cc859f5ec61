"""`assay new component`: component.py of a stage, generated from its step."""

import sys
from pathlib import Path
from typing import Final

import click

from assay.cli.new.declaration import declaration
from assay.cli.new.source import source
from assay.cluster.stages import FILE, LIBRARY, library_folders
from assay.errors import AssayError, UsageError

NAME: Final = "component.py"
COMMAND: Final = "assay new component"


@click.command("component", short_help="Generate component.py from a step.")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is stale.")
def command(folders: tuple[Path, ...], check: bool) -> None:
    """Generate component.py in each of FOLDERS, the folders of stages.

    The KFP component has the parameters, types, defaults and texts of the step's signature and
    docstring; the part `component` of stage.yaml says what a step cannot (docs/steps.md).

    Example: assay new component drop_gaps/drop_gaps
    """
    made: dict[Path, str] = {}
    problems: dict[str, None] = {}
    for folder in folders:
        try:
            made[folder / NAME] = generated(folder)
        except UsageError as error:
            problems |= dict.fromkeys(error.problems)  # two stages may run the same step
    if problems:
        raise UsageError.all_of(problems)
    stale = [
        path
        for path, text in made.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if check and stale:
        raise AssayError(f"stale: {', '.join(map(str, stale))}", remedy=f"run: {_command(stale)}")
    for path in stale:
        path.write_text(made[path], encoding="utf-8")
    for path in made:
        click.echo(path)


def generated(folder: Path) -> str:
    """The text of a stage's component.py.

    Raises:
        UsageError: The folder holds no stage, or what is wrong with its step and declaration.
    """
    if not (folder / FILE).is_file():
        raise UsageError(f"{folder} has no {FILE}; give the folder of a stage")
    package = _package(folder.resolve())
    command = "make goldens" if package.startswith(f"{LIBRARY}.") else COMMAND
    return source(declaration(folder, package), command)


def _command(stale: list[Path]) -> str:
    folders = [path.parent for path in stale]
    if all(_package(folder.resolve()).startswith(f"{LIBRARY}.") for folder in folders):
        return "make goldens"
    return f"{COMMAND} {' '.join(map(str, folders))}"


def _package(folder: Path) -> str:
    """The dotted name of a folder, which can be imported from here on."""
    if library_folders().get(folder.name, Path()).resolve() == folder:
        return f"{LIBRARY}.{folder.name}"
    root = folder
    while (root / "__init__.py").is_file():
        root = root.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True  # nothing but component.py is written into the folder
    return ".".join(folder.relative_to(root).parts)
