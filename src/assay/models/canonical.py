"""The canonical form of skops files, and checks before skops reads them.

skops names nodes and files by memory addresses or at random, and adds the current time to zip
entries. The canonical form uses numbers in the order of appearance, and a fixed date; the content
is the same. docs/format-model.md specifies it.
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
"""Maximum decompressed size of a sparse matrix in a file from skops."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest date of the zip format."""
_ENTRY = re.compile(r"[0-9]{1,9}\.(npy|npz|bin)", re.ASCII)
_ARRAY = re.compile(r"[a-z_]{1,40}\.npy", re.ASCII)
"""Entries of a sparse matrix: `data.npy`, `indices.npy`, ..."""
_FOREIGN = re.compile(r"[0-9]{1,20}\.(npy|npz|bin)", re.ASCII)
"""Names of entries by skops, from memory addresses."""
_FILE: Final = "model.skops"


def schema_of(data: bytes) -> Any:
    """The schema of a file that `check_archive` has passed.

    Raises:
        IntegrityError: The schema is not JSON, or nested too deep.
    """
    try:
        with _opened(data, _FILE) as archive:
            return json.loads(archive.read(SCHEMA))
    except (ValueError, RecursionError, KeyError) as error:
        raise IntegrityError(f"{_FILE} refused: {SCHEMA} is not JSON ({error})") from error


def canonical(data: bytes) -> bytes:
    """Convert a skops file to its canonical form. A canonical file is not changed."""
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
    """Convert a file from skops to its canonical form, with limits on its decompressed size.

    Raises:
        IntegrityError: Entries are not valid or too large; the message lists all of them.
    """
    with _opened(data, _FILE) as archive:
        # The sizes in the directory are reliable, because reading an entry stops there.
        _check_entries(archive, _FOREIGN, len(data), _FILE, extra=(SCHEMA,))
        for entry in archive.infolist():
            if entry.filename.endswith(".npz"):
                with _opened(archive.read(entry), entry.filename) as inner:
                    unpacked = sum(item.file_size for item in inner.infolist())
                if unpacked > MAX_SPARSE_BYTES:
                    raise IntegrityError(
                        f"{_FILE} refused: {entry.filename} unpacks to {unpacked} bytes"
                    )
    return canonical(data)


def check_archive(data: bytes) -> None:
    """Check that a file has the outer structure of the canonical form.

    Entries are stored without compression under the names of `canonical`, and their total size is
    at most that of the file. Arrays do not contain objects, and their sizes match their headers.

    Raises:
        IntegrityError: Entries are not valid; the message lists all of them.
    """
    with _opened(data, _FILE) as archive:
        _check_entries(archive, _ENTRY, len(data), _FILE, extra=(SCHEMA,))
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
        raise IntegrityError(f"{_FILE} refused: {'; '.join(problems[:10])}")


class _Renumbering:
    """Renumbers nodes and files in order of appearance, in place."""

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
                # The order of a set depends on hashes, which differ between processes.
                node["content"].sort(key=_without_ids)
            for key, value in node.items():
                self._visit_field(node, key, value)

    def _visit_field(self, node: dict[str, Any], key: str, value: Any) -> None:
        if key == "__id__" and isinstance(value, int):
            node[key] = self._number(node)
        elif key == "file" and isinstance(value, str):
            suffix = value.rpartition(".")[2]
            node[key] = self.files.setdefault(value, f"{len(self.files)}.{suffix}")
        else:
            self.visit(value)

    def _number(self, node: dict[str, Any]) -> int:
        # Whether equal texts are the same object depends on the interpreter.
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
    """Remove the compression of a sparse matrix, which depends on the zlib version."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(buffer, "w") as out:
        for name in sorted(archive.namelist()):
            _write(out, name, archive.read(name))
    return buffer.getvalue()


def _write(out: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3  # Unix, on every system
    entry.compress_type = zipfile.ZIP_STORED  # compression depends on the zlib version
    out.writestr(entry, content)


def _opened(data: bytes, file: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise IntegrityError(f"{file}: not a skops file ({error}); it is damaged") from error


def _check_entries(
    archive: zipfile.ZipFile,
    names: re.Pattern[str],
    limit: int,
    file: str,
    extra: tuple[str, ...] = (),
) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise IntegrityError(f"{file} refused: {len(entries)} entries, at most {MAX_ENTRIES}")
    problems, seen = [], set()
    for entry in entries:
        if entry.filename not in extra and not names.fullmatch(entry.filename):
            problems.append(f"entry {entry.filename[:60]!r} does not have a valid name")
        elif entry.filename in seen:
            problems.append(f"entry {entry.filename!r} occurs twice")
        elif entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            problems.append(
                f"entry {entry.filename!r} is compressed ({entry.file_size} bytes uncompressed)"
            )
        seen.add(entry.filename)
    problems += [f"{name} is missing" for name in extra if name not in seen]
    size = sum(entry.file_size for entry in entries)
    if size > limit:
        problems.append(f"entries of {size} bytes in an archive of {limit}")
    if problems:
        raise IntegrityError(f"{file} refused: {'; '.join(problems[:10])}")
    _test_entries(archive, file)


def _test_entries(archive: zipfile.ZipFile, file: str) -> None:
    try:
        damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise IntegrityError(f"{file} refused: {error}") from error
    if damaged:
        raise IntegrityError(f"{file} refused: entry {damaged!r} is damaged")


def _array_problems(content: bytes, name: str) -> list[str]:
    """Check the header of an array, because NumPy allocates the memory that it requests."""
    from numpy.lib import format as npy

    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        return [f"{name}: not an array ({' '.join(str(error).split())[:200]})"]
    if dtype.hasobject:
        return [f"{name}: contains pickled objects"]
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
