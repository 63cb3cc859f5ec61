"""`assay store gc`: remove what is no longer needed."""

from pathlib import Path

import click

from assay.cli.console import human_bytes, json_option, print_json, print_table, use_defaults
from assay.core.context import services_from_env
from assay.core.maintenance.gc import GRACE_SECONDS, Plan
from assay.core.store import Store
from assay.errors import UsageError
from assay.releases.upkeep import plan, registry_roots, release_roots, remove

_DAY = 24 * 3600


@click.command("gc")
@click.option("--delete", is_flag=True, help="Remove; without this, only list what can be removed.")
@click.option("--dry-run", is_flag=True, help="Only list what can be removed (the default).")
@click.option(
    "--grace",
    "days",
    type=float,
    default=GRACE_SECONDS / _DAY,
    show_default=True,
    help="Days for which everything written or used is kept: at least 2, and longer than any run.",
)
@click.option(
    "--release",
    "releases",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file with digests of releases, or a checkout of the deployment repository; repeatable.",
)
@click.option(
    "--keep-versions",
    type=click.IntRange(min=0),
    help="Keep only this number of newest versions of each registered model (default: all). Those "
    "with an alias and the last three in production are always kept.",
)
@click.option("--no-registry", is_flag=True, help="There is no registry.")
@json_option
def command(
    delete: bool,
    dry_run: bool,
    days: float,
    releases: tuple[Path, ...],
    keep_versions: int | None,
    no_registry: bool,
    as_json: bool,
) -> None:
    """Remove what no registered version, release, pin or recent run needs.

    A kept artifact keeps the attestations of how it was made, and all that those name.
    Without --delete nothing is removed.
    """
    if delete and dry_run:
        raise UsageError("--delete and --dry-run exclude each other")
    use_defaults()
    services = services_from_env()
    store, verifier = services.store, services.verifier

    def roots() -> dict[str, str]:
        needed = release_roots(releases, store)
        return needed if no_registry else needed | _registered(store, keep_versions)

    removable = plan(store, roots(), now=store.now(), grace=days * _DAY, verifier=verifier)
    removed = remove(store, removable, roots, verifier=verifier) if delete else 0
    _show(removable, removed if delete else None, as_json)


def _registered(store: Store, keep_versions: int | None) -> dict[str, str]:
    from assay.governance.registry import Registry

    roots = registry_roots(Registry(), keep_versions)
    # The wrong registry must not make everything removable.
    if not any(store.has(digest) for digest in roots):
        raise UsageError(
            f"no version in the registry (MLFLOW_TRACKING_URI) names an artifact in {store.url}; "
            "set it to the registry of this store, or give --no-registry"
        )
    return roots


def _show(removable: Plan, removed: int | None, as_json: bool) -> None:
    if as_json:
        print_json({**removable.to_dict(), "removed": removed})
        return
    rows = [
        [label, len(names)]
        for label, names in (
            ("cache entries", removable.cache),
            ("other pointers", removable.pointers),
            ("plain copies", removable.plain_copies),
            ("attestations", removable.attestations),
            ("manifests", removable.manifests),
            ("files", removable.files),
        )
    ]
    print_table(["can be removed", "count"], rows)
    kept = f"{len(removable.kept)} blobs stay, for {len(removable.roots)} roots"
    if removed is None:
        click.echo(
            f"{human_bytes(removable.size)} would be freed; {kept}; remove: assay store gc --delete"
        )
    else:
        click.echo(f"removed {removed} of {len(removable.blobs)} blobs; {kept}")
