"""Artifacts to and from a store: a folder of files, and the manifest that names them.

Files, and packs of small files, are stored before the manifest that names them, so whoever can read
a manifest can read all of its files. A folder appears whole or not at all.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from assay.core.digest import of_bytes
from assay.core.manifest import (
    MAX_MANIFEST_BYTES,
    PACK_MEDIA_TYPE,
    Descriptor,
    FileEntry,
    Manifest,
    check_paths,
)
from assay.core.packing import packs
from assay.core.parallel import parallel
from assay.core.store.base import Store
from assay.core.store.files import reading, write_read_only
from assay.core.store.removal import Watch
from assay.errors import RUN_AGAIN, IntegrityError, NotFoundError, StepError

MEDIA_TYPES: Final = {
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".md": "text/markdown",
    ".html": "text/html",
    ".yaml": "application/yaml",
    ".svg": "image/svg+xml",
    ".csv": "text/csv",
    ".txt": "text/plain",
}
"""By suffix; fixed here, because the system's table differs from machine to machine."""
DEFAULT_MEDIA_TYPE: Final = "application/octet-stream"


def put_tree(
    store: Store,
    folder: Path,
    artifact_type: str,
    annotations: Mapping[str, str],
    watch: Watch | None = None,
) -> Manifest:
    """Store the files in `folder` as an artifact, files before manifest.

    What a garbage collection was about to remove meanwhile is stored again when it has ended.

    Args:
        store: Where to.
        folder: The files.
        artifact_type: Media type of the artifact.
        annotations: Of the manifest.
        watch: One that the caller has made before, which spares asking the store again.

    Raises:
        IntegrityError: A file changed meanwhile.
        StepError: A symbolic link or special file, or a name that no artifact may hold.
        StoreError: The store failed; the manifest is not written.
    """
    sizes = _files(folder)
    if problems := check_paths(sizes):
        raise StepError(f"{folder}: {'; '.join(problems[:10])}")
    packed = packs(sizes)
    alone = sizes.keys() - {path for paths in packed for path in paths}

    def put(path: str) -> FileEntry:
        return FileEntry(path, store.put_file(folder / path, _media_type(path)))

    watch = watch or Watch(store)
    while True:
        files = parallel(put, sorted(alone))
        for entries in parallel(lambda paths: _put_pack(store, folder, paths, sizes), packed):
            files += entries
        manifest = Manifest(artifact_type, tuple(files), annotations)
        store.put_bytes(manifest.to_bytes(), manifest.media_type)
        if not watch.touched(_named(manifest)):
            return manifest


def claim(store: Store, manifests: Iterable[Manifest], watch: Watch | None = None) -> None:
    """Make sure that artifacts which are there stay as long as a run may take.

    Args:
        store: Where they are.
        manifests: Which.
        watch: One that the caller has made before, which spares asking the store again.

    Raises:
        NotFoundError: One was removed by a garbage collection just now; says what to do.
    """
    wanted = list(manifests)
    if not wanted:
        return
    watch = watch or Watch(store)
    # Before, because an artifact that is being removed must not be brought back by half.
    watch.touched(manifest.digest for manifest in wanted)
    there = {manifest.digest for manifest in wanted if store.has(manifest.digest)}
    for manifest in wanted:
        if manifest.digest in there:
            store.make_young(manifest.to_bytes(), manifest.media_type)
    touched = watch.touched(digest for manifest in wanted for digest in _named(manifest))
    for manifest in wanted:
        if touched or manifest.digest not in there:
            _require_whole(store, manifest)


def _require_whole(store: Store, manifest: Manifest) -> None:
    gone = [] if store.has(manifest.digest) else [manifest.digest]
    if gone := gone + store.has_all(manifest.blobs):
        raise NotFoundError(
            f"{manifest.digest} was removed by a garbage collection just now (missing: {gone[0]}), "
            f"because nothing had used it for longer than the grace period; {RUN_AGAIN}, and pin "
            "what has to stay: assay store pin"
        )


def _named(manifest: Manifest) -> list[str]:
    return [manifest.digest, *(blob.digest for blob in manifest.blobs)]


def _put_pack(
    store: Store, folder: Path, paths: list[str], sizes: Mapping[str, int]
) -> list[FileEntry]:
    content = bytearray()
    offsets: dict[str, int] = {}
    placed: list[tuple[str, Descriptor]] = []
    for path in paths:
        with reading(folder / path) as stream:
            data = stream.read(sizes[path] + 1)
        if len(data) != sizes[path]:
            raise IntegrityError(f"{folder / path} changed while it was stored; run again")
        blob = Descriptor(of_bytes(data), len(data), _media_type(path))
        placed.append((path, blob))
        # Files that are the same lie there once.
        if blob.digest not in offsets:
            offsets[blob.digest] = len(content)
            content += data
    pack = store.put_bytes(bytes(content), PACK_MEDIA_TYPE)
    return [FileEntry(path, blob, pack, offsets[blob.digest]) for path, blob in placed]


