"""A store in a folder: for a single machine, for tests, and for shared file systems.

A blob becomes visible by a rename, so a killed writer leaves at most a file in `tmp/`. Data is
flushed to disk before the rename: after a power failure a blob is either absent or complete, and
reads verify it anyway.

Only regular files are accepted. A link, pipe, socket or device in place of a file is reported as
damage: it is never opened, and storing the same bytes again replaces it. A link in place of a
folder is refused, because it would redirect listing, writing and removal to files outside of the
store.
"""

import contextlib
import errno
import os
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, TypeVar

from assay.core.digest import Readable, of_stream
from assay.core.manifest import Descriptor
from assay.core.store.base import Entry, Store, blob_key, not_found
from assay.core.store.files import SpecialFileError, copy_checked, kind_of_file, open_own
from assay.core.store.probe import CONTENT, Probe
from assay.errors import IntegrityError, StoreAccessError, StoreError

FEW: Final = 64
"""Small files that take less time than threads for them do, even on a file system far away."""

T = TypeVar("T")
R = TypeVar("R")


class _Stream:
    """A file of the store; read errors are converted to those of the store."""

    def __init__(
        self,
        stream: IO[bytes],
        errors: Callable[[str], contextlib.AbstractContextManager[None]],
        key: str,
    ) -> None:
        self._stream = stream
        self._errors = errors
        self._key = key

    def read(self, size: int = -1, /) -> bytes:
        with self._errors(f"cannot read {self._key}"):
            return self._stream.read(size)


