"""Suites: what is admitted, what a mistake is called, and what a draft holds."""

import json
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import data as dataset
from assay.core.step import Dataset
from assay.data.suite import MAX_EXPECTATIONS, MAX_SUITE_BYTES, draft, parse_suite
from assay.data.suite.known import ARGUMENTS, EXPECTATION_TYPES, NOT_ADMITTED
from assay.errors import UsageError

IN_SET = "expect_column_values_to_be_in_set"
BETWEEN = "expect_column_values_to_be_between"
OUTLIERS = "expect_column_values_to_not_be_outliers"
# Fields of every expectation in GX that say how it is run or shown, not what is expected.
HANDLING = {
    *("id", "meta", "notes", "description", "severity", "catch_exceptions", "rendered_content"),
    *("result_format", "batch_id", "windows", "row_condition", "condition_parser"),
    "library_metadata",
}
# Where the table demands what GX leaves optional, since without it nothing could fail.
DEMANDED = {
    *("column_list", "column_set", "max_value", "min_value", "partition_object", "regex"),
    *("threshold", "type_list"),
}


def suite(*expectations: Any, **rest: Any) -> bytes:
    return json.dumps({"name": "s", "expectations": list(expectations), **rest}).encode()


def one(kind: Any = IN_SET, /, **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs}


def refusal(*expectations: Any, columns: Any = None) -> str:
    with pytest.raises(UsageError) as caught:
        parse_suite(suite(*expectations), columns, name="s.json")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_suite() -> None:
    parsed = parse_suite(suite(one(column="a", value_set=[1])), ["a", "b"])
    assert parsed.name == "s"
    assert [item["type"] for item in parsed.expectations] == [IN_SET]


def test_parsing_imports_nothing_heavy() -> None:
    heavy = "pandas numpy pyarrow great_expectations evidently matplotlib sklearn"
    code = (
        "import sys; from assay.data.suite import parse_suite, draft; "
        "parse_suite(sys.stdin.buffer.read(), ['a']); "
        f"sys.exit(', '.join(sorted(set({heavy.split()}) & set(sys.modules))) or None)"
    )
    text = suite(one(column="a", value_set=[1]))
    done = subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_the_table_is_the_installed_great_expectations() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside of GX
        import great_expectations  # noqa: F401 - registers its expectations
        from great_expectations.expectations.registry import (
            get_expectation_impl,
            list_registered_expectation_implementations,
        )
    known = set(list_registered_expectation_implementations())
    renamed = {"expect_multicolumn_values_to_be_unique"}
    assert known == EXPECTATION_TYPES | (set(NOT_ADMITTED) - renamed)
    for kind, arguments in ARGUMENTS.items():
        implementation = get_expectation_impl(kind)
        assert implementation.__module__.startswith("great_expectations.expectations.core.")
        fields = implementation.__fields__
        assert set(arguments.names) == set(fields) - HANDLING, kind
        needed = {name for name, field in fields.items() if field.required} - HANDLING
        assert needed <= set(arguments.required), kind
        assert (set(arguments.required) | set(arguments.either)) - needed <= DEMANDED, kind


RIGHT: dict[str, Any] = {
    **dict.fromkeys(("column", "column_A"), "a"),
    **dict.fromkeys(("min_value", "max_value", "value", "sum_total", "threshold"), 3),
    "column_B": "b",
    "column_list": ["a", "b"],
    "column_set": ["a", "b"],
    "type_": "int64",
    "type_list": ["int64"],
    "regex": "a",
    "regex_list": ["a"],
    "strftime_format": "%Y",
    "json_schema": {},
    "value_set": [1],
    "value_pairs_set": [[1, 2]],
    "double_sided": True,
    "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]},
    "partition_object": {"values": [1], "weights": [1.0]},
}
ODD: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 1.5, 10**30, "", "x", "never", "2024-01-31"),
    *([], ["a"], [1], {}, {"a": 1}),
)


