"""Artifacts to and from a store: a folder of files, and the manifest that names them.

Files are stored before the manifest that names them, so whoever can read a manifest can read all
of its files. A folder appears whole or not at all.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from assay.errors import StepError
from assay.manifest import (
    MANIFEST_MEDIA_TYPE,
    MAX_MANIFEST_BYTES,
    FileEntry,
    Manifest,
    check_paths,
)
from assay.parallel import parallel
from assay.store.base import Store

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
    store: Store, folder: Path, artifact_type: str, annotations: Mapping[str, str]
) -> Manifest:
    """Store the files in `folder` as an artifact, files before manifest.

    Raises:
        StepError: A symbolic link or special file, or a name that no artifact may hold.
        StoreError: The store failed; the manifest is not written.
    """
    paths = _files(folder)
    if problems := check_paths(paths):
        raise StepError(f"{folder}: {'; '.join(problems[:10])}")

    def put(path: str) -> FileEntry:
        media_type = MEDIA_TYPES.get(Path(path).suffix.lower(), DEFAULT_MEDIA_TYPE)
        return FileEntry(path, store.put_file(folder / path, media_type))

    manifest = Manifest(artifact_type, tuple(parallel(put, paths)), annotations)
    store.put_bytes(manifest.to_bytes(), MANIFEST_MEDIA_TYPE)
    return manifest


def get_manifest(store: Store, digest: str) -> Manifest:
    """The manifest that `digest` names.

    Raises:
        ManifestError: It must not be followed, or is no manifest.
        IntegrityError: The bytes are not what the name says.
        NotFoundError: Nothing there; says that the store may be the wrong one.
    """
    return Manifest.parse(store.get_bytes(digest, MAX_MANIFEST_BYTES))


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
            lambda entry: store.get_file_into(entry.blob, scratch / entry.path), manifest.files
        )
        for path, _, _ in os.walk(scratch, topdown=False):
            if path != str(scratch):
                os.chmod(path, 0o555)  # noqa: PTH101, S103 - read-only
        os.rename(scratch, target)  # noqa: PTH104
        # Last, because a folder that is read-only cannot be renamed by everyone.
        target.chmod(0o555)
    except BaseException:
        remove_tree(scratch)
        raise


def remove_tree(folder: Path) -> None:
    """Remove a folder that may hold read-only folders."""
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o700)  # noqa: PTH101
    shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    """Relative POSIX paths of the regular files in `folder`, sorted."""
    found = []

    def walk(parent: str, prefix: str) -> None:
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    path = prefix + entry.name
                    if entry.is_file(follow_symlinks=False):
                        found.append(path)
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
    return sorted(found)
