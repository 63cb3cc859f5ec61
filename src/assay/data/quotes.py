r"""Checking a CSV's quotes at the speed of reading.

Parsers are lenient: pyarrow and Python's `csv` take `"a"b` for `ab`, and `a"b` for itself, and a
file that escapes quotes in another way (Spark writes `\"`) then gets cells that its author never
wrote. RFC 4180 knows three places for a quote. Counted from the beginning of a file, quotes open
and close in turn; one within a field is doubled, so the first closes and the second opens again.
A file is right if and only if

- each quote that opens comes after a delimiter, a line end, the beginning or a quote, and
- each quote that closes comes before a delimiter, a line end, the end or a quote.
"""

from typing import Final

QUOTE: Final = ord('"')
BOM: Final = b"\xef\xbb\xbf"


class Quotes:
    """Looks at a file's bytes (UTF-8) piece by piece."""

    def __init__(self, delimiter: str) -> None:
        import numpy as np

        self.stray = False
        """Whether a quote is where none may be."""
        self._beside = np.zeros(256, dtype=bool)
        self._beside[[*b"\r\n", QUOTE, ord(delimiter)]] = True
        self._closes = 0
        """1 when the next quote closes a field."""
        self._last = -1
        """The last byte so far; -1 at the beginning."""
        self._just_closed = False
        """Whether that byte is a quote that closes."""

    def add(self, piece: bytes) -> None:
        """Take the next bytes into account."""
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
        held = np.frombuffer(piece, np.uint8)
        places = np.flatnonzero(held == QUOTE)
        # The quotes that open are every second one, as are those that close.
        opening, closing = places[self._closes :: 2], places[1 - self._closes :: 2]
        before = held[opening - 1]
        if len(opening) and opening[0] == 0:
            before = before.copy()
            before[0] = begin
        inner = closing[closing < len(held) - 1]
        self._just_closed = len(inner) < len(closing)
        if not (self._beside[before].all() and self._beside[held[inner + 1]].all()):
            self.stray = True
        self._closes = (self._closes + len(places)) % 2
