"""What a Parquet file's own metadata and values say about how its columns are to be read."""

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
"""From 1970, as far as 64 bits of nanoseconds reach."""
INDEX_BYTES: Final = 16
"""For each value; fewer are an index into a dictionary and not a text."""
MAX_METADATA: Final = 16 << 20
"""Bytes of pandas' metadata that are read."""

_UNNAMED_INDEX: Final = re.compile(r"__index_level_[0-9]+__|Unnamed: [0-9]+")
"""How pandas names an index without a name: in Parquet, and when it reads its own CSV again."""


def read_footer(path: Path, limits: Limits) -> "pq.FileMetaData":
    """What a Parquet file says of itself, if it is neither too wide nor too large.

    Raises:
        DataError: It is, or it is damaged.
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
    # A cell takes at least a bit, however well the file packs it.
    limits.check_unpacked(footer.num_rows * footer.num_columns // 8, limits.table_bytes, path.name)
    return footer


def dictionary_encoded(footer: "pq.FileMetaData", schema: "pa.Schema") -> list[str]:
    """Text columns that the file keeps as dictionaries, which hold each long text once.

    Only those of which it keeps so little for each value that these can hardly be the texts.
    """
    import pyarrow as pa

    wanted = {item.name for item in schema if pa.types.is_string(item.type)}
    found: set[str] = set()
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            if column.path_in_schema not in wanted:
                continue
            packed = column.total_uncompressed_size < INDEX_BYTES * column.num_values
            if packed and any("DICTIONARY" in encoding for encoding in column.encodings):
                found.add(column.path_in_schema)
    return sorted(found)


def batch_rows(footer: "pq.FileMetaData", limits: Limits, most: int) -> int:
    """How many rows to read at a time so that no encoding makes them larger than a part may be.

    DELTA_BYTE_ARRAY writes of a text only what differs from the one before, so a value can be as
    long as the whole column chunk, and each row can hold such a value.
    """
    longest = 1
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            if "DELTA_BYTE_ARRAY" in column.encodings:
                longest = max(longest, column.total_uncompressed_size)
    # A sixteenth, because rows are copied while their types are found and converted.
    return max(1, min(most, limits.part_bytes // 16 // longest))


def int96_columns(footer: "pq.FileMetaData", schema: "pa.Schema") -> list[str]:
    """Times in the form that old Spark and Impala write, nanoseconds of 96 bits."""
    names = {
        footer.schema.column(place).path
        for place in range(footer.num_columns)
        if footer.schema.column(place).physical_type == "INT96"
    }
    return [name for name in schema.names if name in names]


def check_int96(nanoseconds: "pa.Array", microseconds: "pa.Array") -> None:
    """Refuse times that one of the two readings of INT96 changed.

    As nanoseconds, times before 1677 and after 2262 turn into others; as microseconds, digits are
    dropped.

    Raises:
        pyarrow.ArrowInvalid: A time has more digits than microseconds.
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
    """Bytes of a column's values when each stands for itself."""
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
    """Columns that are named as pandas names an index without a name."""
    return [name for name in names if _UNNAMED_INDEX.fullmatch(name)]


def kept_index(names: Sequence[str]) -> list[Finding]:
    """What to say about such columns where nothing says that they are an index."""
    if not names:
        return []
    text = (
        f"{named(names)}: named as pandas names an index, but the file does not say that it is "
        "one; kept. If it is, write the file with index=False, or drop the column"
    )
    return [Finding("index-kept", text, tuple(names))]


def index_columns(schema: "pa.Schema") -> tuple[set[str], list[Finding]]:
    """Columns that are an unnamed pandas index, which is the rows' order and no data.

    Such a column is dropped if the file's pandas metadata says that it is the index. Without that
    it stays, and a finding says so. An index with a name is a column like any other.
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
        told = json.loads(raw[:MAX_METADATA]).get("index_columns", [])
    except (ValueError, AttributeError, RecursionError):
        return set()
    return {name for name in told if isinstance(name, str)} if isinstance(told, list) else set()


def extension(item: "pa.Field") -> str:
    """The name of the type that is built upon the column's; empty for none.

    Where nobody has registered that type, Arrow gives the values that it is built upon: of a month
    of pandas the number of months since 1970.
    """
    import pyarrow as pa

    if isinstance(item.type, pa.BaseExtensionType):
        return str(item.type.extension_name)
    return str((item.metadata or {}).get(b"ARROW:extension:name", b""), "utf-8", "replace")


def wide_decimals(
    path: Path, fields: "Sequence[pa.Field]"
) -> tuple[dict[str, Any], list[Finding], list[str]]:
    """The type that holds the values of each decimal column of more than 15 digits.

    float64 where it gives every value back, as it does for 15 digits; else int64 where all are
    whole numbers that fit; else text where a whole number would change. Fractions may be rounded,
    which a finding says.

    Returns:
        Types by column, findings, and problems.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wide = [
        item.name
        for item in fields
        if pa.types.is_decimal(item.type) and item.type.precision > SURE_DIGITS
    ]
    if not wide:
        return {}, [], []
    exact = {name: Exactness() for name in wide}
    whole = dict.fromkeys(wide, True)
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            for batch in file.iter_batches(columns=wide):
                for name in wide:
                    texts = as_text(batch.column(name).drop_null())
                    exact[name].add(texts, pc.cast(texts, pa.float64()))
                    whole[name] = whole[name] and _fits_int64(texts)
    except (pa.ArrowException, OSError):
        # Reported with everything else when the rows are read.
        return {}, [], []
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
    return types, findings, []


def as_text(column: "pa.Array") -> "pa.Array":
    """Decimals as plain text, without an exponent and without zeros at a fraction's end."""
    import pyarrow as pa

    texts = [None if value is None else f"{value:f}" for value in column.to_pylist()]
    plain = [
        text.rstrip("0").rstrip(".") if text is not None and "." in text else text for text in texts
    ]
    return pa.array(plain, pa.string())


def _fits_int64(texts: "pa.Array") -> bool:
    return all("." not in text and -(1 << 63) <= int(text) < 1 << 63 for text in texts.to_pylist())
