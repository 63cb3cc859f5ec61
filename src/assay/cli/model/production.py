"""`assay model production`: show or set the production model."""

import click

from assay.cli.console import json_option, print_json, print_table, use_defaults
from assay.errors import UsageError


@click.command("production")
@click.argument("model_name")
@click.option("--set", "version", default="", help="Set the production version.")
@json_option
def command(model_name: str, version: str, as_json: bool) -> None:
    """Show which version of MODEL_NAME is in production, or set it.

    On one machine --set moves MLflow's alias `production`; candidates are compared with its model.
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
        # A misspelt name must not look like a model without releases.
        require_model(registry, model_name)
    result = {
        "model": model_name,
        "version": current.version if current else None,
        "digest": current.tags.get("assay.model") if current else None,
    }
    if as_json:
        print_json(result)
    elif current is None:
        click.echo(f"{model_name}: no version is in production; set one with --set VERSION")
    else:
        print_table(["property", "value"], list(result.items()))
