"""What tests of releases say again and again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from assay.errors import AssayError


def refused(work: Callable[[], object], error: type[AssayError], *said: str) -> str:
    """`work` fails with that error, in one line that says all of that; the line."""
    with pytest.raises(error) as raised:
        work()
    for part in said:
        assert part in str(raised.value), f"{part!r} is not in {raised.value}"
    assert "\n" not in str(raised.value)
    return str(raised.value)


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, and nothing of its size."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
