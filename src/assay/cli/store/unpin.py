"""`assay store unpin`: remove the pin of an artifact."""

import click

from assay.cli.console import NAME, use_defaults
from assay.core.context import store_from_env
from assay.core.maintenance.gc import pins, unpin
from assay.errors import NotFoundError


@click.command("unpin")
@click.argument("digest", type=NAME)
def command(digest: str) -> None:
    """Remove the pin of DIGEST: keep it only while something else needs it.

    Example: assay store unpin income@production
    """
    use_defaults()
    store = store_from_env()
    if digest not in pins(store):
        raise NotFoundError(f"{digest} is not pinned; list pins: assay store pin")
    unpin(store, digest)
    click.echo(f"unpinned: {digest}")
