"""64-bit keys of values: numbers keep their order, texts are hashed."""

import hashlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from assay.data.profile.cells import Integers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_TEXT: Final = 100
"""Characters of a text that is kept as it is."""
_PREFIX: Final = 60
_HASH_BYTES: Final = 8
_MAGNITUDE: Final = 0x7FFF_FFFF_FFFF_FFFF
_HALF: Final = 32
_HALF_MAGNITUDE: Final = 0x7FFF_FFFF
_UPPER: Final = 1 if sys.byteorder == "little" else 0
"""Which of the two halves of a number contains its sign."""


def of_floats(values: "NDArray[np.float64]", level: int = 0) -> "NDArray[np.signedinteger[Any]]":
    """Keys in the order of the floats, from their bits in IEEE 754.

    The bits of positive numbers have the order of the numbers, those of negative ones the reverse
    order, so all of these but the sign are inverted. -0.0 and 0.0 have the same key, 0.

    Args:
        values: Finite numbers.
        level: Number of low bits of the keys that are left out.

    Returns:
        The keys, shifted right by `level` bits.
    """
    import numpy as np

    # The only number that changes is -0.0.
    bits = (values + 0.0).view(np.int64)
    if level < _HALF:
        bits ^= (bits >> 63) & _MAGNITUDE
        bits >>= level
        return bits
    # Half of the bits are enough, which takes half of the time.
    upper = bits.view(np.int32)[_UPPER::2].copy()
    sign = upper >> 31
    sign &= _HALF_MAGNITUDE
    upper ^= sign
    upper >>= level - _HALF
    return upper


def to_floats(keys: Integers) -> "NDArray[np.float64]":
    """The floats of keys of level 0; the inverse of `of_floats`."""
    import numpy as np

    return (keys ^ ((keys >> 63) & _MAGNITUDE)).view(np.float64)


def of_integers(values: Integers, level: int = 0) -> "NDArray[np.signedinteger[Any]]":
    """A whole number is its own key; as for `of_floats`."""
    return values >> level


def short(text: str) -> str:
    """A text of bounded length: a long one is replaced by its first characters and its SHA-256.

    Results have up to `MAX_TEXT` characters if the text is unchanged, and more if it is not, so
    that no two texts have the same.
    """
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:_PREFIX]}…{hashlib.sha256(text.encode()).hexdigest()}"


def of_texts(texts: Iterable[str]) -> Integers:
    """The first 64 bits of the BLAKE2b hash of each text, as a signed integer."""
    import numpy as np

    digests = b"".join(
        hashlib.blake2b(text.encode(), digest_size=_HASH_BYTES).digest() for text in texts
    )
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)
