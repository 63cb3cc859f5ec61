"""`assay model list`: the registered models."""

from typing import Any

import click

from assay.cli.console import json_option, print_json, print_table, use_defaults
from assay.text import short


@click.command("list")
@json_option
def command(as_json: bool) -> None:
    """List registered models: newest version, its digest, and the version of each alias.

    Example: assay model list
    """
    from assay.governance.registry import MODEL_TAG, Registry

    use_defaults()
    registry = Registry()
    models: list[dict[str, Any]] = []
    for name, versions in sorted(registry.versions().items()):
        newest = max(versions, key=lambda item: int(item.version))
        models.append(
            {
                "model": name,
                "versions": len(versions),
                "newest": newest.version,
                "digest": newest.tags.get(MODEL_TAG, ""),  # None if Assay did not register it.
                "aliases": registry.aliases(name),
            }
        )
    if as_json:
        print_json(models)
    elif not models:
        click.echo("no registered model; register one with: assay run train-and-register")
    else:
        print_table(
            ["model", "versions", "newest", "digest", "aliases"],
            [
                (
                    item["model"],
                    item["versions"],
                    item["newest"],
                    short(str(item["digest"])) or "not registered by Assay",
                    ", ".join(f"{alias}: {version}" for alias, version in item["aliases"].items()),
                )
                for item in models
            ],
        )
