"""Store and read artifacts: a folder of files, and the manifest that lists them.

Files, and packs of small files, are stored before the manifest that lists them, so that all files
of a readable manifest are readable. A folder is created completely or not at all.
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
from assay.core.store.files import landing, reading, write_read_only
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
"""By suffix; not taken from the system, whose table differs between machines."""
DEFAULT_MEDIA_TYPE: Final = "application/octet-stream"


def put_tree(
    store: Store,
    folder: Path,
    artifact_type: str,
    annotations: Mapping[str, str],
    watch: Watch | None = None,
) -> Manifest:
    """Store the files in a folder as an artifact, files before the manifest.

    Blobs that a concurrent garbage collection may remove are stored again after it has ended.

    Args:
        store: The target.
        folder: The files.
        artifact_type: Media type of the artifact.
        annotations: Annotations of the manifest.
        watch: A watch that the caller created earlier, which saves a request to the store.

    Returns:
        The manifest.

    Raises:
        IntegrityError: A file changed while it was stored.
        StepError: The folder has a symbolic link, a special file, or a name that is not allowed.
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
        if not watch.touched(_digests(manifest)):
            return manifest


def claim(store: Store, manifests: Iterable[Manifest], watch: Watch | None = None) -> None:
    """Protect artifacts in the store from garbage collection for the duration of a run.

    Args:
        store: The store of the artifacts.
        manifests: Their manifests.
        watch: A watch that the caller created earlier, which saves a request to the store.

    Raises:
        NotFoundError: A concurrent garbage collection removed an artifact.
    """
    needed = list(manifests)
    if not needed:
        return
    watch = watch or Watch(store)
    # First, because an artifact that is being removed must not be stored again in part.
    watch.touched(manifest.digest for manifest in needed)
    existing = [manifest for manifest in needed if store.has(manifest.digest)]
    for manifest in existing:
        store.refresh(manifest.to_bytes(), manifest.media_type)
    touched = watch.touched(digest for manifest in needed for digest in _digests(manifest))
    for manifest in needed:
        if touched or manifest not in existing:
            _require_complete(store, manifest)


def _require_complete(store: Store, manifest: Manifest) -> None:
    missing = [] if store.has(manifest.digest) else [manifest.digest]
    if missing := missing + store.missing(manifest.blobs):
        raise NotFoundError(
            f"{manifest.digest} was just removed by a garbage collection (missing: {missing[0]}), "
            f"because nothing had used it for longer than the grace period; {RUN_AGAIN}, and pin "
            "artifacts that must be kept: assay store pin"
        )


def _digests(manifest: Manifest) -> list[str]:
    return [manifest.digest, *(blob.digest for blob in manifest.blobs)]


def _put_pack(
    store: Store, folder: Path, paths: list[str], sizes: Mapping[str, int]
) -> list[FileEntry]:
    content = bytearray()
    offsets: dict[str, int] = {}
    entries: list[tuple[str, Descriptor]] = []
    for path in paths:
        with reading(folder / path) as stream:
            data = stream.read(sizes[path] + 1)
        if len(data) != sizes[path]:
            raise IntegrityError(f"{folder / path} changed while it was stored; run again")
        blob = Descriptor(of_bytes(data), len(data), _media_type(path))
        entries.append((path, blob))
        # Equal files are stored once.
        if blob.digest not in offsets:
            offsets[blob.digest] = len(content)
            content += data
    pack = store.put_bytes(bytes(content), PACK_MEDIA_TYPE)
    return [FileEntry(path, blob, pack, offsets[blob.digest]) for path, blob in entries]


def _media_type(path: str) -> str:
    return MEDIA_TYPES.get(Path(path).suffix.lower(), DEFAULT_MEDIA_TYPE)


def get_manifest(store: Store, digest: str) -> Manifest:
    """Read a manifest by its digest.

    Raises:
        ManifestError: The blob is not a valid manifest.
        IntegrityError: The bytes do not match the digest.
        NotFoundError: The blob does not exist.
    """
    return Manifest.parse(store.get_bytes(digest, MAX_MANIFEST_BYTES))


