"""What answers and faults mean: whether a retry mends them, and the remedy."""

from typing import Final

import urllib3
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from assay.core.store.wire import BrokenError, ForeignError, StatusError, UntrustedError
from assay.errors import NotFoundError, StoreAccessError, StoreError, StoreUnavailableError

FAULTS: Final = (
    StatusError,
    BrokenError,
    ForeignError,
    UntrustedError,
    MinioException,
    urllib3.exceptions.HTTPError,
)
"""What requests raise; none of it leaves the store."""
ALTERED: Final = frozenset({"XAmzContentSHA256Mismatch", "BadDigest"})
"""The body is not what its hash says."""
MISSING: Final = frozenset({"NoSuchKey", "NotFound", "NoSuchObject"})

_TRANSIENT: Final = ALTERED | {
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "OperationAborted",
    "ConditionalRequestConflict",
    "XMinioServerNotInitialized",
    "IncompleteBody",
}
_TRANSIENT_STATUS: Final = frozenset({408, 409, 429})
_SERVER_FAULT: Final = 500
_FULL: Final = frozenset({"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"})
_ACCESS: Final = frozenset(
    {
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidTokenId",
    }
)
_ACCESS_STATUS: Final = frozenset({401, 403})


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, StatusError | S3Error):
        status = _status(error)
        # A full disk is answered with 507, and still no retry makes room.
        return error.code not in _FULL and (
            error.code in _TRANSIENT or status in _TRANSIENT_STATUS or status >= _SERVER_FAULT
        )
    if isinstance(error, InvalidResponseError):
        # An answer that is not S3's at all, such as a load balancer's page.
        return error._code >= _SERVER_FAULT  # type: ignore[no-any-return]  # noqa: SLF001
    return isinstance(error, BrokenError | ServerError | urllib3.exceptions.HTTPError)


def told(error: BaseException, *, url: str, bucket: str, patience: str) -> StoreError:
    """The store's error for what a request raised.

    Args:
        error: One of `FAULTS`.
        url: The store's, for the message.
        bucket: Its bucket.
        patience: How long transient faults were borne, in words.
    """
    if isinstance(error, UntrustedError):
        return StoreError(
            f"store {url}: the server's certificate is not accepted ({error}); set SSL_CERT_FILE "
            "to the certificate of its authority"
        )
    if isinstance(error, ForeignError) or (
        isinstance(error, InvalidResponseError) and not is_transient(error)
    ):
        odd = str(error) if isinstance(error, ForeignError) else "not XML"
        return StoreError(
            f"store {url}: the answer is not an S3 server's ({odd}), so it says nothing about what "
            "the store holds; a proxy or a sign-in page answers, or the endpoint in ASSAY_STORE is "
            "another server's"
        )
    if isinstance(error, StatusError | S3Error) and not is_transient(error):
        return permanent(error.code or "", _status(error), str(error), url, bucket)
    # The text of urllib3's errors holds URLs, in which signed queries may stand.
    cause = type(error).__name__
    if isinstance(error, StatusError | ServerError | BrokenError):
        cause = str(error)
    elif isinstance(error, S3Error):
        cause = str(error.code)
    return StoreUnavailableError(
        f"store {url} does not answer as it should ({cause}), after {patience}; is it up, and is "
        "the endpoint in ASSAY_STORE right? What was stored stays; run again to go on"
    )


def permanent(code: str, status: int, text: str, url: str, bucket: str) -> StoreError:
    """The error for an answer that no retry mends."""
    if code == "RequestTimeTooSkewed":
        return StoreError(f"store {url}: the clocks differ too much; set this machine's clock")
    if code in _ACCESS or (not code and status in _ACCESS_STATUS):
        return StoreAccessError(
            f"store {url} refuses these credentials ({code or status}); check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and the rights of that user on the bucket"
        )
    if code == "NoSuchBucket":
        return StoreError(f"store {url}: no such bucket; create it: mc mb ALIAS/{bucket}")
    if code in MISSING:
        return NotFoundError(f"nothing there in {url}; is this the right store (ASSAY_STORE)?")
    if code in _FULL:
        return StoreError(f"store {url} is full ({code}); make room and run again")
    return StoreError(f"store {url}: {text}")


def _status(error: StatusError | S3Error) -> int:
    if isinstance(error, StatusError):
        return error.status
    return int(getattr(error.response, "status", 0) or 0)
