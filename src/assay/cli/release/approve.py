"""`assay release approve`: merge a proposal on a remote without a forge."""

import click

from assay.cli.console import NAME, use_defaults


@click.command("approve")
@click.argument("model_name")
@click.argument("environment")
@click.option("--digest", type=NAME, default="", help="The model, if more than one is proposed.")
@click.option("--no-sync", is_flag=True, help="Do not record the merge in the release log yet.")
def command(model_name: str, environment: str, digest: str, no_sync: bool) -> None:
    """Merge the proposal for MODEL_NAME in ENVIRONMENT, in your name.

    Everything is checked again first. ASSAY_SIGNING_KEY, an approver's key, signs the approval of
    exactly this release. With a forge, merge it there.
    """
    from assay.cli.release.sync import print_synced
    from assay.releases.approval import approve
    from assay.releases.deployment import Deployment
    from assay.releases.statement import person
    from assay.releases.sync import sync

    use_defaults()
    deployment = Deployment.from_env()
    commit = approve(
        deployment,
        model_name,
        environment,
        by=person(),
        digest=digest,
        show=lambda release: click.echo(f"approving: {release.digest} in {release.environment}"),
    )
    click.echo(f"merged: {commit}")
    if not no_sync:
        print_synced(sync(deployment))
