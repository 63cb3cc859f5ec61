"""Pages and links that the documentation site adds to the files of docs/.

MkDocs calls the functions named `on_…`. A page per component comes from its README, the page of
commands from their help, the decisions from docs/adr. A link to a file of the repository without a
page of the site becomes the name of the file.
"""

import re
import sys
from pathlib import Path
from typing import Any, Final

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parent.parent
_LINK: Final = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from code."""
    for path in sorted(ROOT.glob("components/**/README.md")):
        files.append(
            File.generated(
                config,
                f"components/{path.parent.name}.md",
                content=path.read_text(encoding="utf-8"),
            )
        )
    files.append(File.generated(config, "commands.md", content=commands()))
    files.append(
        File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8"))
    )
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the components and decisions to the navigation."""
    components = sorted(path.parent.name for path in ROOT.glob("components/**/README.md"))
    decisions = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))
    parts: dict[str, list[Any]] = {}
    for part in config.nav or []:
        if isinstance(part, dict):
            parts.update(part)
    parts["Reference"].append(
        {
            "Components": [
                "components.md",
                *({name: f"components/{name}.md"} for name in components),
            ]
        }
    )
    parts["Explanation"].append({"Decisions": [f"adr/{name}" for name in decisions]})
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace links to files of the repository by links to pages of the site."""
    uri = page.file.src_uri
    if uri == "index.md":
        source = ROOT
    elif uri.startswith("components/"):
        (source,) = ROOT.glob(f"components/**/{Path(uri).stem}/")
    else:
        source = (ROOT / "docs" / uri).parent
    depth = uri.count("/")

    def replaced(match: re.Match[str]) -> str:
        location, _, anchor = match[2].partition("#")
        if not location:
            return match[0]
        target = (source / location).resolve()
        if not target.exists():
            sys.exit(f"{uri}: no file {location}")
        address = _address(target, depth)
        if not address:
            return f"{match[1]} (`{target.relative_to(ROOT).as_posix()}`)"
        return f"[{match[1]}]({address}{'#' * bool(anchor)}{anchor})"

    return _LINK.sub(replaced, markdown)


def _address(target: Path, depth: int) -> str:
    """The page of a file of the repository; empty if the site has none."""
    up = "../" * depth
    relative = target.relative_to(ROOT).as_posix()
    if (readme := target / "README.md").exists() and relative.startswith("components/"):
        target, relative = readme, readme.relative_to(ROOT).as_posix()
    if relative.startswith("components/") and target.name == "README.md":
        return f"{up}components/{target.parent.name}.md"
    if relative.startswith("docs/") and target.suffix == ".md":
        return up + relative.removeprefix("docs/")
    if relative == "README.md":
        return f"{up}index.md"
    return ""


def commands() -> str:
    """The page of all commands: their help, as `--help` prints it."""
    from assay.cli import cli

    parts = ["# Commands\n"]

    def add(words: list[str], command: click.Command, parent: click.Context | None) -> None:
        context = click.Context(command, info_name=words[-1], parent=parent, terminal_width=88)
        parts.append(f"## {' '.join(words)}\n\n```text\n{command.get_help(context)}\n```\n")
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                if child is not None:
                    add([*words, name], child, context)

    add(["assay"], cli, None)
    return "\n".join(parts)
