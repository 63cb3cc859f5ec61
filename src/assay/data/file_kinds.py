"""Recognize files that are not tables by their first bytes, to give a specific remedy."""

import re
from typing import Final

HEAD_BYTES: Final = 4096
"""Number of bytes to read."""
_ENOUGH: Final = 64
"""Minimum size to distinguish binary files from text."""
_MOST_CONTROLS: Final = 0.05
_SAVE: Final = "save the table as CSV or Parquet"
_EXCEL: Final = f"{_SAVE} (in Excel: CSV UTF-8)"

_MAGIC: Final = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)", _EXCEL),
    (b"ARROW1", "an Arrow or Feather file", "write it with pyarrow.parquet.write_table"),
    (b"FEA1", "a Feather file", "write it with pandas' to_parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"SQLite format 3\0", "an SQLite database", "export the query's result as CSV"),
    (b"%PDF", "a PDF document", _SAVE),
    (b"PARE", "an encrypted Parquet file", "write it without encryption"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "write it with pandas' to_parquet"),
    (b"\x93NUMPY", "a NumPy array", "write it with pandas' to_parquet, with column names"),
    (b"BZh", "a file packed with bzip2", "unpack it, or pack it with gzip"),
    (b"\xfd7zXZ\0", "a file packed with xz", "unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "a file packed with zstd", "unpack it, or pack it with gzip"),
    (b"\x04\x22\x4d\x18", "a file packed with lz4", "unpack it, or pack it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-zip archive", "unpack it and give the one table in it"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it and give the one table in it"),
    (b"\x89PNG", "an image", _SAVE),
    (b"\xff\xd8\xff", "an image", _SAVE),
    (b"GIF8", "an image", _SAVE),
    (b"\x7fELF", "a program", _SAVE),
    (b"RDX", "an R workspace", "write it with R's arrow::write_parquet"),
    (b"$FL2", "an SPSS file", "write it as CSV"),
    (b"<stata_dta>", "a Stata file", "write it with pandas' to_parquet"),
    (b"{\\rtf", "a document in RTF", _SAVE),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file", "run git lfs pull"),
    (b"-----BEGIN ", "a key or certificate", _SAVE),
    (b"PuTTY-User-Key", "a key", _SAVE),
)  # fmt: skip
_PICKLE: Final = re.compile(rb"\x80[\x02-\x05]")
_MARKUP: Final = re.compile(rb"\s*<(!doctype\s+html|html|head|body|\?xml|!--)", re.IGNORECASE)
_JSON: Final = re.compile(rb'\s*(\{\s*"|\{\s*\}|\[\s*[\[{])')
_TAR_MAGIC_AT: Final = 257


def not_a_table(head: bytes, encoding: str = "utf-8") -> str:
    """Describe a file that is neither CSV nor Parquet.

    Args:
        head: The first `HEAD_BYTES` bytes of the file.
        encoding: Its encoding according to the user.

    Returns:
        Description and remedy; empty if the file may be a table.
    """
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic):
            return f"is {what}; {remedy}"
    if head.startswith(b"PK\x03\x04"):
        return _zip(head)
    text = head.removeprefix(b"\xef\xbb\xbf")
    for matches, description in (
        (head[8:12] == b"DUCK", "is a DuckDB database; export the query's result as Parquet"),
        (
            head[_TAR_MAGIC_AT:].startswith(b"ustar"),
            "is a tar archive; unpack it and give the one table in it",
        ),
        (_PICKLE.match(head), f"is a pickle, which runs code when it is read; {_SAVE}"),
        (
            _MARKUP.match(text),
            (
                "is a web page or XML; was it downloaded from a page that asks for a login, or "
                "that shows the file? give the file's own address"
            ),
        ),
        (_JSON.match(text), f"is JSON; {_SAVE} (with pandas: read_json, then to_parquet)"),
        (_is_binary(head, encoding), f"is a binary file of an unknown format; {_SAVE}"),
    ):
        if matches:
            return description
    return ""


def _zip(head: bytes) -> str:
    if b"xl/" in head or b"[Content_Types].xml" in head or b"_rels/.rels" in head:
        return f"is an Excel workbook (.xlsx); {_EXCEL}"
    if b"application/vnd.oasis.opendocument" in head:
        return f"is an OpenDocument file; {_SAVE}"
    return "is a zip archive; unpack it and give the one table in it, which may be packed with gzip"


def _is_binary(head: bytes, encoding: str) -> bool:
    wide = encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    if wide or len(head) < _ENOUGH or head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return False
    if head[1::2].count(0) > len(head) // 3 or head[::2].count(0) > len(head) // 3:
        # UTF-16 without a byte order mark, which the check of the rows reports.
        return False
    controls = sum(byte < ord(" ") and byte not in b"\t\n\r\x0b\x0c\x1b" for byte in head)
    return controls > _MOST_CONTROLS * len(head)
