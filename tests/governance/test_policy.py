"""The policy language: what it takes, what it refuses, and where it says the mistake is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from assay.documents import position
from assay.errors import PolicyError
from assay.governance.policy import KNOWN_METRICS, Expression, parse_expression, parse_policy
from assay.governance.policy.language import MAX_POLICY_BYTES, MAX_RULES
from assay.governance.policy.names import SYNONYMS, is_about_model, is_known, suggest

DOCS = Path(__file__).resolve().parents[2] / "docs" / "policy.md"
FROM_THE_DESIGN = b"""\
gates:
  - metric: accuracy > 0.94
  - metric: latency_p99_ms < 10
  - metric: regression_delta < 0.01        # production minus candidate, on the primary metric
  - metric: safety_violations == 0
  - metric: accuracy{sex="Female"} >= 0.80
on_fail: block_and_notify
"""

texts = st.text(st.characters(codec="utf-8"), max_size=10)
metrics = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,10}", fullmatch=True)
expressions = st.builds(
    Expression,
    metric=metrics,
    labels=st.dictionaries(texts, texts, max_size=3),
    comparison=st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    threshold=st.floats(allow_nan=False, allow_infinity=False),
)


def refusal(text: Any) -> Any:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text if isinstance(text, bytes) else text.encode())
    message = str(caught.value)
    assert "\n" not in message
    assert all(re.match(r"policy line \d+, column \d+: ", part) for part in problems(message))
    return message


def problems(message: Any) -> Any:
    return re.split(r"; (?=policy line )", message)


def rule(metric: Any, *more: Any) -> Any:
    return "\n".join([f"gates:\n  - metric: {metric}", *(f"    {line}" for line in more)])


# --- what it takes ---------------------------------------------------------------------------


def test_the_policy_of_the_design() -> None:
    policy = parse_policy(FROM_THE_DESIGN)
    assert [str(rule) for rule in policy.rules] == [
        "accuracy > 0.94",
        "latency_p99_ms < 10",
        "regression_delta < 0.01",
        "safety_violations == 0",
        'accuracy{sex="Female"} >= 0.8',
    ]
    assert [(rule.line, rule.column) for rule in policy.rules] == [(n, 13) for n in range(2, 7)]
    assert policy.on_fail == "block_and_notify"
    assert policy.confidence is None


def test_every_key() -> None:
    policy = parse_policy(b"""\
confidence: 0.95
primary_metric: f1
custom_metrics: [lift_at_10, acuracy]
allowed_modules: [lightgbm, xgboost.sklearn]
gates:
  - metric: regression_delta <= 0.01
    when: production_exists == 1
    reason: No worse than today's.
  - metric: regression_delta{sex="F"} <= 0.05
    confidence: 0.9
  - metric: accuracy > 0.9
  - metric: recall > 0.8
    confidence: 0.99
  - metric: lift_at_10 > 2
  - metric: acuracy > 2
