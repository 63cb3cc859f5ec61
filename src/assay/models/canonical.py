"""skops files with one set of bytes, and what a file must be before skops reads it.

skops names nodes and files after memory addresses or by chance, and stamps zip entries with the
clock. Here both are replaced by the order of appearance, and the clock by a fixed date; what the
file means stays the same. docs/format-model.md specifies the form.
"""

import io
import json
import re
import zipfile
import zlib
from typing import Any, Final

from assay.errors import IntegrityError

SCHEMA: Final = "schema.json"
MAX_ENTRIES: Final = 1_000_000
MAX_SCHEMA_BYTES: Final = 2 << 30
MAX_SPARSE_BYTES: Final = 2 << 30
"""What a foreign sparse matrix, which skops deflates, may unpack to."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip entry can hold."""
_ENTRY = re.compile(r"[0-9]{1,9}\.(npy|npz|bin)", re.ASCII)
_ARRAY = re.compile(r"[a-z_]{1,40}\.npy", re.ASCII)
"""Entries of a sparse matrix: `data.npy`, `indices.npy`, ..."""
_FOREIGN = re.compile(r"[0-9]{1,20}\.(npy|npz|bin)", re.ASCII)
"""Entries as skops names them, after memory addresses."""
_PLACE: Final = "model.skops"


def schema_of(data: bytes) -> Any:
    """The schema of a file that `check_archive` has passed.

    Raises:
        IntegrityError: Not JSON, or too deep.
    """
    try:
        with _opened(data, _PLACE) as archive:
            return json.loads(archive.read(SCHEMA))
    except (ValueError, RecursionError, KeyError) as error:
        raise IntegrityError(f"{_PLACE} refused: {SCHEMA} is not JSON ({error})") from error


