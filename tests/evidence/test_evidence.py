"""Evidence documents: names, the file, and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import IntegrityError
from assay.evidence.format import EvidenceDocument, Interval
from assay.evidence.labels import canonical_name, label, parse_label, sort_key
from assay.evidence.selectors import parse

MODEL = "sha256:" + "a" * 64

texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
numbers = st.floats(allow_nan=False, allow_infinity=False)
intervals = st.builds(Interval, numbers, numbers, st.floats(0.01, 0.99))
documents = st.builds(
    EvidenceDocument,
    subjects=st.dictionaries(names, texts, max_size=3),
    values=st.dictionaries(names, st.none() | numbers, max_size=5),
    intervals=st.dictionaries(names, intervals, max_size=3),
    notes=st.dictionaries(names, texts, max_size=3),
    verdict=st.sampled_from([None, "pass", "block", "inconclusive"]),
    reason=texts,
)


@given(documents)
def test_a_document_survives_the_file(document: Any) -> None:
    assert EvidenceDocument.parse(document.to_bytes()) == document


@given(documents)
def test_equal_documents_have_equal_bytes_whatever_the_order(document: Any) -> None:
    turned = EvidenceDocument(
        dict(reversed(document.subjects.items())),
        dict(reversed(document.values.items())),
        dict(reversed(document.intervals.items())),
        dict(reversed(document.notes.items())),
        document.verdict,
        document.reason,
    )
    assert turned.to_bytes() == document.to_bytes()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_nan_and_infinity_are_written_as_null(value: Any) -> None:
    document = EvidenceDocument({"model": MODEL}, {"accuracy": value})
    assert EvidenceDocument.parse(document.to_bytes()).values == {"accuracy": None}


def test_a_bound_that_is_not_a_number_stays_undefined() -> None:
    document = EvidenceDocument({}, {}, {"a": Interval(math.nan, math.inf, 0.95)})
    read = EvidenceDocument.parse(document.to_bytes()).intervals["a"]
    assert math.isnan(read.low)
    assert math.isnan(read.high)


def test_labels_are_sorted_and_escaped() -> None:
    assert label("accuracy") == "accuracy"
    assert label("accuracy", sex="Female", age="<30") == 'accuracy{age="<30",sex="Female"}'
    assert label("a", b='x"y\\z\n') == r'a{b="x\"y\\z\n"}'


def test_a_label_may_be_called_name() -> None:
    assert label("accuracy", name="x") == 'accuracy{name="x"}'


def test_a_label_that_is_no_identifier_is_quoted_as_in_prometheus_3() -> None:
    labels = {"marital-status": "Divorced"}
    assert label("accuracy", **labels) == 'accuracy{"marital-status"="Divorced"}'


@given(names, st.dictionaries(texts, texts, max_size=4))
def test_a_rule_can_refer_to_every_name_with_labels(metric: Any, labels: Any) -> None:
    name = label(metric, **labels)
    expression = parse(f"{name} > 0")
    assert (expression.metric, expression.labels) == (metric, labels)
    assert canonical_name(name) == name


def _raw(**changes: Any) -> Any:
    raw = json.loads(EvidenceDocument({"model": MODEL}, {"accuracy": 0.9}).to_bytes())
    return {**raw, **changes}


@pytest.mark.parametrize(
    "raw",
    [
        [],
        "accuracy",
        {"accuracy": 0.95},
        _raw(evidence={"accuracy": "0.95"}),
        _raw(evidence={"accuracy": True}),
        _raw(evidence=[0.95]),
        _raw(subjects=None),
        _raw(intervals={"accuracy": {"low": 0}}),
        _raw(verdict="passed"),
        _raw(verdict=True),
        _raw(verdict=["pass"]),
    ],
)
def test_anything_else_is_refused(raw: Any) -> None:
    with pytest.raises(IntegrityError, match=r"^evidence\.json: "):
        EvidenceDocument.from_dict(raw)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b'{"a":NaN}',
        b'{"a":1,"a":2}',
        b"[" * 100_000,
        json.dumps(_raw(), indent=1).encode(),
    ],
)
def test_a_file_must_be_canonical(data: Any) -> None:
    with pytest.raises(IntegrityError):
        EvidenceDocument.parse(data)


def test_a_file_is_read_in_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EvidenceDocument({"model": MODEL}, {"accuracy": 0.9}).write(tmp_path)
    assert EvidenceDocument.read(tmp_path).values == {"accuracy": 0.9}
    monkeypatch.setattr("assay.evidence.format.MAX_EVIDENCE_BYTES", 10)
    with pytest.raises(IntegrityError, match="larger than 10 bytes"):
        EvidenceDocument.read(tmp_path)


any_text = st.text(st.characters(codec="utf-8"), max_size=12)


@given(names, st.dictionaries(any_text, any_text, max_size=4))
def test_every_name_is_read_as_it_was_written(metric: Any, labels: Any) -> None:
    assert parse_label(label(metric, **labels)) == (metric, labels)
    assert parse_label(label("", **labels)) == ("", labels)


@given(st.dictionaries(any_text, any_text, min_size=1), st.dictionaries(any_text, any_text))
def test_two_columns_or_values_never_share_a_name(one: Any, other: Any) -> None:
    assert (label("a", **one) == label("a", **other)) == (one == other)


def test_a_metric_with_labels_in_its_name_is_refused() -> None:
    with pytest.raises(ValueError, match="is not the name of a metric"):
        label('a{b="c"}', d="e")


def test_numbers_in_labels_sort_as_numbers() -> None:
    values = ["10 to 20", "9 to 10", "-inf to -3", "20 to inf", "b", "(other)", "2", "a"]
    ordered = sorted((label("accuracy", age=value) for value in values), key=sort_key)
    assert [parse_label(name)[1]["age"] for name in ordered] == [
        "-inf to -3", "2", "9 to 10", "10 to 20", "20 to inf", "(other)", "a", "b",
    ]  # fmt: skip
