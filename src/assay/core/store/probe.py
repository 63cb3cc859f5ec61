"""What a store does with throw-away objects: what a run relies on, tried out."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.errors import StoreError

if TYPE_CHECKING:
    from assay.core.store.wire import StatusError

FOLDER: Final = "doctor/"
"""Where in a store the throw-away objects lie."""
CONTENT: Final = b"assay doctor"
_PRECONDITION_FAILED: Final = 412


@dataclass(slots=True)
class Probe:
    """What was seen. A field is None where it could not be tried."""

    write_refusal: str = ""
    """The answer to a write; "" if it was accepted. If not, nothing else was tried."""
    reads_back: bool | None = None
    """Whether the bytes that were written came back."""
    overwrite: str | None = None
    """The answer to a second, create-only write of the same name; "" if it was refused."""
    checks_digests: bool | None = None
    """Whether a body with another digest than the signed one is refused."""
    remaining: tuple[str, ...] = ()
    """Throw-away objects that this user may not remove."""
    versioning: str | None = None
    """`enabled`, `suspended` or `off`."""
    expiring: tuple[str, ...] | None = None
    """Rules of the bucket's life cycle that remove blobs, in words."""
    unknown: str = ""
    """Why versioning and life cycle are not known: the server's code."""


Put = Callable[[str, bytes, str, dict[str, str]], "StatusError | None"]
"""One PUT of key, body, signed digest and headers as the store makes it; the server's refusal."""


def try_writes(probe: Probe, key: str, put: Put, get: Callable[[str], bytes]) -> None:
    """Write, read, write create-only, and write with a wrong digest."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    if refusal := put(key, CONTENT, sha256, {}):
        probe.write_refusal = str(refusal)
        return
    probe.reads_back = get(key) == CONTENT
    refusal = put(key, CONTENT, sha256, {"if-none-match": "*"})
    refused = refusal is not None and refusal.status == _PRECONDITION_FAILED
    probe.overwrite = "" if refused else str(refusal or "HTTP 200")
    wrong = hashlib.sha256(b"something else").hexdigest()
    # A mismatch counts as transient, for a body that was altered on its way.
    probe.checks_digests = True
    with contextlib.suppress(StoreError):
        probe.checks_digests = put(f"{key}-digest", CONTENT, wrong, {}) is not None


def remove_all(client: Any, bucket: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Remove all versions of the throw-away objects; the names of those that stayed."""
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    targets: list[tuple[str, str | None]] = []
    try:
        for item in client.list_objects(bucket, prefix=names[0], include_version=True):
            # "null" is what servers without versions call the only one.
            version = None if item.version_id in {"", "null"} else item.version_id
            targets.append((item.object_name, version))
    except (MinioException, HTTPError, ValueError):
        # No right to list versions, or a server that has none.
        targets = []
    remaining = set()
    for name, version in targets or [(name, None) for name in names]:
        try:
            client.remove_object(bucket, name, version)
        except (MinioException, HTTPError):
            remaining.add(name)
    return tuple(sorted(remaining))


def read_bucket_settings(probe: Probe, client: Any, bucket: str, prefix: str) -> None:
    """Versioning, and the rules of the life cycle that reach something below `prefix`."""
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
    """Whether a rule's prefix reaches something of the store's."""
    return rule.startswith(prefix) or prefix.startswith(rule)


def _code(error: Exception) -> str:
    return str(getattr(error, "code", "") or type(error).__name__)
