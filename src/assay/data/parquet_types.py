"""Determine from the metadata and values of a Parquet file how to read its columns."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.core.findings import Finding, named
from assay.core.limits import Limits
from assay.data.exact import SURE_DIGITS, Exactness
from assay.errors import DataError
from assay.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_FOOTER_BYTES: Final = 128 << 20
_NEAR_MICROSECONDS: Final = (1 << 63) // 1000
"""Range of 64-bit nanoseconds from 1970, in microseconds."""
INDEX_BYTES: Final = 16
"""Size per value below which a column has dictionary indices instead of texts."""
MAX_METADATA: Final = 16 << 20
"""Maximum size of the metadata of pandas."""

_UNNAMED_INDEX: Final = re.compile(r"__index_level_[0-9]+__|Unnamed: [0-9]+")
"""Names that pandas gives to an index without a name, in Parquet and when reading its CSV."""


def read_footer(path: Path, limits: Limits) -> "pq.FileMetaData":
    """Read the metadata of a Parquet file.

    Raises:
        DataError: The file is damaged, too wide or too large.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    packed = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(packed - 8, 0))
        footer_bytes = int.from_bytes(stream.read(4), "little")
        end = stream.read(4)
    if end not in {b"PAR1", b"PARE"}:
        raise DataError(f"{path.name}: a damaged Parquet file: its end is missing; fetch it again")
    if footer_bytes > MAX_FOOTER_BYTES:
        raise DataError(
            f"{path.name}: its footer would have {footer_bytes:,} bytes, and the limit is "
            f"{MAX_FOOTER_BYTES:,}; it is damaged, or has too many columns and row groups"
        )
    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path.name}: a damaged Parquet file: {reason}") from error
    limits.check_columns(footer.num_columns, path.name)
    pages = sum(footer.row_group(i).total_byte_size for i in range(footer.num_row_groups))
    limits.check_unpacked(pages, packed, path.name)
    # A cell takes at least one bit, even if it is encoded in less.
    limits.check_unpacked(footer.num_rows * footer.num_columns // 8, limits.table_bytes, path.name)
    return footer


def dictionary_encoded(footer: "pq.FileMetaData", schema: "pa.Schema") -> list[str]:
    """Text columns with dictionary encoding, which stores each distinct text once.

    Only columns with fewer than `INDEX_BYTES` per value, so that these can hardly be the texts.
    """
    import pyarrow as pa

    texts = {item.name for item in schema if pa.types.is_string(item.type)}
    encoded: set[str] = set()
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            if column.path_in_schema not in texts:
                continue
            packed = column.total_uncompressed_size < INDEX_BYTES * column.num_values
            if packed and any("DICTIONARY" in encoding for encoding in column.encodings):
                encoded.add(column.path_in_schema)
    return sorted(encoded)


def batch_rows(footer: "pq.FileMetaData", limits: Limits, most: int) -> int:
    """The number of rows of a batch whose decoded size cannot exceed the limit of a part.

    DELTA_BYTE_ARRAY stores the difference to the previous text only, so every value can be as long
    as the whole column chunk.

    Args:
        footer: The metadata of the file.
        limits: The limits.
        most: Maximum number of rows.

    Returns:
        The number of rows, at least 1.
    """
    longest = 1
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            if "DELTA_BYTE_ARRAY" in column.encodings:
                longest = max(longest, column.total_uncompressed_size)
    # Divided by 16, because rows are copied while their types are determined and converted.
    return max(1, min(most, limits.part_bytes // 16 // longest))


def int96_columns(footer: "pq.FileMetaData", schema: "pa.Schema") -> list[str]:
    """Columns with INT96 timestamps, which old versions of Spark and Impala write."""
    names = {
        footer.schema.column(place).path
        for place in range(footer.num_columns)
        if footer.schema.column(place).physical_type == "INT96"
    }
    return [name for name in schema.names if name in names]


def check_int96(nanoseconds: "pa.Array", microseconds: "pa.Array") -> None:
    """Check that INT96 timestamps are exact in microseconds.

    In nanoseconds, times before 1677 and after 2262 overflow; in microseconds, digits are dropped.

    Raises:
        pyarrow.ArrowInvalid: A time is not a multiple of a microsecond.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = pc.cast(microseconds, pa.timestamp("us")).cast(pa.int64())
    near = pc.less(pc.abs(whole), _NEAR_MICROSECONDS)
    exact = nanoseconds.cast(pa.int64())
    same = pc.equal(exact, pc.multiply(pc.if_else(near, whole, 0), 1000))
    if not pc.all(pc.or_(pc.invert(near), same), min_count=0).as_py():
        raise pa.ArrowInvalid("a time with more than six digits of a second")


def decoded_bytes(column: "pa.Array") -> int:
    """Size of the values of a column without dictionary encoding."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    values = column.dictionary
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return 8 * len(column)
    lengths = pc.cast(pc.binary_length(values), pa.int64())
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0) + 4 * len(column)


def index_like(names: Iterable[str]) -> list[str]:
    """Columns with a name that pandas gives to an index without a name."""
    return [name for name in names if _UNNAMED_INDEX.fullmatch(name)]


def kept_index(names: Sequence[str]) -> list[Finding]:
    """The finding for such columns if the file does not declare them as an index."""
    if not names:
        return []
    text = (
        f"{named(names)}: named as pandas names an index, but the file does not say that it is "
        "one; kept. If it is, write the file with index=False, or drop the column"
    )
    return [Finding("index-kept", text, tuple(names))]


def index_columns(schema: "pa.Schema") -> tuple[set[str], list[Finding]]:
    """Find columns that are an unnamed pandas index, which is the row number and not data.

    Such a column is dropped if the pandas metadata of the file declares it as the index. Otherwise
    it is kept, with a finding. An index with a name is a normal column.

    Returns:
        The columns to drop, and the findings.
    """
    like = index_like(schema.names)
    if not like:
        return set(), []
    declared = _declared(schema)
    dropped = [name for name in like if name in declared]
    kept = [name for name in like if name not in declared]
    findings = []
    if dropped:
        text = (
            f"{named(dropped)}: the index of the pandas frame that was written, and no data; left "
            "out. Name the index to keep it"
        )
        findings.append(Finding("index-left-out", text, tuple(dropped)))
    findings += kept_index(kept)
    return set(dropped), findings


def _declared(schema: "pa.Schema") -> set[str]:
    raw = (schema.metadata or {}).get(b"pandas", b"")
    try:
        names = json.loads(raw[:MAX_METADATA]).get("index_columns", [])
    except (ValueError, AttributeError, RecursionError):
        return set()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def extension(item: "pa.Field") -> str:
    """The name of the extension type of a column; empty for none.

    If the extension type is not registered, Arrow returns the storage values: for a period of
    pandas, for example, the number of months since 1970.
    """
    import pyarrow as pa

    if isinstance(item.type, pa.BaseExtensionType):
        return str(item.type.extension_name)
    return str((item.metadata or {}).get(b"ARROW:extension:name", b""), "utf-8", "replace")


def wide_decimals(path: Path, fields: "Sequence[pa.Field]") -> tuple[dict[str, Any], list[Finding]]:
    """Determine the types of decimal columns with more than 15 digits.

    The type is float64 if it represents all integers of the column exactly; otherwise int64 if all
    values are integers that fit, and text if not. Rounded fractions are reported in a finding.

    Returns:
        Types by column, and the findings.
    """
    import pyarrow as pa

    wide = [
        item.name
        for item in fields
        if pa.types.is_decimal(item.type) and item.type.precision > SURE_DIGITS
    ]
    if not wide:
        return {}, []
    try:
        exact, whole = _exactness(path, wide)
    except (pa.ArrowException, OSError):
        # Reported when the rows are read.
        return {}, []
    types: dict[str, Any] = {}
    findings = []
    for name in wide:
        beyond = exact[name].beyond
        types[name] = pa.float64()
        if beyond and whole[name]:
            types[name] = pa.int64()
        elif beyond:
            types[name] = pa.string()
            text = (
                f"{named([name])}: decimals such as {quoted(beyond)} are beyond what int64 and "
                "float64 hold; kept as text, none was changed"
            )
            findings.append(Finding("beyond-float64", text, (name,)))
        elif (rounded := exact[name].finding(name)) is not None:
            findings.append(rounded)
    return types, findings


def _exactness(path: Path, names: Sequence[str]) -> tuple[dict[str, Exactness], dict[str, bool]]:
    """By decimal column: the exactness in float64, and whether all values fit into int64."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    exact = {name: Exactness() for name in names}
    whole = dict.fromkeys(names, True)
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(columns=names):
            for name in names:
                texts = as_text(batch.column(name).drop_null())
                exact[name].add(texts, pc.cast(texts, pa.float64()))
                whole[name] = whole[name] and _fits_int64(texts)
    return exact, whole


def as_text(column: "pa.Array") -> "pa.Array":
    """Decimals as text, without exponent and without trailing zeros of the fraction."""
    import pyarrow as pa

    texts = [None if value is None else f"{value:f}" for value in column.to_pylist()]
    plain = [
        text.rstrip("0").rstrip(".") if text is not None and "." in text else text for text in texts
    ]
    return pa.array(plain, pa.string())


def _fits_int64(texts: "pa.Array") -> bool:
    return all("." not in text and -(1 << 63) <= int(text) < 1 << 63 for text in texts.to_pylist())
