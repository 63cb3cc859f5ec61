"""A store in a bucket of MinIO, or of another server that speaks S3.

Blobs are written create-only (`If-None-Match: *`), so writers can race. The digest is signed as
`x-amz-content-sha256`: a server that checks it refuses a body that was altered on its way, and the
client need not hash what it has already named. Transient faults are retried with exponential
back-off and jitter; faults that no retry mends are told at once, with the remedy.
"""

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import ComposeSource, CopySource
from minio.credentials import ChainedProvider, EnvAWSProvider, EnvMinioProvider
from minio.credentials.providers import Provider
from minio.datatypes import Part
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.signer import sign_v4_s3
from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential_jitter,
)

from assay.digest import Readable, hex_of
from assay.errors import (
    IntegrityError,
    NotFoundError,
    StoreAccessError,
    StoreError,
    StoreUnavailableError,
    UsageError,
)
from assay.manifest import Descriptor
from assay.store.base import WORKERS, Store, blob_key

logger = logging.getLogger(__name__)
T = TypeVar("T")

PART_BYTES: Final = 32 << 20
"""Size of the parts of a large blob; also the size from which a blob is sent in parts."""
PARALLEL_PARTS: Final = 4
"""Parts in flight; with `PART_BYTES` this bounds memory at any blob size."""
MAX_COPY_BYTES: Final = 5 << 30
"""The most that S3 copies in one request."""

_OK: Final = 200
_TRANSIENT_CODES: Final = frozenset(
    {
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "OperationAborted",
        "ConditionalRequestConflict",
        "XMinioServerNotInitialized",
        # The body was altered on its way; the file itself was hashed a moment ago.
        "XAmzContentSHA256Mismatch",
        "BadDigest",
        "IncompleteBody",
    }
)
_FULL_CODES: Final = frozenset({"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"})
_MISSING_CODES: Final = frozenset({"NoSuchKey", "NotFound", "NoSuchObject"})
_ACCESS_CODES: Final = frozenset(
    {
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidTokenId",
    }
)


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How long transient faults are borne."""

    attempts: int = 8
    seconds: float = 60.0
    first_wait: float = 0.1
    """Seconds; doubles each time, with jitter."""
    longest_wait: float = 5.0
    connect_timeout: float = 5.0
    read_timeout: float = 60.0


class _Status(Exception):  # noqa: N818 - never leaves this module
    """An answer to one of our own requests that is neither success nor an S3 error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{code or 'HTTP'} {status}")
        self.status = status
        self.code = code


def client_for(url: str, limits: RetryLimits | None = None) -> Minio:
    """A client for `s3://bucket/…?endpoint=…&region=…`, with credentials from the environment.

    Raises:
        UsageError: No endpoint, or credentials in the URL.
    """
    limits = limits or RetryLimits()
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(set(query) - {"endpoint", "region"})
    if "@" in parts.netloc or unknown:
        raise UsageError(
            f"s3://{parts.hostname}: give endpoint and region only; credentials come from "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or MINIO_ACCESS_KEY, MINIO_SECRET_KEY)"
        )
    endpoint = query.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL", "")
    server = urlsplit(endpoint)
    if server.scheme not in {"http", "https"} or not server.netloc or server.path.strip("/"):
        raise UsageError(
            f"{url.split('?', maxsplit=1)[0]}: which server? write "
            "s3://bucket/prefix?endpoint=http://host:9000, or set AWS_ENDPOINT_URL"
        )
    pool = urllib3.PoolManager(
        maxsize=2 * WORKERS,
        timeout=urllib3.Timeout(connect=limits.connect_timeout, read=limits.read_timeout),
        retries=False,  # tenacity retries, in one place
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("SSL_CERT_FILE"),
    )
    return Minio(
        server.netloc,
        secure=server.scheme == "https",
        region=query.get("region") or os.environ.get("AWS_REGION") or "us-east-1",
        http_client=pool,
        credentials=_provider(),
    )


