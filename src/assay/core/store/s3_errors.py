"""S3 error codes: meaning, exception class and remedy.

A code with the error `StoreUnavailableError` is transient: the same request may succeed later.
Codes that are not in the table are handled by their HTTP status.
"""

from typing import Final, NamedTuple

from assay.core.retry import TRANSIENT_STATUS
from assay.core.store.wire import BrokenError, ForeignError, StatusError, UntrustedError
from assay.errors import NotFoundError, StoreAccessError, StoreError, StoreUnavailableError

FAULTS: Final = (StatusError, BrokenError, ForeignError, UntrustedError)
"""The internal exceptions of requests, which are converted to those of the store."""


class Row(NamedTuple):
    """An error code of S3."""

    meaning: str
    error: type[StoreError]
    remedy: str

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.error is StoreUnavailableError


_CREDENTIALS: Final = (
    "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (or the profile or role that they come from) "
    "and the permissions of that user on the bucket"
)
_ROOM: Final = "make room and run again"
_BUCKET: Final = "create it: mc mb ALIAS/{bucket}"
_AGAIN: Final = "run again later"
_REGION: Final = "give the bucket's region: &region=… in the URL, or AWS_REGION"

TABLE: Final = {
    "SlowDown": Row("asks for fewer requests", StoreUnavailableError, _AGAIN),
    "SlowDownRead": Row("asks for fewer requests", StoreUnavailableError, _AGAIN),
    "SlowDownWrite": Row("asks for fewer requests", StoreUnavailableError, _AGAIN),
    "InternalError": Row("failed", StoreUnavailableError, _AGAIN),
    "ServiceUnavailable": Row("is not available", StoreUnavailableError, _AGAIN),
    "XMinioServerNotInitialized": Row("is starting", StoreUnavailableError, _AGAIN),
    "RequestTimeout": Row("waited too long for a request", StoreUnavailableError, _AGAIN),
    "IncompleteBody": Row("got an incomplete request", StoreUnavailableError, _AGAIN),
    "OperationAborted": Row("is busy with the same key", StoreUnavailableError, _AGAIN),
    "ConditionalRequestConflict": Row("is busy with the same key", StoreUnavailableError, _AGAIN),
    "XAmzContentSHA256Mismatch": Row("got altered bytes", StoreUnavailableError, _AGAIN),
    "BadDigest": Row("got altered bytes", StoreUnavailableError, _AGAIN),
    "AccessDenied": Row("refuses these credentials", StoreAccessError, _CREDENTIALS),
    "InvalidAccessKeyId": Row("refuses these credentials", StoreAccessError, _CREDENTIALS),
    "SignatureDoesNotMatch": Row("refuses these credentials", StoreAccessError, _CREDENTIALS),
    "InvalidTokenId": Row("refuses these credentials", StoreAccessError, _CREDENTIALS),
    "InvalidToken": Row("refuses these credentials", StoreAccessError, _CREDENTIALS),
    "ExpiredToken": Row("refuses these credentials", StoreAccessError, "log in again"),
    "RequestTimeTooSkewed": Row(
        "has a clock that differs too much from this machine's", StoreError, "set the clock"
    ),
    "AuthorizationHeaderMalformed": Row("is of another region", StoreError, _REGION),
    "PermanentRedirect": Row("is of another region", StoreError, _REGION),
    "InvalidBucketName": Row(
        "does not take such a bucket",
        StoreError,
        "a name has 3 to 63 lower-case letters and digits",
    ),
    "NoSuchBucket": Row("has no such bucket", StoreError, _BUCKET),
    "NoSuchKey": Row("has no such object", NotFoundError, "check ASSAY_STORE"),
    "NoSuchObject": Row("has no such object", NotFoundError, "check ASSAY_STORE"),
    "NotFound": Row("has no such object", NotFoundError, "check ASSAY_STORE"),
    "XMinioStorageFull": Row("is full", StoreError, _ROOM),
    "XMinioAdminBucketQuotaExceeded": Row("is full", StoreError, _ROOM),
    "QuotaExceeded": Row("is full", StoreError, _ROOM),
    "InsufficientStorage": Row("is full", StoreError, _ROOM),
    "NotImplemented": Row("does not implement the request", StoreError, "use another server"),
}
"""By code."""
_BY_STATUS: Final = {401: "AccessDenied", 403: "AccessDenied", 507: "InsufficientStorage"}
"""Row to use for responses without a code, such as those to HEAD."""
_CONFLICT: Final = 409
"""Transient in S3: concurrent requests for the same key."""
ALTERED: Final = frozenset({"XAmzContentSHA256Mismatch", "BadDigest"})
"""Codes for a body that does not match its hash."""
EXPIRED: Final = frozenset({"ExpiredToken", "InvalidTokenId", "TokenRefreshRequired"})
"""Codes for expired credentials, which may expire early; new ones are requested once."""
MISSING: Final = frozenset(code for code, row in TABLE.items() if row.error is NotFoundError)


def row_of(code: str, status: int = 0) -> Row | None:
    """The table's row for an answer; None where it has none."""
    return TABLE.get(code or _BY_STATUS.get(status, ""))


def is_transient_answer(code: str, status: int) -> bool:
    """Whether the same request may succeed later after such a response."""
    if row := row_of(code, status):
        return row.transient
    return status in TRANSIENT_STATUS or status == _CONFLICT


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later after such an error."""
    if isinstance(error, StatusError):
        return is_transient_answer(error.code, error.status)
    return isinstance(error, BrokenError)


def to_store_error(error: BaseException, *, url: str, bucket: str, limits: str) -> StoreError:
    """Convert the exception of a request to an exception of the store.

    Args:
        error: One of `FAULTS`.
        url: URL of the store, for the message.
        bucket: Its bucket, for the message.
        limits: Description of the retry policy, for the message.

    Returns:
        The exception.
    """
    if isinstance(error, UntrustedError):
        return StoreError(
            f"store {url}: the server's certificate is not accepted ({error})",
            remedy="set SSL_CERT_FILE to the certificate of its authority",
        )
    if isinstance(error, ForeignError):
        return StoreError(
            f"store {url}: the response is not from an S3 server ({error}); a proxy or a sign-in "
            "page answers, or the endpoint in ASSAY_STORE is another server"
        )
    if isinstance(error, StatusError) and not is_transient(error):
        return permanent(error.code, error.status, str(error), url, bucket)
    return StoreUnavailableError(
        f"store {url} does not respond correctly ({error}), after {limits}",
        remedy="check that it is up and that the endpoint in ASSAY_STORE is correct. Stored data "
        "is kept; run again to continue",
    )


def permanent(code: str, status: int, text: str, url: str, bucket: str) -> StoreError:
    """The exception for a response that is not transient.

    Args:
        code: The error code; empty if the response has none.
        status: The HTTP status.
        text: Description of unknown codes.
        url: URL of the store, for the message.
        bucket: Its bucket, for the message.

    Returns:
        The exception.
    """
    row = row_of(code, status)
    if row is None:
        return StoreError(f"store {url}: {text}")
    remedy = row.remedy.format(bucket=bucket)
    return row.error(f"store {url} {row.meaning} ({code or status})", remedy=remedy)