def read_entry(store: Store, entry: FileEntry, max_bytes: int) -> bytes:
    """Read and verify a small file of an artifact.

    Args:
        store: The store of the artifact.
        entry: The entry of the file in the manifest.
        max_bytes: Maximum size of the file.

    Returns:
        The content.

    Raises:
        IntegrityError: The file is larger than `max_bytes`, or does not match its digest.
        NotFoundError: The file is not in the store.
    """
    if entry.pack is None:
        return store.get_bytes(entry.blob.digest, max_bytes)
    if entry.blob.size > max_bytes:
        raise IntegrityError(
            f"{entry.path} has {entry.blob.size} bytes, the limit here is {max_bytes}"
        )
    return entry.cut(store.get_blob(entry.pack))


def read_file(store: Store, manifest: Manifest, path: str, max_bytes: int) -> bytes | None:
    """Read and verify a small file of an artifact by its path.

    Args:
        store: The store of the artifact.
        manifest: The manifest of the artifact.
        path: Path of the file in the artifact.
        max_bytes: Maximum size of the file.

    Returns:
        The content; None if the artifact does not have the file.

    Raises:
        IntegrityError: The file is larger than `max_bytes`, or does not match its digest.
        NotFoundError: The file is not in the store.
    """
    entry = manifest.find(path)
    return None if entry is None else read_entry(store, entry, max_bytes)


def get_tree(store: Store, manifest: Manifest, target: Path) -> None:
    """Extract an artifact into a new, read-only folder. After an error the folder does not exist.

    Args:
        store: The store of the artifact.
        manifest: The manifest of the artifact.
        target: The folder, which must not exist.

    Raises:
        IntegrityError: A file does not match the manifest.
        NotFoundError: A file is not in the store.
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
        # Last, because some systems do not allow to rename a read-only folder.
        target.chmod(0o555)
    except BaseException:
        remove_tree(scratch)
        raise


def get_file(store: Store, manifest: Manifest, path: str, target: Path) -> Path:
    """Extract one file of an artifact, read-only, unless it was before.

    Args:
        store: The store of the artifact.
        manifest: The manifest of the artifact.
        path: The path of the file within the artifact.
        target: The folder of the extracted files; those there are not checked again.

    Returns:
        The extracted file.

    Raises:
        IntegrityError: The artifact has no such file, or it does not match the manifest.
        NotFoundError: The file is not in the store.
    """
    entry = manifest.find(path)
    if entry is None:
        raise IntegrityError(f"{manifest.digest} has no file {path!r}")
    result = target / path
    if not result.exists():
        result.parent.mkdir(parents=True, exist_ok=True)
        if entry.pack is None:
            store.get_file(entry.blob, result)
        else:
            content = read_entry(store, entry, entry.blob.size)
            with landing(result) as out:
                out.write(content)
    return result


def _get_pack(store: Store, pack: Descriptor, entries: list[FileEntry], target: Path) -> None:
    content = store.get_blob(pack)
    for entry in entries:
        write_read_only(target / entry.path, entry.cut(content))


def verify_trees(
    store: Store, manifests: Iterable[Manifest], progress: Callable[[str], None] | None = None
) -> list[Descriptor]:
    """Read and verify all files of some artifacts; every blob is read once.

    Args:
        store: The store of the artifacts.
        manifests: Their manifests.
        progress: Called with the digest of each verified blob.

    Returns:
        The blobs that were read.

    Raises:
        IntegrityError: Blobs are damaged or missing; the message lists all of them.
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
    """Remove a folder that may contain read-only folders."""
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o700)  # noqa: PTH101
    shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> dict[str, int]:
    """Size in bytes of each regular file in `folder`, by its relative POSIX path; sorted."""
    sizes = {}

    def walk(parent: str, prefix: str) -> None:
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    path = prefix + entry.name
                    if entry.is_file(follow_symlinks=False):
                        sizes[path] = entry.stat(follow_symlinks=False).st_size
                    elif entry.is_dir(follow_symlinks=False):
                        walk(entry.path, f"{path}/")
                    else:
                        kind = "a symbolic link" if entry.is_symlink() else "a special file"
                        raise StepError(
                            f"{entry.path} is {kind}; an artifact holds only files and folders"
                        )
        except OSError as error:
            # Skipping the folder would silently omit files.
            raise StepError(
                f"cannot read the folder {parent}: {error.strerror}; grant this user access"
            ) from error

    walk(str(folder), "")
    return dict(sorted(sizes.items()))