def canonical(data: bytes) -> bytes:
    """The canonical form of a skops file; a canonical file is its own canonical form."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(SCHEMA))
        renumbered = _Renumbering()
        renumbered.visit(schema)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as out:
            for old, new in renumbered.files.items():
                content = archive.read(old)
                _write(out, new, _stored(content) if new.endswith(".npz") else content)
            _write(out, SCHEMA, json.dumps(schema, separators=(",", ":")).encode())
    return buffer.getvalue()


def from_foreign(data: bytes) -> bytes:
    """The canonical form of a file that skops wrote elsewhere, refused if it unpacks to too much.

    Raises:
        IntegrityError: Names every offending entry.
    """
    with _opened(data, _PLACE) as archive:
        # Sizes in the directory hold: reading an entry ends where it says.
        _check_entries(archive, _FOREIGN, len(data), _PLACE, extra=(SCHEMA,))
        for entry in archive.infolist():
            if entry.filename.endswith(".npz"):
                with _opened(archive.read(entry), entry.filename) as inner:
                    unpacked = sum(item.file_size for item in inner.infolist())
                if unpacked > MAX_SPARSE_BYTES:
                    raise IntegrityError(
                        f"{_PLACE} refused: {entry.filename} unpacks to {unpacked} bytes"
                    )
    return canonical(data)


def check_archive(data: bytes) -> None:
    """Refuse a file that is not in the canonical form's outer shape, before anything reads it.

    Entries are stored, not deflated, under the names that `canonical` gives, and no larger
    together than the file: so nothing unpacks to more than is there. Arrays hold no objects and
    are as large as their headers say.

    Raises:
        IntegrityError: Names every offending entry.
    """
    with _opened(data, _PLACE) as archive:
        _check_entries(archive, _ENTRY, len(data), _PLACE, extra=(SCHEMA,))
        problems = []
        for entry in archive.infolist():
            content = archive.read(entry)
            if entry.filename.endswith(".npy"):
                problems += _array_problems(content, entry.filename)
            elif entry.filename.endswith(".npz"):
                problems += _sparse_problems(content, entry.filename)
            elif entry.filename == SCHEMA and len(content) > MAX_SCHEMA_BYTES:
                problems.append(f"{SCHEMA}: larger than {MAX_SCHEMA_BYTES} bytes")
    if problems:
        raise IntegrityError(f"{_PLACE} refused: {'; '.join(problems[:10])}")


class _Renumbering:
    """Gives nodes and files numbers in order of appearance, in place."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self._ids: dict[int, int] = {}
        self._next = 0

    def visit(self, node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                self.visit(item)
        elif isinstance(node, dict):
            if node.get("__loader__") == "SetNode" and isinstance(node["content"], list):
                # A set's order follows from hashes, which differ from process to process.
                node["content"].sort(key=_without_ids)
            for key, value in node.items():
                if key == "__id__" and isinstance(value, int):
                    node[key] = self._number(node)
                elif key == "file" and isinstance(value, str):
                    suffix = value.rpartition(".")[2]
                    node[key] = self.files.setdefault(value, f"{len(self.files)}.{suffix}")
                else:
                    self.visit(value)

    def _number(self, node: dict[str, Any]) -> int:
        # Whether two equal texts are one object is the interpreter's affair, not the model's.
        shared = node.get("__loader__") != "JsonNode"
        if shared and node["__id__"] in self._ids:
            return self._ids[node["__id__"]]
        number, self._next = self._next, self._next + 1
        if shared:
            self._ids[node["__id__"]] = number
        return number


def _without_ids(node: Any) -> str:
    return re.sub(r'"__id__": \d+', "", json.dumps(node, sort_keys=True))


def _stored(data: bytes) -> bytes:
    """A sparse matrix's archive, not deflated: deflate's bytes depend on the zlib version."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(buffer, "w") as out:
        for name in sorted(archive.namelist()):
            _write(out, name, archive.read(name))
    return buffer.getvalue()


def _write(out: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3  # Unix, wherever this runs
    entry.compress_type = zipfile.ZIP_STORED  # deflate's bytes depend on the zlib version
    out.writestr(entry, content)


def _opened(data: bytes, place: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise IntegrityError(f"{place}: not a skops file ({error}); it is damaged") from error


def _check_entries(
    archive: zipfile.ZipFile,
    names: re.Pattern[str],
    limit: int,
    place: str,
    extra: tuple[str, ...] = (),
) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise IntegrityError(f"{place} refused: {len(entries)} entries, at most {MAX_ENTRIES}")
    problems, seen, size = [], set(), 0
    for entry in entries:
        size += entry.file_size
        if entry.filename not in extra and not names.fullmatch(entry.filename):
            problems.append(f"entry {entry.filename[:60]!r} has no name of the format")
        elif entry.filename in seen:
            problems.append(f"entry {entry.filename!r} is there twice")
        elif entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            problems.append(
                f"entry {entry.filename!r} is packed ({entry.file_size} bytes unpacked)"
            )
        seen.add(entry.filename)
    problems += [f"{name} is missing" for name in extra if name not in seen]
    if size > limit:
        problems.append(f"entries of {size} bytes in an archive of {limit}")
    if problems:
        raise IntegrityError(f"{place} refused: {'; '.join(problems[:10])}")
    try:
        damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise IntegrityError(f"{place} refused: {error}") from error
    if damaged:
        raise IntegrityError(f"{place} refused: entry {damaged!r} is damaged")


def _array_problems(content: bytes, name: str) -> list[str]:
    """Why an array must not be read: NumPy would set aside whatever the header asks for."""
    from numpy.lib import format as npy

    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        return [f"{name}: no array ({' '.join(str(error).split())[:200]})"]
    if dtype.hasobject:
        return [f"{name}: holds pickled objects"]
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(content) - stream.tell():
        return [f"{name}: {shape} of {dtype} in {len(content)} bytes"]
    return []


def _sparse_problems(content: bytes, name: str) -> list[str]:
    try:
        with _opened(content, name) as archive:
            _check_entries(archive, _ARRAY, len(content), name)
            return [
                problem
                for entry in archive.namelist()
                for problem in _array_problems(archive.read(entry), f"{name}/{entry}")
            ]
    except IntegrityError as error:
        return [str(error)]
