"""Judging: it must not fail open, whatever the evidence."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import PolicyError, UsageError
from assay.evidence.format import EvidenceDocument, Interval
from assay.governance.policy import (
    Expression,
    Kind,
    Outcome,
    Policy,
    Row,
    Rule,
    judge,
    parse_policy,
)
from assay.governance.policy import verdict_of as verdict_from
from assay.governance.policy.attempts import widened

MODEL, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DATA, TEST = "sha256:" + "d" * 64, "sha256:" + "e" * 64
RIVAL = "sha256:" + "f" * 64


def about_model(values: Any, **more: Any) -> Any:
    return EvidenceDocument({"model": MODEL, "data": TEST}, values, **more)


def about_data(values: Any, **more: Any) -> Any:
    return EvidenceDocument({"data": DATA}, values, **more)


def policy(*rules: Any, **keys: Any) -> Any:
    lines = [f"{key}: {value}" for key, value in keys.items()]
    lines.append("gates:")
    for rule in rules:
        metric, *more = rule if isinstance(rule, tuple) else (rule,)
        lines.append(f"  - metric: {metric}")
        lines += [f"    {line}" for line in more]
    return parse_policy("\n".join(lines).encode())


def decision(rules: Any, *documents: Any, **scope: Any) -> Any:
    named = {f"sha256:{number:064x}": document for number, document in enumerate(documents)}
    return judge(rules, named, MODEL, **scope)


def only_rule(rules: Any, *documents: Any, **scope: Any) -> Any:
    (row,) = [r for r in decision(rules, *documents, **scope).rows if r.kind is Kind.RULE]
    return row


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "holds", "fails"),
    [
        ("f1 < 0.5", [0.4, -1], [0.5, 0.6]),
        ("f1 <= 0.5", [0.5, 0.4], [0.6]),
        ("f1 > 0.5", [0.6], [0.5, 0.4]),
        ("f1 >= 0.5", [0.5, 0.6], [0.4]),
        ("f1 == 0.5", [0.5], [0.4, 0.6]),
        ("f1 != 0.5", [0.4, 0.6], [0.5]),
    ],
)
def test_comparisons(rule: Any, holds: Any, fails: Any) -> None:
    for value in holds:
        assert decision(policy(rule), about_model({"f1": value})).verdict == "pass"
    for value in fails:
        assert decision(policy(rule), about_model({"f1": value})).verdict == "block"


def test_a_row_has_all_that_was_seen() -> None:
    rules = policy(('recall{sex="F"} >= 0.8', "reason: harm", "confidence: 0.9"))
    interval = Interval(0.81, 0.9, 0.9)
    document = about_model({'recall{sex="F"}': 0.85}, intervals={'recall{sex="F"}': interval})
    assert only_rule(rules, document) == Row(
        text='recall{sex="F"} >= 0.8 at confidence 0.9',
        outcome=Outcome.PASS,
        explanation=('recall{sex="F"} is 0.85 (0.81 to 0.9 at 90 %); allowed at least 0.8'),
        kind=Kind.RULE,
        line=2,
        evidence='recall{sex="F"}',
        value=0.85,
        interval=interval,
        threshold=0.8,
        reason="harm",
    )


def test_the_reason_names_the_failed_rules_with_what_was_observed() -> None:
    judged = decision(
        policy("accuracy > 0.94", "f1 > 0.1", "recall > 0.9"),
        about_model({"accuracy": 0.91, "f1": 0.5, "recall": None}, notes={"recall": "one class"}),
    )
    assert judged.reason == ("accuracy is 0.91; allowed above 0.94; recall has no value: one class")


def test_a_rounded_value_does_not_look_equal_to_the_threshold() -> None:
    row = only_rule(policy("f1 >= 0.94"), about_model({"f1": 0.93999999999}))
    assert row.explanation == "f1 is 0.93999999999; allowed at least 0.94"


WITHIN = ", which lies within the interval: too little test data to decide"


@pytest.mark.parametrize(
    ("rule", "delta", "told"),
    [
        (
            "regression_delta < 0.01",
            (0.121, 0.112, 0.131),
            "accuracy is worse by 0.121 (0.112 to 0.131); allowed less than 0.01",
        ),
        (
            "regression_delta < 0.01",
            (-0.002, -0.02, 0.015),
            "accuracy is better by 0.002 (-0.015 to 0.02); allowed worse by less than 0.01"
            + WITHIN,
        ),
        (
            "regression_delta <= -0.01",
            (-0.002, -0.004, 0.0),
            "accuracy is better by 0.002 (-0 to 0.004); wanted better by at least 0.01",
        ),
        (
            "regression_delta_roc_auc < 0.05",
            (0.121, 0.112, 0.131),
            "roc_auc is worse by 0.07 (0.06 to 0.08); allowed less than 0.05",
        ),
        (
            'regression_delta{sex="F"} < 0.01',
            (0.121, 0.112, 0.131),
            'accuracy{sex="F"} is worse by 0.3 (0.2 to 0.4); allowed less than 0.01',
        ),
    ],
)
def test_a_reason_says_how_much_worse_than_production(rule: str, delta: Any, told: str) -> None:
    value, low, high = delta
    values = {
        "regression_delta": value,
        "regression_delta_accuracy": value,
        "regression_delta_roc_auc": 0.07,
        'regression_delta{sex="F"}': 0.3,
    }
    intervals = {
        "regression_delta": Interval(low, high, 0.95),
        "regression_delta_roc_auc": Interval(0.06, 0.08, 0.95),
        'regression_delta{sex="F"}': Interval(0.2, 0.4, 0.95),
    }
    document = about_model(values, intervals=intervals)
    assert decision(policy((rule, "confidence: 0.95")), document).reasons == [told]


def test_a_bound_of_a_regression_is_what_the_model_may_lose() -> None:
    values = {"regression_delta": 0.02, "regression_delta_upper": 0.03}
    (output,) = decision(policy("regression_delta_upper < 0.01"), about_model(values)).reasons
    assert output == "the primary metric may be worse by up to 0.03; allowed below 0.01"


def test_what_a_document_says_is_reported_once() -> None:
    """The comparison's own verdict, in the words of the rule about it, and one that no rule has."""
    finding = "accuracy is worse by 0.121; allowed less than 0.01"
    values = {"regression_delta": 0.121, "regression_delta_accuracy": 0.121}
    compared = about_model(values, verdict="block", reason=finding)
    checked = about_model({"f1": 0.5}, verdict="block", reason="2 checks failed")
    judged = decision(policy("regression_delta < 0.01"), compared, checked)
    assert judged.reasons == [
        finding,
        "2 checks failed (its own verdict is block), evidence sha256:000000000000…",
    ]
    assert judged.reason == "; ".join(judged.reasons)


