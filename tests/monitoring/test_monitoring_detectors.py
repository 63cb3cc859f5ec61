"""Detectors and faults: laws that hold whatever the data."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import UsageError
from assay.models import ModelInfo
from assay.monitoring import Detector, Plan
from assay.monitoring.detectors import Gauge, gauges
from assay.monitoring.inject import (
    CONSTANT,
    DEAD,
    KINDS,
    LOWER,
    MISSING,
    PRIOR,
    SHIFTED,
    UNIT,
    UPPER,
    Fault,
    apply,
    faults,
    kept,
)
from assay.monitoring.replay import quantile
from assay.monitoring.signals import Signals, column_values

WINDOW = 200
INFO = ModelInfo(
    task="binary",
    target="y",
    features=("x", "n", "c"),
    numeric=("x", "n"),
    categorical=("c",),
    classes=("no", "yes"),
    positive="yes",
    estimator="sklearn.dummy.DummyClassifier",
    hyperparameters={},
    seed=0,
    threads=1,
    rows=1,
)
SIZES = {
    "psi": 0.1,
    "ks": 0.1,
    "missing_share": 0.05,
    "out_of_range_share": 0.02,
    "prediction_psi": 0.1,
    "positive_rate": 0.05,
    "accuracy": 0.05,
}


def table(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    return pd.DataFrame(
        {
            "x": np.where(random.random(rows) < 0.05, np.nan, x),
            "n": random.integers(0, 4, rows) * (random.random(rows) < 0.3),
            "c": random.choice(["a", "b", "c", None], rows, p=[0.6, 0.25, 0.1, 0.05]),
            "y": np.where(x + random.normal(size=rows) > 0, "yes", "no"),
        }
    )


def seen(frame: pd.DataFrame) -> Signals:
    """As if a model predicted by the sign of x."""
    from scipy.special import expit

    scores = frame["x"].fillna(0).to_numpy()
    return Signals(
        {name: column_values(frame[name]) for name in INFO.features},
        expit(scores),
        np.where(scores > 0, "yes", "no").astype(object),
        frame["y"].to_numpy(),
    )


def fitted(metric: str, reference: Signals, info: ModelInfo = INFO, **fields: Any) -> list[Gauge]:
    fields = {"threshold": SIZES.get(metric, 0.25), "window": WINDOW, "receiver": "me", **fields}
    found = gauges(Plan((Detector("d", metric, **fields),)), info)
    for gauge in found:
        gauge.fit(reference)
    return found


@pytest.mark.parametrize("metric", sorted(SIZES))
@given(value=st.floats(-1e6, 1e6), text=st.sampled_from("ab"), windows=st.integers(1, 5))
@settings(max_examples=15)
def test_windows_like_a_constant_reference_do_not_alarm(
    metric: str, value: float, text: str, windows: int
) -> None:
    rows = WINDOW * windows
    frame = pd.DataFrame({"x": value, "n": 3, "c": text, "y": "yes"}, index=range(rows))
    for gauge in fitted(metric, seen(frame)):
        sizes, alarms = gauge.measure(seen(frame))
        assert len(alarms) == windows
        assert not alarms.any()
        assert sizes == pytest.approx(np.zeros(windows), abs=1e-9)


@pytest.mark.parametrize("metric", ["psi", "ks", "out_of_range_share"])
@given(seed=st.integers(0, 1000), shifts=st.lists(st.floats(0, 20), min_size=2, max_size=5))
@settings(max_examples=20)
def test_a_larger_shift_has_a_larger_size_and_still_alarms(
    metric: str, seed: int, shifts: list[float]
) -> None:
    # Quantiles of the same normal law, so that nothing but the shift differs.
    from scipy.stats import norm

    random = np.random.default_rng(seed)
    quantiles = norm.ppf((np.arange(WINDOW) + 0.5) / WINDOW)
    reference = seen(
        pd.DataFrame({"x": np.tile(quantiles, 10), "n": 0, "c": "a", "y": "no"}).sample(
            frac=1, random_state=seed
        )
    )
    gauge = fitted(metric, reference, columns=("x",))[0]
    found = []
    for shift in sorted(shifts):
        x = random.permutation(quantiles) + shift
        sizes, alarms = gauge.measure(seen(pd.DataFrame({"x": x, "n": 0, "c": "a", "y": "no"})))
        found.append((sizes[0], alarms[0]))
    sizes, alarms = zip(*found, strict=True)
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(sizes))
    assert list(alarms) == sorted(alarms)


def test_chance_alone_alarms_no_more_often_than_the_plan_says() -> None:
    # Thresholds of zero, so that only significance holds detectors back: 1 % of windows.
    level, windows = 0.01, 2000
    frame = table(20 * WINDOW, 1)
    live = seen(table(windows * WINDOW, 2))
    for metric in sorted(SIZES):
        plan = Plan((Detector("d", metric, threshold=0.0, window=WINDOW),), significance=level)
        any_column = np.zeros(windows, dtype=bool)
        for gauge in gauges(plan, INFO):
            gauge.fit(seen(frame))
            any_column |= gauge.measure(live)[1]
        # Four standard deviations of a share of 1 % above it, and half as much again because one
        # reference serves all windows and the laws of PSI and of distances are approximations.
        assert any_column.mean() < 1.5 * level + 4 * np.sqrt(level / windows), metric


def test_each_detector_sees_what_it_is_for() -> None:
    frame = table(20 * WINDOW, 3)
    reference, live = seen(frame), table(WINDOW, 4)
    for metric, column, change in (
        ("psi", "x", lambda x: x + 1),
        ("psi", "n", lambda n: n * 2.54),
        ("psi", "c", lambda c: c.where(c.isna(), "b")),
        ("ks", "x", lambda x: x + 1),
        ("missing_share", "c", lambda c: c.where(c != "b", None)),
        ("out_of_range_share", "x", lambda x: x * 1000),
        ("out_of_range_share", "c", lambda c: c.where(c != "c", "new")),
    ):
        (gauge,) = fitted(metric, reference, columns=(column,))
        assert not gauge.measure(seen(live))[1].any(), metric
        assert gauge.measure(seen(live.assign(**{column: change(live[column])})))[1].all(), metric
    for metric in ("prediction_psi", "positive_rate", "accuracy"):
        (gauge,) = fitted(metric, reference)
        assert not gauge.measure(seen(live))[1].any(), metric
        assert gauge.measure(seen(live.assign(x=live["x"] + 2)))[1].all(), metric


def test_the_range_of_the_plan_wins_over_that_of_the_reference() -> None:
    reference = seen(table(20 * WINDOW, 5))
    narrow = fitted("out_of_range_share", reference, columns=("x",), minimum=-0.1, maximum=0.1)[0]
    sizes, alarms = narrow.measure(reference)
    # Most of a normal law lies outside of it, in the reference as well: a rise is what alarms.
    assert not alarms.any()
    assert abs(sizes).max() < 0.15


def test_a_mean_absolute_error_that_rises() -> None:
    info = replace(INFO, task="regression", classes=(), positive=None)
    random = np.random.default_rng(6)
    truth = random.normal(size=20 * WINDOW)

    def live(error: float) -> Signals:
        said = truth + error * random.normal(size=len(truth))
        return Signals(dict.fromkeys(INFO.features, truth), said, said, truth)

    (gauge,) = fitted("mean_absolute_error", live(1.0), info)
    assert not gauge.measure(live(1.0))[1].any()
    assert not gauge.measure(live(0.5))[1].any(), "a fall is no alarm"
    sizes, alarms = gauge.measure(live(2.0))
    assert alarms.all()
    assert sizes.mean() == pytest.approx(1.0, abs=0.1)


def test_a_plan_that_does_not_fit_the_model_is_refused_with_all_that_is_wrong() -> None:
    plan = Plan(
        (
            Detector("a", "psi", columns=("X",), threshold=0.1, window=100),
            Detector("b", "mean_absolute_error", threshold=0.1, window=100),
            Detector("c", "ks", columns=("c",), threshold=0.1, window=100),
        )
    )
    with pytest.raises(UsageError) as caught:
        gauges(plan, INFO)
    message = str(caught.value)
    assert "detector 'a': no column 'X'; did you mean 'x'?" in message
    assert "detector 'b': mean_absolute_error is for regression models" in message
    assert "detector 'c': no column 'c'" in message


# --- faults ----------------------------------------------------------------------------------


def test_every_kind_of_fault_is_put_everywhere_it_can_happen() -> None:
    found = faults(table(1000, 7), INFO)
    places = {kind: [str(one) for one in found if one.kind == kind] for kind in KINDS}
    assert places == {
        SHIFTED: [f"{SHIFTED} {name}" for name in "xnc"],
        PRIOR: [f"{PRIOR} no", f"{PRIOR} yes"],
        DEAD: [f"{DEAD} {name} {form}" for name in "xnc" for form in (CONSTANT, MISSING)],
        UNIT: [f"{UNIT} {name} {form}" for name in "xn" for form in ("x1000", "x2.54")],
    }


@given(seed=st.integers(0, 2**31), rows=st.integers(50, 400))
@settings(max_examples=25)
def test_a_fault_is_the_same_every_time_and_leaves_other_columns_alone(
    seed: int, rows: int
) -> None:
    frame = table(rows, seed)
    before = frame.copy(deep=True)
    for fault in faults(frame, INFO):
        if fault.kind == PRIOR:
            continue
        once, again = apply(frame, fault, seed), apply(frame, fault, seed)
        pd.testing.assert_frame_equal(once, again)
        pd.testing.assert_frame_equal(
            once.drop(columns=fault.place), frame.drop(columns=fault.place)
        )
        pd.testing.assert_frame_equal(frame, before)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20)
def test_a_fault_is_as_large_as_it_says(seed: int) -> None:
    frame = table(4000, seed)
    x, c = frame["x"], frame["c"]
    deviation = np.nanstd(x)
    assert (apply(frame, Fault(SHIFTED, "x"), seed)["x"] - x).dropna().to_numpy() == pytest.approx(
        deviation
    )
    assert (apply(frame, Fault(UNIT, "n", "x2.54"), seed)["n"] == frame["n"] * 2.54).all()
    assert all(value is None for value in apply(frame, Fault(DEAD, "c", MISSING), seed)["c"])
    assert apply(frame, Fault(DEAD, "n", MISSING), seed)["n"].isna().all()
    assert set(apply(frame, Fault(DEAD, "c", CONSTANT), seed)["c"]) == {"a"}
    assert set(apply(frame, Fault(DEAD, "n", CONSTANT), seed)["n"]) == {0}
    shifted = apply(frame, Fault(SHIFTED, "c"), seed)["c"]
    # Each row changes with a chance of one half; five standard deviations of 4,000 rows are 4 %.
    changed = (shifted != c) & ~(shifted.isna() & c.isna())
    assert changed.mean() == pytest.approx(0.5, abs=0.04)
    assert (shifted[changed & (c != "a")] == "a").all()
    assert (shifted[changed & (c == "a")] == "b").all()


@given(seed=st.integers(0, 2**31), share=st.floats(0.1, 0.9))
@settings(max_examples=25)
def test_the_odds_of_a_class_double(seed: int, share: float) -> None:
    truth = np.where(np.random.default_rng(seed).random(20_000) < share, "yes", "no")
    fault = Fault(PRIOR, "yes", label="yes")
    rows = kept(truth, fault, seed)
    assert (rows == kept(truth, fault, seed)).all()
    assert rows[truth == "yes"].all()
    yes, no = (truth[rows] == "yes").sum(), (truth[rows] == "no").sum()
    before = (truth == "yes").sum() / (truth == "no").sum()
    assert yes / no == pytest.approx(2 * before, rel=0.15)


@pytest.mark.parametrize("half", [UPPER, LOWER])
def test_the_odds_of_half_of_a_numeric_target_double(half: str) -> None:
    truth = np.random.default_rng(8).normal(size=10_000)
    rows = kept(truth, Fault(PRIOR, half), 1)
    upper = (truth[rows] > np.median(truth)).mean()
    assert upper == pytest.approx(2 / 3 if half == UPPER else 1 / 3, abs=0.02)


def test_a_quantile_is_never_between_a_number_and_infinity() -> None:
    assert quantile([1.0] * 95 + [np.inf] * 5, 0.95) == 1.0
    assert quantile([1.0] * 94 + [np.inf] * 6, 0.95) == np.inf
    assert quantile([3.0], 0.5) == 3.0
    assert np.isnan(quantile([], 0.5))
