"""`assay model show`: the versions of a registered model."""

import click

from assay.cli.console import json_option, print_json, print_table, use_defaults
from assay.text import short


@click.command("show")
@click.argument("model_name")
@json_option
def command(model_name: str, as_json: bool) -> None:
    """Show each version of MODEL_NAME: its digest, decision and aliases; newest first.

    For the details of a digest: assay show DIGEST. Example: assay model show income
    """
    from assay.governance.model_names import require_model
    from assay.governance.registry import MODEL_TAG, Registry

    use_defaults()
    registry = Registry()
    require_model(registry, model_name)
    aliases: dict[str, list[str]] = {}
    for alias, version in registry.aliases(model_name).items():
        aliases.setdefault(version, []).append(alias)
    versions = sorted(
        registry.versions().get(model_name, []), key=lambda item: int(item.version), reverse=True
    )
    listed = [
        {
            "version": item.version,
            "digest": item.tags.get(MODEL_TAG, ""),
            "decision": item.tags.get("assay.decision", ""),
            "aliases": sorted(aliases.get(item.version, [])),
        }
        for item in versions
    ]
    if as_json:
        print_json(listed)
        return
    print_table(
        ["version", "digest", "decision", "aliases"],
        [
            (
                item["version"],
                short(str(item["digest"])) or "not registered by Assay",
                short(str(item["decision"])),
                ", ".join(item["aliases"]),
            )
            for item in listed
        ],
    )
