"""`assay store unpin`: keep an artifact no longer for its own sake."""

import click

from assay.cli.console import NAME, use_defaults
from assay.core.context import store_from_env
from assay.core.maintenance.gc import pins, unpin
from assay.errors import NotFoundError


@click.command("unpin")
@click.argument("digest", type=NAME)
def command(digest: str) -> None:
    """Keep the artifact DIGEST only as long as something else needs it.

    Example: assay store unpin income@production
    """
    use_defaults()
    store = store_from_env()
    if digest not in pins(store):
        raise NotFoundError(f"{digest} is not pinned; see what is: assay store pin")
    unpin(store, digest)
    click.echo(f"unpinned: {digest}")
