"""Canonical JSON is that of RFC 8785, whichever encoder gives it."""

import json
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from assay.core import digest
from assay.core.digest import canonical_json, parse_canonical_json
from assay.errors import IntegrityError, UsageError

numbers = (
    st.integers(-(2**60), 2**60)
    | st.floats()
    | st.sampled_from([0.0, -0.0, 1.0, 1e-5, 1e-7, 1e16, 1e21, 5e-324, 2.0**53, 0.1, 123456.75])
)
texts = st.text(max_size=8) | st.sampled_from(
    ["é", "\ue000", "\U0001f600", "\ud800", "\x00\x1f\x7f", '"\\/', "\u2028"]
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
@example({"b": 1, "a": [True, 1.5, None, "x"]})
@example({"\ue000": 1, "\U0001f600": 2})
@example([1, 1.0, True, 0, 0.0, False])
@example((1, (2,)))
@example({1: "a"})
@example({"a": math.nan})
@example({"a": {1, 2}})
def test_the_form_is_that_of_the_specification(value: Any) -> None:
    try:
        expected = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError):
        with pytest.raises(UsageError, match="RFC 8785"):
            canonical_json(value)
    else:
        assert canonical_json(value) == expected


@given(values)
def test_what_was_written_is_read_back(value: Any) -> None:
    try:
        data = canonical_json(value)
    except UsageError:
        return
    read = parse_canonical_json(data, "x")
    assert rfc8785.dumps(read) == data


@given(values, st.sampled_from([None, 1]), st.booleans(), st.booleans())
def test_another_encoding_of_a_value_is_refused(
    value: Any, indent: int | None, as_ascii: bool, in_order: bool
) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=as_ascii, sort_keys=in_order).encode(
        errors="surrogatepass"
    )
    try:
        canonical = rfc8785.dumps(json.loads(data)) == data
    except (rfc8785.CanonicalizationError, ValueError):
        canonical = False
    if canonical:
        parse_canonical_json(data, "x")
    else:
        with pytest.raises(IntegrityError, match=r"canonical|not JSON"):
            parse_canonical_json(data, "x")


@pytest.mark.parametrize(
    "data",
    [b"1.0", b"-0", b"1E5", b"1e5", b'{"a":1,"a":1}', b'{"b":1,"a":1}', b"[1, 2]",
     b'"\\u0061"', b'"\\/"', b"9007199254740993", b"NaN", b"[1]\n", b'"\xc3"'],
)  # fmt: skip
def test_a_value_in_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="x: "):
        parse_canonical_json(data, "x")


def test_a_description_of_many_columns_needs_the_fast_encoder_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other one gives the form of the numbers that are written differently, one by one."""
    columns = [{"name": f"x{n}", "nulls": n, "mean": n / 7 + 0.01, "max": 1.5} for n in range(100)]
    columns[7]["mean"], columns[8]["max"] = 1e-5, 3.0
    expected = rfc8785.dumps(columns)
    given: list[Any] = []
    encode = rfc8785.dumps
    monkeypatch.setattr(digest.rfc8785, "dumps", lambda value: given.append(value) or encode(value))
    assert canonical_json(columns) == expected
    assert parse_canonical_json(expected, "x") == columns
    assert set(given) == {1e-5, 3.0}


def test_a_deep_value_is_encoded_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each level, a document of 4 MB kept a reader busy for seconds."""
    calls: list[object] = []
    fast = digest._common_json
    monkeypatch.setattr(digest, "_common_json", lambda value: calls.append(value) or fast(value))
    value: Any = "ä"
    for _ in range(300):
        value = [value]
    assert canonical_json(value) == b"[" * 300 + '"ä"'.encode() + b"]" * 300
    assert len(calls) == 8
