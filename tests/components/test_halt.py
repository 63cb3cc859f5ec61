"""halt: red, with the reason, and never green."""

import pytest

from assay.components.halt.step import halt
from assay.errors import RunBlocked, RunHalted, RunInconclusive, RunRejected, UsageError


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("rejected", RunRejected, 3),
        ("blocked", RunBlocked, 4),
        ("inconclusive", RunInconclusive, 5),
    ],
)
def test_each_kind_has_its_exit_code(kind: str, error: type[RunHalted], code: int) -> None:
    with pytest.raises(error, match=f"{kind}: too bad") as caught:
        halt(kind, "too bad\nin two lines")
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_does_not_end_green() -> None:
    with pytest.raises(UsageError, match="use one of"):
        halt("fine", "")
    with pytest.raises(RunBlocked, match="no reason was given"):
        halt("blocked", "")
