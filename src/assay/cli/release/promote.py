"""`assay release promote`: propose a model for an environment."""

from pathlib import Path

import click

from assay.cli.console import NAME, json_option, print_json, use_defaults


@click.command("promote")
@click.argument("model_name")
@click.argument("environment")
@click.option(
    "--digest", type=NAME, default="", help="The model (default: the registry's candidate)."
)
@click.option(
    "--monitoring", type=click.Path(path_type=Path), help="File with the monitoring plan."
)
@click.option("--print", "show", is_flag=True, help="Also print the changelog.")
@json_option
def command(
    model_name: str,
    environment: str,
    digest: str,
    monitoring: Path | None,
    show: bool,
    as_json: bool,
) -> None:
    """Propose MODEL_NAME for ENVIRONMENT (dev, staging, production) by a pull request.

    Checks the decision, the attestations and every byte first. Running it again updates the same
    pull request. ASSAY_DEPLOYMENTS names the repository, ASSAY_FORGE the forge.
    """
    from assay.releases import monitoring_plan
    from assay.releases.deployment import Deployment
    from assay.releases.promotion import promote

    use_defaults()
    done = promote(
        Deployment.from_env(),
        model_name,
        environment,
        digest=digest,
        plan=monitoring_plan.read(monitoring) if monitoring else None,
    )
    url = done.request.url if done.request else ""
    if as_json:
        print_json(
            {
                "outcome": done.outcome,
                "model": done.release.digest,
                "release": done.release.name,
                "branch": done.branch,
                "commit": done.commit,
                "url": url,
            }
        )
        return
    click.echo(f"{done.outcome}: {done.release.digest} for {environment}")
    if done.branch:
        click.echo(f"branch: {done.branch}")
        where = url or f"merge it with: assay release approve '{model_name}' {environment}"
        click.echo(f"pull request: {where}" if url else where)
    if show:
        click.echo(f"\n{done.changelog}")