def test_the_reason_is_one_bounded_line() -> None:
    rules = policy(*[f"own_{n} > 0" for n in range(500)])
    reason = decision(rules, about_model({})).reason
    assert reason.endswith("; and 490 more")
    assert "\n" not in reason


def test_labels_are_matched_whatever_their_spelling() -> None:
    document = about_model({"f1{b='2',a=\"1\"}": 0.5})
    assert decision(policy('f1{a="1",b="2"} > 0'), document).verdict == "pass"
    assert decision(policy("f1 > 0"), document).verdict == "block"
    assert decision(policy('f1{a="1"} > 0'), document).verdict == "block"


# --- evidence that cannot be used ------------------------------------------------------------


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("comparison", ["<", "<=", ">", ">=", "==", "!="])
def test_what_is_no_number_fails(value: Any, comparison: Any) -> None:
    row = only_rule(policy(f"f1 {comparison} 0.5"), about_model({"f1": value}))
    assert (row.outcome, row.value) == (Outcome.FAIL, None)
    assert "has no value" in row.explanation


def test_what_is_missing_fails_and_suggests() -> None:
    row = only_rule(policy("recall > 0"), about_model({'recall{sex="F"}': 1.0, "f1": 1.0}))
    assert row.explanation == 'recall is missing; did you mean recall{sex="F"}?'
    row = only_rule(policy("recall > 0"), about_model({}))
    assert row.explanation == "recall is missing; no evidence of a similar name was given"


def test_no_production_model_is_explained() -> None:
    document = about_model({"production_exists": 0.0}, notes={"regression_delta": "none"})
    row = only_rule(policy("regression_delta < 0.01"), document)
    assert row.outcome == "fail"
    assert "no model is in production" in row.explanation
    assert "when: production_exists == 1" in row.explanation


def test_another_model_fails_the_rule_and_the_decision() -> None:
    foreign = EvidenceDocument({"model": OTHER}, {"accuracy": 1.0})
    judged = decision(policy("accuracy > 0"), foreign)
    assert [row.outcome for row in judged.rows] == ["fail", "fail"]
    assert judged.rows[1].explanation.startswith("accuracy comes from evidence that is about anot")
    # Even beside good evidence, and even if no rule asks for it: something is wired wrongly.
    own = about_model({"accuracy": 1.0})
    assert decision(policy("accuracy > 0"), own, foreign).verdict == "block"
    stray = EvidenceDocument({"model": OTHER}, {"f1": 1.0})
    assert decision(policy("accuracy > 0"), own, stray).verdict == "block"


@pytest.mark.parametrize("subjects", [{}, {"data": ""}, {"production": MODEL}, {"model": ""}])
def test_a_document_about_nothing_fails(subjects: Any) -> None:
    document = EvidenceDocument(subjects, {"rows": 5.0})
    assert decision(policy("rows > 1"), document).verdict == "block"


def test_evidence_about_data_needs_a_tie_to_the_model() -> None:
    rules = policy("failed_expectations == 0")
    found = about_data({"failed_expectations": 0.0})
    assert "nothing ties to the model" in decision(rules, found).reason
    assert decision(rules, found, data=DATA).verdict == "pass"
    assert decision(rules, found, data=OTHER).verdict == "block"
    assert decision(rules, found, test_data=DATA).verdict == "pass"
    evaluated = EvidenceDocument({"model": MODEL, "data": DATA}, {"f1": 1.0})
    assert decision(rules, found, evaluated).verdict == "pass"
    foreign = EvidenceDocument({"model": OTHER, "data": DATA}, {"f1": 1.0})
    assert "nothing ties" in decision(rules, found, foreign).rows[0].explanation


