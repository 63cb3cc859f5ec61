"""Names for bytes: SHA-256 digests and canonical JSON. Pure; no I/O but reading what it is given.

A digest is the string ``sha256:<64 lower-case hex digits>``, as in the OCI image specification.
"""

import hashlib
import json
import re
from typing import Any, Final, Protocol

import rfc8785

from assay.errors import IntegrityError, UsageError

PREFIX: Final = "sha256:"
CHUNK_BYTES: Final = 1 << 20
"""How much is read at a time; bounds memory at any blob size."""

_MAX_SAFE_INTEGER: Final = 2**53 - 1
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def is_digest(text: object) -> bool:
    """Whether `text` is a well-formed digest."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def require_digest(text: str, what: str = "digest") -> str:
    """Return `text`, or raise `UsageError` if it is not a digest."""
    if not is_digest(text):
        raise UsageError(
            f"{what}: {text!r} is not a digest; a digest is 'sha256:' and 64 lower-case hex digits"
        )
    return text


def hex_of(digest: str) -> str:
    """The 64 hex digits of a digest, for file names and foreign formats."""
    return require_digest(digest)[len(PREFIX) :]


def of_bytes(data: bytes) -> str:
    """The digest of `data`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


class Readable(Protocol):
    """As much of a stream as hashing needs."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; empty at the end."""


def of_stream(stream: Readable) -> tuple[str, int]:
    """The digest and size in bytes of what is left in `stream`, in bounded memory."""
    hasher, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK_BYTES):
        hasher.update(chunk)
        size += len(chunk)
    return PREFIX + hasher.hexdigest(), size


def canonical_json(value: Any) -> bytes:
    """The one encoding of a JSON value: RFC 8785 (JSON Canonicalization Scheme).

    Raises:
        UsageError: The value has NaN, an infinity, an integer beyond 2^53, a lone surrogate, or a
            type that JSON does not have.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise UsageError(f"not representable as canonical JSON (RFC 8785): {error}") from error


def parse_canonical_json(data: bytes, what: str) -> Any:
    """Parse JSON that must be in its canonical form.

    A second spelling of one value would give it a second name, so spaces, another key order or a
    repeated key are refused.

    Raises:
        IntegrityError: Not JSON, or JSON in another form than RFC 8785's.
    """
    try:
        value = json.loads(data, parse_int=_integer)
        canonical = rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{what}: not JSON ({error}); the bytes are damaged") from error
    if canonical != data:
        raise IntegrityError(f"{what}: JSON, but not in canonical form (RFC 8785); it was altered")
    return value


def _integer(text: str) -> int | float:
    """A number without fraction or exponent, as RFC 8785 writes every one below 10^21.

    Beyond 2^53 it was a float: `canonical_json` admits no larger integer.
    """
    number = float(text)
    return number if abs(number) > _MAX_SAFE_INTEGER else int(text)
