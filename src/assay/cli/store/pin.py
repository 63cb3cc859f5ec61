"""`assay store pin`: keep an artifact until it is unpinned."""

import click

from assay.cli.console import NAME, json_option, print_json, print_table, use_defaults
from assay.core.context import store_from_env
from assay.core.maintenance import gc
from assay.errors import UsageError


@click.command("pin")
@click.argument("digest", type=NAME, required=False, default="")
@click.option("--reason", default="", help="Why it is pinned.")
@json_option
def command(digest: str, reason: str, as_json: bool) -> None:
    """Keep the artifact DIGEST, and all it is based on, until it is unpinned; or list pins.

    Example: assay store pin income@production --reason audit
    """
    use_defaults()
    store = store_from_env()
    if digest:
        gc.pin(store, digest, reason)
    elif reason:
        raise UsageError("--reason needs a DIGEST")
    pins = gc.pins(store)
    if as_json:
        print_json(pins)
    else:
        print_table(["pinned", "reason"], list(pins.items()))
