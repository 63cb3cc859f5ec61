"""export_artifact: the work.

No step of `assay.core.step`: it makes no artifact that anything of ours reads, so there is nothing
to name, cache or attest. What it wrote is the artifact under the digest that it was given, which
the metadata of the KFP artifact repeats.
"""

import json
import os
from pathlib import Path
from typing import Any, Final, Protocol

from assay.core.manifest import Manifest
from assay.core.step import Dataset, Model
from assay.core.store import Store
from assay.errors import UsageError

FORMATS: Final = ("parquet", "csv")
MAX_COLUMNS: Final = 200
"""Columns that the metadata lists: KFP keeps metadata in a database."""


class Place(Protocol):
    """What KFP gives for an output artifact."""

    path: str
    metadata: dict[str, Any]


def export_artifact(
    *, artifact: str, dataset: Place, model: Place, file_format: str = "parquet"
) -> None:
    """Write the dataset or model of a digest where components that know nothing of digests read it.

    Args:
        artifact: Digest of a dataset or a model.
        dataset: Where a table is written, as one file.
        model: Where a model is written, as a folder.
        file_format: Of a dataset: "parquet", or "csv", which keeps no types.

    Raises:
        UsageError: Not a digest, a digest of another kind, or an unknown format; names all.
        IntegrityError: Bytes do not match their digest; nothing is left.
    """
    from assay.core.context import store_from_env
    from assay.core.tree import get_manifest
    from assay.governance.model_names import resolve

    problems = []
    if file_format not in FORMATS:
        problems.append(f"file_format is {file_format!r}; use 'parquet' or 'csv'")
    store = store_from_env()
    try:
        digest = resolve(artifact, store, "artifact")
    except UsageError as error:
        problems.append(str(error))
    if problems:
        raise UsageError.all_of(problems)
    manifest = get_manifest(store, digest)
    if manifest.artifact_type == Dataset.type:
        _export_dataset(store, manifest, file_format, dataset)
    elif manifest.artifact_type == Model.type:
        _export_model(store, manifest, model)
    else:
        raise UsageError(
            f"{artifact} is of type {manifest.artifact_type}; give the digest of a dataset or a "
            "model"
        )


def _export_dataset(store: Store, manifest: Manifest, file_format: str, place: Place) -> None:
    import tempfile

    from assay import data as dataset
    from assay.components.export_artifact.table import write_csv, write_parquet
    from assay.core.settings import WORK
    from assay.core.tree import get_tree

    target = Path(place.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="assay-", dir=WORK.get() or None) as work:
        folder = Path(work) / "dataset"
        get_tree(store, manifest, folder)
        (write_csv if file_format == "csv" else write_parquet)(folder, target)
        table = dataset.info(folder)
    schema = {column.name: column.type for column in table.columns[:MAX_COLUMNS]}
    place.metadata.update(
        digest=manifest.digest,
        format=file_format,
        rows=table.rows,
        columns=len(table.columns),
        schema=json.dumps(schema, ensure_ascii=False),
    )


def _export_model(store: Store, manifest: Manifest, place: Place) -> None:
    from assay.core.tree import get_tree
    from assay.models.info import read_info

    target = Path(place.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    get_tree(store, manifest, target)
    for parent, _, _ in os.walk(target):
        # Ours are read-only; whoever moves or removes KFP's files must be able to.
        Path(parent).chmod(0o755)
    info = read_info(target)
    place.metadata.update(
        digest=manifest.digest,
        format="mlflow",
        task=info.task,
        target=info.target,
        estimator=info.estimator,
        rows=info.rows,
        features=len(info.features),
    )
