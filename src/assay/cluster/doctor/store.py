"""Checks of the store: by a throw-away object, which is removed again."""

import contextlib
import hashlib
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from assay.cluster.doctor import Finding, Ground, Status
from assay.core.context import store_from_env
from assay.core.settings import CA_FILE, S3_ENDPOINT, STORE
from assay.errors import StoreError, UsageError

if TYPE_CHECKING:
    from assay.core.store.wire import StatusError

FOLDER: Final = "doctor"
"""Where in the store the throw-away objects lie."""
WARN_SKEW_SECONDS: Final = 60
FAIL_SKEW_SECONDS: Final = 15 * 60
"""S3 refuses signatures that are older."""
_PROBE: Final = b"assay doctor"
_PRECONDITION_FAILED: Final = 412


def check_store(_ground: Ground) -> Sequence[Finding]:
    """Reachable, writable, create-only writes, digests checked, versions kept, nothing expired."""
    url = STORE.get()
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return list(_check_bucket(url))
    return [_check_folder(store_from_env().url, Path(unquote(parts.path)))]


def _check_folder(url: str, folder: Path) -> Finding:
    try:
        # As the first write of a run would.
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as probe:
            probe.write(_PROBE)
            probe.flush()
    except OSError as error:
        return Finding(
            "store", Status.FAILED, f"{url}: {error.strerror}", "give this user the right to write"
        )
    return Finding("store", Status.OK, f"{url}: a folder, and writable")


def _check_bucket(url: str) -> Iterator[Finding]:
    from assay.core.store.client import RetryLimits
    from assay.core.store.minio import MinioStore

    limits = RetryLimits(attempts=2, seconds=15, connect_timeout=3, read_timeout=10)
    store = MinioStore.from_url(url, limits)
    bucket, prefix = store._bucket, store._prefix  # noqa: SLF001 - the probe goes below the API
    # What this raises names its remedy; nothing below could succeed. Listed below the store's own
    # prefix, as runs do: the documented policy lets them see no other.
    try:
        store._attempt(lambda: next(_listed(store, bucket), None))  # noqa: SLF001
    except ValueError as error:
        raise UsageError(f"ASSAY_STORE: {error}; S3 takes 3 to 63 letters and digits") from error
    yield Finding("store", Status.OK, f"{store.url} answers")
    key = f"{FOLDER}/{uuid.uuid4().hex}"
    try:
        wrote = _check_write(store, key)
        yield wrote
        if wrote.status is Status.OK:
            yield _check_condition(store, key)
            yield _check_digest(store, f"{key}-digest")
    finally:
        left = _remove(store._client, bucket, f"{prefix}{key}")  # noqa: SLF001
    if left:
        yield Finding(
            "store clean-up",
            Status.WARNING,
            f"could not remove {', '.join(left)}: this user may not delete",
            f"right for a pipeline's user; remove what lies below {prefix}{FOLDER}/ as another",
        )
    yield _check_versions(store._client, bucket)  # noqa: SLF001
    yield _check_life_cycle(store._client, bucket, prefix)  # noqa: SLF001


def _listed(store: Any, bucket: str) -> Iterator[Any]:
    prefix = f"{store._prefix}{FOLDER}/"  # noqa: SLF001
    listed: Iterator[Any] = store._client.list_objects(bucket, prefix=prefix)  # noqa: SLF001
    return listed


def _put(
    store: Any, key: str, body: bytes, sha256: str, headers: dict[str, str]
) -> "StatusError | None":
    """One PUT as the store makes it; the server's refusal, or None."""
    from assay.core.store import s3_errors
    from assay.core.store.wire import StatusError

    def ask() -> "StatusError | None":
        try:
            store._put(key, body, sha256, "text/plain", headers)  # noqa: SLF001
        except StatusError as answer:
            if s3_errors.is_transient(answer):
                raise
            return answer
        return None

    refusal: StatusError | None = store._attempt(ask)  # noqa: SLF001
    return refusal


def _check_write(store: Any, key: str) -> Finding:
    sha256 = hashlib.sha256(_PROBE).hexdigest()
    name = "store writable"
    if refusal := _put(store, key, _PROBE, sha256, {}):
        return Finding(
            name,
            Status.FAILED,
            f"{store.url} refuses a write ({refusal})",
            "give the user s3:PutObject and s3:GetObject on the bucket, or make room",
        )
    with contextlib.closing(
        store._client.get_object(store._bucket, store._prefix + key)  # noqa: SLF001
    ) as stream:
        if stream.read(len(_PROBE) + 1) != _PROBE:
            return Finding(name, Status.FAILED, "other bytes came back", "use another store")
    return Finding(name, Status.OK, "an object was written and read")


def _check_condition(store: Any, key: str) -> Finding:
    sha256 = hashlib.sha256(_PROBE).hexdigest()
    refusal = _put(store, key, _PROBE, sha256, {"if-none-match": "*"})
    name = "store create-only"
    if refusal is not None and refusal.status == _PRECONDITION_FAILED:
        return Finding(name, Status.OK, "a second write of the same name is refused")
    return Finding(
        name,
        Status.FAILED,
        f"If-None-Match is not honoured ({refusal or 'HTTP 200'}), so writers could replace each "
        "other's blobs",
        "use a server that honours it: MinIO since 2023, SeaweedFS 4, S3",
    )


