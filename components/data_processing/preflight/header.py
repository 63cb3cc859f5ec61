"""A table's column names, without reading the table: seconds, however large it is.

A CSV names its columns at its beginning, a Parquet file at its end, a dataset in `schema.json`.
"""

import os
import tempfile
import zlib
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from assay.core.digest import is_digest
from assay.core.limits import Limits
from assay.core.locations import require_admitted
from assay.core.resolve import is_short, resolve
from assay.core.source import local_path, peek, request
from assay.core.step import Dataset
from assay.core.store import Store
from assay.core.tree import get_manifest, read_entry
from assay.data import info
from assay.data.csv_bytes import GZIP_MAGIC
from assay.data.csv_source import SAMPLE_BYTES, Options, doubts, read_header
from assay.data.file_kinds import HEAD_BYTES, not_a_table
from assay.data.parquet_types import index_columns
from assay.data.schema import MAX_SCHEMA_BYTES
from assay.data.sources import PARQUET_MAGIC
from assay.documents import open_regular
from assay.errors import DataError, NotFoundError, UsageError
from assay.printable import public

MAX_HEADER_BYTES: Final = 16 << 20
"""Of a CSV's first row, or of a Parquet file's footer."""
TAIL_BYTES: Final = 8
"""A Parquet file ends in its footer's length (4 bytes, little endian) and its magic."""
TIMEOUT_SECONDS: Final = 10
_PARTIAL_CONTENT: Final = 206


def column_names(location: str, options: Options, store: Store) -> list[str]:
    """Column names of the table at `location`; empty if they cannot be read quickly.

    That is a Parquet file on a web server without range requests; `snapshot_data` reads it.

    Args:
        location: A path, URL or digest.
        options: How a CSV is read.
        store: Where a digest is looked up.

    Raises:
        DataError: It does not exist, is not a table, or has an invalid header.
        UsageError: Not a location, or a digest of something else than a dataset.
    """
    if is_digest(location) or is_short(location):
        return dataset_columns(resolve(location, store, "data"), store, "data")
    start = peek(location, SAMPLE_BYTES)
    if start.startswith(PARQUET_MAGIC):
        return _parquet_names(location)
    text = _text(start)
    if what := not_a_table(text[:HEAD_BYTES], options.encoding):
        raise DataError(f"data: {public(location)} {what}")
    if b"\n" not in text.strip() and len(start) == SAMPLE_BYTES:
        # A header with thousands of columns: truncated, its last name would look misspelled.
        text = _text(peek(location, MAX_HEADER_BYTES))
    header = read_header(text, options)
    Limits.from_env().check_columns(len(header.names), f"data: {public(location)}")
    if doubt := doubts(text, header, options):
        raise DataError(f"data: {public(location)}: {doubt}")
    if header.problems:
        raise DataError(f"data: {public(location)}: {'; '.join(header.problems)}")
    return list(header.names)


def dataset_columns(digest: str, store: Store, what: str) -> list[str]:
    """Column names of a dataset in the store.

    Args:
        digest: Digest of the dataset.
        store: Where it is.
        what: The parameter's name, for messages.

    Raises:
        UsageError: It is not a dataset.
        NotFoundError: It is not in the store.
    """
    try:
        manifest = get_manifest(store, digest)
    except NotFoundError as error:
        raise NotFoundError(f"{what}: no dataset {digest}: {error}") from error
    if manifest.artifact_type != Dataset.type:
        raise UsageError(f"{what}: {digest} is of type {manifest.artifact_type}, not a dataset")
    if (entry := manifest.find("schema.json")) is None:
        raise UsageError(f"{what}: {digest} holds no schema.json; it is not a dataset")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / entry.path
        path.write_bytes(read_entry(store, entry, MAX_SCHEMA_BYTES))
        return list(info(Path(folder)).names)


def _text(start: bytes) -> bytes:
    """The beginning of a file, decompressed if it is compressed, as far as it is complete."""
    if not start.startswith(GZIP_MAGIC):
        return start
    try:
        return zlib.decompressobj(wbits=31).decompress(start, MAX_HEADER_BYTES)
    except zlib.error as error:
        raise DataError(f"data: a damaged gzip file ({error}); fetch it again") from error


def _parquet_names(location: str) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tail = _tail(location, TAIL_BYTES)
    size = int.from_bytes(tail[:4], "little")
    if tail and (tail[4:] != PARQUET_MAGIC or not 0 < size <= MAX_HEADER_BYTES):
        raise DataError(f"data: {public(location)}: a damaged Parquet file; fetch it again")
    footer = _tail(location, size + TAIL_BYTES) if tail else b""
    if not footer:
        return []
    try:
        # The schema is in the footer alone, so a file without its rows is enough.
        schema = pq.read_schema(pa.BufferReader(PARQUET_MAGIC + footer))
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"data: {public(location)}: a damaged Parquet file; fetch it again"
        ) from error
    Limits.from_env().check_columns(len(schema.names), f"data: {public(location)}")
    left_out, _ = index_columns(schema)
    return [name for name in schema.names if name not in left_out]


def _tail(location: str, size: int) -> bytes:
    """The last `size` bytes of a location whose beginning was read; empty if not available.

    Raises:
        DataError: It can no longer be read.
    """
    if (local := local_path(location)) is not None:
        with open_regular(local) as stream:
            stream.seek(max(os.fstat(stream.fileno()).st_size - size, 0))
            return stream.read(size)
    if location.startswith("s3://"):
        return _s3_tail(location, size)
    return _http_tail(location, size)


def _s3_tail(location: str, size: int) -> bytes:
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    from assay.core.store.client import client_for

    parts = urlsplit(location)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    try:
        place = require_admitted(location)
        client = client_for(location, anonymous=not place.credentials)
        total = client.stat_object(bucket, key).size or 0
        response = client.get_object(bucket, key, offset=max(total - size, 0), length=size)
        try:
            tail: bytes = response.read(size)
        finally:
            response.close()
            response.release_conn()
    except (MinioException, HTTPError) as error:
        raise DataError(
            f"data: {public(location)}: the end of the file cannot be read "
            f"({type(error).__name__}); try again"
        ) from error
    return tail


def _http_tail(location: str, size: int) -> bytes:
    import urllib3

    try:
        # Where a redirect leads was checked for the beginning of the file, not here.
        with request(location, {"Range": f"bytes=-{size}"}, TIMEOUT_SECONDS) as response:
            # A server without ranges would now send the whole file.
            tail: bytes = response.read(size) if response.status == _PARTIAL_CONTENT else b""
            return tail
    except urllib3.exceptions.HTTPError as error:
        raise DataError(
            f"data: {public(location)}: the end of the file cannot be read "
            f"({type(error).__name__}); try again"
        ) from error