@pytest.mark.parametrize("kind", sorted(ARGUMENTS))
def test_great_expectations_accepts_every_accepted_suite(kind: str) -> None:
    """Else the suite is refused after the snapshot only, and not by preflight."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside of GX
        from great_expectations.expectations.expectation_configuration import (
            ExpectationConfiguration,
        )

        known = ARGUMENTS[kind]
        right = {name: RIGHT[name] for name in known.required + known.either}
        tried = [right] + [right | {name: odd} for name in known.names for odd in ODD]
        taken = []
        for kwargs in tried:
            try:
                parse_suite(suite(one(kind, **kwargs)))
            except UsageError:
                continue
            ExpectationConfiguration(type=kind, kwargs=kwargs).to_domain_obj()
            taken.append(kwargs)
    assert right in taken


@pytest.mark.parametrize("form", ["%d-%d", "%Q", "%-d", "100 %", ""])
def test_a_form_of_time_that_is_none_is_refused(form: str) -> None:
    """Two days in one form ended the validation with an error of Python's."""
    kind = "expect_column_values_to_match_strftime_format"
    with pytest.raises(UsageError, match="'strftime_format' is "):
        parse_suite(suite(one(kind, column="a", strftime_format=form)))
    for fine in ("%Y-%m-%dT%H:%M:%S%z", "%d.%m.%y", "100 %%", "%G-%V-%u"):
        parse_suite(suite(one(kind, column="a", strftime_format=fine)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\xff", "line 1, column 1: not UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (
            b'{"expectations": [], "expectations": [1]}',
            "line 1, column 22: key 'expectations' is given twice",
        ),
        (suite(one(column="a", value_set=[math.nan])), "NaN is not a number in JSON"),
        (b"1" * 5000, "a number of 5000 characters"),
        (b"[]", "it needs 'expectations'"),
        (b'{"expectations": {}}', "it needs 'expectations'"),
        (suite(), "a list of 1 to"),
        (suite(*[1] * (MAX_EXPECTATIONS + 1)), "a list of 1 to"),
        (b" " * (MAX_SUITE_BYTES + 1), f"the limit is {MAX_SUITE_BYTES:,}"),
    ],
    ids=[
        *("empty", "cut_off", "binary", "deep", "repeated_key", "nan", "huge_number", "list"),
        *("object", "no_expectations", "too_many", "huge_file"),
    ],
)
def test_a_file_that_is_not_a_suite_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_suite(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("expect_column_value_to_be_in_set", f"did you mean '{IN_SET}'?"),
        ("ExpectColumnValuesToBeInSet", f"did you mean '{IN_SET}'?"),
        ("my_checks.plugins.RunAnything", "only Great Expectations' own are admitted"),
        ("os.system", "only Great Expectations' own are admitted"),
        ("unexpected_rows_expectation", "it runs a query"),
        ("expect_column_values_to_match_like_pattern", "needs an SQL database"),
        ("expect_multicolumn_values_to_be_unique", "has renamed it"),
        (["expect_column_to_exist"], "unknown type list of 1"),
        (None, "only Great Expectations' own are admitted"),
        ("x" * 10_000, "only Great Expectations' own are admitted"),
    ],
)
def test_types_that_are_not_admitted(kind: Any, hint: str) -> None:
    message = refusal(one(kind, column="a"))
    assert "s.json: expectation 1: " in message
    assert hint in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("text", "not an object with 'type' and 'kwargs'"),
        ({"type": IN_SET, "kwargs": []}, "not an object with 'type' and 'kwargs'"),
        ({"expectation_type": IN_SET, "kwargs": {}}, "write 'type' instead of 'expectation_type'"),
        ({**one(column="a", value_set=[1]), "mostly": 0.5}, "unknown key 'mostly'"),
        (one(value_set=[1]), "'column' is missing"),
        (one(column=1, value_set=[1]), "'column' is 1; give a text"),
        (one(column="a"), "'value_set' is missing"),
        (one(column="a", value_set=[]), "'value_set' must be a list of at least one item"),
        (one(column="a", values=[1]), "unknown argument 'values'; did you mean 'value_set'?"),
        (one(column="a", value_set=[1], mostly=0), "'mostly' is 0; give a share above 0"),
        (one(column="a", value_set=[1], mostly=True), "'mostly' is True"),
        (one(column="a", value_set=[1], row_condition="b > 1"), "a filter is code in a text"),
        (one(column="a", value_set=[1], catch_exceptions=False), "has always failed"),
        (one(BETWEEN, column="a", min_value={"$PARAMETER": "now()"}), "is a suite parameter"),
        (one(BETWEEN, column="a"), "without which nothing could fail"),
        (one(BETWEEN, column="a", min_value=None), "without which nothing could fail"),
        (one(BETWEEN, column="a", min_value=2, max_value=1), "'min_value' 2 is above"),
        (
            one(BETWEEN, column="a", min_value="low"),
            "'min_value' is 'low'; give a number, or a date",
        ),
        (one(BETWEEN, column="a", max_value=[1]), "'max_value' is list of 1; give a number"),
        (one(BETWEEN, column="a", min_value=1, strict_min=None), "give true or false"),
        (
            one("expect_table_row_count_to_be_between", min_value="2024-01-31"),
            "'min_value' is '2024-01-31'; give a number",
        ),
        (one(IN_SET, column="a", value_set=[1], mostly=None), "'mostly' is None"),
        (one(OUTLIERS, column="a", multiplier=-1), "is -1; give a number of at least 0"),
        (one(OUTLIERS, column="a", method="x"), "'method' is 'x'; give iqr or std"),
        (one("expect_compound_columns_to_be_unique", column_list=["a"]), "give at least two"),
        (
            one("expect_compound_columns_to_be_unique", column_list=["a", "b"], ignore_row_if="x"),
            "give all_values_are_missing, any_value_is_missing or never",
        ),
        (
            one(
                "expect_column_pair_values_to_be_equal",
                column_A="a",
                column_B="b",
                ignore_row_if="never",
            ),
            "give both_values_are_missing, either_value_is_missing or neither",
        ),
        (
            one(
                "expect_column_pair_values_to_be_in_set",
                column_A="a",
                column_B="b",
                value_pairs_set=[1],
            ),
            "'value_pairs_set' must be a list of pairs",
        ),
        (one("expect_table_row_count_to_be_between"), "without which nothing could fail"),
        (one("expect_table_columns_to_match_ordered_list"), "'column_list' is missing"),
        (one("expect_column_values_to_be_in_type_list", column="a"), "'type_list' is missing"),
        (one("expect_column_values_to_match_regex", column="a"), "'regex' is missing"),
        (
            one("expect_column_values_to_match_regex", column="a", regex="("),
            "is not a regular expression",
        ),
        (one("expect_compound_columns_to_be_unique", column_list="ab"), "give a list of texts"),
        (
            one(
                "expect_column_values_to_match_json_schema",
                column="a",
                json_schema={"items": [{"$ref": "http://localhost/schema"}]},
            ),
            "only references within it",
        ),
    ],
)
def test_mistakes(item: Any, message: str) -> None:
    assert message in refusal(item)


