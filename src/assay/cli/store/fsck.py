"""`assay store fsck`: every blob against its name, every reference against what it leads to."""

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
    help="Make damaged plain copies and pointers again from the store's own blobs.",
)
@json_option
def command(source_url: str, repair: bool, as_json: bool) -> None:
    """Check every blob, attestation, pointer and plain copy of the store, which may be in use.

    With --from, what is damaged or missing is fetched from another store, checked and put in its
    place, and damaged plain copies are made again. Exit code 6 when something is left broken; files
    that other programs added to a plain copy are noted, and break nothing.
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
        raise NotFoundError(f"nothing is in {store.url}; give the store's address")
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
        StoreError: Nothing is there, so nothing could be repaired from it.
    """
    source = open_store(url)
    if next(source.iter_blobs(), None) is None:
        raise StoreError(f"--from: nothing is in {source.url}; give the address of a replica")
    return source
