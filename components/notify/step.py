"""notify: the work."""

import json
import os
import sys
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from assay.step import Out, Record, Values, step

FORMATS: Final = ("slack", "alertmanager", "json")
TIMEOUT_SECONDS: Final = 5
RETRIES: Final = 2


@step(side_effects=True)
def notify(
    *,
    model_name: str,
    state: str,
    pipeline: str = "",
    run: str = "",
    error: str = "",
    message_format: str = "slack",
    record: Out[Record],
) -> Values:
    """Tell a webhook how a run ended; whatever the receiver does, the run's outcome stays.

    The URL is a secret and comes from `ASSAY_NOTIFY_URL`; records and messages name its host only.

    Raises:
        UsageError: A format that is not known.
    """
    from assay.digest import canonical_json
    from assay.errors import UsageError

    if message_format not in FORMATS:
        raise UsageError(f"message_format {message_format!r}; use one of {', '.join(FORMATS)}")
    message = {
        "model_name": model_name,
        "state": state,
        "pipeline": pipeline,
        "run": run,
        "error": error,
    }
    url = os.environ.get("ASSAY_NOTIFY_URL", "")
    outcome = _send(url, _body(message, message_format)) if url else "no ASSAY_NOTIFY_URL is set"
    document = {**message, "outcome": outcome}
    (record.path / "record.json").write_bytes(canonical_json(document))
    return {"outcome": outcome}


def _body(message: dict[str, str], message_format: str) -> Any:
    text = f"{message['model_name']}: run {message['run'] or '(local)'} {message['state'].lower()}"
    if message["error"]:
        text += f": {message['error']}"
    if message_format == "slack":
        return {"text": text}
    if message_format == "alertmanager":
        labels = {
            "alertname": "AssayRun",
            "model": message["model_name"],
            "pipeline": message["pipeline"],
            "state": message["state"],
            "severity": "info" if message["state"] == "SUCCEEDED" else "critical",
        }
        return [{"labels": labels, "annotations": {"summary": text, "run": message["run"]}}]
    return message


def _send(url: str, body: Any) -> str:
    """Post; what came of it, in words that do not hold the URL."""
    import urllib3

    host = urlsplit(url).hostname or "the receiver"
    retry = urllib3.Retry(
        total=RETRIES,
        redirect=False,  # a webhook does not move; where it pointed us is not who we trust
        allowed_methods=None,
        status_forcelist=(429, 500, 502, 503, 504),
        backoff_factor=0.2,
        raise_on_status=False,
    )
    try:
        with urllib3.PoolManager(timeout=TIMEOUT_SECONDS, retries=retry) as pool:
            response = pool.request(
                "POST",
                url,
                body=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                redirect=False,
            )
        outcome = (
            f"sent to {host}"
            if response.status < HTTPStatus.MULTIPLE_CHOICES
            else f"{host} answered {response.status}"
        )
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        outcome = f"{host} cannot be reached ({type(error).__name__})"
    if not outcome.startswith("sent"):
        print(f"warning: not notified: {outcome}", file=sys.stderr)  # noqa: T201
    return outcome
