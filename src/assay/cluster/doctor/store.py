"""Checks of the store: the results of `Store.probe` as lines of the report."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qs, urlsplit

from assay.cluster.doctor.checks import Finding, Ground, Status
from assay.core import retry
from assay.core.context import store_from_env
from assay.core.settings import CA_FILE, S3_ENDPOINT, STORE
from assay.core.store.probe import Probe
from assay.errors import StoreUnavailableError

WARN_SKEW_SECONDS: Final = 60
FAIL_SKEW_SECONDS: Final = 15 * 60
"""S3 refuses older signatures."""


def check_store(_ground: Ground) -> Sequence[Finding]:
    """Check access, writing, create-only writes, digests, versioning and life cycle."""
    url = STORE.get()
    if urlsplit(url).scheme != "s3":
        store = store_from_env()
        store.probe()
        return [Finding("store", Status.OK, f"{store.url}: a folder, and writable")]
    from assay.core.store.client import Limits
    from assay.core.store.minio import MinioStore

    policy = replace(retry.STORE, attempts=2, seconds=15)
    bucket = MinioStore.from_url(url, Limits(policy, connect_timeout=3, read_timeout=10))
    # Its error names a remedy; the checks below would fail too.
    probe = bucket.probe()
    return list(_findings(bucket.url, urlsplit(url).netloc, probe))


def _findings(url: str, bucket: str, probe: Probe) -> Iterator[Finding]:
    yield Finding("store", Status.OK, f"{url} answers")
    yield _writes(url, probe)
    if probe.reads_back:
        yield _create_only(probe)
        yield _digests(probe)
    if probe.remaining:
        folder = probe.remaining[0].rpartition("/")[0]
        yield Finding(
            "store clean-up",
            Status.WARNING,
            f"could not remove {', '.join(probe.remaining)}: this user may not delete",
            f"correct for a pipeline's user; remove the objects below {folder}/ as another user",
        )
    yield _versions(bucket, probe)
    yield _life_cycle(bucket, probe)


def _writes(url: str, probe: Probe) -> Finding:
    name = "store writable"
    if probe.write_refusal:
        return Finding(
            name,
            Status.FAILED,
            f"{url} refuses a write ({probe.write_refusal})",
            "give the user s3:PutObject and s3:GetObject on the bucket, or free space",
        )
    if not probe.reads_back:
        return Finding(
            name, Status.FAILED, "the bytes read differ from those written", "use another store"
        )
    return Finding(name, Status.OK, "an object was written and read")


def _create_only(probe: Probe) -> Finding:
    name = "store create-only"
    if not probe.overwrite:
        return Finding(name, Status.OK, "a second write to the same key is refused")
    return Finding(
        name,
        Status.FAILED,
        f"If-None-Match is not honoured ({probe.overwrite}), so writers could replace each "
        "other's blobs",
        "use a server that honours it: MinIO since 2023, SeaweedFS 4, S3",
    )


def _digests(probe: Probe) -> Finding:
    name = "store digests"
    if probe.checks_digests:
        return Finding(
            name, Status.OK, "a body whose digest differs from the signed one is refused"
        )
    return Finding(
        name,
        Status.WARNING,
        "the server does not check the signed digest: it stored a wrong body",
        "reads still check digests; configure credentials on the server, or use MinIO",
    )


def _versions(bucket: str, probe: Probe) -> Finding:
    name = "store versioning"
    if probe.versioning is None:
        return Finding(name, Status.SKIPPED, f"cannot be read ({probe.unknown})")
    if probe.versioning == "enabled":
        return Finding(name, Status.OK, "enabled: deleted objects can be restored")
    return Finding(
        name,
        Status.WARNING,
        f"{probe.versioning}: deleted objects are lost",
        f"mc version enable ALIAS/{bucket}",
    )


def _life_cycle(bucket: str, probe: Probe) -> Finding:
    name = "store life cycle"
    if probe.expiring is None:
        return Finding(name, Status.SKIPPED, f"cannot be read ({probe.unknown})")
    if not probe.expiring:
        return Finding(name, Status.OK, "no rule expires blobs")
    return Finding(
        name,
        Status.WARNING,
        f"blobs will expire: {'; '.join(probe.expiring)}",
        f"limit the rule to another prefix: mc ilm rule ls ALIAS/{bucket}",
    )


def check_clock(_ground: Ground) -> Sequence[Finding]:
    """Compare the clock of this machine with that of the store."""
    import urllib3

    url = urlsplit(STORE.get())
    if url.scheme != "s3":
        return [Finding("clock", Status.SKIPPED, "a folder has no clock of its own")]
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
    """Judge the difference between this clock and the server's.

    Args:
        date: The `Date` header of the server.
        before: This clock before the request.
        after: This clock after the answer.

    Returns:
        The finding.
    """
    try:
        server_time = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return Finding("clock", Status.SKIPPED, "the answer of the store has no time")
    # The header has whole seconds, and a time between `before` and `after`.
    skew = max((before - server_time).total_seconds() - 1, (server_time - after).total_seconds(), 0)
    remedy = "synchronise the clocks (NTP, chrony) of this machine and the store's"
    if skew > FAIL_SKEW_SECONDS:
        text = f"{skew:.0f} s off: the store refuses signatures"
        return Finding("clock", Status.FAILED, text, remedy)
    if skew > WARN_SKEW_SECONDS:
        return Finding("clock", Status.WARNING, f"{skew:.0f} s off", remedy)
    return Finding("clock", Status.OK, "agrees with the store's")