""")
    assert [rule.confidence for rule in policy.rules] == [0.95, 0.9, None, 0.99, None, None]
    assert str(policy.rules[0]) == (
        "regression_delta <= 0.01 at confidence 0.95 when production_exists == 1"
    )
    assert policy.rules[0].reason == "No worse than today's."
    assert policy.on_fail == "block"
    assert policy.primary_metric == "f1"
    assert policy.allowed_modules == ("lightgbm", "xgboost.sklearn")
    assert policy.custom_metrics == ("lift_at_10", "acuracy")


def test_a_name_far_from_all_known_ones_is_a_users_own() -> None:
    assert parse_policy(rule("churn_uplift > 1").encode()).rules[0].expression.metric


@given(expressions)
def test_an_expression_survives_its_text(expression: Any) -> None:
    assert parse_expression(str(expression)) == expression


@given(expressions, st.sampled_from([None, "'", '"', "|", ">"]))
def test_an_expression_survives_the_file(expression: Any, style: Any) -> None:
    # Only in double quotes can YAML keep every line end apart from the others.
    if style != '"' and set(str(expression)) & set("\r\x85\u2028\u2029"):
        return
    document = {"gates": [{"metric": str(expression)}], "custom_metrics": [expression.metric]}
    data = yaml.dump(document, default_style=style, allow_unicode=True, width=20)
    data = data.replace(f"{style}gates{style}", "gates")
    if "!!" in data:  # the dumper tags what it cannot write plainly
        return
    (found,) = parse_policy(data.encode()).rules
    assert found.expression == expression


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("accuracy{}>.5", "accuracy > 0.5"),
        ("  accuracy  {  sex = 'F' , }  >=  5e-1  ", 'accuracy{sex="F"} >= 0.5'),
        (r"""a{b='it\'s'} != -1.""", """a{b="it's"} != -1"""),
        ('a{"marital-status"="x"} < 1', 'a{"marital-status"="x"} < 1'),
        ('a{z="1",b="2"} < +1e3', 'a{b="2",z="1"} < 1000'),
        ("job:rate:5m == 0", "job:rate:5m == 0"),
    ],
)
def test_spellings_of_one_expression(text: Any, same: Any) -> None:
    assert str(parse_expression(text)) == same


# --- what it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("", 1, "expected the name of a metric"),
        ("accuracy", 9, "expected one of < <= > >= == !=, found nothing"),
        ("accuracy >", 11, "expected a number"),
        ("accuracy > x", 12, "expected a number, such as 0.94, found 'x'"),
        ("accuracy = 1", 10, "write '=='"),
        ("accuracy => 1", 10, "write '>='"),
        ("accuracy =< 1", 10, "write '<='"),
        ("accuracy <> 1", 10, "write '!='"),
        ("accuracy ≥ 1", 10, "write '>='"),
        ("0.9 < accuracy", 1, "the metric comes first"),
        ("accuracy > 94%", 14, "write a share, such as 0.94"),
        ("accuracy > 0.9 and f1 > 0.9", 16, "one rule compares once"),
        ("accuracy > 0.9, f1 > 0.9", 15, "one rule compares once"),
        ("accuracy > nan", 12, "must be finite"),
        ("accuracy > -.INF", 12, "must be finite"),
        ("accuracy < Infinity", 12, "must be finite"),
        ("accuracy > 1e999", 12, "too large"),
        ("accuracy > 0x1f", 13, "unexpected 'x1f'"),
        ("accuracy > 1_000", 13, "unexpected '_000'"),
        ("accuracy{sex} > 1", 13, "expected '='"),
        ("accuracy{sex=Female} > 1", 14, "in quotes"),
        ('accuracy{sex="F} > 1', 14, "in quotes"),
        ('accuracy{sex!="F"} > 1', 13, "only '=' matches labels"),
        ('accuracy{sex=~"F"} > 1', 13, "only '=' matches labels"),
        ('accuracy{sex="F" > 1', 18, "expected ',' or '}'"),
        ('accuracy{a="1",a="2"} > 1', 16, "label 'a' is given twice"),
        ('accuracy{a="\\x41"} > 1', 12, "in quotes"),
        ('accuracy{,a="1"} > 1', 10, "a label's name"),
        (
            'accuracy{marital-status="x"} > 1',
            10,
            'in quotes, because it is not an identifier: "mar',
        ),
        ("__import__('os').system('x') > 1", 11, "expected one of"),
    ],
)
def test_a_malformed_expression_is_reported_with_its_column(
    text: Any, column: Any, told: Any
) -> None:
    with pytest.raises(PolicyError, match=rf"^column {column}: .*{re.escape(told)}"):
        parse_expression(text)


@pytest.mark.parametrize(
    ("metric", "meant"),
    [
        ("acuracy", "accuracy"),
        ("Accuracy", "accuracy"),
        ("latency_p99ms", "latency_p99_ms"),
        ("safety_violation", "safety_violations"),
        ("regresion_delta", "regression_delta"),
        ("acuracy_gap", "accuracy_gap"),
        ("auc", "roc_auc"),
        ("RMSE", "root_mean_squared_error"),
    ],
)
def test_a_misspelt_metric_gets_a_suggestion(metric: Any, meant: Any) -> None:
    assert f"did you mean {meant!r}?" in refusal(rule(f"{metric} > 1"))
    assert f"did you mean {meant!r}?" in refusal(rule("f1 > 1", f"when: {metric} > 1"))


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    message = refusal("""\
gates:
  - metric: acuracy > 0.9
  - metric: accuracy >> 0.9
    confidence: 95
  - accuracy > 0.9
  - metric: f1 > 0.9
    metric: f1 > 0.8
    wen: production_exists == 1
  - reason: none
