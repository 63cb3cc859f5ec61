"""`assay store fsck`: check every blob and every reference of a store."""

import click
from rich.progress import Progress

from assay.cli.console import (
    human_bytes,
    json_option,
    print_json,
    print_table,
    stderr,
    use_defaults,
)
from assay.core.context import store_from_env
from assay.core.maintenance.fsck import require_whole
from assay.core.signing import verifier_from_env
from assay.core.store import Store, open_store
from assay.errors import NotFoundError, StoreError
from assay.releases.upkeep import fsck


@click.command("fsck")
@click.option(
    "--from", "source_url", default="", metavar="URL", help="Repair from this copy of the store."
)
@click.option(
    "--repair",
    is_flag=True,
    help="Write damaged plain copies and pointers again from the store's own blobs.",
)
@json_option
def command(source_url: str, repair: bool, as_json: bool) -> None:
    """Check every blob, attestation, pointer and plain copy of the store, which may be in use.

    With --from, damaged and missing blobs and pointers are fetched from another store, checked and
    replaced, and damaged plain copies are written again. Exit code 6 if anything stays broken.
    Files that other programs added to a plain copy are only noted.
    """
    use_defaults()
    store = store_from_env()
    source = _replica(source_url) if source_url else None
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        shown = bar.add_task("checking", total=None)
        checked = fsck(
            store, verifier_from_env(), source, lambda _: bar.advance(shown), repair=repair
        )
    if not checked.blobs and not checked.references:
        raise NotFoundError(f"{store.url} is empty; give the address of the store")
    if as_json:
        print_json(
            {
                "store": store.url,
                "blobs": checked.blobs,
                "bytes": checked.size,
                "references": checked.references,
                "findings": [finding.to_dict() for finding in checked.findings],
                "broken": len(checked.broken),
            }
        )
    else:
        if checked.findings:
            rows = [[f.what, f.state, f.problem] for f in checked.findings]
            print_table(["what", "state", "problem"], rows)
        click.echo(
            f"checked {checked.blobs} blobs ({human_bytes(checked.size)}) and "
            f"{checked.references} references: {len(checked.findings)} findings, "
            f"{sum(f.mended for f in checked.findings)} repaired, {len(checked.broken)} broken"
        )
    require_whole(checked)


def _replica(url: str) -> Store:
    """A copy of the store to repair from.

    Raises:
        StoreError: It is empty.
    """
    source = open_store(url)
    if next(source.iter_blobs(), None) is None:
        raise StoreError(f"--from: {source.url} is empty; give the address of a replica")
    return source
