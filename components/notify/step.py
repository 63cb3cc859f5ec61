"""notify: the work."""

import os
import sys
from pathlib import Path

from assay.step import Out, Record, Values, step

URL_VARIABLE = "ASSAY_NOTIFY_URL"


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
    Nothing raises: what keeps the message from arriving is a warning, and the value `outcome`.
    """
    from assay.components.notify.message import Message, body
    from assay.components.notify.webhook import post
    from assay.digest import canonical_json

    message = Message(model_name, state, pipeline, run, _reason() or error)
    content, note = body(message, message_format)
    url = os.environ.get(URL_VARIABLE, "")
    sent = post(url, content) if url else None
    outcome = sent.text if sent else f"not sent: {URL_VARIABLE} is not set"
    for warning in [note, *([outcome] if sent and not sent.arrived else [])]:
        if warning:
            print(f"warning: notify: {warning}", file=sys.stderr)  # noqa: T201 - the pod's log
    document = {**message.to_dict(), "format": message_format, "outcome": outcome}
    (record.path / "record.json").write_bytes(canonical_json(document))
    return {"outcome": outcome}


def _reason() -> str:
    """Why the first task failed, where this run's events can be read: on one machine.

    What KFP itself says there is that some task inside of the exit handler failed.
    """
    from assay import events

    path = os.environ.get("ASSAY_EVENTS", "")
    failed = (e for e, _ in events.read(Path(path)) if e["state"] == events.FAILED) if path else ()
    return next((str(event.get("error", "")) for event in failed), "")