@pytest.mark.parametrize("name", ["accuracy", "accuracy_gap", "candidate_f1", "regression_delta"])
def test_evidence_about_data_cannot_speak_of_a_model(name: Any) -> None:
    row = only_rule(policy(f"{name} > 0"), about_data({name: 1.0}), data=DATA)
    assert row.outcome == "fail"
    assert "about data, not about the model" in row.explanation


def test_other_test_rows_or_another_rival_fail() -> None:
    rules = policy("accuracy > 0")
    own = about_model({"accuracy": 1.0})
    assert decision(rules, own, test_data=TEST).verdict == "pass"
    assert "is about other rows" in decision(rules, own, test_data=OTHER).reason
    subjects = {"model": MODEL, "data": TEST, "production": RIVAL}
    compared = EvidenceDocument(subjects, {"accuracy": 1.0, "production_exists": 1.0})
    assert decision(rules, compared).verdict == "pass"
    assert decision(rules, compared, production=RIVAL).verdict == "pass"
    assert "compares with" in decision(rules, compared, production=OTHER).reason
    assert "compares with" in decision(rules, compared, production="").reason


@pytest.mark.parametrize(("exists", "production"), [(0.0, RIVAL), (1.0, ""), (math.nan, RIVAL)])
def test_evidence_and_gate_must_agree_on_whether_there_is_a_rival(
    exists: Any, production: Any
) -> None:
    rules = policy("accuracy > 0", ("regression_delta < 0", "when: production_exists == 1"))
    document = about_model({"accuracy": 1.0, "production_exists": exists})
    assert decision(rules, document, production=production).verdict == "block"


def test_a_contradiction_fails() -> None:
    one, two = about_model({"accuracy": 0.9}), about_model({"accuracy": 0.8})
    row = only_rule(policy("accuracy > 0"), one, two)
    assert row.explanation == "the evidence contradicts itself on accuracy: 0.9, 0.8"
    assert decision(policy("accuracy > 0"), one, about_model({"accuracy": None})).verdict == "block"
    assert decision(policy("accuracy > 0"), one, about_model({"accuracy": 0.9})).verdict == "pass"
    twice = about_model({'f1{a="1",b="2"}': 0.9, 'f1{b="2",a="1"}': 0.8})
    assert "contradicts" in only_rule(policy('f1{a="1",b="2"} > 0'), twice).explanation


@pytest.mark.parametrize("digest", ["", "latest", "sha256:abc", MODEL.upper()])
def test_the_model_must_be_a_digest(digest: Any) -> None:
    with pytest.raises(UsageError, match="model"):
        judge(policy("f1 > 0"), {}, digest)


# --- intervals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "low", "high", "outcome"),
    [
        ("f1 < 0.5", 0.3, 0.49, "pass"),
        ("f1 < 0.5", 0.3, 0.5, "inconclusive"),
        ("f1 < 0.5", 0.5, 0.6, "fail"),
        ("f1 <= 0.5", 0.3, 0.5, "pass"),
        ("f1 <= 0.5", 0.5, 0.6, "inconclusive"),
        ("f1 > 0.5", 0.51, 0.6, "pass"),
        ("f1 > 0.5", 0.5, 0.6, "inconclusive"),
        ("f1 > 0.5", 0.4, 0.5, "fail"),
        ("f1 >= 0.5", 0.5, 0.6, "pass"),
        ("f1 == 0.5", 0.5, 0.5, "pass"),
        ("f1 == 0.5", 0.4, 0.6, "inconclusive"),
        ("f1 == 0.5", 0.51, 0.6, "fail"),
        ("f1 != 0.5", 0.51, 0.6, "pass"),
        ("f1 != 0.5", 0.4, 0.6, "inconclusive"),
        ("f1 != 0.5", 0.5, 0.5, "fail"),
        ("f1 != 0.5", 0.5, 0.6, "inconclusive"),
        ("f1 == 0.5", 0.4, 0.5, "inconclusive"),
    ],
)
def test_an_interval_satisfies_violates_or_straddles(
    rule: Any, low: Any, high: Any, outcome: Any
) -> None:
    middle = (low + high) / 2
    document = about_model({"f1": middle}, intervals={"f1": Interval(low, high, 0.95)})
    row = only_rule(policy((rule, "confidence: 0.95")), document)
    assert (row.outcome, row.interval) == (outcome, Interval(low, high, 0.95))


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        (None, "gives no confidence interval"),
        (Interval(0.6, 0.7, 0.9), "at confidence 0.9, not 0.95"),
        (Interval(0.6, 0.7, math.nan), "finite, ordered bounds|at confidence nan"),
        (Interval(math.nan, 0.7, 0.95), "finite, ordered bounds"),
        (Interval(0.6, math.inf, 0.95), "finite, ordered bounds"),
        (Interval(-math.inf, 0.7, 0.95), "finite, ordered bounds"),
        (Interval(0.7, 0.6, 0.95), "finite, ordered bounds"),
    ],
)
def test_an_interval_that_cannot_be_used_fails(interval: Any, told: Any) -> None:
    intervals = {} if interval is None else {"f1": interval}
    document = about_model({"f1": 0.65}, intervals=intervals)
    row = only_rule(policy(("f1 > 0.5", "confidence: 0.95")), document)
    assert row.outcome == "fail"
    assert any(part in row.explanation for part in told.split("|"))


