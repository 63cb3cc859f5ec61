"""A store in a folder: for one machine, for tests, and for a file system that many mount.

A blob becomes visible by a rename, so a killed writer leaves at most a file under `tmp/`. Data is
flushed to the disk before the rename; after a power cut a name is either absent or whole, and a
read would notice anything else.

Only regular files count. A link, pipe, socket or device in the place of one is damage: it is never
followed or waited for, and storing the same bytes again puts a file in its place. A link in the
place of a folder is refused: whoever can write in the store could choose by it which files outside
of the store are listed, written or removed.
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
from assay.core.store.base import Entry, Store, blob_key, nothing_under
from assay.core.store.files import SpecialFileError, copy_checked, kind_of_file, open_own
from assay.core.store.probe import CONTENT, Probe
from assay.errors import IntegrityError, StoreAccessError, StoreError

FEW: Final = 64
"""Small files that take less time than threads for them do, even on a file system far away."""

T = TypeVar("T")
R = TypeVar("R")


class _Stream:
    """A file of the store, whose read errors are the store's."""

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
    """Blobs as files below a folder, which the first write makes: who only reads makes nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ahead: float | None = None
        """Seconds by which the file system's clock is ahead of this machine's."""
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
                    f"damaged: {self._root / key}: {error.strerror}; see who put it there, and "
                    f"remove it ({self._removal(key)})"
                ) from error
        with stream:
            yield os.fstat(stream.fileno()).st_size, _Stream(stream, self._errors, key)

    def _stat(self, key: str) -> Entry | None:
        with self._errors(f"cannot look at {key}"):
            try:
                status = os.lstat(self._root / key)  # the hottest call
            except FileNotFoundError:
                return None
            if not stat.S_ISREG(status.st_mode):
                return None
            return Entry(key, status.st_size, status.st_mtime)

    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        if not self._is_there(blob):
            with self._writing(blob_key(blob.digest)) as out:
                out.write(data)

    def _put_stream(self, stream: IO[bytes], path: Path, media_type: str) -> Descriptor:
        digest, size = of_stream(stream)
        blob = Descriptor(digest, size, media_type)
        if not self._is_there(blob):
            stream.seek(0)
            with self._writing(blob_key(digest)) as out:
                # Hashed again, because the file may have changed since it was named.
                if copy_checked(stream, out, size) != (digest, size):
                    raise IntegrityError(f"{path} changed while it was stored; run again")
        return blob

    def _replace(self, key: str, data: bytes, media_type: str = "") -> None:
        del media_type  # a file has none
        with self._writing(key, mode=0o644) as out:
            out.write(data)

    def _add(self, key: str, data: bytes) -> bool:
        try:
            with self._writing(key, mode=0o644, place=_place_new) as out:
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
            # A folder that is gone holds nothing; any other that cannot be read is no empty one.
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
            # As the first write of a run would.
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._root, prefix=".doctor-") as file:
                file.write(CONTENT)
                file.flush()
        return Probe(reads_back=True)

    def _now(self) -> float:
        # What the file system stamps a new file with: on a share, the clock of its server.
        if not self._root.exists():
            # Nothing is there whose age could be asked for.
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
        # A copy and no link: who changes a copy must not change the blob.
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
        self, key: str, mode: int = 0o444, place: Callable[[str, Path], None] = os.replace
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
                place(name, target)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)  # noqa: PTH108
                raise

    def _link_in(self, folder: str) -> Path | None:
        """The first link among a folder of the store and those above it, if there is one."""
        place = self._root
        for name in Path(folder).parts:
            place /= name
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if stat.S_ISLNK(place.lstat().st_mode):
                    return place
        return None

    def _require_folders(self, folder: str) -> None:
        """Refuse to go through links.

        Raises:
            IntegrityError: Names the link.
        """
        with self._errors(f"cannot look at {folder}"):
            link = self._link_in(folder)
        if link is not None:
            raise IntegrityError(
                f"damaged: {link}: it is a symbolic link and not a folder; see who put it there, "
                f"and remove it ({self._removal(str(link.relative_to(self._root)))})"
            )

    @contextlib.contextmanager
    def _errors(self, what: str, key: str = "") -> Iterator[None]:
        """Turn the operating system's errors into the store's."""
        try:
            yield
        except FileNotFoundError as error:
            if key:
                raise nothing_under(key, self.url) from error
            raise StoreError(
                f"store {self.url} {what}: {error.strerror}; create the folder"
            ) from error
        except PermissionError as error:
            raise StoreAccessError(
                f"store {self.url} {what}: {error.strerror}; give this user the right to it"
            ) from error
        except OSError as error:
            remedy = "check the disk"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                places = (self._root, *self._root.parents)
                free = shutil.disk_usage(next(p for p in places if p.exists())).free
                remedy = f"{free} bytes are free; make room and run again, nothing is half-written"
            raise StoreError(f"store {self.url} {what}: {error.strerror}; {remedy}") from error


def _place_new(name: str, target: Path) -> None:
    """Give a file its name unless another has it: a hard link is made exactly once."""
    os.link(name, target)
    os.unlink(name)  # noqa: PTH108