def _media_type(path: str) -> str:
    return MEDIA_TYPES.get(Path(path).suffix.lower(), DEFAULT_MEDIA_TYPE)


def get_manifest(store: Store, digest: str) -> Manifest:
    """The manifest that `digest` names.

    Raises:
        ManifestError: It must not be followed, or is no manifest.
        IntegrityError: The bytes are not what the name says.
        NotFoundError: Nothing there; says that the store may be the wrong one.
    """
    return Manifest.parse(store.get_bytes(digest, MAX_MANIFEST_BYTES))


def read_entry(store: Store, entry: FileEntry, max_bytes: int) -> bytes:
    """The checked bytes of a small file of an artifact.

    Raises:
        IntegrityError: Larger than `max_bytes`, or not what its digest says.
        NotFoundError: Not in the store.
    """
    if entry.pack is None:
        return store.get_bytes(entry.blob.digest, max_bytes)
    if entry.blob.size > max_bytes:
        raise IntegrityError(
            f"{entry.path} has {entry.blob.size} bytes, the limit here is {max_bytes}"
        )
    return entry.cut(store.get_blob(entry.pack))


def read_file(store: Store, manifest: Manifest, path: str, max_bytes: int) -> bytes | None:
    """As `read_entry`, of the file of that path; None where the artifact has no such file."""
    entry = manifest.find(path)
    return None if entry is None else read_entry(store, entry, max_bytes)


def get_tree(store: Store, manifest: Manifest, target: Path) -> None:
    """Lay an artifact out as the folder `target`, which must not exist; read-only, all or nothing.

    Raises:
        IntegrityError: A file is not what the manifest says; no folder is left.
        NotFoundError: A file is not in the store; no folder is left.
    """
    scratch = Path(tempfile.mkdtemp(prefix=".assay-", dir=target.parent))
    try:
        folders = sorted({(scratch / entry.path).parent for entry in manifest.files} | {scratch})
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        parallel(
            lambda entry: store.get_file_into(entry.blob, scratch / entry.path), manifest.alone
        )
        parallel(lambda pack: _get_pack(store, *pack, scratch), list(manifest.packed.items()))
        for path, _, _ in os.walk(scratch, topdown=False):
            if path != str(scratch):
                os.chmod(path, 0o555)  # noqa: PTH101, S103 - read-only
        os.rename(scratch, target)  # noqa: PTH104
        # Last, because a folder that is read-only cannot be renamed by everyone.
        target.chmod(0o555)
    except BaseException:
        remove_tree(scratch)
        raise


def _get_pack(store: Store, pack: Descriptor, entries: list[FileEntry], target: Path) -> None:
    content = store.get_blob(pack)
    for entry in entries:
        write_read_only(target / entry.path, entry.cut(content))


def verify_trees(
    store: Store, manifests: Iterable[Manifest], progress: Callable[[str], None] | None = None
) -> list[Descriptor]:
    """Read every byte of some artifacts' files; the blobs that hold them, each once.

    Raises:
        IntegrityError: Bytes that are not what their name says, or are missing; names every
            offender.
    """
    blobs: dict[str, Descriptor] = {}
    packed: dict[str, list[FileEntry]] = {}
    for manifest in manifests:
        blobs.update((blob.digest, blob) for blob in manifest.blobs)
        for pack, entries in manifest.packed.items():
            packed.setdefault(pack.digest, []).extend(entries)

    def fault(blob: Descriptor) -> str:
        try:
            if blob.digest in packed:
                content = store.get_blob(blob)
                for entry in packed[blob.digest]:
                    entry.cut(content)
            else:
                store.verify(blob)
        except (IntegrityError, NotFoundError) as error:
            return str(error)
        if progress is not None:
            progress(blob.digest)
        return ""

    if faults := list(filter(None, parallel(fault, list(blobs.values())))):
        raise IntegrityError.all_of(faults)
    return list(blobs.values())


def remove_tree(folder: Path) -> None:
    """Remove a folder that may hold read-only folders."""
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o700)  # noqa: PTH101
    shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> dict[str, int]:
    """Size in bytes of each regular file in `folder`, by its relative POSIX path; sorted."""
    found = {}

    def walk(parent: str, prefix: str) -> None:
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    path = prefix + entry.name
                    if entry.is_file(follow_symlinks=False):
                        found[path] = entry.stat(follow_symlinks=False).st_size
                    elif entry.is_dir(follow_symlinks=False):
                        walk(entry.path, f"{path}/")
                    else:
                        kind = "a symbolic link" if entry.is_symlink() else "a special file"
                        raise StepError(
                            f"{entry.path} is {kind}; an artifact holds only files and folders"
                        )
        except OSError as error:
            # Left out in silence, it would be an artifact that lacks files.
            raise StepError(
                f"cannot read the folder {parent}: {error.strerror}; give this user the right to it"
            ) from error

    walk(str(folder), "")
    return dict(sorted(found.items()))