def test_documents_must_agree_on_the_interval() -> None:
    rules = policy(("f1 > 0.5", "confidence: 0.95"))
    one = about_model({"f1": 0.65}, intervals={"f1": Interval(0.6, 0.7, 0.95)})
    two = about_model({"f1": 0.65}, intervals={"f1": Interval(0.4, 0.7, 0.95)})
    assert "two documents give different intervals" in decision(rules, one, two).reason
    assert decision(rules, one, about_model({"f1": 0.65})).verdict == "block"


def test_an_interval_cannot_overrule_its_value() -> None:
    document = about_model({"f1": 0.4}, intervals={"f1": Interval(0.6, 0.7, 0.95)})
    row = only_rule(policy(("f1 > 0.5", "confidence: 0.95")), document)
    assert row.outcome == "fail"
    assert "contradicts the value" in row.explanation


def test_the_policys_confidence_is_for_regression_rules() -> None:
    rules = policy("accuracy > 0.5", "regression_delta < 0.01", confidence=0.95)
    document = about_model(
        {"accuracy": 0.6, "regression_delta": 0.0},
        intervals={"regression_delta": Interval(-0.02, 0.02, 0.95)},
    )
    assert [row.outcome for row in decision(rules, document).rows] == ["pass", "inconclusive"]


def test_a_bound_of_the_interval_is_compared_if_its_level_is_right() -> None:
    rules = policy("regression_delta_upper < 0.01", confidence=0.95)
    values = {"regression_delta": 0.0, "regression_delta_upper": 0.005}
    for level, verdict in ((0.95, "pass"), (0.8, "block")):
        intervals = {"regression_delta": Interval(-0.005, 0.005, level)}
        assert decision(rules, about_model(values, intervals=intervals)).verdict == verdict
    other = {"regression_delta": Interval(-0.5, 0.5, 0.95)}
    assert "not the bound" in decision(rules, about_model(values, intervals=other)).reason
    assert decision(rules, about_model(values)).verdict == "block"
    assert decision(policy("regression_delta_upper < 0.01"), about_model(values)).verdict == "pass"


# --- conditions and verdicts -----------------------------------------------------------------


def test_a_rule_that_does_not_apply_is_skipped() -> None:
    rules = policy("f1 > 0", ("regression_delta < 0", "when: production_exists == 1"))
    judged = decision(rules, about_model({"f1": 1.0, "production_exists": 0.0}))
    assert judged.verdict == "pass"
    assert judged.rows[1].outcome == "skipped"
    assert judged.rows[1].explanation == "does not apply: production_exists is 0"


@pytest.mark.parametrize("values", [{}, {"production_exists": None}, {"production_exist": 0.0}])
def test_a_condition_that_cannot_be_determined_fails_the_rule(values: Any) -> None:
    rules = policy("f1 > 0", ("regression_delta < 0", "when: production_exists == 1"))
    judged = decision(rules, about_model({"f1": 1.0, "regression_delta": -1.0, **values}))
    assert judged.rows[1].outcome == "fail"


def test_no_rule_judged_is_a_block() -> None:
    rules = policy(("regression_delta < 0", "when: production_exists == 1"))
    judged = decision(rules, about_model({"production_exists": 0.0}, verdict="pass"))
    assert judged.verdict == "block"
    assert "no rule was judged" in judged.reason


def test_no_document_or_no_rule_is_a_block() -> None:
    assert decision(policy("f1 > 0")).verdict == "block"
    assert decision(Policy(rules=()), about_model({"f1": 1.0})).verdict == "block"


@pytest.mark.parametrize(
    ("own", "verdict"), [("pass", "pass"), ("block", "block"), ("inconclusive", "inconclusive")]
)
def test_a_documents_own_verdict_caps_the_decision(own: Any, verdict: Any) -> None:
    document = about_model({"f1": 1.0}, verdict=own, reason="3 of 9 columns drifted")
    judged = decision(policy("f1 > 0"), document)
    assert judged.verdict == verdict
    assert judged.rows[0].kind is Kind.DOCUMENT
    if verdict != "pass":
        assert "3 of 9 columns drifted" in judged.reason
    assert decision(policy("f1 > 2"), document).verdict == "block"


def test_a_verdict_that_nobody_knows_is_a_block() -> None:
    assert decision(policy("f1 > 0"), about_model({"f1": 1.0}, verdict="passed")).verdict == "block"


# --- it cannot fail open ---------------------------------------------------------------------

pool = ["accuracy", 'accuracy{s="F"}', "f1", "own", "production_exists", "regression_delta"]
values = st.sampled_from([0.0, 0.5, 1.0, None, math.nan, math.inf])
good_values = st.sampled_from([0.0, 0.5, 1.0])
subjects = st.sampled_from(
    [{"model": MODEL, "data": TEST}] * 6 + [{"model": OTHER}, {"data": DATA}, {"data": OTHER}, {}]
)
levels = st.sampled_from([0.95, 0.95, 0.9])