def test_a_schema_may_refer_to_itself() -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "items": {"$ref": "#/a"}}
    kind = "expect_column_values_to_match_json_schema"
    assert parse_suite(suite(one(kind, column="a", json_schema=schema)))


def test_all_problems_are_reported_together() -> None:
    message = refusal(
        one(column="a"), one("no_such"), one(column="agee", value_set=[1]), columns=["age"]
    )
    assert "expectation 1: expect_column_values_to_be_in_set: 'value_set' is missing" in message
    assert "expectation 2: unknown type 'no_such'" in message
    assert "no column 'agee'; did you mean 'age'?" in message


def test_many_offenders_are_counted() -> None:
    message = refusal(*[one("no_such")] * 1000)
    assert message.endswith("; the last 949 expectations were not checked")


@pytest.mark.parametrize(
    ("item", "absent"),
    [
        (one(column="b", value_set=[1]), "b"),
        (one("expect_column_pair_values_to_be_equal", column_A="a", column_B="b"), "b"),
        (one("expect_compound_columns_to_be_unique", column_list=["a", "b"]), "b"),
    ],
)
def test_columns_must_be_there(item: Any, absent: str) -> None:
    assert f"no column {absent!r}" in refusal(item, columns=["a"])
    assert parse_suite(suite(item)), "without a header nothing is said about columns"


def test_expectations_about_the_columns_themselves_are_left_to_validation() -> None:
    items = [
        one("expect_column_to_exist", column="b"),
        one("expect_table_columns_to_match_ordered_list", column_list=["b"]),
        one("expect_table_columns_to_match_set", column_set=["b"]),
    ]
    assert parse_suite(suite(*items), ["a"])


# Drafts. That data passes its own draft is shown where suites are run, in test_validate_data.py.


