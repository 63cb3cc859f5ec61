"""`assay store gc`: remove what nothing rests on."""

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
@click.option("--delete", is_flag=True, help="Remove it; without this, only say what would go.")
@click.option("--dry-run", is_flag=True, help="Only say what would go (the default).")
@click.option(
    "--grace",
    "days",
    type=float,
    default=GRACE_SECONDS / _DAY,
    show_default=True,
    help="Days for which everything written or used stays: at least 2, and longer than any run.",
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
    help="Keep only so many of the newest versions of each registered model (default: all). Those "
    "with an alias and the last three in production always stay.",
)
@click.option("--no-registry", is_flag=True, help="There is no registry to ask.")
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
    """Remove what no registered version, release, pin or recent run rests on.

    An artifact that stays keeps the attestations of how it was made and all that those name.
    Without --delete nothing is removed.
    """
    if delete and dry_run:
        raise UsageError("--delete and --dry-run exclude each other")
    use_defaults()
    services = services_from_env()
    store, verifier = services.store, services.verifier

    def roots() -> dict[str, str]:
        found = release_roots(releases, store)
        return found if no_registry else found | _registered(store, keep_versions)

    found = plan(store, roots(), now=store.now(), grace=days * _DAY, verifier=verifier)
    removed = remove(store, found, roots, verifier=verifier) if delete else 0
    _show(found, removed if delete else None, as_json)


def _registered(store: Store, keep_versions: int | None) -> dict[str, str]:
    from assay.governance.registry import Registry

    roots = registry_roots(Registry(), keep_versions)
    # The wrong registry must not make everything removable.
    if not any(store.has(digest) for digest in roots):
        raise UsageError(
            f"no version in the registry (MLFLOW_TRACKING_URI) names anything in {store.url}; set "
            "it to the registry of this store, or say --no-registry"
        )
    return roots


def _show(found: Plan, removed: int | None, as_json: bool) -> None:
    if as_json:
        print_json({**found.to_dict(), "removed": removed})
        return
    rows = [
        [what, len(names)]
        for what, names in (
            ("cache entries", found.cache),
            ("other pointers", found.pointers),
            ("plain copies", found.plain_copies),
            ("attestations", found.attestations),
            ("manifests", found.manifests),
            ("files", found.files),
        )
    ]
    print_table(["can be removed", "count"], rows)
    kept = f"{len(found.kept)} blobs stay, for {len(found.roots)} roots"
    if removed is None:
        click.echo(
            f"{human_bytes(found.size)} would be freed; {kept}; remove: assay store gc --delete"
        )
    else:
        click.echo(f"removed {removed} of {len(found.blobs)} blobs; {kept}")
