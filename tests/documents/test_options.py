"""Values given by name: each is what was asked for, or refused; nothing is changed in the way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.documents.options import checked, typed
from assay.errors import UsageError

KNOWN = {"seed": int, "share": float, "name": str, "on": bool, "columns": list, "more": dict}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(3, int), (0.5, float), ("x", str), (True, bool), ([1], list), ({"a": 1}, dict)],
)
def test_a_value_of_the_right_type_is_not_changed(value: Any, wanted: type) -> None:
    assert typed(value, wanted) == value


def test_kfp_hands_whole_numbers_in_objects_over_with_a_fraction() -> None:
    assert typed(3.0, int) == 3
    assert isinstance(typed(3.0, int), int)
    assert isinstance(typed(1, float), float)


@pytest.mark.parametrize(
    ("value", "wanted", "says"),
    [
        (3.5, int, "expected a whole number, got 3.5"),
        ("3", int, "expected a whole number, got '3'"),
        (True, int, "expected a whole number, got true"),
        (True, float, "expected a number, got true"),
        (1, bool, "expected true or false, got 1"),
        ("true", bool, "expected true or false, got 'true'"),
        (None, str, "expected text, got None"),
        ("a", list, "expected a list such as \\[a, b\\], got 'a'"),
        (float("nan"), int, "expected a whole number, got nan"),
    ],
)
def test_a_value_of_another_type_is_refused(value: Any, wanted: type, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        typed(value, wanted)


def test_all_problems_are_reported_together_with_the_closest_name() -> None:
    with pytest.raises(UsageError) as error:
        checked({"sed": 1, "share": "half", "on": 1, "seed": 2}, KNOWN)
    assert str(error.value) == (
        "options: no 'sed'; did you mean 'seed'?; options.share: expected a number, got 'half'; "
        "options.on: expected true or false, got 1"
    )


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UsageError, match="there are: columns, more, name, on, seed, share"):
        checked({"zzzzzz": 1}, KNOWN)


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=300))
def test_however_much_is_wrong_the_answer_is_bounded(given: dict[str, int]) -> None:
    with pytest.raises(UsageError) as error:
        checked({**given, "unknown": 0}, KNOWN)
    assert len(str(error.value)) < 5_000