@st.composite
def interval_maps(draw: Any, names: Any) -> Any:
    bounds = st.sampled_from([-1.0, 0.25, 0.5, 2.0, math.nan])
    intervals = st.builds(Interval, bounds, bounds, levels)
    return draw(st.dictionaries(st.sampled_from(names), intervals, max_size=3))


@st.composite
def documents_of(
    draw: Any,
    about: Any = subjects,
    numbers: Any = values,
    own: Any = (None, None, None, "pass", "block"),
) -> Any:
    return EvidenceDocument(
        draw(about),
        draw(st.dictionaries(st.sampled_from(pool), numbers, max_size=6)),
        draw(interval_maps(pool)),
        verdict=draw(st.sampled_from(own)),
    )


@st.composite
def rules_of(draw: Any) -> Any:
    def expression() -> Any:
        metric, _, label = draw(st.sampled_from(pool)).partition("{")
        comparison = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
        number = draw(st.sampled_from([-0.5, 0.0, 0.5, 1.0]))
        return Expression(metric, {"s": "F"} if label else {}, comparison, number)

    return Rule(
        expression(),
        1,
        confidence=draw(st.sampled_from([None, None, 0.95])),
        when=draw(st.none() | st.builds(expression)),
    )


policies = st.lists(rules_of(), min_size=1, max_size=3).map(lambda rules: Policy(tuple(rules)))
good = documents_of(
    st.just({"model": MODEL, "data": TEST}), good_values, (None, "pass", "inconclusive")
)
names = st.sampled_from(["sha256:" + f"{n:064x}" for n in range(4)])
anything = st.dictionaries(names, documents_of(), max_size=3)
evidence = st.dictionaries(names, good, min_size=1, max_size=2) | anything


def rule_rows(judged: Any) -> Any:
    return [row for row in judged.rows if row.kind is Kind.RULE]


def used(rules: Any, judged: Any) -> Any:
    """Every evidence name that the decision rests on."""
    found = set()
    for rule, row in zip(rules.rules, rule_rows(judged), strict=True):
        if rule.when is not None:
            found.add(rule.when.evidence_name)
        if row.outcome != "skipped":
            found.add(rule.expression.evidence_name)
    return found


def without(documents: Any, name: Any) -> Any:
    return {
        key: replace(document, values={k: v for k, v in document.values.items() if k != name})
        for key, document in documents.items()
    }


lenient = st.lists(
    st.builds(
        Rule,
        st.builds(Expression, st.sampled_from(["accuracy", "f1", "own"]), st.just({}),
                  st.sampled_from([">=", ">", "<=", "!="]), st.sampled_from([-0.5, 0.0, 0.5])),
        st.just(1),
        confidence=st.sampled_from([None, None, 0.95]),
        when=st.none() | st.just(Expression("production_exists", {}, "==", 1.0)),
    ),
    min_size=1,
    max_size=3,
).map(lambda rules: Policy(tuple(rules)))  # fmt: skip
full = st.dictionaries(
    names,
    st.builds(
        EvidenceDocument,
        st.just({"model": MODEL}),
        st.fixed_dictionaries(dict.fromkeys(pool, good_values)),
        st.just({name: Interval(0.25, 2.0, 0.95) for name in pool}),
        verdict=st.sampled_from([None, "pass"]),
    ),
    min_size=1,
    max_size=1,
)


@given(lenient | policies, full | evidence)
def test_a_pass_is_shown_by_every_rule(rules: Any, documents: Any) -> Any:
    judged = judge(rules, documents, MODEL)
    if judged.verdict != "pass":
        return
    applied = 0
    for rule, row in zip(rules.rules, rule_rows(judged), strict=True):

        def seen(expression: Any) -> Any:
            name = expression.evidence_name
            return [doc.values[name] for doc in documents.values() if name in doc.values]

        if rule.when is not None:
            conditions = {rule.when.holds(value) for value in seen(rule.when)}
            assert len(conditions) == 1
            if conditions == {False}:
                assert row.outcome == "skipped"
                continue
        applied += 1
        assert seen(rule.expression)
        assert all(rule.expression.holds(value) for value in seen(rule.expression))
        if rule.confidence is not None:
            assert row.interval.confidence == rule.confidence
            assert rule.expression.holds(row.interval.low)
            assert rule.expression.holds(row.interval.high)
    assert applied
    assert all(document.verdict in {None, "pass"} for document in documents.values())
    assert all(document.subjects.get("model", MODEL) == MODEL for document in documents.values())


@given(
    lenient | policies,
    full | evidence,
    st.sampled_from([None, math.nan, math.inf, -math.inf]),
    st.data(),
)
def test_what_is_no_number_never_passes(rules: Any, documents: Any, value: Any, data: Any) -> None:
    name = data.draw(st.sampled_from(sorted(used(rules, judge(rules, documents, MODEL)))))
    spoiled = {
        key: replace(document, values={**document.values, name: value})
        for key, document in documents.items()
    }
    assert judge(rules, spoiled, MODEL).verdict != "pass"


