"""Clients for the server of a bucket, and their timeouts."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, urlsplit

from assay.core.parallel import WORKERS
from assay.core.retry import STORE, Policy
from assay.core.settings import (
    CA_FILE,
    S3_ENDPOINT,
    S3_REGION,
    STORE_MIN_RATE,
    STORE_TIMEOUT,
    check,
)
from assay.core.store.credentials import from_environment
from assay.core.store.wire import Endpoint, Pace
from assay.errors import UsageError

if TYPE_CHECKING:
    from minio import Minio


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts and retry policy for a server."""

    policy: Policy = STORE
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    """Maximum seconds without data."""
    pace: Pace = field(default_factory=Pace)

    @classmethod
    def from_env(cls) -> "Limits":
        """The limits with the values of `ASSAY_STORE_TIMEOUT` and `ASSAY_STORE_MIN_RATE`.

        Raises:
            UsageError: Values are not positive numbers; the message lists all of them.
        """
        check(STORE_TIMEOUT, STORE_MIN_RATE)
        seconds, rate = STORE_TIMEOUT.get(), STORE_MIN_RATE.get()
        return cls(read_timeout=min(60.0, seconds), pace=Pace(seconds, max(1, int(rate))))


def split_url(url: str) -> SplitResult:
    """The parts of a URL.

    Raises:
        UsageError: The URL cannot be parsed, for example because a bracket is not closed.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if it is not a number
    except ValueError as error:
        raise UsageError(
            f"not a URL: {shown(url)!r} ({error}); write http://host:port, and an IPv6 address in "
            "brackets"
        ) from None
    return parts


def shown(url: str) -> str:
    """A URL for messages, without user information and query, which may contain secrets."""
    bare = url.split("?", maxsplit=1)[0]
    return (bare if "@" not in bare else f"…@{bare.rpartition('@')[2]}")[:200]


def endpoint_for(url: str, *, anonymous: bool = False) -> Endpoint:
    """The server of `s3://bucket/…?endpoint=…&region=…`, with credentials from the usual chain.

    Args:
        url: The location.
        anonymous: Send no credentials, because they belong to another server.

    Raises:
        UsageError: The URL has no endpoint, or has credentials in it.
    """
    parts = split_url(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(set(query) - {"endpoint", "region"})
    if "@" in parts.netloc or unknown:
        raise UsageError(
            f"s3://{parts.hostname}: give endpoint and region only; credentials come from "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role "
            "(docs/credentials.md)"
        )
    region = query.get("region") or S3_REGION.get()
    server = _server(url, query.get("endpoint") or S3_ENDPOINT.get(), region)
    credentials = None if anonymous else from_environment()
    return Endpoint(server.scheme, server.netloc, region, credentials)


def _server(url: str, address: str, region: str) -> SplitResult:
    """The parts of an endpoint's address.

    Raises:
        UsageError: The address is not that of a server, or has credentials in it.
    """
    parts, server = urlsplit(url), split_url(address)
    if "@" in server.netloc:
        raise UsageError(
            f"s3://{parts.hostname}: the endpoint has credentials in it; remove them: they come "
            "from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if server.scheme not in {"http", "https"} or not server.netloc or server.path.strip("/"):
        raise UsageError(
            f"{url.split('?', maxsplit=1)[0]}: no endpoint; write "
            "s3://bucket/prefix?endpoint=http://host:9000, or set AWS_ENDPOINT_URL"
        )
    if not server.netloc.isascii() or not region.isascii() or not region.isprintable():
        raise UsageError(
            f"s3://{parts.hostname}: the endpoint {shown(address)!r} cannot be used; write "
            "http://host:port or https://host:port"
        )
    return server


def client_for(url: str, limits: Limits | None = None, *, anonymous: bool = False) -> "Minio":
    """A client of the `minio` package for the server of an `s3://…` URL.

    Args:
        url: The location; see `endpoint_for`.
        limits: Timeouts; None for those of the settings.
        anonymous: Send no credentials.

    Returns:
        The client.

    Raises:
        UsageError: The URL or the endpoint is not valid.
    """
    return client_of(endpoint_for(url, anonymous=anonymous), limits or Limits.from_env())


def client_of(endpoint: Endpoint, limits: Limits) -> "Minio":
    """A client of the `minio` package, for rare requests: it is slower than `Wire`.

    Raises:
        UsageError: The package does not accept the endpoint.
    """
    import urllib3
    from minio import Minio

    pool = urllib3.PoolManager(
        maxsize=2 * WORKERS,
        timeout=urllib3.Timeout(connect=limits.connect_timeout, read=limits.read_timeout),
        retries=False,  # done by assay.core.retry
        cert_reqs="CERT_REQUIRED",
        ca_certs=CA_FILE.get() or None,
    )
    try:
        return Minio(
            endpoint.netloc,
            secure=endpoint.scheme == "https",
            region=endpoint.region,
            http_client=pool,
            credentials=endpoint.credentials,
        )
    except ValueError as error:
        raise UsageError(
            f"the endpoint {shown(endpoint.netloc)!r} cannot be used ({error}); write "
            "http://host:port or https://host:port"
        ) from None
