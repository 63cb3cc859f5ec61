"""Clients of a bucket's server, and how long its faults are borne."""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, urlsplit

import urllib3
from minio import Minio
from minio.credentials import ChainedProvider, EnvAWSProvider, EnvMinioProvider
from minio.credentials.providers import Provider
from minio.error import MinioException

from assay.core.parallel import WORKERS
from assay.core.settings import (
    CA_FILE,
    S3_ENDPOINT,
    S3_REGION,
    STORE_MIN_RATE,
    STORE_TIMEOUT,
    check,
)
from assay.core.store.wire import Pace
from assay.errors import UsageError


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
    """Seconds of silence."""
    pace: Pace = field(default_factory=Pace)

    @classmethod
    def from_env(cls) -> "RetryLimits":
        """The limits with the pace that `ASSAY_STORE_TIMEOUT` and `ASSAY_STORE_MIN_RATE` set.

        Raises:
            UsageError: One of them is not a positive number; names both if both are not.
        """
        check(STORE_TIMEOUT, STORE_MIN_RATE)
        seconds, rate = STORE_TIMEOUT.get(), STORE_MIN_RATE.get()
        return cls(read_timeout=min(60.0, seconds), pace=Pace(seconds, max(1, int(rate))))


def split_url(url: str) -> SplitResult:
    """The parts of a URL.

    Raises:
        UsageError: It cannot be taken apart, such as one with an address that is not closed.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - refuses one that is not a number
    except ValueError as error:
        raise UsageError(
            f"not a URL: {shown(url)!r} ({error}); write http://host:port, and an IPv6 address in "
            "brackets"
        ) from None
    return parts


def shown(url: str) -> str:
    """A URL for a message: what stands before an @ may be a password, a query may hold keys."""
    bare = url.split("?", maxsplit=1)[0]
    return (bare if "@" not in bare else f"…@{bare.rpartition('@')[2]}")[:200]


def client_for(url: str, limits: RetryLimits | None = None, *, anonymous: bool = False) -> Minio:
    """A client for `s3://bucket/…?endpoint=…&region=…`, with credentials from the environment.

    Args:
        url: The location.
        limits: How long faults are borne.
        anonymous: Send no credentials: the server is not the one that they belong to.

    Raises:
        UsageError: No endpoint, or credentials in the URL.
    """
    limits = limits or RetryLimits.from_env()
    parts = split_url(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(set(query) - {"endpoint", "region"})
    if "@" in parts.netloc or unknown:
        raise UsageError(
            f"s3://{parts.hostname}: give endpoint and region only; credentials come from "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or MINIO_ACCESS_KEY, MINIO_SECRET_KEY)"
        )
    endpoint = query.get("endpoint") or S3_ENDPOINT.get()
    server = split_url(endpoint)
    if "@" in server.netloc:
        raise UsageError(
            f"s3://{parts.hostname}: the endpoint has credentials in it; take them out: they come "
            "from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
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
        ca_certs=CA_FILE.get() or None,
    )
    try:
        return Minio(
            server.netloc,
            secure=server.scheme == "https",
            region=query.get("region") or S3_REGION.get(),
            http_client=pool,
            credentials=None if anonymous else _provider(),
        )
    except ValueError as error:
        raise UsageError(
            f"s3://{parts.hostname}: the endpoint {shown(endpoint)!r} cannot be used ({error}); "
            "write http://host:port or https://host:port"
        ) from None


def _provider() -> Provider | None:
    provider = ChainedProvider([EnvAWSProvider(), EnvMinioProvider()])
    try:
        provider.retrieve()
    except (ValueError, MinioException):
        # A server without authentication needs none; any other will say AccessDenied.
        return None
    return provider
