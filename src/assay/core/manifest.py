"""Manifests: lists of the files of artifacts. The digest of a manifest identifies the artifact.

This module does no I/O. A manifest from a store is untrusted until `Manifest.parse` has returned;
nothing is created on disk before. docs/format.md specifies the format.

Small files of a large artifact are stored together in blobs that are called packs (docs/adr/0008).
The path and the digest of a file do not depend on whether it is in a pack.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from assay.core.digest import canonical_json, is_digest, of_bytes, parse_canonical_json
from assay.errors import IntegrityError, ManifestError, UsageError

MANIFEST_MEDIA_TYPE: Final = "application/vnd.assay.manifest.v1+json"
"""The format version; docs/format.md describes how to raise it."""
PACKED_MEDIA_TYPE: Final = "application/vnd.assay.manifest.v2+json"
"""Media type of manifests with packs. Manifests without packs are always version 1."""
PACK_MEDIA_TYPE: Final = "application/vnd.assay.pack.v1"
MAX_PACK_BYTES: Final = 16 << 20
"""Maximum size of a pack, which readers load into memory."""

MAX_NAMED: Final = 10
"""Maximum number of problems in an error."""
MAX_FILES: Final = 100_000
MAX_MANIFEST_BYTES: Final = 64 << 20
MAX_PATH_BYTES: Final = 1024
"""S3 allows object keys of 1,024 bytes; file systems allow 255 per segment."""
MAX_SEGMENT_BYTES: Final = 255

_CONTROL_OR_BACKSLASH = re.compile(r"[\x00-\x1f\x7f\\]")
_TYPE = re.compile(r"[a-z0-9]+/[a-z0-9][a-z0-9.+_-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Digest, size in bytes and media type of a blob, as in the OCI image specification."""

    digest: str
    size: int
    media_type: str = "application/octet-stream"

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the OCI image specification."""
        return {"digest": self.digest, "mediaType": self.media_type, "size": self.size}


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of an artifact: a relative POSIX path and the descriptor of its bytes."""

    path: str
    blob: Descriptor
    """Descriptor of the content of the file, also if it is in a pack."""
    pack: Descriptor | None = None
    """The pack with the file; None if the file is a separate blob."""
    offset: int = 0
    """Offset of the file in the pack, in bytes."""

    @property
    def stored(self) -> Descriptor:
        """The blob in the store with the content of the file."""
        return self.pack or self.blob

    def cut(self, pack: bytes) -> bytes:
        """Extract the file from the content of its pack.

        Raises:
            IntegrityError: The content does not match the digest of the file.
        """
        data = pack[self.offset : self.offset + self.blob.size]
        if of_bytes(data) != self.blob.digest:
            raise IntegrityError(
                f"{self.path}: expected {self.blob.digest}, got {of_bytes(data)} from its pack "
                f"{self.stored.digest}; nothing was written. The manifest is wrong: create the "
                "artifact again with: assay run PIPELINE --cache refresh"
            )
        return data


