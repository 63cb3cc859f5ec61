"""`assay store sign`: admit attestations from before keys were configured."""

import click
from rich.progress import Progress

from assay.cli.console import NAME, human_bytes, print_table, stderr, use_defaults
from assay.text import short


@click.command("sign")
@click.argument("digest", type=NAME)
@click.option("--why", required=True, help="Why they are genuine.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def command(digest: str, why: str, yes: bool) -> None:
    """Admit, in your name, the unsigned attestations behind the artifact DIGEST.

    For attestations from before keys were configured. Verifies every byte that the artifact is
    based on, shows each unsigned attestation, asks for confirmation, and signs a statement that
    lists exactly these with ASSAY_SIGNING_KEY, an approver's key. They count from then on, and the
    passport shows them as admitted by you, not as signed. For a registered model give the digest of
    its registration or decision.
    """
    from assay.releases.admit import admit, propose
    from assay.releases.deployment import Deployment
    from assay.releases.statement import person

    use_defaults()
    deployment = Deployment.from_env(repository=False)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        shown = bar.add_task("verifying", total=None)
        result = propose(deployment.services, digest, lambda _: bar.advance(shown))
    deployment.require_signer()
    if not result.attestations:
        click.echo("nothing to admit: every attestation behind it already counts")
        return
    print_table(
        ["attestation", "step", "made at", "code", "commit", "outputs"],
        [
            (
                short(attestation.digest),
                attestation.step,
                attestation.details.started,
                short(attestation.code_digest),
                attestation.git_commit[:12] or "unknown",
                ", ".join(short(output.digest) for output in attestation.outputs.values()),
            )
            for attestation in result.attestations
        ],
    )
    click.echo(f"verified: {human_bytes(result.size)}")
    if not yes:
        click.confirm(
            f"Admit these {len(result.attestations)} attestations in your name?", abort=True
        )
    made = admit(deployment, result, by=person(), why=why)
    click.echo(f"admitted by {made.by}: {made.digest}")
