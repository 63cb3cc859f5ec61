"""Policy, suite, checks, monitoring plan: given as text, location, or an artifact's digest."""

import re
from typing import Final

from assay.core.digest import is_digest
from assay.core.resolve import is_short, resolve
from assay.core.source import peek
from assay.core.step import Artifact, Checks, MonitoringPlan, Policy, Suite
from assay.core.store import Store
from assay.core.tree import get_manifest, read_file
from assay.documents import Limits, read_yaml
from assay.errors import AssayError, UsageError
from assay.printable import public

MAX_DOCUMENT_BYTES: Final = 4 << 20
FILES: Final[dict[type[Artifact], str]] = {
    Policy: "policy.yaml",
    Suite: "suite.json",
    Checks: "checks.yaml",
    MonitoringPlan: "monitoring.yaml",
}
"""The file name of each kind of document."""
_MAX_KEY: Final = 200
_KEY: Final = re.compile(r"\s*[a-z_]+:\s")
"""How YAML of one line begins; no location begins so."""
_BEGINNINGS: Final = ("{", "gates:", "checks:", "format:", "detectors:", "#")


def read_document(given: str, kind: type[Artifact], store: Store) -> bytes:
    """A document's bytes.

    Args:
        given: The text itself (it has a line end, or begins as such a document does), a location
            (path, `file://`, `s3://`, `https://`), or the digest of an artifact of that kind.
        kind: One of `FILES`.
        store: Where a digest is looked up.

    Raises:
        UsageError: It cannot be read, or is not such a document.
    """
    what = FILES[kind].partition(".")[0]
    try:
        if is_digest(given) or is_short(given):
            return _from_store(resolve(given, store, what), kind, store, what)
        if is_text(given):
            _require_line_ends(given, what)
            data = given.encode()
        else:
            data = peek(given, MAX_DOCUMENT_BYTES + 1)
    except UnicodeEncodeError as error:
        raise UsageError(f"{what}: the text is not valid Unicode; give it in UTF-8") from error
    except AssayError as error:
        message = str(error)
        raise UsageError(message if message.startswith(what) else f"{what}: {message}") from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise UsageError(
            f"{what}: {public(given[:200])} is larger than {MAX_DOCUMENT_BYTES} bytes; is it the "
            "right file?"
        )
    return data


def is_text(given: str) -> bool:
    """Whether this is a document's text, and not its location."""
    return (
        "\n" in given
        or given.lstrip().startswith(_BEGINNINGS)
        or _KEY.match(given[:_MAX_KEY]) is not None
    )


def _require_line_ends(text: str, what: str) -> None:
    """Refuse YAML whose lines were joined: KFP's run form does that to pasted text.

    Raises:
        UsageError: A single line that is not valid YAML.
    """
    if "\n" in text or text.lstrip().startswith("{"):
        return
    try:
        read_yaml(text, what, Limits(MAX_DOCUMENT_BYTES))
    except UsageError as error:
        raise UsageError(
            f"{what}: YAML in one line, as KFP's run form makes it of what is pasted; give it as "
            "JSON, or its location or digest"
        ) from error


def _from_store(digest: str, kind: type[Artifact], store: Store, what: str) -> bytes:
    manifest = get_manifest(store, digest)
    if manifest.artifact_type != kind.type:
        raise UsageError(f"{what}: {digest} is of type {manifest.artifact_type}, not {kind.type}")
    data = read_file(store, manifest, FILES[kind], MAX_DOCUMENT_BYTES)
    if data is None:
        raise UsageError(f"{what}: {digest} holds no {FILES[kind]}")
    return data
