"""64-bit keys of values: numbers keep their order, texts are hashed."""

import hashlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from assay.data.profile.cells import Cells, Integers, Keys

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_TEXT: Final = 100
"""Characters of a text that is kept as it is."""
_PREFIX: Final = 60
_HASH_BYTES: Final = 8
_MAGNITUDE: Final = 0x7FFF_FFFF_FFFF_FFFF
_HALF: Final = 32
_UPPER: Final = 1 if sys.byteorder == "little" else 0
"""Which of the two halves of a number contains its sign."""


def bits(values: "NDArray[np.float64]", level: int = 0) -> Keys:
    """The bits of floats in IEEE 754, as signed integers: a sign, and the magnitude.

    Args:
        values: Numbers; -0.0 counts as 0.0.
        level: Number of low bits that are left out.

    Returns:
        The bits, shifted right by `level`.
    """
    import numpy as np

    if not values.all():
        # The only number that changes is -0.0.
        values = values + 0.0
    if level < _HALF:
        return values.view(np.int64) >> level
    # Half of the bits are enough, which takes half of the time.
    return values.view(np.int32)[_UPPER::2] >> (level - _HALF)


def of_floats(values: "NDArray[np.float64]") -> Integers:
    """Keys in the order of the floats.

    The bits of positive numbers have the order of the numbers, those of negative ones the reverse
    order. So all bits of negative numbers but the sign are inverted.
    """
    keys = bits(values)
    return keys ^ ((keys >> 63) & _MAGNITUDE)


def of_bits(cells: Cells) -> Cells:
    """The cells of `of_floats` from those of `bits`: negative numbers are in the reverse order."""
    import numpy as np

    negative = int(np.count_nonzero(cells.keys < 0))
    inverted = cells.keys[:negative] ^ (_MAGNITUDE >> cells.level)
    return Cells(
        cells.level,
        np.concatenate([inverted[::-1], cells.keys[negative:]]),
        np.concatenate([cells.counts[:negative][::-1], cells.counts[negative:]]),
    )


def to_floats(keys: Integers) -> "NDArray[np.float64]":
    """The floats of keys; the inverse of `of_floats`."""
    import numpy as np

    return (keys ^ ((keys >> 63) & _MAGNITUDE)).view(np.float64)


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
