"""`assay model diff`: two models, or two datasets."""

from typing import Any

import click

from assay.cli.console import NAME, json_option, print_json, print_table, use_defaults
from assay.core.context import store_from_env
from assay.core.signing import verifier_from_env
from assay.core.tree import get_manifest
from assay.errors import UsageError
from assay.governance.comparison import compare, properties


@click.command("diff")
@click.argument("left", type=NAME)
@click.argument("right", type=NAME)
@click.option("--all", "everything", is_flag=True, help="Also show what is equal.")
@json_option
def command(left: str, right: str, everything: bool, as_json: bool) -> None:
    """Compare two models or two datasets: parameters, data, code, metrics."""
    use_defaults()
    store, verifier = store_from_env(), verifier_from_env()
    manifests = [get_manifest(store, digest) for digest in (left, right)]
    kinds = [manifest.artifact_type for manifest in manifests]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"the kinds differ: {kinds[0]} and {kinds[1]}; give two artifacts of the same kind"
        )
    described = [properties(store, manifest, verifier) for manifest in manifests]
    rows = compare(*described)
    shown = [row for row in rows if everything or row.left != row.right]
    if as_json:
        print_json([{"what": r.what, "left": r.left, "right": r.right} for r in shown])
        return
    if not shown:
        click.echo("no difference")
        return
    print_table(
        ["what", "left", "right", "change"],
        [(row.what, _text(row.left), _text(row.right), row.change) for row in shown],
    )


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
