"""`assay store verify`: verify attestations and bytes."""

import click
from rich.progress import Progress

from assay.cli.console import NAME, human_bytes, json_option, print_json, stderr, use_defaults
from assay.core.context import store_from_env
from assay.core.provenance import verify, verify_store
from assay.core.signing import verifier_from_env
from assay.errors import IntegrityError, NotFoundError, UsageError
from assay.releases import log


@click.command("verify")
@click.argument("digest", type=NAME, required=False)
@json_option
def command(digest: str | None, as_json: bool) -> None:
    """Verify every byte behind the artifact DIGEST, or in the whole store.

    Checks that each artifact has an attestation that counts (signed, if ASSAY_VERIFY_KEYS is set),
    and that the bytes match the digests. With exit code 6 it lists everything that does not.
    """
    use_defaults()
    if digest == "":
        raise UsageError("DIGEST is empty; leave it out to verify the whole store")
    store, verifier = store_from_env(), verifier_from_env()
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        shown = bar.add_task("verifying", total=None)

        def progress(_: str) -> None:
            bar.advance(shown)

        if digest:
            notes: list[str] = []
            verified = verify(store, digest, verifier, progress)
        else:
            verified = verify_store(store, verifier, progress)
            if not verified.blobs:
                raise NotFoundError(f"{store.url} is empty; give the address of the store")
            faults = log.check(store, verifier)
            if broken := [f"{fault.what}: {fault.text}" for fault in faults if fault.broken]:
                raise IntegrityError.all_of(broken)
            notes = [f"{fault.what}: {fault.text}" for fault in faults]
    if as_json:
        print_json(
            {
                "verified": digest or store.url,
                "artifacts": verified.artifacts,
                "records": verified.attestations,
                "blobs": verified.blobs,
                "bytes": verified.size,
                "signaturesRequired": verifier is not None,
                "notes": notes,
            }
        )
        return
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(
        f"verified: {verified.artifacts} artifacts, {verified.attestations} attestations, "
        f"{verified.blobs} blobs, {human_bytes(verified.size)}"
        + ("" if verifier else "; signatures were not checked (ASSAY_VERIFY_KEYS is not set)")
    )