def _provider() -> Provider | None:
    provider = ChainedProvider([EnvAWSProvider(), EnvMinioProvider()])
    try:
        provider.retrieve()
    except (ValueError, MinioException):
        # A server without authentication needs none; any other will say AccessDenied.
        return None
    return provider


class MinioStore(Store):
    """Blobs as objects below a prefix of a bucket."""

    def __init__(
        self, client: Minio, bucket: str, prefix: str, limits: RetryLimits | None = None
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._limits = limits or RetryLimits()
        self.url = f"s3://{bucket}/{self._prefix}".rstrip("/")

    @classmethod
    def from_url(cls, url: str, limits: RetryLimits | None = None) -> "MinioStore":
        """The store that an `s3://…` URL names."""
        parts = urlsplit(url)
        if not parts.netloc:
            raise UsageError(
                "s3://: which bucket? write s3://bucket/prefix?endpoint=http://host:9000"
            )
        return cls(client_for(url, limits), parts.netloc.rpartition("@")[2], parts.path, limits)

    # Whole reads are retried, because a stream that breaks off cannot be continued in place.

    def get_file(self, blob: Descriptor, target: Path) -> None:
        """See `Store.get_file`."""
        self._retry(lambda: super(MinioStore, self).get_file(blob, target), damaged=True)

    def get_bytes(self, digest: str, max_bytes: int) -> bytes:
        """See `Store.get_bytes`."""
        return self._retry(
            lambda: super(MinioStore, self).get_bytes(digest, max_bytes), damaged=True
        )

    def verify(self, blob: Descriptor | str) -> int:
        """See `Store.verify`."""
        return self._retry(lambda: super(MinioStore, self).verify(blob), damaged=True)

    def read_pointer(self, name: str) -> bytes | None:
        """See `Store.read_pointer`."""
        return self._retry(lambda: super(MinioStore, self).read_pointer(name))

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[tuple[int, Readable]]:
        try:
            response = self._client.get_object(self._bucket, self._prefix + key)
        except S3Error as error:
            if error.code in _MISSING_CODES:
                # Here and not in _retry, because callers up to there ask for this error.
                raise self._permanent(error.code, str(error.message), error) from error
            raise
        try:
            yield int(response.headers["content-length"]), response
        finally:
            # Closed rather than drained: after an error the rest is of no use.
            if response.isclosed():
                response.release_conn()
            else:
                response.close()

    def _size(self, key: str) -> int | None:
        def ask() -> int | None:
            size: int | None = self._client.stat_object(self._bucket, self._prefix + key).size
            return size

        try:
            return self._retry(ask)
        except NotFoundError:
            return None

    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        key = blob_key(blob.digest)
        if not self._create(key, data, hex_of(blob.digest), blob.media_type):
            self._mend(key, blob, lambda: io.BytesIO(data))

    def _put_file(self, blob: Descriptor, path: Path) -> None:
        key = blob_key(blob.digest)
        if blob.size >= PART_BYTES:
            if self._size(key) != blob.size:
                self._put_parts(key, blob, path)
            return
        data = path.read_bytes()
        if len(data) != blob.size:
            raise IntegrityError(f"{path} changed while it was stored; run again")
        self._put_bytes(blob, data)

    def _mend(self, key: str, blob: Descriptor, content: Callable[[], io.BytesIO]) -> None:
        """Something is there already; if its size is wrong it is damaged for certain."""
        if self._size(key) != blob.size:
            logger.warning("replacing damaged blob %s", self.location(blob.digest))
            data = content().getvalue()
            self._retry(lambda: self._put(key, data, hex_of(blob.digest), blob.media_type, {}))

    def _create(self, key: str, data: bytes, sha256: str, media_type: str) -> bool:
        """Put unless something is there; whether it was put."""
        try:
            self._retry(lambda: self._put(key, data, sha256, media_type, {"If-None-Match": "*"}))
        except _Status as answer:
            if answer.status == 412:  # noqa: PLR2004 - Precondition Failed
                return False
            raise self._permanent(answer.code, str(answer)) from answer
        return True

    def _put(
        self, key: str, data: bytes, sha256: str, media_type: str, extra: dict[str, str]
    ) -> None:
        """One signed PUT of our own, because minio-py passes no digest and no condition."""
        client = self._client
        region = client._get_region(self._bucket)  # noqa: SLF001 - pinned client, no public way
        url = client._base_url.build(  # noqa: SLF001
            method="PUT",
            region=region,
            bucket_name=self._bucket,
            object_name=self._prefix + key,
            query_params=None,
        )
        headers: dict[str, Any] = {
            "Host": url.netloc,
            "Content-Type": media_type,
            "Content-Length": str(len(data)),
            "x-amz-content-sha256": sha256,
            **extra,
        }
        provider = client._provider  # noqa: SLF001
        if provider is not None:
            date = datetime.now(UTC)
            credentials = provider.retrieve()
            headers["x-amz-date"] = date.strftime("%Y%m%dT%H%M%SZ")
            if credentials.session_token:
                headers["X-Amz-Security-Token"] = credentials.session_token
            headers = sign_v4_s3(
                method="PUT",
                url=url,
                region=region,
                headers=headers,
                credentials=credentials,
                content_sha256=sha256,
                date=date,
            )
        response = client._http.urlopen(  # noqa: SLF001
            "PUT", url.geturl(), body=data, headers=headers, redirect=False
        )
        if response.status != _OK:
            raise _Status(response.status, _error_code(response.data))

    def _put_parts(self, key: str, blob: Descriptor, path: Path) -> None:
        """A large blob in parts, in parallel; what is not completed is given up again."""
        client, name = self._client, self._prefix + key
        upload = self._retry(
            lambda: client._create_multipart_upload(  # noqa: SLF001
                self._bucket, name, {"Content-Type": blob.media_type}
            )
        )
        numbers = range(-(-blob.size // PART_BYTES))
        try:
            with path.open("rb") as stream, ThreadPoolExecutor(PARALLEL_PARTS) as pool:
                descriptor = stream.fileno()

                def send(number: int) -> Part:
                    data = os.pread(descriptor, PART_BYTES, number * PART_BYTES)
                    tag = self._retry(
                        lambda: client._upload_part(  # noqa: SLF001
                            self._bucket, name, data, None, upload, number + 1
                        )
                    )
                    return Part(number + 1, tag)

                parts = list(pool.map(send, numbers))
            self._retry(
                lambda: client._complete_multipart_upload(  # noqa: SLF001
                    self._bucket, name, upload, parts
                )
            )
        except BaseException:
            with contextlib.suppress(StoreError):
                self._retry(
                    lambda: client._abort_multipart_upload(self._bucket, name, upload)  # noqa: SLF001
                )
            raise
        # The parts were hashed by themselves, not the whole: the file may have changed between.
        size = self._size(key)
        if size != blob.size:
            raise IntegrityError(f"{path} changed while it was stored; run again")

    def _replace(self, key: str, data: bytes) -> None:
        import hashlib

        sha256 = hashlib.sha256(data).hexdigest()
        try:
            self._retry(lambda: self._put(key, data, sha256, "application/json", {}))
        except _Status as answer:
            raise self._permanent(answer.code, str(answer)) from answer

    def _add(self, key: str, data: bytes) -> bool:
        import hashlib

        return self._create(key, data, hashlib.sha256(data).hexdigest(), "text/plain")

    def _list(self, prefix: str) -> Iterator[tuple[str, int]]:
        def ask() -> list[tuple[str, int]]:
            found = self._client.list_objects(self._bucket, self._prefix + prefix, recursive=True)
            return [(item.object_name.removeprefix(self._prefix), item.size) for item in found]

        yield from self._retry(ask)

    def _copy_to_view(self, blob: Descriptor, key: str) -> None:
        source, target = self._prefix + blob_key(blob.digest), self._prefix + key

        def copy() -> None:
            if blob.size < MAX_COPY_BYTES:
                self._client.copy_object(self._bucket, target, CopySource(self._bucket, source))
            else:
                whole = [ComposeSource(self._bucket, source)]
                self._client.compose_object(self._bucket, target, whole)

        self._retry(copy)

    def _uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}".rstrip("/")

    def _retry(self, work: Callable[[], T], *, damaged: bool = False) -> T:
        """Do `work`, again after a transient fault; every other fault as the store's error.

        Args:
            work: What to do.
            damaged: Try once more when the bytes came damaged, which may be the network's doing.
        """
        limits = self._limits
        damage_seen = 0

        def transient(error: BaseException) -> bool:
            nonlocal damage_seen
            if damaged and isinstance(error, IntegrityError):
                damage_seen += 1
                return damage_seen == 1
            return _is_transient(error)

        retrying = Retrying(
            stop=stop_after_attempt(limits.attempts) | stop_after_delay(limits.seconds),
            wait=wait_exponential_jitter(multiplier=limits.first_wait, max=limits.longest_wait),
            retry=retry_if_exception(transient),
            before_sleep=before_sleep_log(logger, logging.DEBUG),
            reraise=True,
        )
        try:
            return retrying(work)
        except _Status as answer:
            if _is_transient(answer):
                raise self._unavailable(answer) from answer
            raise
        except S3Error as error:
            if _is_transient(error):
                raise self._unavailable(error) from error
            raise self._permanent(error.code, f"{error.code}: {error.message}", error) from error
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailableError:
        # The text of urllib3's errors holds URLs, in which signed queries may stand.
        kind = f"{error.code}" if isinstance(error, S3Error) else type(error).__name__
        if isinstance(error, _Status | ServerError):
            kind = str(error)
        return StoreUnavailableError(
            f"store {self.url} does not answer as it should ({kind}), after "
            f"{self._limits.attempts} tries or {self._limits.seconds:g} s; is it up, and is the "
            "endpoint in ASSAY_STORE right? What was stored stays; run again to go on"
        )

    def _permanent(self, code: str, text: str, error: S3Error | None = None) -> StoreError:
        if code in _ACCESS_CODES:
            return StoreAccessError(
                f"store {self.url} refuses these credentials ({code}); check AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY and the rights of that user on the bucket"
            )
        if code == "NoSuchBucket":
            return StoreError(
                f"store {self.url}: no such bucket; create it: mc mb ALIAS/{self._bucket}"
            )
        if code in _MISSING_CODES:
            name = (error.object_name if error else "") or "that key"
            return NotFoundError(
                f"nothing under {name} in {self.url}; is this the right store (ASSAY_STORE)?"
            )
        if code == "RequestTimeTooSkewed":
            return StoreError(
                f"store {self.url}: the clocks differ too much; set this machine's clock"
            )
        if code in _FULL_CODES:
            return StoreError(f"store {self.url} is full ({code}); make room and run again")
        return StoreError(f"store {self.url}: {text}")


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, S3Error | _Status) and error.code in _FULL_CODES:
        # Answered with 507, and still no retry makes room.
        return False
    if isinstance(error, S3Error):
        status = getattr(error.response, "status", 0) or 0
        return error.code in _TRANSIENT_CODES or status >= 500  # noqa: PLR2004
    if isinstance(error, _Status):
        return error.code in _TRANSIENT_CODES or error.status in {409, 429} or error.status >= 500  # noqa: PLR2004
    if isinstance(error, InvalidResponseError):
        # An answer that is not S3's at all, such as a load balancer's page.
        return error._code >= 500  # type: ignore[no-any-return]  # noqa: PLR2004, SLF001
    if isinstance(error, ServerError):
        return True
    # Connections refused, reset, cut short or silent.
    return isinstance(error, urllib3.exceptions.HTTPError)


def _error_code(body: bytes) -> str:
    """The `<Code>` of an S3 error's XML."""
    _, _, rest = body[: 64 << 10].partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode(errors="replace")
