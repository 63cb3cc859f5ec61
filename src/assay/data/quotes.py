r"""Check the quotes of a CSV as fast as it is read.

Parsers are lenient: pyarrow and Python's `csv` read `"a"b` as `ab`, and `a"b` unchanged. A file
that escapes quotes differently (Spark writes `\"`) is then read with wrong cells. RFC 4180 allows
quotes in three positions. From the beginning of a file, quotes alternately open and close; a quote
within a field is doubled, so the first one closes and the second one opens again. A file is valid
if and only if

- each opening quote follows a delimiter, a line end, the beginning or a quote, and
- each closing quote precedes a delimiter, a line end, the end or a quote.
"""

from typing import Final

QUOTE: Final = ord('"')
BOM: Final = b"\xef\xbb\xbf"


class Quotes:
    """Checks the bytes of a file (UTF-8) in pieces."""

    def __init__(self, delimiter: str) -> None:
        import numpy as np

        self.stray = False
        """Whether there is a misplaced quote."""
        self._beside = np.zeros(256, dtype=bool)
        self._beside[[*b"\r\n", QUOTE, ord(delimiter)]] = True
        self._closes = 0
        """1 if the next quote closes a field, otherwise 0."""
        self._last = -1
        """The last byte so far; -1 at the beginning."""
        self._just_closed = False
        """Whether the last byte is a closing quote."""

    def add(self, piece: bytes) -> None:
        """Check the next bytes."""
        import numpy as np

        if self._last < 0:
            piece = piece.removeprefix(BOM)
        if not piece:
            return
        begin = ord("\n") if self._last < 0 else self._last
        if self._just_closed and not self._beside[piece[0]]:
            self.stray = True
        self._last, self._just_closed = piece[-1], False
        if b'"' not in piece:
            return
        data = np.frombuffer(piece, np.uint8)
        indices = np.flatnonzero(data == QUOTE)
        # Opening and closing quotes alternate.
        opening, closing = indices[self._closes :: 2], indices[1 - self._closes :: 2]
        before = data[opening - 1]
        if len(opening) and opening[0] == 0:
            before = before.copy()
            before[0] = begin
        inner = closing[closing < len(data) - 1]
        self._just_closed = len(inner) < len(closing)
        if not (self._beside[before].all() and self._beside[data[inner + 1]].all()):
            self.stray = True
        self._closes = (self._closes + len(indices)) % 2
