"""`assay model production`: the model in production."""

import click

from assay.cli.console import json_option, print_json, print_table, use_defaults
from assay.errors import UsageError


@click.command("production")
@click.argument("model_name")
@click.option(
    "--set", "version", default="", help="Make this registered version the production one."
)
@json_option
def command(model_name: str, version: str, as_json: bool) -> None:
    """See which version of MODEL_NAME is in production, or set it.

    On one machine this moves MLflow's alias `production`, which candidates are compared with.
    """
    from assay.governance.model_names import require_model
    from assay.governance.registry import Registry

    if version and not (version.isascii() and version.isdigit()):
        raise UsageError(f"--set: {version!r} is not a version; give its number, as in --set 1")
    use_defaults()
    registry = Registry()
    if version:
        registry.set_alias(model_name, "production", str(int(version)))
    current = registry.production(model_name)
    if current is None:
        # A misspelt name must not read like a model that nobody released.
        require_model(registry, model_name)
    facts = {
        "model": model_name,
        "version": current.version if current else None,
        "digest": current.tags.get("assay.model") if current else None,
    }
    if as_json:
        print_json(facts)
    elif current is None:
        click.echo(f"{model_name}: no version is in production; set one with --set VERSION")
    else:
        print_table(["what", "value"], list(facts.items()))
