"""`assay release rollback`: restore an earlier release."""

import click

from assay.cli.console import NAME, human_bytes, json_option, print_json, use_defaults


@click.command("rollback")
@click.argument("model_name")
@click.argument("environment")
@click.option("--why", required=True, help="The reason, for the commit and the release log.")
@click.option(
    "--to", type=NAME, default="", help="The release to restore (default: the previous one)."
)
@click.option("--now", is_flag=True, help="Push to the branch at once, without a pull request.")
@json_option
def command(model_name: str, environment: str, why: str, to: str, now: bool, as_json: bool) -> None:
    """Restore an earlier release of MODEL_NAME in ENVIRONMENT.

    Every byte of it is verified before anything is changed. It needs neither MLflow nor KFP nor the
    training data; with --now it does not need Git either.
    """
    from assay.releases.deployment import Deployment
    from assay.releases.rollback import rollback
    from assay.releases.statement import person

    use_defaults()
    done = rollback(
        Deployment.from_env(), model_name, environment, by=person(), why=why, to=to, now=now
    )
    url = done.request.url if done.request else ""
    if as_json:
        print_json(
            {
                "done": done.request is None,
                "from": done.left.digest,
                "to": done.release.digest,
                "release": done.release.name,
                "commit": done.commit,
                "url": url,
                "bytes": done.size,
                "seconds": done.seconds,
                "notes": done.notes,
            }
        )
        return
    state = "proposed" if done.request else "rolled back"
    click.echo(f"{state}: {environment} from {done.left.digest} to {done.release.digest}")
    for phase, seconds in done.seconds.items():
        size = f"  {human_bytes(done.size)}" if phase == "verify" else ""
        click.echo(f"  {phase:8} {seconds:8.2f} s{size}")
    if done.request is not None:
        click.echo(url or f"merge it with: assay release approve '{model_name}' {environment}")
    for note in done.notes:
        click.echo(f"note: {note}", err=True)
