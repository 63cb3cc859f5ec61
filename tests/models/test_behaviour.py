"""Files of behavioural checks: what is wrong with one is one line, before anything is computed."""

import pytest

from assay.errors import UsageError
from assay.models.behaviour import parse_checks

INVARIANCE = "  - {name: a, kind: invariance, column: sex, values: [F, M]"
DIRECTION = "  - {name: a, kind: direction, column: age, delta: 1, expect: not_decrease"
GOLDEN = "  - {name: a, kind: golden, cases: [{row: {age: 39}, expect: yes"


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        (INVARIANCE.replace("column: sex", "column: 5") + "}", "'column' must be a column's name"),
        (INVARIANCE.replace("[F, M]", "[]") + "}", "'values' must be a list of at least one value"),
        (INVARIANCE.replace("[F, M]", "[[F]]") + "}", "'values' must be a list of at least one"),
        (INVARIANCE + ", rows: true}", "'rows' must be a whole number of at least 1"),
        (INVARIANCE + ", allowed_fraction: 1}", "'allowed_fraction' must be a number from 0 to"),
        (INVARIANCE + ", tolerance: 0.1}", "unknown key 'tolerance' in a check of kind invariance"),
        (DIRECTION.replace("delta: 1", "delta: 0") + "}", "'delta' must be a number other than 0"),
        (DIRECTION.replace("delta: 1", "delta: .inf") + "}", "'.inf' is not a finite number"),
        (DIRECTION.replace("not_decrease", "[]") + "}", "'expect' must be not_decrease or not_in"),
        (
            DIRECTION.replace("not_decrease", "null") + "}",
            "'expect' must be not_decrease or not_in",
        ),
        (DIRECTION + ", tolerance: -1}", "'tolerance' must be a number of at least 0"),
        (DIRECTION + ", tolerance: abc}", "'tolerance' must be a number of at least 0"),
        (GOLDEN + ", tolerance: abc}]}", "case 1 has a 'tolerance' that is not a number of at"),
        (GOLDEN + ", tolerence: 1}]}", "case 1 has an unknown key 'tolerence'; did you mean 'tol"),
        (GOLDEN.replace("expect: yes", "expect: [yes]") + "}]}", "case 1 must expect one value"),
        (GOLDEN.replace("{age: 39}", "{}") + "}]}", "case 1 needs a 'row' of columns and an"),
        (GOLDEN.replace("{age: 39}", "{age: [39]}") + "}]}", "case 1 needs a 'row' of columns"),
    ],
)
def test_a_value_without_effect_is_refused(check: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_checks(f"checks:\n{check}\n".encode())
    assert problem in str(caught.value)
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize(
    "check",
    [
        DIRECTION.replace("delta: 1", "delta: HUGE") + "}",
        DIRECTION + ", tolerance: HUGE}",
        DIRECTION + ", rows: HUGE}",
        DIRECTION + ", allowed_fraction: HUGE}",
        GOLDEN.replace("39", "HUGE") + "}]}",
        GOLDEN + ", tolerance: HUGE}]}",
    ],
)
@pytest.mark.parametrize("digits", [309, 350])
def test_a_number_that_a_float_cannot_represent_is_refused(check: str, digits: int) -> None:
    with pytest.raises(UsageError, match=f"line 2.* a number of {digits} characters; the limit"):
        parse_checks(f"checks:\n{check}\n".replace("HUGE", "9" * digits).encode())


@pytest.mark.parametrize("check", [INVARIANCE + "}", DIRECTION + "}", GOLDEN + "}]}"])
def test_the_same_without_the_mistake_is_accepted(check: str) -> None:
    assert len(parse_checks(f"checks:\n{check}\n".encode())) == 1
