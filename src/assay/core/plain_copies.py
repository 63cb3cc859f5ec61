"""Plain copies: the files of an artifact under their own names, for programs without digests.

A plain copy is stored below `views/<digest>/`. Its readers do not check the files; `verify` does.
The first file (`_head`), which is MLmodel for a model, is written last and removed first: a copy
without it is incomplete and cannot be loaded.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from assay.core.digest import PREFIX, hex_of
from assay.core.manifest import Descriptor, FileEntry, Manifest
from assay.core.parallel import parallel
from assay.core.store import Store
from assay.errors import IntegrityError

FOLDER: Final = "views/"
"""Prefix in the store; part of the format (docs/format.md)."""


def make(store: Store, manifest: Manifest) -> str:
    """Create the plain copy of an artifact, or check and repair it; returns its URI."""
    root = _root(manifest.digest)
    present = {entry.key: entry.size for entry in store.list_files(root)}
    head = _head(entry.path for entry in manifest.files)

    def lacks(entry: FileEntry) -> bool:
        name = root + entry.path
        return present.get(name) != entry.blob.size or not store.file_is(name, entry.blob)

    def copy(entry: FileEntry) -> None:
        if lacks(entry):
            store.copy_blob(entry.blob, root + entry.path)

    def unpack(packed: tuple[Descriptor, list[FileEntry]]) -> None:
        pack, entries = packed
        if missing := [entry for entry in entries if lacks(entry)]:
            content = store.get_blob(pack)
            for entry in missing:
                store.write_file(root + entry.path, entry.cut(content), entry.blob.media_type)

    def write(selects: Callable[[FileEntry], bool]) -> None:
        parallel(copy, [entry for entry in manifest.alone if selects(entry)])
        packed = [
            (pack, [entry for entry in entries if selects(entry)])
            for pack, entries in manifest.packed.items()
        ]
        parallel(unpack, [(pack, entries) for pack, entries in packed if entries])

    write(lambda entry: entry.path != head)
    write(lambda entry: entry.path == head)
    return store.uri(root)


def restore(store: Store, manifest: Manifest) -> str:
    """Check the plain copy of an artifact, and make it again where it differs.

    Returns:
        How it differed; empty for a copy that is right, or that did not exist.

    Raises:
        IntegrityError: It still differs.
    """
    problem = ""
    try:
        verify(store, manifest)
    except IntegrityError as error:
        problem = str(error)
    make(store, manifest)
    if problem:
        verify(store, manifest)
    return problem


def uri(store: Store, digest: str) -> str:
    """The URI of an artifact's plain copy, whether it exists or not."""
    return store.uri(_root(digest))


def verify(store: Store, manifest: Manifest) -> list[str]:
    """Check the plain copy of an artifact, if it has one.

    Returns:
        Harmless findings, one line each: files of other programs, or an incomplete copy.

    Raises:
        IntegrityError: Files are missing, altered, or not regular; the message lists all.
    """
    root = _root(manifest.digest)
    present = {entry.key.removeprefix(root) for entry in store.list_files(root)}
    special = {name.removeprefix(root) for name, _ in store.special_files(root)}
    if not present | special:
        return []
    expected = {entry.path: entry.blob for entry in manifest.files}
    where = store.uri(root)
    notes = [
        f"{where}/{path} was added by another program; it is not part of {manifest.digest}"
        for path in sorted(present - set(expected))
    ]
    bad = set(special)
    if _head(expected) not in present | special:
        notes.append(f"{where} is incomplete and not used; it is created again when needed")
    else:
        bad |= set(expected) - present
    bad |= {
        path
        for path, blob in expected.items()
        if path in present and not store.file_is(root + path, blob)
    }
    if bad:
        raise IntegrityError(
            f"plain copy {where} differs from {manifest.digest} in {', '.join(sorted(bad))}; "
            "create it again from the blobs of the store: assay store fsck --repair"
        )
    return notes


def listed(store: Store) -> set[str]:
    """Digests of the artifacts that have a plain copy."""
    names = [entry.key for entry in store.list_files(FOLDER)]
    names += [name for name, _ in store.special_files(FOLDER)]
    folders = {name.split("/")[1] for name in names}
    return {PREFIX + digits for digits in folders if re.fullmatch(r"[0-9a-f]{64}", digits)}


def remove(store: Store, digest: str) -> None:
    """Remove the plain copy of an artifact, if it has one."""
    root = _root(digest)
    names = [name for name, _ in store.special_files(root)]
    if root.rstrip("/") not in names:  # otherwise it is a link, whose target is kept
        names += [entry.key for entry in store.list_files(root)]
    # The head is removed before the rest, including files of other programs.
    top = sorted(name for name in names if "/" not in name.removeprefix(root))
    for name in top:
        store.remove_file(name)
    parallel(store.remove_file, sorted(set(names) - set(top)))


def _root(digest: str) -> str:
    return f"{FOLDER}{hex_of(digest)}/"


def _head(paths: Iterable[str]) -> str:
    """The first path: of those that are not in a folder, if there are any."""
    return min(paths, key=lambda path: (path.count("/"), path))
