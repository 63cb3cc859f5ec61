"""A foreign table as a dataset."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay import data as dataset
from assay.data.sources import Options, Table, open_table
from assay.errors import DataError
from assay.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from assay.core.findings import Finding

__all__ = ["Options", "convert"]

_ARCHIVE: Final = b"PK\x03\x04"
_PARQUET: Final = b"PAR1"
_PICKLE: Final = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_MAX_NAMED: Final = 10


def convert(
    place: Path, options: Options, target: str, rows_per_part: int, folder: Path
) -> "dataset.DatasetInfo":
    """Write the table at `place`, a file or a folder of Parquet files, as a dataset.

    Args:
        place: The file or folder.
        options: How a CSV is read.
        target: Column that must exist; empty: not checked.
        rows_per_part: Rows of each Parquet part.
        folder: Where the dataset is written.

    Raises:
        DataError: Not a table; names everything that is wrong.
    """
    required = [("target", target)] if target else []
    if place.is_dir() and not (place / dataset.SCHEMA_FILE).is_file():
        table = _open_folder(place, required)
    else:
        if place.is_file():
            _refuse_others(place)
        table = open_table(place, options, required=required)
    return dataset.write(
        table.batches(),
        table.schema,
        folder,
        rows_per_part=rows_per_part,
        findings=table.findings,
    )


def _refuse_others(place: Path) -> None:
    """Refuse files that people pass between components and that are not tables."""
    with place.open("rb") as stream:
        head = stream.read(len(_ARCHIVE))
    if head.startswith(_PICKLE):
        raise DataError(
            "the artifact is a pickle, which runs code when it is read; write a table as CSV or "
            "Parquet, and a model with mlflow.sklearn.save_model(…, serialization_format='skops')"
        )
    if head == _ARCHIVE:
        raise DataError(
            "the artifact is a zip archive; write a table as CSV or Parquet, and a model as a "
            "folder with mlflow.sklearn.save_model(…, serialization_format='skops')"
        )


def _open_folder(folder: Path, required: list[tuple[str, str]]) -> Table:
    """A folder of Parquet files, in order of name, as Spark and pyarrow write one."""
    # Names that begin so are markers and checksums (_SUCCESS, .part-0.crc), not data.
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(("_", "."))
    )
    others = [path.name for path in paths if path.suffix.lower() != ".parquet"]
    if others or not paths:
        content = ", ".join(others[:_MAX_NAMED]) or "nothing"
        raise DataError(
            f"the artifact is a folder that holds {content}; give one CSV or Parquet file, a "
            "folder of .parquet files, or a model's folder with its MLmodel"
        )
    nested = sorted({str(path.parent.relative_to(folder)) for path in paths} - {"."})
    if nested:
        raise DataError(
            f"the artifact has folders in it ({', '.join(nested[:_MAX_NAMED])}); a column that "
            "is stored in folder names would be lost: write it without partitions"
        )
    named_only = [path.name for path in paths if not _is_parquet(path)]
    if named_only:
        raise DataError(
            f"{', '.join(named_only[:_MAX_NAMED])}: no Parquet, whatever the name says; write all "
            "files of the folder as Parquet, or give one CSV file"
        )
    tables = [open_table(path, required=required) for path in paths]
    schema = tables[0].schema
    zoned = _zoned(paths[0])
    unlike = [
        path.name
        for path, table in zip(paths, tables, strict=True)
        if not table.schema.equals(schema) or _zoned(path) != zoned
    ]
    if unlike:
        raise DataError(
            f"{', '.join(unlike[:_MAX_NAMED])}: other columns or types than {paths[0].name}; write "
            "all files with one schema"
        )
    order = _order([path.name for path in paths])

    def batches() -> "Iterator[pa.RecordBatch]":
        for table in tables:
            yield from table.batches()

    def findings() -> "list[Finding]":
        every = (finding for table in tables for finding in table.findings())
        return [*order, *dict.fromkeys(every)]

    return Table(schema, batches, findings)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_PARQUET)) == _PARQUET


def _zoned(path: Path) -> set[str]:
    """Columns of times with a zone: a dataset has these in UTC, and those without as they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return {
        item.name
        for item in pq.read_schema(path)
        if pa.types.is_timestamp(item.type) and item.type.tz is not None
    }


def _order(names: list[str]) -> "list[Finding]":
    """A finding about names whose order is not that of the numbers in them."""
    from itertools import pairwise

    from assay.core.findings import Finding

    def numbers(name: str) -> list[int]:
        return [int(digits) for digits in re.findall("[0-9]{1,18}", name)]

    for before, after in pairwise(names):
        alike = re.sub("[0-9]+", "0", before) == re.sub("[0-9]+", "0", after)
        if alike and numbers(before) > numbers(after):
            text = (
                f"files are read in order of name, {quoted(before)} before {quoted(after)}; if the "
                "order of rows matters, write the numbers with leading zeros"
            )
            return [Finding("order-of-files", text)]
    return []
