"""One POST to a webhook that may be down, slow, hostile or gone, within a bounded time."""

import json
import logging
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from assay.core import retry

TIMEOUT_SECONDS: Final = 5.0
"""For connecting, and for each wait for bytes."""
TOTAL_SECONDS: Final = 20.0
"""For all attempts together, however slowly bytes trickle in."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The result, in a text that has nothing of the URL but its host."""

    arrived: bool
    text: str


def post(
    url: str, body: Any, *, timeout: float = TIMEOUT_SECONDS, total: float = TOTAL_SECONDS
) -> Sent:
    """Post `body` as JSON; never raises.

    Args:
        url: `https://` or `http://`; a secret, because whoever has it may post.
        body: A JSON value.
        timeout: Seconds for connecting, and for each wait for bytes.
        total: Seconds for all attempts together.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or parts.scheme not in {"http", "https"}:
        return Sent(False, "not sent: the webhook's address is no http:// or https:// URL")
    results: list[Sent] = []
    # A thread of its own, because a server that sends a byte now and then outlives any time-out.
    # A daemon, so that it does not keep the task alive.
    worker = threading.Thread(
        target=lambda: results.append(_attempts(url, host, body, timeout)), daemon=True
    )
    worker.start()
    worker.join(total)
    return results[0] if results else Sent(False, f"not sent: {host} took longer than {total:g} s")


def _attempts(url: str, host: str, body: Any, timeout: float) -> Sent:
    import urllib3

    # Its warnings about retries hold the path, which is the secret.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.CRITICAL)
    retries = urllib3.Retry(
        total=retry.WEBHOOK.attempts - 1,
        redirect=False,
        allowed_methods=None,  # a message that comes twice does less harm than none
        status_forcelist=retry.TRANSIENT_STATUS,
        backoff_factor=retry.WEBHOOK.first_wait,
        backoff_max=retry.WEBHOOK.longest_wait,
        raise_on_status=False,
        respect_retry_after_header=False,  # it may ask for an hour
    )
    try:
        with urllib3.PoolManager(timeout=urllib3.Timeout(timeout), retries=retries) as pool:
            response = pool.request(
                "POST",
                url,
                body=json.dumps(body).encode(),
                headers={"Content-Type": "application/json", "User-Agent": "assay"},
                # A webhook does not move, and a redirect's target is not the intended receiver.
                redirect=False,
                preload_content=False,  # the answer is not read; it may be endless
            )
            status = response.status
            response.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        # Only the class of the error is reported, because its text has the path.
        kind = type(getattr(error, "reason", None) or error).__name__
        return Sent(False, f"not sent: {host} cannot be reached ({kind})")
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Sent(True, f"sent to {host}")
    return Sent(False, f"not accepted: {host} answered {status}")
