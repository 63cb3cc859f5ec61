"""A dataset as one file, in bounded memory."""

from pathlib import Path

from assay.core.store.files import landing
from assay.data import arrow_schema, info, iter_batches
from assay.errors import UsageError


def write_parquet(folder: Path, target: Path) -> None:
    """One Parquet file; types and missing values are kept."""
    import pyarrow.parquet as pq

    schema = arrow_schema(folder)
    with (
        landing(target) as out,
        pq.ParquetWriter(out, schema, compression="zstd") as writer,
    ):
        for batch in iter_batches(folder):
            writer.write_batch(batch)


def write_csv(folder: Path, target: Path) -> None:
    """One CSV (RFC 4180, UTF-8): a header, texts quoted where needed, missing values empty."""
    import pyarrow as pa
    from pyarrow import csv

    schema = arrow_schema(folder)
    columns = info(folder).columns
    if len(columns) == 1 and columns[0].nulls:
        # It would be an empty line, which readers pass over: rows would be lost in silence.
        raise UsageError(
            f"column {columns[0].name!r} is the only one and has missing values, which a CSV "
            "cannot say; use file_format='parquet'"
        )
    with landing(target) as out, csv.CSVWriter(out, schema) as writer:
        for batch in iter_batches(folder):
            writer.write_table(pa.Table.from_batches([batch], schema))