on_fial: block
on_fail: blok
primary_metric: acuracy
""")
    own = "(list a metric of your own under custom_metrics)"
    assert problems(message) == [
        f"policy line 2, column 13: unknown metric 'acuracy'; did you mean 'accuracy'? {own}",
        "policy line 3, column 23: expected a number, such as 0.94, found '> 0.9'",
        "policy line 4, column 17: confidence '95': give a number between 0 and 1, such as 0.95",
        "policy line 5, column 5: write a rule as '- metric: accuracy > 0.94'",
        "policy line 7, column 5: key 'metric' is given twice",
        "policy line 8, column 5: unknown key 'wen' in a rule; did you mean 'when'?",
        "policy line 9, column 5: a rule needs 'metric', such as 'metric: accuracy > 0.94'",
        "policy line 10, column 1: unknown key 'on_fial' in a policy; did you mean 'on_fail'?",
        "policy line 11, column 10: unknown action 'blok'; did you mean 'block'?",
        f"policy line 12, column 17: unknown metric 'acuracy'; did you mean 'accuracy'? {own}",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1, column 1: write 'gates:'"),
        ("# nothing\n", "line 1, column 1: write 'gates:'"),
        ("- metric: f1 > 1", "line 1, column 1: write 'gates:'"),
        ("on_fail: block", "line 1, column 1: no 'gates'"),
        ("gates:", "line 1, column 7: 'gates' must be a list of at least one rule"),
        ("gates: []", "line 1, column 8: 'gates' must be a list of at least one rule"),
        ("gates: all", "line 1, column 8: 'gates' must be a list of at least one rule"),
        ("gates:\n  metric: f1 > 1", "line 2, column 3: 'gates' must be a list"),
        ("gates: [", "not YAML"),
        ("gates:\n  - metric: f1: 1", "line 2, column 15: not YAML"),
        ("gates:\n\t- metric: f1 > 1", "line 2, column 1: not YAML"),
        ("--- {}\n--- {}", "not YAML: a second document begins"),
        ("gates: &a [*a]", "line 1, column 12: aliases"),
        ("gates: &a []", "line 1, column 8: anchors"),
        ("gates:\n  - metric: !!python/name:os.system f1 > 1", "line 2, column 13: tags"),
        ("gates:\n  - metric: !!str f1 > 1", "line 2, column 13: tags"),
        ("gates:\n  - <<: {metric: f1 > 1}", "unknown key '<<'"),
        ("gates:\n  - metric: [f1, 1]", "line 2, column 13: expected an expression"),
        ("gates:\n  - metric:", "expected the name of a metric"),
        ("gates:\n  - metric: f1 > 1\n    when:", "expected the name of a metric"),
        ("gates:\n  - metric: f1 > 1\n    confidence: .nan", "between 0 and 1"),
        ("gates:\n  - metric: f1 > 1\n    confidence: 1", "between 0 and 1"),
        ("gates:\n  - metric: f1 > 1\n    confidence:", "between 0 and 1"),
        ("gates:\n  - metric: f1 > 1\non_fail:", "unknown action ''"),
        ("gates:\n  - metric: f1 > 1\non_fail: [block]", "expected text"),
        ("gates:\n  - metric: f1 > 1\nallowed_modules: os", "expected a list"),
        (
            "gates:\n  - metric: f1 > 1\nallowed_modules: [a..b]",
            "'a..b' is not the name of a module",
        ),
        ("gates:\n  - metric: f1 > 1\nallowed_modules: ['']", "'' is not the name of a module"),
        ("gates:\n  - metric: f1 > 1\ncustom_metrics: [a b]", "'a b' is not the name of a metric"),
        ("gates:\n  - metric: f1 > 1\nprimary_metric: f 1", "'f 1' is not the name of a metric"),
        ("gates:\n  - ? [a]\n    : b", "unknown key '?'"),
        ('gates:\n  - metric: f1 > 1\n    reason: "\\ud800"', "invalid Unicode character escape"),
        ("[" * 500_000, "nested too deep"),
        ("gates: " + "{a: " * 500, "nested too deep"),
        (b"gates: \xff", "line 1, column 8: not UTF-8"),
        (b"a\nb\xc3", "line 2, column 2: not UTF-8"),
        ("gates: \x07", "line 1, column 8: not YAML: a character"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(text: Any, told: Any) -> None:
    assert told in refusal(text)


def test_sizes_are_bounded() -> None:
    with pytest.raises(PolicyError, match="the limit is 1,048,576"):
        parse_policy(b" " * (MAX_POLICY_BYTES + 1))
    many = "gates:\n" + "  - {metric: f1 > 1}\n" * (MAX_RULES + 1)
    assert "1001 rules, the limit is 1000" in refusal(many)
    unknown = "".join(f"key_{n}: 1\n" for n in range(5000))
    with pytest.raises(PolicyError, match=r": and 4980 more unknown keys in a policy$"):
        parse_policy(unknown.encode())
    assert len(refusal(rule("accuracy > " + "9" * 100_000))) < 1000


@given(st.binary(max_size=80) | texts.map(str.encode))
def test_nothing_but_a_policy_error_comes_of_any_bytes(data: Any) -> None:
    with pytest.raises(PolicyError):
        parse_policy(data)


@given(st.text(max_size=30))
def test_nothing_but_a_policy_error_comes_of_any_expression(text: Any) -> None:
    output = None
    try:
        parse_expression(text)
    except PolicyError as error:
        output = str(error)
    assert output is None or re.match(r"column \d+: ", output)


# --- places ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("gates:\n  - metric: accuracy > x", 2, 24),
        ("gates:\n  - metric: 'accuracy > x'", 2, 25),
        ('gates:\n  - metric: "accuracy > x"', 2, 25),
        ("gates:\n  - metric: 'a{b=''c''} > x'", 2, 27),
        ('gates:\n  - metric: "a{b=\\"c\\"} > x"', 2, 27),
        ('gates:\n  - metric: "\\x61ccuracy > x"', 2, 28),
        ('gates:\n  - metric: "accuracy \\\n      > x"', 3, 9),
        ("gates:\n  - metric: accuracy\n      >\n      x", 4, 7),
        ("gates:\n  - metric: >-\n      accuracy >\n      x", 4, 7),
        ("gates:\n  - metric: |\n      accuracy > x\n", 3, 18),
        ("gates:\r\n  - metric: accuracy\r\n      > x", 3, 9),
        ("\ufeffgates:\n  - metric: accuracy > x", 2, 24),
        ("# ünïcödé\ngates: [{metric: accuracy > x}]", 2, 29),
    ],
)
def test_a_mistake_is_pointed_at_inside_the_expression(text: Any, line: Any, column: Any) -> None:
    assert refusal(text).startswith(f"policy line {line}, column {column}: expected a number")


@given(
    st.lists(st.sampled_from(["accuracy", ">", "it's", '"q"', "0.9", "é"]), min_size=1, max_size=9),
    st.sampled_from([None, "'", '"', ">", "|"]),
    st.integers(5, 40),
)
def test_places_point_at_the_words_that_the_value_has(words: Any, style: Any, width: Any) -> None:
    value = " ".join(words)
    source = yaml.dump({"k": [value]}, default_style=style, allow_unicode=True, width=width)
    node = yaml.compose(source).value[0][1].value[0]
    lines = source.split("\n")
    for found in re.finditer(r"[a-zé0-9.]+", node.value):
        line, column = position(source, node, found.start())
        assert lines[line - 1][column - 1 :].startswith(found[0])


# --- names -----------------------------------------------------------------------------------


def test_derived_names_are_known() -> None:
    for name in ("accuracy_gap", "candidate_f1", "production_f1", "production_exists"):
        assert is_known(name)
        assert is_about_model(name)
    assert is_about_model("time_to_detect_rows_p95")
    assert not is_about_model("failed_expectations")
    assert not is_about_model("my_own")
    assert suggest("accuracy") is None
    assert set(SYNONYMS.values()) <= {name for stage in KNOWN_METRICS.values() for name in stage}


def test_every_policy_in_the_documentation_parses() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        assert parse_policy(block.encode()).rules