def table(folder: Path, **columns: Any) -> Path:
    content = pa.table(columns)
    folder.mkdir()
    dataset.write(content.to_batches(), content.schema, folder)
    return folder


def drafted(folder: Path, target: str = "") -> dict[tuple[str, str], dict[str, Any]]:
    """Arguments by column and type; the suite must be one that is admitted."""
    document = draft(folder, target)
    parse_suite(json.dumps(document, allow_nan=False).encode(), dataset.info(folder).names)
    assert all(item["meta"]["notes"] for item in document["expectations"])
    return {
        (item["kwargs"].get("column", ""), item["type"]): item["kwargs"]
        for item in document["expectations"]
    }


def test_a_draft_of_adult_holds_the_labels(adult: Dataset) -> None:
    found = drafted(adult.path, "income")
    assert found["income", IN_SET]["value_set"] == ["<=50K", ">50K"]
    assert "mostly" not in found["income", IN_SET]
    assert found["income", "expect_column_values_to_not_be_null"] == {"column": "income"}
    assert found["age", BETWEEN] == {"column": "age", "min_value": 10, "max_value": 97}
    assert found["age", "expect_column_values_to_be_of_type"]["type_"] == "int64"
    # 1,836 of 32,561 workclasses are missing: 5.6%; a tenth more and one per cent are let through.
    assert found["workclass", "expect_column_values_to_not_be_null"]["mostly"] == 0.927
    # Holand-Netherlands came once: other countries are to be expected.
    assert found["native_country", IN_SET]["mostly"] == 0.99
    rows = found["", "expect_table_row_count_to_be_between"]
    assert rows == {"min_value": 16_280, "max_value": 325_610}
    assert found["", "expect_table_columns_to_match_ordered_list"]["column_list"][0] == "age"


def test_a_draft_gives_reasons(adult: Dataset) -> None:
    notes = [item["meta"]["notes"] for item in draft(adult.path, "income")["expectations"]]
    assert "From 17 to 90, with a tenth of that width as slack." in notes
    assert "The 2 labels of the target, to the letter." in notes
    assert "1836 of 32561 were missing; a little more is let through." in notes


def test_keys_types_and_free_text(tmp_path: Path) -> None:
    count = 60
    found = drafted(
        table(
            tmp_path / "t",
            id=list(range(1000, 1000 + count)),
            name=[f"n{number}" for number in range(count)],
            flag=[number % 2 == 0 for number in range(count)],
            whole=[number % 7 for number in range(count - 1)] + [None],
            text=[f"free text {number // 2}" for number in range(count)],
            day=pa.array([None] * count, pa.date32()),
            time=pa.array([0] * count, pa.timestamp("us")),
        )
    )
    unique = "expect_column_values_to_be_unique"
    of_type = "expect_column_values_to_be_of_type"
    assert {column for column, kind in found if kind == unique} == {"id", "name"}
    # A range of identifiers, or a closed set of free texts, would fail on the next data.
    assert ("id", BETWEEN) not in found
    assert ("text", IN_SET) not in found
    assert {c: k["type_"] for (c, kind), k in found.items() if kind == of_type} == {
        "id": "int64",
        "name": "str",
        "flag": "bool",
        "text": "str",
        "time": "datetime64",
    }
    types = found["whole", "expect_column_values_to_be_in_type_list"]["type_list"]
    assert types == ["int64", "float64"]
    assert "day" not in {column for column, _ in found}, "validation refuses it anyway"


def test_a_target_that_is_no_column(tmp_path: Path) -> None:
    folder = table(tmp_path / "t", income=[1, 2])
    with pytest.raises(UsageError, match="did you mean 'income'"):
        draft(folder, "Income")


@settings(max_examples=50)
@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=True),
            st.integers(-(2**62), 2**62).map(float),
            st.none(),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_drafted_range_holds_all_finite_values(
    tmp_path_factory: pytest.TempPathFactory, values: Any
) -> None:
    folder = table(tmp_path_factory.mktemp("t") / "t", x=pa.array(values, pa.float64()))
    kwargs = drafted(folder).get(("x", BETWEEN))
    finite = [value for value in values if value is not None and math.isfinite(value)]
    assert (kwargs is None) == (not finite)
    if kwargs is not None:
        assert kwargs["min_value"] <= min(finite)
        assert kwargs["max_value"] >= max(finite)