@given(lenient | policies, full | evidence, st.data())
def test_removing_a_value_never_makes_a_pass(rules: Any, documents: Any, data: Any) -> None:
    before = judge(rules, documents, MODEL)
    name = data.draw(st.sampled_from(pool))
    after = judge(rules, without(documents, name), MODEL)
    if before.verdict != "pass" or name in used(rules, before):
        assert after.verdict != "pass"


@given(policies, evidence, st.data())
def test_removing_an_interval_never_makes_a_pass(rules: Any, documents: Any, data: Any) -> None:
    name = data.draw(st.sampled_from(pool))
    bare = {
        key: replace(doc, intervals={k: v for k, v in doc.intervals.items() if k != name})
        for key, doc in documents.items()
    }
    if judge(rules, documents, MODEL).verdict != "pass":
        assert judge(rules, bare, MODEL).verdict != "pass"


@given(policies, evidence, st.data())
def test_removing_a_document_makes_a_pass_only_if_it_stood_against_it(
    rules: Any, documents: Any, data: Any
) -> None:
    if not documents:
        return
    before = judge(rules, documents, MODEL)
    key = data.draw(st.sampled_from(sorted(documents)))
    fewer = {other: doc for other, doc in documents.items() if other != key}
    after = judge(rules, fewer, MODEL)
    if before.verdict != "pass" and after.verdict == "pass":
        against = [r for r in before.rows if r.kind is Kind.DOCUMENT and r.outcome != "pass"]
        contradicted = [
            r
            for r in before.rows
            if "contradicts itself" in r.explanation
            or "interval" in r.explanation
            or "about" in r.explanation
        ]
        assert any(row.evidence == key for row in against) or contradicted


@given(lenient | policies, full | evidence)
def test_another_model_never_passes(rules: Any, documents: Any) -> None:
    assert judge(rules, documents, RIVAL).verdict == "block"


@given(lenient | policies, full | evidence, st.sampled_from(["block", "inconclusive"]))
def test_a_documents_verdict_is_never_bettered(rules: Any, documents: Any, own: Any) -> None:
    key = "sha256:" + "9" * 64
    more = {**documents, key: about_model({}, verdict=own)}
    rank = {"block": 0, "inconclusive": 1, "pass": 2}
    assert rank[judge(rules, more, MODEL).verdict] <= rank[own]


@given(policies, evidence)
def test_the_order_of_documents_means_nothing(rules: Any, documents: Any) -> None:
    assert judge(rules, documents, MODEL) == judge(rules, dict(reversed(documents.items())), MODEL)


@given(policies, evidence, rules_of())
def test_another_rule_never_makes_a_pass_of_a_judged_block(
    rules: Any, documents: Any, more: Any
) -> None:
    before = judge(rules, documents, MODEL)
    stricter = Policy((*rules.rules, more))
    any_judged = any(row.outcome != "skipped" for row in rule_rows(before))
    if any_judged and before.verdict != "pass":
        assert judge(stricter, documents, MODEL).verdict != "pass"


@given(st.lists(st.builds(Row, st.just("r"), st.sampled_from(list(Outcome)), st.just(""),
                          st.sampled_from(list(Kind))), max_size=5))  # fmt: skip
def test_a_verdict_follows_from_the_rows(rows: Any) -> None:
    judged = [row.outcome for row in rows if row.outcome != "skipped"]
    if verdict_from(rows) == "pass":
        assert set(judged) == {"pass"}
        assert any(row.kind is Kind.RULE and row.outcome == "pass" for row in rows)
    if "fail" in judged or not judged:
        assert verdict_from(rows) == "block"


# --- attempts --------------------------------------------------------------------------------

CORRECTED = {"correct_for_attempts": "true", "confidence": "0.95"}


def tried(count: float | None) -> EvidenceDocument:
    return about_model({"attempts_on_test_data": count})


def test_the_best_of_many_models_is_judged_by_a_wider_interval() -> None:
    rules = policy(("accuracy > 0.5", "confidence: 0.95"), **CORRECTED)
    document = about_model({"accuracy": 0.6}, intervals={"accuracy": Interval(0.52, 0.68, 0.95)})
    assert only_rule(rules, document, tried(1)).outcome == "pass"
    row = only_rule(rules, document, tried(8))
    assert row.outcome == "inconclusive"
    assert row.interval is not None
    assert row.interval.confidence == pytest.approx(1 - 0.05 / 8)
    # Wider than the normal distribution asks for: 2.73 instead of 1.96 standard errors.
    assert row.interval.low < 0.6 - 0.08 * 2.734 / 1.96


def test_the_correction_holds_for_proportions_near_1() -> None:
    # Clopper-Pearson's lower bounds of 38 of 38, at 95 % and at 1 - 0.05 / 8.
    exact = [(0.05 / 2 / k) ** (1 / 38) for k in (1, 8)]
    assert widened(Interval(exact[0], 1, 0.95), 1.0, 8).low == pytest.approx(exact[1], abs=0.005)
    assert widened(Interval(exact[0], 1, 0.95), 1.0, 8).low < exact[1]


@pytest.mark.parametrize("documents", [(), (tried(None),), (tried(0),)])
def test_what_nobody_counted_is_not_corrected_and_does_not_pass(documents: Any) -> None:
    rules = policy(("accuracy > 0.5", "confidence: 0.95"), **CORRECTED)
    document = about_model({"accuracy": 0.9}, intervals={"accuracy": Interval(0.8, 0.95, 0.95)})
    row = only_rule(rules, document, *documents)
    assert row.outcome == "fail"
    assert "attempts_on_test_data" in row.explanation