@dataclass(frozen=True, slots=True)
class Manifest:
    """The type and the files of an artifact, sorted by path.

    Guarantees (tests/core/test_manifest.py): `parse(m.to_bytes()) == m`; the bytes do not depend on
    the order of the given files and annotations; a change of a path, byte, type or annotation
    changes the digest.
    """

    artifact_type: str
    files: tuple[FileEntry, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        files = tuple(sorted(self.files, key=lambda entry: entry.path))
        object.__setattr__(self, "files", files)
        object.__setattr__(self, "annotations", dict(sorted(self.annotations.items())))
        if problems := list(_problems(self)):
            more = len(problems) - MAX_NAMED
            shown = [*problems[:MAX_NAMED], *([f"and {more} more"] if more > 0 else [])]
            raise ManifestError.all_of(shown, where="manifest refused")

    @property
    def digest(self) -> str:
        """The digest of the artifact."""
        return of_bytes(self.to_bytes())

    @property
    def size(self) -> int:
        """Total size of all files in bytes."""
        return sum(entry.blob.size for entry in self.files)

    @property
    def alone(self) -> list[FileEntry]:
        """Files that are separate blobs."""
        return [entry for entry in self.files if entry.pack is None]

    @property
    def packed(self) -> dict[Descriptor, list[FileEntry]]:
        """The files of each pack, in the order of the files."""
        packs: dict[Descriptor, list[FileEntry]] = {}
        for entry in self.files:
            if entry.pack is not None:
                packs.setdefault(entry.pack, []).append(entry)
        return packs

    @property
    def blobs(self) -> list[Descriptor]:
        """The distinct blobs of the artifact: packs, and files that are separate blobs."""
        return list({entry.stored.digest: entry.stored for entry in self.files}.values())

    @property
    def media_type(self) -> str:
        """The media type, which has the version of the format."""
        packed = any(entry.pack for entry in self.files)
        return PACKED_MEDIA_TYPE if packed else MANIFEST_MEDIA_TYPE

    def find(self, path: str) -> FileEntry | None:
        """The file with a path; None if there is none."""
        return next((entry for entry in self.files if entry.path == path), None)

    def to_bytes(self) -> bytes:
        """The canonical encoding, whose digest identifies the artifact."""
        packs = {pack: number for number, pack in enumerate(self.packed)}
        files = [{"path": entry.path, **entry.blob.to_dict()} for entry in self.files]
        for entry, written in zip(self.files, files, strict=True):
            if entry.pack is not None:
                written |= {"pack": packs[entry.pack], "offset": entry.offset}
        document = {
            "mediaType": self.media_type,
            "artifactType": self.artifact_type,
            "annotations": dict(self.annotations),
            "files": files,
        }
        if packs:
            document["packs"] = [pack.to_dict() for pack in packs]
        return canonical_json(document)

    @classmethod
    def parse(cls, data: bytes) -> "Manifest":
        """Parse and validate an untrusted manifest.

        Raises:
            ManifestError: The manifest is too large, not canonical or of an unknown version, or its
                paths leave the folder or collide; the message lists all problems.
        """
        if len(data) > MAX_MANIFEST_BYTES:
            raise ManifestError(
                f"manifest refused: {len(data)} bytes, the limit is {MAX_MANIFEST_BYTES}"
            )
        raw = parse_canonical_json(data, "manifest")
        kind = raw.get("mediaType") if isinstance(raw, dict) else type(raw).__name__
        if kind not in (MANIFEST_MEDIA_TYPE, PACKED_MEDIA_TYPE):
            raise ManifestError(
                f"not an artifact manifest (mediaType {kind!r}, expected {MANIFEST_MEDIA_TYPE!r}); "
                "give the digest of an artifact, not of a blob or an attestation"
            )
        entries = raw.get("files")
        if not isinstance(entries, list) or len(entries) > MAX_FILES:
            count = len(entries) if isinstance(entries, list) else "no"
            raise ManifestError(f"manifest refused: {count} files, the limit is {MAX_FILES}")
        try:
            packs = [_descriptor(pack) for pack in raw.get("packs", ())]
            files = tuple(
                FileEntry(
                    entry["path"],
                    _descriptor(entry),
                    packs[entry["pack"]] if "pack" in entry else None,
                    entry.get("offset", 0),
                )
                for entry in entries
            )
            manifest = cls(raw["artifactType"], files, raw["annotations"])
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ManifestError(f"manifest refused: field missing or malformed: {error}") from error
        if manifest.to_bytes() != data:
            raise ManifestError("manifest refused: unsorted files or unknown fields")
        return manifest


def _descriptor(raw: Mapping[str, Any]) -> Descriptor:
    return Descriptor(raw["digest"], raw["size"], raw["mediaType"])


def check_paths(paths: Iterable[str]) -> list[str]:
    """Check the paths of the files of an artifact; returns all problems.

    Refused are absolute paths, `.` and `..`, empty segments, backslashes, control characters, long
    names, duplicates, paths that are equal on file systems that ignore case or normalize Unicode,
    and a file that is also a folder.
    """
    problems = []
    seen: dict[str, str] = {}
    for path in paths:
        if problem := _path_problem(path):
            problems.append(problem)
            continue
        folded = _fold(path)
        if (previous := seen.get(folded)) is not None:
            same = previous == path
            problem = "listed twice" if same else f"collides with {previous!r} on some file systems"
            problems.append(f"{path!r} {problem}")
        seen[folded] = path
    # In this order the files of a folder directly follow the folder, so that each path is compared
    # with one possible parent only, regardless of its depth.
    folders: list[str] = []
    for folded in sorted(seen, key=lambda path: path.replace("/", "\0")):
        while folders and not folded.startswith(f"{folders[-1]}/"):
            folders.pop()
        if folders:
            problems.append(
                f"{seen[folders[-1]]!r} is both a file and the folder of {seen[folded]!r}"
            )
        folders.append(folded)
    return problems


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _path_problem(path: object) -> str | None:  # noqa: PLR0911 - one for each problem
    if not isinstance(path, str) or not path:
        return f"{path!r} is not a path"
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return f"{path!r} is not valid Unicode"
    segments = path.split("/")
    if path.startswith("/") or "" in segments:
        return f"{path!r} is not a relative path"
    if {".", ".."} & set(segments):
        return f"{path!r} would leave its folder"
    if _CONTROL_OR_BACKSLASH.search(path):
        return f"{path!r} has a control character or backslash"
    longest = max(len(segment.encode()) for segment in segments)
    if len(encoded) > MAX_PATH_BYTES or longest > MAX_SEGMENT_BYTES:
        return f"path of {len(encoded)} bytes is too long: {path[:40]!r}..."
    return None


def _problems(manifest: Any) -> Iterable[str]:
    # Any: the fields come from JSON, and their types are checked here.
    if len(manifest.files) > MAX_FILES:
        yield f"{len(manifest.files)} files, the limit is {MAX_FILES}; use fewer, larger files"
        return
    if not isinstance(manifest.artifact_type, str) or not _TYPE.fullmatch(manifest.artifact_type):
        yield f"artifactType {manifest.artifact_type!r} is not a media type"
    for key, value in manifest.annotations.items():
        if not isinstance(key, str) or not isinstance(value, str):
            yield f"annotation {key!r} is not text"
    yield from check_paths(entry.path for entry in manifest.files)
    of_blobs = [problem for entry in manifest.files for problem in _blob_problems(entry)]
    yield from of_blobs
    if not of_blobs:
        for entry in manifest.files:
            yield from _pack_problems(entry)


def _blob_problems(entry: Any) -> Iterable[str]:
    for what, blob in ((entry.path, entry.blob), (f"pack of {entry.path}", entry.pack)):
        for problem in _descriptor_problems(blob) if blob is not None else ():
            yield f"{what!r}: {problem}"


def _descriptor_problems(blob: Any) -> Iterable[str]:
    if not is_digest(blob.digest):
        yield f"{blob.digest!r} is not a digest"
    if not _is_count(blob.size):
        yield f"{blob.size!r} is not a size in bytes"
    if not isinstance(blob.media_type, str) or not _TYPE.fullmatch(blob.media_type):
        yield f"{blob.media_type!r} is not a media type"


def _pack_problems(entry: FileEntry) -> Iterable[str]:
    if not _is_count(entry.offset):
        yield f"{entry.path!r}: {entry.offset!r} is not an offset in bytes"
    elif entry.pack is None:
        if entry.offset:
            yield f"{entry.path!r}: an offset without a pack"
    elif entry.pack.size > MAX_PACK_BYTES:
        yield f"{entry.path!r}: pack of {entry.pack.size} bytes, the limit is {MAX_PACK_BYTES}"
    elif entry.offset + entry.blob.size > entry.pack.size:
        yield f"{entry.path!r}: ends beyond its pack"


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def require_type(manifest: Manifest, expected: str, what: str) -> None:
    """Check the type of an artifact.

    Args:
        manifest: The manifest of the artifact.
        expected: The expected media type.
        what: Name of the argument, for errors.

    Raises:
        UsageError: The artifact has another type.
    """
    if manifest.artifact_type != expected:
        raise UsageError(
            f"{what}: expected an artifact of type {expected}, got {manifest.artifact_type}; "
            f"give the digest of the right artifact ('assay show {manifest.digest}' shows this one)"
        )
