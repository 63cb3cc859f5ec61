"""The notification, in the format of its receiver."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from assay.text import one_line

FORMATS: Final = ("slack", "alertmanager", "json")
MAX_TEXT_CHARS: Final = 2000
"""Receivers cut or refuse long texts: Slack at 40,000 characters, other receivers much earlier."""


@dataclass(frozen=True, slots=True)
class Message:
    """The result of a run."""

    model_name: str
    verdict: str
    """`passed`, `rejected`, `blocked`, `inconclusive`, `failed` or `canceled`."""
    pipeline: str
    run: str
    """Its name for people."""
    reasons: tuple[str, ...] = ()
    version: str = ""
    """In the registry, of a run that registered."""

    @property
    def text(self) -> str:
        """One line for people, without control characters."""
        what = f"run {self.run}" if self.run else "a run"
        where = f" of {self.pipeline}" if self.pipeline else ""
        more = [f"version {self.version}"] if self.version else []
        why = "; ".join([*more, *self.reasons])
        line = f"{self.model_name}: {what}{where} {self.verdict}{f': {why}' if why else ''}"
        return one_line(line)[:MAX_TEXT_CHARS]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def body(message: Message, message_format: str) -> tuple[Any, str]:
    """The message as JSON, and a warning or "".

    An unknown format is sent as `json`: a message in the wrong format is better than none, and the
    end of a run is too late to refuse a parameter.
    """
    if message_format == "slack":
        return {"text": _escaped(message.text)}, ""
    if message_format == "alertmanager":
        return _alerts(message), ""
    generic = {**message.to_dict(), "text": message.text}
    if message_format == "json":
        return generic, ""
    return generic, f"format {message_format!r} is not one of {', '.join(FORMATS)}; sent as json"


def _alerts(message: Message) -> list[dict[str, Any]]:
    """For Alertmanager's `POST /api/v2/alerts`.

    https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml. Labels are the
    identity of an alert: a later run that passes ends the alert of one that did not, so neither run
    nor verdict is a label. An alert with an end in the past does not fire.
    """
    labels = {
        "alertname": "AssayRunFailed",
        "model_name": message.model_name,
        "pipeline": message.pipeline,
        "severity": "warning",
    }
    annotations = {"summary": message.text, "run": message.run, "verdict": message.verdict}
    alert: dict[str, Any] = {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
    }
    if message.verdict == "passed":
        alert["endsAt"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return [alert]


def _escaped(text: str) -> str:
    """Slack reads three signs as markup: https://docs.slack.dev/messaging/formatting-message-text/."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
