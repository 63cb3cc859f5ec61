"""Errors carry what, where, remedy and every problem; their text is made of these."""

import pytest

from assay import errors
from assay.errors import (
    EXIT_CODES,
    MAX_MESSAGE_CHARS,
    VERDICTS,
    AssayError,
    IntegrityError,
    RunBlocked,
    UsageError,
)
from assay.text import log_lines


@pytest.mark.parametrize(
    ("error", "text", "lines"),
    [
        (UsageError("no such file"), "no such file", ("no such file",)),
        (
            UsageError("no such file", where="data", remedy="give a path"),
            "data: no such file; give a path",
            ("data: no such file", "give a path"),
        ),
        (UsageError("a; b"), "a; b", ("a; b",)),
        (
            UsageError.all_of(["no column x", "no column y"], where="data"),
            "data: no column x; no column y",
            ("data: no column x", "data: no column y"),
        ),
        (
            RunBlocked("recall fell", where="blocked", problems=["recall fell"]),
            "blocked: recall fell",
            ("blocked: recall fell",),
        ),
    ],
)
def test_the_text_is_made_of_the_fields(
    error: AssayError, text: str, lines: tuple[str, ...]
) -> None:
    assert str(error) == text
    assert error.lines == lines


def test_errors_within_an_error_keep_their_problems() -> None:
    inner = UsageError.all_of(["a", "b"], where="key 2")
    other = UsageError("c", remedy="give d")
    assert IntegrityError.all_of([inner, other, "e"]).problems == (
        "key 2: a",
        "key 2: b",
        "c; give d",
        "e",
    )


def test_an_error_is_made_again_from_its_fields() -> None:
    for error in (
        UsageError("c", where="x", remedy="give d"),
        UsageError.all_of(["a", "b"], where="y"),
    ):
        again = type(error)(**error.fields)
        assert (str(again), again.fields) == (str(error), error.fields)


def test_no_field_has_a_secret_a_line_end_or_no_end() -> None:
    url = "https://u:hunter2@h/x?X-Amz-Signature=SIGNATURE"
    error = UsageError(f"a\n{url}", where=url, remedy=f"{url}\n", problems=[url, "x" * 99_999])
    for text in (str(error), error.what, error.where, error.remedy, *error.problems, *error.lines):
        assert "hunter2" not in text
        assert "SIGNATURE" not in text
        assert "\n" not in text
        assert len(text) <= MAX_MESSAGE_CHARS + 20


def test_a_log_has_a_line_for_each_problem() -> None:
    error = UsageError.all_of(["the first", "the second", "the third"])
    assert log_lines(error.lines) == ["the first;", "  the second;", "  the third"]


def test_every_error_has_a_row_in_the_table_of_exit_codes() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, AssayError)
    ]
    assert {kind.exit_code for kind in kinds} <= set(EXIT_CODES)
    for kind in kinds:
        assert EXIT_CODES[kind.exit_code] == kind.meaning
        assert VERDICTS.get(kind.exit_code, "failed") == kind.verdict