def _check_digest(store: Any, key: str) -> Finding:
    wrong = hashlib.sha256(b"something else").hexdigest()
    name = "store digests"
    try:
        refused = _put(store, key, _PROBE, wrong, {}) is not None
    except StoreError:
        # A mismatch counts as transient, for a body that was altered on its way.
        refused = True
    if refused:
        return Finding(name, Status.OK, "a body with another digest than signed is refused")
    return Finding(
        name,
        Status.WARNING,
        "the server does not check the signed digest: it stored a wrong body",
        "reads check it still; give the server credentials, or use MinIO, to be told at once",
    )


def _remove(client: Any, bucket: str, prefix: str) -> list[str]:
    """Remove all versions of the throw-away objects; the names of those that stayed."""
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    try:
        found = list(client.list_objects(bucket, prefix=prefix, include_version=True))
    except (MinioException, HTTPError, ValueError):
        # No right to list versions, or a server that has none.
        found = []
    targets = [(item.object_name, item.version_id) for item in found]
    left = []
    for name, version in targets or [(prefix, None), (f"{prefix}-digest", None)]:
        try:
            # "null" is what servers without versions call the only one.
            client.remove_object(bucket, name, None if version in {"", "null"} else version)
        except (MinioException, HTTPError):
            left.append(name)
    return sorted(set(left))


def _check_versions(client: Any, bucket: str) -> Finding:
    from minio.error import MinioException

    name = "store versioning"
    try:
        status = str(client.get_bucket_versioning(bucket).status or "off").lower()
    except MinioException as error:
        return Finding(name, Status.SKIPPED, f"cannot be asked ({_code(error)})")
    if status == "enabled":
        return Finding(name, Status.OK, "enabled: what is deleted by mistake can be brought back")
    return Finding(
        name,
        Status.WARNING,
        f"{status}: what is deleted by mistake is gone",
        f"mc version enable ALIAS/{bucket}",
    )


def _check_life_cycle(client: Any, bucket: str, prefix: str) -> Finding:
    from minio.error import MinioException

    name = "store life cycle"
    try:
        config = client.get_bucket_lifecycle(bucket)
    except MinioException as error:
        return Finding(name, Status.SKIPPED, f"cannot be asked ({_code(error)})")
    bad = [
        f"rule {rule.rule_id or '(no id)'} below {_prefix(rule) or '/'} {_end(rule.expiration)}"
        for rule in (config.rules if config else ())
        if rule.status == "Enabled" and _ends(rule.expiration) and _meets(_prefix(rule), prefix)
    ]
    if not bad:
        return Finding(name, Status.OK, "no rule removes blobs")
    return Finding(
        name,
        Status.WARNING,
        f"blobs will be removed: {'; '.join(bad)}",
        f"limit the rule to another prefix: mc ilm rule ls ALIAS/{bucket}",
    )


def _prefix(rule: Any) -> str:
    found = rule.rule_filter
    both = getattr(found, "and_operator", None)
    return str(getattr(found, "prefix", None) or getattr(both, "prefix", None) or "")


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


def check_clock(_ground: Ground) -> Sequence[Finding]:
    """This machine's clock against the store's."""
    import urllib3

    from assay.errors import StoreUnavailableError

    url = urlsplit(STORE.get())
    if url.scheme != "s3":
        return [Finding("clock", Status.SKIPPED, "the store has no clock of its own")]
    query = parse_qs(url.query)
    endpoint = query.get("endpoint", [""])[-1] or S3_ENDPOINT.get()
    with urllib3.PoolManager(retries=False, timeout=10, ca_certs=CA_FILE.get() or None) as pool:
        try:
            before = datetime.now(UTC)
            answer = pool.request("HEAD", endpoint, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise StoreUnavailableError(
                f"the store does not answer ({type(error).__name__}); check ASSAY_STORE"
            ) from error
    return [judge_clock(answer.headers.get("Date", ""), before, datetime.now(UTC))]


def judge_clock(date: str, before: datetime, after: datetime) -> Finding:
    """How far this clock is off.

    Args:
        date: The server's `Date` header.
        before: This clock when the server was asked.
        after: And when it had answered.
    """
    try:
        there = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return Finding("clock", Status.SKIPPED, "the store does not tell the time")
    # The header has whole seconds, and was made some time between.
    skew = max((before - there).total_seconds() - 1, (there - after).total_seconds(), 0)
    remedy = "synchronise the clocks (NTP, chrony) of this machine and the store's"
    if skew > FAIL_SKEW_SECONDS:
        text = f"{skew:.0f} s off: the store refuses signatures"
        return Finding("clock", Status.FAILED, text, remedy)
    if skew > WARN_SKEW_SECONDS:
        return Finding("clock", Status.WARNING, f"{skew:.0f} s off", remedy)
    return Finding("clock", Status.OK, "agrees with the store's")