class FolderStore(Store):
    """Blobs as files below a folder, which is created by the first write."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ahead: float | None = None
        """Difference between the clocks of the file system and of this machine, in seconds."""
        self.url = root.as_uri()

    def on_each(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """As for every store; a few of them one after the other."""
        return [work(item) for item in items] if len(items) <= FEW else super().on_each(work, items)

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[tuple[int, Readable]]:
        with self._errors(f"cannot read {key}", key):
            try:
                stream = open(self._root / key, "rb", opener=open_own)  # noqa: SIM115 - below
            except SpecialFileError as error:
                raise IntegrityError(
                    f"damaged: {self._root / key}: {error.strerror}; find out who created it, and "
                    f"remove it ({self._removal(key)})"
                ) from error
        with stream:
            yield os.fstat(stream.fileno()).st_size, _Stream(stream, self._errors, key)

    def _stat(self, key: str) -> Entry | None:
        with self._errors(f"cannot look at {key}"):
            try:
                status = os.lstat(self._root / key)  # the most frequent call
            except FileNotFoundError:
                return None
            if not stat.S_ISREG(status.st_mode):
                return None
            return Entry(key, status.st_size, status.st_mtime)

    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        if not self._is_current(blob):
            with self._writing(blob_key(blob.digest)) as out:
                out.write(data)

    def _put_stream(self, stream: IO[bytes], path: Path, media_type: str) -> Descriptor:
        digest, size = of_stream(stream)
        blob = Descriptor(digest, size, media_type)
        if not self._is_current(blob):
            stream.seek(0)
            with self._writing(blob_key(digest)) as out:
                # Hashed again, because the file may have changed.
                if copy_checked(stream, out, size) != (digest, size):
                    raise IntegrityError(f"{path} changed while it was stored; run again")
        return blob

    def _replace(self, key: str, data: bytes, media_type: str = "") -> None:
        del media_type  # a file has none
        with self._writing(key, mode=0o644) as out:
            out.write(data)

    def _add(self, key: str, data: bytes) -> bool:
        try:
            with self._writing(key, mode=0o644, publish=_rename_new) as out:
                out.write(data)
        except StoreError as error:
            if isinstance(error.__cause__, FileExistsError):
                return False
            raise
        return True

    def _list(self, prefix: str) -> Iterator[Entry]:
        self._require_folders(prefix)
        base = str(self._root)

        def missing_is_empty(error: OSError) -> None:
            # A missing folder is empty; all other errors are reported.
            if not isinstance(error, FileNotFoundError):
                raise error

        with self._errors(f"cannot list {prefix}"):
            for folder, _, names in os.walk(self._root / prefix, onerror=missing_is_empty):
                for name in names:
                    path = f"{folder}/{name}"
                    with contextlib.suppress(FileNotFoundError):
                        status = os.lstat(path)
                        if stat.S_ISREG(status.st_mode):
                            yield Entry(path[len(base) + 1 :], status.st_size, status.st_mtime)

    def _special(self, prefix: str) -> Iterator[tuple[str, str]]:
        def fail(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise error

        if link := self._link_in(prefix):
            yield str(link.relative_to(self._root)), kind_of_file(stat.S_IFLNK)
            return
        with self._errors("cannot be listed"):
            for folder, folders, names in os.walk(self._root / prefix, onerror=fail):
                for name in (*folders, *names):
                    path = Path(folder, name)
                    with contextlib.suppress(FileNotFoundError):
                        mode = path.lstat().st_mode
                        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                            yield str(path.relative_to(self._root)), kind_of_file(mode)

    def probe(self) -> Probe:
        """See `Store.probe`."""
        with self._errors("cannot be written to"):
            # Like the first write of a run.
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._root, prefix=".doctor-") as file:
                file.write(CONTENT)
                file.flush()
        return Probe(reads_back=True)

    def _now(self) -> float:
        # The time stamp of a new file; on a network share it is from the clock of the server.
        if not self._root.exists():
            # There are no entries whose age could be compared.
            return time.time()
        with self._errors("cannot be written to"):
            (self._root / "tmp").mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self._root / "tmp") as file:
                file.write(b"\0")
                file.flush()
                return os.fstat(file.fileno()).st_mtime

    def _recent_now(self) -> float:
        if self._ahead is None:
            self._ahead = self._now() - time.time()
        return time.time() + self._ahead

    def _remove(self, key: str) -> None:
        self._require_folders(key.rpartition("/")[0])
        with self._errors(f"cannot remove {key}"), contextlib.suppress(FileNotFoundError):
            os.unlink(self._root / key)  # noqa: PTH108 - called for every blob of a store

    def _removal(self, key: str) -> str:
        return f"rm -f {shlex.quote(str(self._root / key))}"

    def _copy_blob(self, blob: Descriptor, key: str) -> None:
        # A copy and not a link, so that changes of the copy do not affect the blob.
        with (
            self._open(blob_key(blob.digest)) as (_, stream),
            self._writing(key) as out,
        ):
            digest, size = copy_checked(stream, out, blob.size)
            self._compare(blob.digest, blob.size, digest, size)

    def _uri(self, key: str) -> str:
        return (self._root / key).as_uri().rstrip("/")

    @contextlib.contextmanager
    def _writing(
        self, key: str, mode: int = 0o444, publish: Callable[[str, Path], None] = os.replace
    ) -> Iterator[IO[bytes]]:
        target = self._root / key
        self._require_folders(key.rpartition("/")[0])
        with self._errors(f"cannot write {key}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._root / "tmp").mkdir(exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._root / "tmp")
            try:
                with os.fdopen(descriptor, "wb") as out:
                    yield out
                    out.flush()
                    os.fsync(out.fileno())
                os.chmod(name, mode)  # noqa: PTH101
                publish(name, target)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)  # noqa: PTH108
                raise

    def _link_in(self, folder: str) -> Path | None:
        """The first link among a folder of the store and its parents, if there is one."""
        path = self._root
        for name in Path(folder).parts:
            path /= name
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if stat.S_ISLNK(path.lstat().st_mode):
                    return path
        return None

    def _require_folders(self, folder: str) -> None:
        """Refuse a folder that is or is below a link.

        Raises:
            IntegrityError: There is a link; the message has its path.
        """
        with self._errors(f"cannot look at {folder}"):
            link = self._link_in(folder)
        if link is not None:
            raise IntegrityError(
                f"damaged: {link}: it is a symbolic link and not a folder; find out who created "
                f"it, and remove it ({self._removal(str(link.relative_to(self._root)))})"
            )

    @contextlib.contextmanager
    def _errors(self, what: str, key: str = "") -> Iterator[None]:
        """Convert errors of the operating system to those of the store."""
        try:
            yield
        except FileNotFoundError as error:
            if key:
                raise not_found(key, self.url) from error
            raise StoreError(
                f"store {self.url} {what}: {error.strerror}; create the folder"
            ) from error
        except PermissionError as error:
            raise StoreAccessError(
                f"store {self.url} {what}: {error.strerror}; grant this user access"
            ) from error
        except OSError as error:
            remedy = "check the disk"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                folders = (self._root, *self._root.parents)
                free = shutil.disk_usage(next(p for p in folders if p.exists())).free
                remedy = f"{free} bytes are free; make room and run again, nothing is half-written"
            raise StoreError(f"store {self.url} {what}: {error.strerror}; {remedy}") from error


def _rename_new(name: str, target: Path) -> None:
    """Rename a file unless `target` exists; a hard link fails in that case."""
    os.link(name, target)
    os.unlink(name)  # noqa: PTH108
