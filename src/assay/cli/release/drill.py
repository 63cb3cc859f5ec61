"""`assay release drill`: a rehearsed rollback."""

import click

from assay.cli.console import json_option, print_json, use_defaults
from assay.errors import RunBlocked


@click.command("drill")
@click.argument("model_name")
@click.argument("environment", default="staging")
@json_option
def command(model_name: str, environment: str, as_json: bool) -> None:
    """Roll ENVIRONMENT (default: staging) back and forth, and compare golden predictions.

    Runs the same step as the pipeline rollback-drill: attested, and refused in production. Exit
    code 4 if the rollback took too long.

    Example: assay release drill income staging
    """
    from assay.components.rollback_drill.step import rollback_drill
    from assay.core.execution import execute
    from assay.runtime.context import task_context

    use_defaults()
    arguments = {"model_name": model_name, "environment": environment}
    done = execute(rollback_drill, arguments, task_context())
    values = done.values
    if as_json:
        print_json({**values, "record": done.outputs["record"], "attestation": done.attestation})
    else:
        click.echo(
            f"{values['verdict']}: {environment} rolled back and forth in {values['seconds']} s; "
            f"details: assay show {done.outputs['record']}"
        )
    if values["verdict"] != "pass":
        raise RunBlocked(str(values["reason"]))
