"""SHA-256 digests and canonical JSON. No I/O, except reading from given streams.

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
"""Buffer size; limits the memory regardless of the blob size."""

_MAX_SAFE_INTEGER: Final = 2**53 - 1
_LEVELS: Final = 8
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
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
    """The 64 hex digits of a digest, for file names and other formats."""
    return require_digest(digest)[len(PREFIX) :]


def of_bytes(data: bytes) -> str:
    """The digest of `data`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


class Readable(Protocol):
    """The part of the stream interface that hashing needs."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most `size` bytes; empty at the end."""


def of_stream(stream: Readable) -> tuple[str, int]:
    """The digest and size in bytes of the rest of `stream`, in bounded memory."""
    hasher, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK_BYTES):
        hasher.update(chunk)
        size += len(chunk)
    return PREFIX + hasher.hexdigest(), size


def canonical_json(value: Any) -> bytes:
    """Encode a JSON value in the JSON Canonicalization Scheme (RFC 8785).

    Raises:
        UsageError: The value contains NaN, an infinity, an integer beyond 2^53, a lone surrogate,
            or a type that JSON does not have.
    """
    try:
        return _dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise UsageError(f"not representable as canonical JSON (RFC 8785): {error}") from error


def parse_canonical_json(data: bytes, what: str) -> Any:
    """Parse JSON that must be in its canonical form.

    Another encoding of the same value would have another digest, so spaces, another key order and
    repeated keys are refused.

    Raises:
        IntegrityError: The data is not JSON, or not in the form of RFC 8785.
    """
    try:
        value = _parse_common(data)
        if _is_encoded(value, data):
            return value
    except (ValueError, RecursionError):
        pass
    try:
        value = json.loads(data, parse_int=_integer)
        canonical = _dumps(value)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{what}: not JSON ({error}); the bytes are damaged") from error
    if canonical != data:
        raise IntegrityError(f"{what}: JSON, but not in canonical form (RFC 8785); it was altered")
    return value


# The encoder of Python's library gives the canonical form of most values, many times faster than
# one that is written in Python. It differs in the form of some numbers and in the order of some
# keys beyond ASCII, and accepts keys and numbers that RFC 8785 does not allow. So its result counts
# only if it is ASCII, has no such numbers, and reads back as the same value.


def _dumps(value: Any, levels: int = _LEVELS) -> bytes:
    """The canonical form of a value.

    Args:
        value: The value.
        levels: How many levels of it are tried with Python's encoder, which is faster. Each level
            encodes all below it once more, so a deep value would take long.

    Raises:
        rfc8785.CanonicalizationError: As for `canonical_json`.
        UnicodeError: A lone surrogate.
    """
    if levels == 0:
        return rfc8785.dumps(value)
    if (common := _common_json(value)) is not None:
        return common
    below = levels - 1
    if isinstance(value, list) and value:
        return b"[%b]" % b",".join(_dumps(item, below) for item in value)
    if isinstance(value, dict) and value and all(isinstance(key, str) for key in value):
        items = sorted(value.items(), key=lambda item: item[0].encode("utf-16be"))
        pairs = ((_dumps(key), _dumps(item, below)) for key, item in items)
        return b"{%b}" % b",".join(b"%b:%b" % pair for pair in pairs)
    return rfc8785.dumps(value)


def _common_json(value: Any) -> bytes | None:
    """The canonical form of a value; None if only RFC 8785's own encoder can give it."""
    try:
        data = _ENCODER.encode(value).encode("ascii")
        same = _parse_common(data) == value
    except (TypeError, ValueError, RecursionError):
        return None
    return data if same else None


def _is_encoded(value: Any, data: bytes) -> bool:
    """Whether this is what Python's encoder gives for a value from `_parse_common`."""
    return data.isascii() and _ENCODER.encode(value).encode() == data


def _parse_common(data: bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: It has numbers that RFC 8785 writes in another form than Python, or refuses.
    """
    return _DECODER.decode(data.decode())


def _common_integer(text: str) -> int:
    number = int(text)
    if abs(number) > _MAX_SAFE_INTEGER:
        raise ValueError(text)
    return number


def _common_float(text: str) -> float:
    """A number with a fraction and without an exponent."""
    number = float(text)
    if number.is_integer() or "e" in text or "E" in text:
        raise ValueError(text)
    return number


_DECODER: Final = json.JSONDecoder(parse_int=_common_integer, parse_float=_common_float)


def _integer(text: str) -> int | float:
    """Parse a number without fraction or exponent, which RFC 8785 uses below 10^21.

    Beyond 2^53 it is a float, because `canonical_json` does not allow larger integers.
    """
    number = float(text)
    return number if abs(number) > _MAX_SAFE_INTEGER else int(text)
