"""Argo's status of a run's pods: why one failed, and what one waits for.

KFP's API has neither. Its older version returns the workflow of Argo with its nodes, which Argo
compresses above a size. The text is not trusted: it is bounded, and unexpected parts are left out.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assay.documents import Limits, read_json
from assay.text import one_line

MAX_BYTES: Final = 64 << 20
"""Size of a workflow, and of its uncompressed nodes. Argo's limit is 1 MiB, compressed."""
_LIMITS: Final = Limits(MAX_BYTES, values=2_000_000)
MAX_MESSAGE_CHARS: Final = 1_500
_RED: Final = frozenset({"Failed", "Error"})
_CONTAINER: Final = re.compile(r"(?:main|wait|init): (?=\S+ \(exit code )")
"""Argo's prefix with the name of the container."""
_EXECUTOR: Final = re.compile(r"executor(?:\(\d+\))?")
"""KFP's name of the pod of a task, and with retries its number."""
DRIVER: Final = "-driver"
"""Suffix of the name of a driver, the pod that KFP runs before a task."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a run."""

    task: str
    """The task, or the name of the driver."""
    phase: str
    """Argo's phase: Pending, Running, Succeeded, Failed, Error, …"""
    message: str
    """Why it failed, or waits; may have several lines."""
    ended: str = ""


def pods(manifest: str) -> tuple[Pod, ...]:
    """The pods in a workflow, in the order of their end; empty if it cannot be read.

    Failed attempts of a task that succeeded later are left out.

    Args:
        manifest: The workflow, as JSON.
    """
    try:
        nodes = _nodes(read_json(manifest, "the workflow", _LIMITS, error=ValueError))
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error, binascii.Error):
        return ()
    forgiven = {
        child
        for node in nodes.values()
        if node.get("type") == "Retry" and node.get("phase") == "Succeeded"
        for child in _texts(node.get("children"))
    }
    ended = [
        Pod(
            _task(node, nodes),
            _text(node, "phase"),
            _message(_text(node, "message")),
            _text(node, "finishedAt"),
        )
        for key, node in nodes.items()
        if node.get("type") == "Pod" and key not in forgiven
    ]
    return tuple(sorted(ended, key=lambda pod: (not pod.ended, pod.ended)))


def failed(all_pods: Iterable[Pod]) -> list[Pod]:
    """The pods that failed, the first one first."""
    return [pod for pod in all_pods if pod.phase in _RED]


def waiting(all_pods: Iterable[Pod]) -> dict[str, str]:
    """What pods wait for, by task; pods without a message are left out."""
    return {
        pod.task: one_line(pod.message)
        for pod in all_pods
        if pod.phase == "Pending" and pod.message.strip()
    }


def _nodes(workflow: Any) -> dict[str, Mapping[str, Any]]:
    status = workflow["status"]
    nodes = status.get("nodes") or {}
    if packed := status.get("compressedNodes"):
        nodes = read_json(_unpacked(packed), "the nodes", _LIMITS, error=ValueError)
    return {key: node for key, node in nodes.items() if isinstance(node, dict)}


def _unpacked(packed: str) -> bytes:
    """Decompress base64 of gzip, as Argo writes it.

    Raises:
        ValueError: It has another format, or is larger than MAX_BYTES.
    """
    reader = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    data = reader.decompress(base64.b64decode(packed, validate=True), MAX_BYTES)
    if not reader.eof:
        raise ValueError("truncated, or larger than any workflow")
    return data


def _task(node: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]]) -> str:
    name = _text(node, "displayName")
    if not _EXECUTOR.fullmatch(name):
        return one_line(name)
    around = nodes.get(_text(node, "boundaryID"), {})
    return one_line(_text(around, "displayName") or name)


def _message(text: str) -> str:
    return _CONTAINER.sub("", text, count=1)[:MAX_MESSAGE_CHARS]


def _text(node: Mapping[str, Any], key: str) -> str:
    value = node.get(key)
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> Sequence[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else ()
