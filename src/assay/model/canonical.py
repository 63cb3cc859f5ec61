"""skops files with one set of bytes.

skops names nodes and files after memory addresses and stamps zip entries with the clock. Here
both are replaced by the order of appearance, and the clock by a fixed date; what the file means
stays the same.
"""

import io
import json
import zipfile
from typing import Any, Final

from assay.errors import IntegrityError

_SCHEMA: Final = "schema.json"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip entry can hold."""
MAX_ENTRIES: Final = 200_000
MAX_UNPACKED_BYTES: Final = 16 << 30


def canonical(data: bytes) -> bytes:
    """The canonical form of a skops file; a canonical file is its own canonical form."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        names: dict[str, str] = {}
        _renumber(schema, {}, names)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as out:
            for old, new in names.items():
                _write(out, new, archive.read(old))
            _write(out, _SCHEMA, json.dumps(schema, separators=(",", ":")).encode())
    return buffer.getvalue()


def check_archive(data: bytes) -> None:
    """Refuse an archive that would unpack to too much, before anything is unpacked.

    Raises:
        IntegrityError: Not a zip archive, too many entries, or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise IntegrityError("model.skops: not a skops file; the model is damaged") from error
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or size > MAX_UNPACKED_BYTES:
        raise IntegrityError(
            f"model.skops: {len(entries)} entries of {size} bytes unpacked; refused as too large"
        )


def _renumber(node: Any, ids: dict[int, int], names: dict[str, str]) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "__id__":
                node[key] = ids.setdefault(value, len(ids))
            elif key == "file" and isinstance(value, str):
                suffix = value.rpartition(".")[2]
                node[key] = names.setdefault(value, f"{len(names)}.{suffix}")
            else:
                _renumber(value, ids, names)
    elif isinstance(node, list):
        for item in node:
            _renumber(item, ids, names)


def _write(out: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3  # Unix, wherever this runs
    entry.compress_type = zipfile.ZIP_STORED  # deflate's bytes depend on the zlib version
    out.writestr(entry, content)
