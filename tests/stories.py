"""What several tests use: refusals, damage, the commands."""

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from assay.cli import cli
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


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Every command and group of `assay` with its words, such as `release sync`."""

    def below(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if words:
            yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                yield from below(f"{words} {name}".strip(), child)

    yield from below("", cli)
