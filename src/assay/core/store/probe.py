"""Test the features of a store that runs need, with temporary objects."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.errors import StoreError

if TYPE_CHECKING:
    from assay.core.store.wire import StatusError

FOLDER: Final = "doctor/"
"""Folder of the temporary objects in a store."""
CONTENT: Final = b"assay doctor"
_PRECONDITION_FAILED: Final = 412


@dataclass(slots=True)
class Probe:
    """The results. A field is None if the feature could not be tested."""

    write_refusal: str = ""
    """The error of a write; "" if it succeeded. After an error nothing else is tested."""
    reads_back: bool | None = None
    """Whether the written bytes could be read."""
    overwrite: str | None = None
    """The response to a second, create-only write of the same name; "" if it was refused."""
    checks_digests: bool | None = None
    """Whether a body that does not match the signed digest is refused."""
    remaining: tuple[str, ...] = ()
    """Temporary objects that this user has no permission to remove."""
    versioning: str | None = None
    """`enabled`, `suspended` or `off`."""
    expiring: tuple[str, ...] | None = None
    """Descriptions of the lifecycle rules of the bucket that remove blobs."""
    unknown: str = ""
    """The error code if versioning and lifecycle rules could not be read."""


Put = Callable[[str, bytes, str, dict[str, str]], "StatusError | None"]
"""Sends a PUT with key, body, signed digest and headers; returns the error, or None."""


def try_writes(probe: Probe, key: str, put: Put, get: Callable[[str], bytes]) -> None:
    """Test to write, read, write create-only, and write with a wrong digest.

    Args:
        probe: Gets the results.
        key: Key of the temporary object.
        put: Sends a PUT.
        get: Reads an object.
    """
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    if refusal := put(key, CONTENT, sha256, {}):
        probe.write_refusal = str(refusal)
        return
    probe.reads_back = get(key) == CONTENT
    refusal = put(key, CONTENT, sha256, {"if-none-match": "*"})
    refused = refusal is not None and refusal.status == _PRECONDITION_FAILED
    probe.overwrite = "" if refused else str(refusal or "HTTP 200")
    wrong = hashlib.sha256(b"something else").hexdigest()
    # A mismatch is reported as a transient fault, because it may be a transmission error.
    probe.checks_digests = True
    with contextlib.suppress(StoreError):
        probe.checks_digests = put(f"{key}-digest", CONTENT, wrong, {}) is not None


def remove_all(client: Any, bucket: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Remove all versions of the temporary objects.

    Args:
        client: A client of the `minio` package.
        bucket: Name of the bucket.
        names: Keys of the objects; the first one is a prefix of the others.

    Returns:
        The keys that could not be removed.
    """
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    targets: list[tuple[str, str | None]] = []
    try:
        for item in client.list_objects(bucket, prefix=names[0], include_version=True):
            # Servers without versions call the only version "null".
            version = None if item.version_id in {"", "null"} else item.version_id
            targets.append((item.object_name, version))
    except (MinioException, HTTPError, ValueError):
        # No permission to list versions, or no support for versions.
        targets = []
    remaining = set()
    for name, version in targets or [(name, None) for name in names]:
        try:
            client.remove_object(bucket, name, version)
        except (MinioException, HTTPError):
            remaining.add(name)
    return tuple(sorted(remaining))


def read_bucket_settings(probe: Probe, client: Any, bucket: str, prefix: str) -> None:
    """Read the versioning and the lifecycle rules of a bucket.

    Args:
        probe: Gets the results.
        client: A client of the `minio` package.
        bucket: Name of the bucket.
        prefix: Prefix of the store; rules that do not apply to it are ignored.
    """
    from minio.error import MinioException

    try:
        probe.versioning = str(client.get_bucket_versioning(bucket).status or "off").lower()
    except MinioException as error:
        probe.unknown = _code(error)
    try:
        config = client.get_bucket_lifecycle(bucket)
    except MinioException as error:
        probe.unknown = _code(error)
        return
    probe.expiring = tuple(
        f"rule {rule.rule_id or '(no id)'} below {_prefix(rule) or '/'} {_end(rule.expiration)}"
        for rule in (config.rules if config else ())
        if rule.status == "Enabled" and _ends(rule.expiration) and _meets(_prefix(rule), prefix)
    )


def _prefix(rule: Any) -> str:
    chosen = rule.rule_filter
    both = getattr(chosen, "and_operator", None)
    return str(getattr(chosen, "prefix", None) or getattr(both, "prefix", None) or "")


def _ends(expiration: Any) -> bool:
    return expiration is not None and bool(expiration.days or expiration.date)


def _end(expiration: Any) -> str:
    if expiration.days:
        return f"after {expiration.days} days"
    return f"on {expiration.date:%Y-%m-%d}"


def _meets(rule: str, prefix: str) -> bool:
    """Whether a rule applies to objects of the store."""
    return rule.startswith(prefix) or prefix.startswith(rule)


def _code(error: Exception) -> str:
    return str(getattr(error, "code", "") or type(error).__name__)
