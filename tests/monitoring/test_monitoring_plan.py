"""Monitoring plans: what a file may say, and where it says the mistake is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from assay.errors import UsageError
from assay.monitoring import Detector, Plan, json_schema, parse_plan
from assay.monitoring.plan import (
    MAX_DELAY,
    MAX_PLAN_BYTES,
    MAX_SIGNIFICANCE,
    MAX_WINDOW,
    METRICS,
    MIN_WINDOW,
)

DOCS = Path(__file__).resolve().parents[2] / "docs" / "monitoring.md"
HEAD = "format: assay-monitoring/1\ndetectors:\n"


def refusal(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse_plan(text.encode(), "m.yaml")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value).split("; m.yaml ")


words = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12
)
numbers = st.floats(-1e6, 1e6)


@st.composite
def detectors(draw: st.DrawFn) -> Detector:
    metric = draw(st.sampled_from(sorted(METRICS)))
    kind = METRICS[metric]
    ends: list[float | None] = [None, None]
    if metric == "out_of_range_share":
        ends = [*sorted(draw(st.tuples(numbers, numbers)))]
    return Detector(
        name=draw(words),
        metric=metric,
        columns=draw(
            st.none() | st.lists(words, min_size=1, max_size=3, unique=True).map(tuple)
            if kind.of_column
            else st.none()
        ),
        threshold=draw(st.none() | st.floats(0, min(kind.upper, 1e3))),
        window=draw(st.none() | st.integers(MIN_WINDOW, MAX_WINDOW)),
        receiver=draw(
            st.sampled_from(["", "ml-on-call@example.org", "#alerts", "https://a.org/x"])
        ),
        delay=draw(st.integers(0, MAX_DELAY)) if kind.of_labels else 0,
        minimum=ends[0],
        maximum=ends[1],
        reason=draw(st.sampled_from(["", "because: it breaks", "yes", "1e3"])),
    )


plans = st.builds(
    Plan,
    st.lists(detectors(), min_size=1, max_size=4, unique_by=lambda one: one.name).map(tuple),
    significance=st.floats(1e-9, MAX_SIGNIFICANCE),
    rows_per_day=st.none() | st.floats(1e-3, 1e9),
)


@given(plans)
def test_a_written_plan_is_read_back(plan: Plan) -> None:
    text = plan.to_yaml()
    assert parse_plan(text.encode()) == plan
    assert not list(Draft202012Validator(json_schema()).iter_errors(yaml.safe_load(text)))


def test_all_mistakes_are_reported_together_with_their_positions() -> None:
    message = refusal(
        HEAD
        + "- {name: a, metric: psy}\n"
        + "- {name: b, metric: accuracy, columns: all, threshold: 3, window: 19}\n"
        + "- {name: b, metric: psi, recever: me, delay: 4}\n"
        + "- 3\n"
    )
    assert [line.removeprefix("m.yaml ").split(":")[0] for line in message] == [
        "line 3, column 21",
        "line 4, column 3",
        "line 4, column 40",
        "line 4, column 56",
        "line 4, column 67",
        "line 5, column 3",
        "line 5, column 26",
        "line 5, column 46",
        "line 6, column 3",
    ]
    assert "did you mean 'psi'?" in message[0]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("3", "write 'format: assay-monitoring/1'"),
        ("", "write 'format: assay-monitoring/1'"),
        ("detectors: [{name: a, metric: psi}]", "no 'format'"),
        ("format: assay-monitoring/2\ndetectors: [{name: a, metric: psi}]", "format 'assay-mon"),
        ("format: assay-monitoring/1", "needs at least one"),
        ("format: assay-monitoring/1\ndetectors: []", "at least one"),
        (HEAD + "- {metric: psi}", "needs a 'name'"),
        (HEAD + "- {name: a}", "needs a 'metric'"),
        (HEAD + "- {name: a, metric: psi, threshold: .nan}", "give a number at least 0"),
        (HEAD + "- {name: a, metric: psi, threshold: -1}", "give a number at least 0"),
        (HEAD + "- {name: a, metric: ks, threshold: 1.01}", "at most 1"),
        (HEAD + "- {name: a, metric: psi, window: 1e3}", "whole rows"),
        (HEAD + "- {name: a, metric: psi, window: ٣٣٣}", "whole rows"),
        (HEAD + "- {name: a, metric: psi, columns: age}", "'columns' must be all or a list"),
        (HEAD + "- {name: a, metric: psi, columns: [x, x]}", "given twice"),
        (HEAD + "- {name: a, metric: psi, minimum: 3}", "'minimum' does not apply to psi"),
        (
            HEAD + "- {name: a, metric: out_of_range_share, minimum: 3, maximum: 1}",
            "minimum 3 is above maximum 1",
        ),
        (HEAD + "- {name: a, metric: psi, receiver: 'https://me:secret@x.org'}", "no password"),
        (HEAD + "- {name: a, metric: psi, receiver: 'https://x.org/?token=1'}", "no password"),
        (HEAD + "- &x {name: a, metric: psi}\n- *x", "anchors"),
        ("significance: 0.2\n" + HEAD + "- {name: a, metric: psi}", "at most 0.1"),
        ("significance: 0\n" + HEAD + "- {name: a, metric: psi}", "above 0"),
        ("rows_per_day: 0\n" + HEAD + "- {name: a, metric: psi}", "above 0"),
        ("a: " + "[" * 50, "nested too deep"),
    ],
)
def test_a_mistake(text: str, part: str) -> None:
    assert part in "; ".join(refusal(text))


def test_a_secret_is_not_repeated_in_the_refusal() -> None:
    message = refusal(HEAD + "- {name: a, metric: psi, receiver: 'https://me:hunter2@x.org'}")
    assert "hunter2" not in str(message)


def test_a_file_that_is_no_plan_at_all() -> None:
    with pytest.raises(UsageError, match="the limit is"):
        parse_plan(b"#" * (MAX_PLAN_BYTES + 1))
    with pytest.raises(UsageError, match="line 1, column 2: not UTF-8"):
        parse_plan(b"#\xff")


def test_a_missing_field_is_a_gap_and_not_a_mistake() -> None:
    plan = parse_plan((HEAD + "- {name: a, metric: psi, window: 100}").encode())
    gaps = plan.detectors[0].gaps()
    assert gaps == ["detector 'a' has no threshold", "detector 'a' has no receiver"]


@pytest.mark.parametrize(
    "broken",
    [
        {"metric": "psy"},
        {"threshold": -1},
        {"metric": "ks", "threshold": 2},
        {"window": 19},
        {"window": 10.5},
        {"delay": 3},
        {"minimum": 3},
        {"columns": "age"},
        {"columns": []},
        {"colums": "all"},
        {"name": " "},
    ],
)
def test_the_schema_refuses_what_the_parser_refuses(broken: dict[str, Any]) -> None:
    document = {
        "format": "assay-monitoring/1",
        "detectors": [{"name": "a", "metric": "psi", **broken}],
    }
    assert list(Draft202012Validator(json_schema()).iter_errors(document))
    refusal(yaml.safe_dump(document))


def test_the_documentation_has_the_schema_and_every_metric() -> None:
    text = DOCS.read_text()
    (block,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert json.loads(block) == json_schema()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) >= set(METRICS)
    for example in re.findall(r"```yaml\n(format: .*?)```", text, re.DOTALL):
        parse_plan(example.encode())
