"""Storage of blobs in a folder or a MinIO (S3) bucket."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from assay.core.store.base import Store, blob_key
from assay.errors import UsageError

__all__ = ["Store", "blob_key", "open_store"]

_REMEDY = "write file:///folder or s3://bucket/prefix?endpoint=http://host:port"


def open_store(url: str) -> Store:
    """The store at `url`: `file:///folder` or `s3://bucket/prefix?endpoint=http://host:port`.

    Raises:
        UsageError: Not the URL of a store.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"ASSAY_STORE: not a URL ({error}); {_REMEDY}") from None
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        from assay.core.store.folder import FolderStore

        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme == "s3":
        # Imported here, because the client takes half a second that a folder need not.
        from assay.core.store.minio import MinioStore

        return MinioStore.from_url(url)
    # The text before an @ may contain a password, which must not be logged.
    shown = url if "@" not in url else f"{parts.scheme}://…@{url.rpartition('@')[2]}"
    raise UsageError(f"ASSAY_STORE: {shown!r} is not the URL of a store; {_REMEDY}")