def test_a_bound_of_the_comparison_is_corrected_too() -> None:
    rules = policy("regression_delta_upper < 0.1", correct_for_attempts="true")
    values = {"regression_delta": 0.0, "regression_delta_upper": 0.08}
    document = about_model(values, intervals={"regression_delta": Interval(-0.08, 0.08, 0.95)})
    assert only_rule(rules, document, tried(1)).outcome == "pass"
    row = only_rule(rules, document, tried(8))
    assert row.outcome == "inconclusive"
    assert row.value == pytest.approx(0.125, abs=0.001)


def test_attempts_on_other_rows_count_for_nothing() -> None:
    rules = policy(("accuracy > 0.5", "confidence: 0.95"), **CORRECTED)
    document = about_model({"accuracy": 0.9}, intervals={"accuracy": Interval(0.8, 0.95, 0.95)})
    other = EvidenceDocument({"model": MODEL, "data": DATA}, {"attempts_on_test_data": 1.0})
    assert decision(rules, document, other, test_data=TEST).verdict == "block"


# --- what the data cannot tell ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(-0.02, 0.005, "pass"), (-0.02, 0.03, "inconclusive"), (0.02, 0.03, "fail")],
)
@pytest.mark.parametrize("level", ["", "confidence: 0.95"])
def test_a_bound_beyond_the_margin_is_no_block_when_the_interval_holds_the_margin(
    low: float, high: float, outcome: str, level: str
) -> None:
    values = {"regression_delta": (low + high) / 2, "regression_delta_upper": high}
    document = about_model(values, intervals={"regression_delta": Interval(low, high, 0.95)})
    rule = ("regression_delta_upper < 0.01", *([level] if level else []))
    assert only_rule(policy(rule), document).outcome == outcome


def test_a_group_too_small_to_judge_is_inconclusive_and_says_so() -> None:
    name = 'accuracy{race="Other"}'
    document = about_model(
        {name: None},
        intervals={name: Interval(0.2, 0.97, 0.95)},
        notes={name: "5 rows are too few to judge; the least is 30"},
    )
    row = only_rule(policy(f"'{name} >= 0.8'"), document)
    assert row.outcome == "inconclusive"
    assert "from 0.2 to 0.97: 5 rows are too few to judge" in row.explanation
    # What the interval rules out fails; what all of it satisfies is not shown by a value.
    assert only_rule(policy(f"'{name} >= 0.98'"), document).outcome == "fail"
    assert only_rule(policy(f"'{name} >= 0.1'"), document).outcome == "inconclusive"


def test_a_comparison_that_cannot_tell_makes_rules_on_it_inconclusive() -> None:
    document = about_model(
        {"production_exists": 1.0, "regression_delta": None},
        notes={"regression_delta": "1 test rows are too few to tell"},
        verdict="inconclusive",
        reason="1 test rows are too few to tell",
    )
    for rule in ("regression_delta < 0.01", ("regression_delta < 0.01", "confidence: 0.95")):
        assert decision(policy(rule), document).verdict == "inconclusive"
    # Without such a verdict, no value is no proof.
    silent = replace(document, verdict=None)
    assert decision(policy("regression_delta < 0.01"), silent).verdict == "block"


# --- the terms on which evidence was made ----------------------------------------------------


def compared(
    margin: float | None, level: float = 0.95, verdict: str = "pass", delta: float = 0.0
) -> EvidenceDocument:
    values = {"production_exists": 1.0, "regression_delta": delta}
    if margin is not None:
        values["regression_margin"] = margin
    intervals = {"regression_delta": Interval(delta - 0.005, delta + 0.005, level)}
    return about_model(values, intervals=intervals, verdict=verdict)


@pytest.mark.parametrize(
    ("rule", "margin", "verdict"),
    [
        ("regression_delta < 0.1", 0.1, "pass"),
        ("regression_delta < 0.1", 0.05, "pass"),  # stricter than asked for
        ("regression_delta < 0.1", 1.0, "block"),
        ("regression_delta < 0.1", None, "block"),
        ("regression_delta_upper < 0.1", 1.0, "block"),
        # A policy that asks for an improvement admits no margin at all.
        ("regression_delta < -0.01", 0.01, "block"),
        ("regression_delta < -0.01", 0.0, "pass"),
        # Where the policy says no margin, the run's counts.
        ("production_exists == 1", 1.0, "pass"),
    ],
)
def test_a_comparison_by_a_wider_margin_than_the_policys_does_not_count(
    rule: str, margin: float | None, verdict: str
) -> None:
    document = compared(margin, delta=-0.02)
    upper = {**document.values, "regression_delta_upper": -0.015}
    judged = decision(policy(rule), replace(document, values=upper))
    assert judged.verdict == verdict
    assert verdict == "pass" or "compare by the policy's margin" in judged.reason


