"""`assay store sign`: admit attestations that were made before keys were adopted."""

import click
from rich.progress import Progress

from assay.cli.console import NAME, human_bytes, print_table, stderr, use_defaults
from assay.core.config import services_from_env
from assay.text import short


@click.command("sign")
@click.argument("digest", type=NAME)
@click.option("--why", required=True, help="Why you take them for genuine.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(digest: str, why: str, yes: bool) -> None:
    """Admit, in your name, the unsigned attestations behind the artifact DIGEST.

    For what was made before keys were adopted. Reads and verifies every byte of all that the
    artifact rests on, shows each unsigned attestation, asks, and signs a statement that lists
    exactly these with ASSAY_SIGNING_KEY, an approver's key. They count from then on, and the
    passport shows them as admitted by you, not as signed. For a registered model give the digest of
    its registration or decision.
    """
    from assay.errors import UsageError
    from assay.releases.admit import admit, propose
    from assay.releases.statement import person, require_signer

    use_defaults()
    services = services_from_env()
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        shown = bar.add_task("verifying", total=None)
        found = propose(services.store, digest, services.verifier, lambda _: bar.advance(shown))
    signer = require_signer()
    if services.verifier is None:  # pragma: no cover - `propose` has refused
        raise UsageError("ASSAY_VERIFY_KEYS is not set")
    if not found.attestations:
        click.echo("nothing to admit: every attestation behind it is believed already")
        return
    print_table(
        ["attestation", "step", "made at", "code", "commit", "outputs"],
        [
            (
                short(record.digest),
                record.step,
                record.details.started,
                short(record.code_digest),
                record.git_commit[:12] or "unknown",
                ", ".join(short(output.digest) for output in record.outputs.values()),
            )
            for record in found.attestations
        ],
    )
    click.echo(f"verified: {human_bytes(found.size)}")
    if not yes:
        click.confirm(
            f"Admit these {len(found.attestations)} attestations in your name?", abort=True
        )
    made = admit(services.store, services.verifier, signer, found, by=person(), why=why)
    click.echo(f"admitted by {made.by}: {made.digest}")