@pytest.mark.parametrize(
    ("rules", "level", "verdict"),
    [
        (policy("regression_delta < 0.1"), 0.9, "pass"),
        (policy("regression_delta < 0.1"), 0.01, "block"),
        (policy("regression_delta < 0.1"), math.nan, "block"),
        (policy("production_exists == 1", confidence=0.95), 0.9, "block"),
        (policy("production_exists == 1", confidence=0.8), 0.8, "pass"),
        (policy(("regression_delta < 0.1", "confidence: 0.8")), 0.8, "pass"),
    ],
)
def test_a_comparison_at_a_level_that_says_nothing_does_not_count(
    rules: Any, level: float, verdict: str
) -> None:
    judged = decision(rules, compared(0.1, level))
    assert judged.verdict == verdict
    assert verdict == "pass" or "compare at that level" in judged.reason
    # Without an interval nobody knows the level.
    assert decision(rules, replace(compared(0.1, level), intervals={})).verdict == "block"


def test_what_could_not_be_determined_by_a_wide_margin_is_still_inconclusive() -> None:
    document = compared(1.0, verdict="inconclusive")
    assert decision(policy("regression_delta < 0.1"), document).verdict == "inconclusive"


@pytest.mark.parametrize(("least", "verdict"), [(1, "block"), (29, "block"), (30, "pass")])
def test_groups_of_a_few_rows_are_no_evidence(least: int, verdict: str) -> None:
    document = about_model({'accuracy{g="B"}': 1.0, "min_slice_rows": float(least)})
    judged = decision(policy("'accuracy{g=\"B\"} >= 0.5'"), document)
    assert judged.verdict == verdict
    assert verdict == "pass" or "the least is 30" in judged.reason


@pytest.mark.parametrize(("used", "verdict"), [(OTHER, "pass"), (RIVAL, "block"), ("", "block")])
def test_behavioural_checks_of_ones_own_are_not_those_that_the_policy_names(
    used: str, verdict: str
) -> None:
    subjects = {"model": MODEL, "data": TEST, **({"checks": used} if used else {})}
    document = EvidenceDocument(subjects, {"safety_violations": 0.0})
    rules = policy("safety_violations == 0", checks=OTHER)
    judged = decision(rules, document)
    assert judged.verdict == verdict
    assert verdict == "pass" or f"and the policy asks for {OTHER}" in judged.reason
    # What ran no checks says nothing of them, and stands in nobody's way.
    both = policy("safety_violations == 0", "accuracy > 0.5", checks=OTHER)
    assert decision(both, document, about_model({"accuracy": 0.9})).verdict == verdict


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("checks: mine.yaml", "'mine.yaml' is not a digest"),
        ("seen_rows_share: 1.5", "give a share from 0 to 1"),
        ("seen_rows_share: many", "give a share from 0 to 1"),
    ],
)
def test_checks_and_shares_that_cannot_be(key: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        parse_policy(f"{key}\ngates: [{{metric: accuracy > 0.5}}]".encode())


def measured(values: Any, positive: str) -> Any:
    """Evidence about a model for no and yes, of which one is taken for the positive class."""
    notes = {"positive_class": positive, "positive_class_default": "yes"}
    return about_model(values, notes=notes)


@pytest.mark.parametrize(
    ("rules", "positive", "said"),
    [
        (policy("recall > 0.7"), "yes", ""),
        (policy("recall > 0.7"), "no", "judges by recall; write the class that it means"),
        (policy('recall{sex="F"} > 0.7'), "no", "judges by recall"),
        (policy("recall_gap < 0.1"), "no", "judges by recall_gap"),
        (policy("regression_delta < 0.1", primary_metric="f1"), "no", "judges by f1"),
        (policy("accuracy > 0.7"), "no", ""),
        (policy("recall > 0.7", positive_label="no"), "no", ""),
        (policy("recall > 0.7", positive_label="no"), "yes", "the policy asks for 'no'"),
    ],
)
def test_a_policy_on_recall_does_not_take_the_recall_of_a_class_that_the_run_chose(
    rules: Any, positive: str, said: str
) -> None:
    values = {
        "recall": 0.9,
        'recall{sex="F"}': 0.9,
        "recall_gap": 0.0,
        "accuracy": 0.9,
        "regression_delta": 0.0,
        "compared_f1": 1.0,
        "regression_delta_f1": 0.0,
    }
    judged = decision(rules, measured(values, positive))
    assert judged.verdict == ("block" if said else "pass"), judged.reason
    assert said in judged.reason


def test_a_recall_of_no_class_is_none_of_the_one_that_the_policy_names() -> None:
    rules = policy("recall > 0.7", positive_label="yes")
    judged = decision(rules, about_model({"recall": 0.9}))
    assert judged.verdict == "block"
    assert "does not say which class is positive" in judged.reason


def test_checks_of_another_class_than_the_default_need_a_policy_that_names_it() -> None:
    subjects = {"model": MODEL, "data": TEST, "checks": OTHER}
    notes = {"positive_class": "no", "positive_class_default": "yes"}
    document = EvidenceDocument(subjects, {"safety_violations": 0.0}, notes=notes)
    assert decision(policy("safety_violations == 0"), document).verdict == "block"
    pinned = policy("safety_violations == 0", positive_label="no")
    assert decision(pinned, document).verdict == "pass"
