"""How soon a plan sees faults: on real models and rows, through the step and the command."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from assay import data as dataset
from assay import models
from assay.cli import cli
from assay.components.check_monitoring.step import check_monitoring
from assay.components.snapshot_data.step import snapshot_data
from assay.components.train.step import train
from assay.core.source import fetch
from assay.core.step import Dataset, Model, MonitoringPlan, Out
from assay.core.store import open_store
from assay.core.tree import put_tree
from assay.errors import AssayError, RunBlocked, UsageError
from assay.evidence.format import EvidenceDocument
from assay.governance.policy import Verdict, decide
from assay.models import LoadedModel
from assay.monitoring import Detector, Monitor, Plan, draft, judge, parse_plan, replay
from assay.monitoring.inject import DEAD, KINDS, PRIOR, UNIT
from assay.monitoring.judge import evidence

LOGISTIC = "sklearn.linear_model.LogisticRegression"
POLICY = b"""\
gates:
  - metric: monitoring_plan_complete == 1
  - metric: time_to_detect_rows_p95 < 3500
  - metric: time_to_detect_rows_p95{fault="unit_change"} < 3500
  - metric: false_alarms_per_10k_rows < 1
"""


def snapshot(path: Path, folder: Path, target: str) -> Dataset:
    """A dataset's folder from a file, as the step makes it."""
    out = folder / "dataset"
    out.mkdir()
    bound = snapshot_data.bind_parameters({"target": target})
    snapshot_data(data=fetch(str(path), folder), dataset=Out(out), **bound)
    return Dataset(out, "sha256:" + "d" * 64)


def fit(data: Dataset, folder: Path, **parameters: Any) -> Model:
    folder.mkdir()
    given = {"estimator": LOGISTIC, "hyperparameters": {"max_iter": 1000}, **parameters}
    train(data=data, model=Out(folder), **train.bind_parameters(given))
    return Model(folder, "sha256:" + "a" * 64)


@pytest.fixture(scope="module")
def adult_test(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """UCI Adult's test set: 16,281 rows. Its labels end in a full stop, those of training not."""
    folder = tmp_path_factory.mktemp("adult-test")
    text = (shared_data / "adult-test.csv").read_text().replace("K.\n", "K\n")
    (folder / "test.csv").write_text(text)
    return snapshot(folder / "test.csv", folder, target="income")


@pytest.fixture(scope="module")
def adult_model(adult: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return fit(adult, tmp_path_factory.mktemp("adult-model") / "m", target="income")


@pytest.fixture(scope="module")
def loaded(adult_model: Model) -> LoadedModel:
    return models.load(adult_model.path)


def planned(folder: Path, plan: Plan) -> MonitoringPlan:
    folder.mkdir()
    (folder / "monitoring.yaml").write_text(plan.to_yaml())
    return MonitoringPlan(folder, "sha256:" + "b" * 64)


def checked(
    model: Model, data: Dataset, plan: MonitoringPlan | None, folder: Path, **parameters: Any
) -> Path:
    folder.mkdir()
    bound = check_monitoring.bind_parameters(parameters)
    check_monitoring(model=model, test_data=data, plan=plan, monitoring=Out(folder), **bound)
    return folder


def judged_by_gate(folder: Path, model: Model, policy: bytes = POLICY) -> tuple[Verdict, str]:
    document = EvidenceDocument.read(folder)
    decision = decide(policy, {"sha256:" + "c" * 64: document}, model.digest)
    return decision.verdict, decision.reason


@pytest.mark.slow
def test_the_drafted_plan_sees_every_kind_of_fault_on_adult_and_the_gate_believes_it(
    adult_model: Model, adult_test: Dataset, loaded: LoadedModel, tmp_path: Path
) -> None:
    plan = planned(tmp_path / "p", draft(loaded.info, 16_281, "ml-on-call@example.org"))
    folder = checked(adult_model, adult_test, plan, tmp_path / "out", starts=20)
    values = EvidenceDocument.read(folder).values
    assert values["monitoring_plan_complete"] == 1
    times = {k: values[f'time_to_detect_rows_p95{{fault="{k}"}}'] for k in KINDS}
    # A window is 1,000 rows: three of them, and what is left of the one that the fault began in.
    assert all(value is not None and 0 < value < 3500 for value in times.values()), times
    assert values["time_to_detect_rows_p95"] == max(t for t in times.values() if t)
    assert values["false_alarms_per_10k_rows"] is not None
    assert values["false_alarms_per_10k_rows"] < 0.5
    assert judged_by_gate(folder, adult_model) == (Verdict.PASS, "")
    assert {"report.html", "summary.md", "evidence.json"} <= {p.name for p in folder.iterdir()}
    summary = (folder / "summary.md").read_text()
    assert "If a column changes its unit" in summary
    assert "ml-on-call@&#8203;example.org" in summary  # no mention of somebody


@pytest.fixture(scope="module")
def few(adult_test: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The first 4,000 rows."""
    folder = tmp_path_factory.mktemp("few")
    batches = [next(dataset.iter_batches(adult_test.path)).slice(0, 4000)]
    dataset.write(batches, dataset.arrow_schema(adult_test.path), folder)
    return Dataset(folder, "sha256:" + "e" * 64)


def test_the_same_inputs_give_the_same_bytes_and_the_seed_is_one(
    adult_model: Model, few: Dataset, loaded: LoadedModel, tmp_path: Path
) -> None:
    plan = planned(tmp_path / "p", draft(loaded.info, 4000, "me"))
    found = []
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        folder = checked(adult_model, few, plan, tmp_path / name, starts=2, seed=seed)
        found.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert found[0] == found[1]
    assert found[0]["evidence.json"] != found[2]["evidence.json"]


def test_without_a_plan_there_is_no_evidence_and_the_gate_says_why(
    adult_model: Model, few: Dataset, tmp_path: Path
) -> None:
    folder = checked(adult_model, few, None, tmp_path / "out")
    assert EvidenceDocument.read(folder).values == {}
    verdict, reason = judged_by_gate(folder, adult_model)
    assert verdict is Verdict.BLOCK
    assert "monitoring_plan_complete has no value: no monitoring plan was given" in reason


def test_a_plan_that_is_blind_to_a_fault_has_no_time_and_fails_its_bound(
    loaded: LoadedModel, few: Dataset, adult_model: Model, tmp_path: Path
) -> None:
    # Who looks at missing values only sees none of a unit's change, and half of dead columns.
    plan = Plan((Detector("missing", "missing_share", threshold=0.1, window=300, receiver="me"),))
    folder = checked(adult_model, few, planned(tmp_path / "p", plan), tmp_path / "out", starts=2)
    document = EvidenceDocument.read(folder)
    assert document.values["monitoring_plan_complete"] == 0
    assert document.values[f'time_to_detect_rows_p95{{fault="{UNIT}"}}'] is None
    assert document.values[f'faults_detected_share{{fault="{UNIT}"}}'] == 0
    assert document.values[f'faults_detected_share{{fault="{DEAD}"}}'] == 0.5
    assert document.values["time_to_detect_rows_p95"] is None
    assert "no detector watches the predictions" in document.notes["monitoring_plan_complete"]
    assert "no detector sees that a column changes its unit" in str(document.notes)
    verdict, reason = judged_by_gate(folder, adult_model)
    assert verdict is Verdict.BLOCK
    assert "time_to_detect_rows_p95 has no value" in reason


def test_gaps_are_told_in_words(loaded: LoadedModel, few: Dataset) -> None:
    plan = parse_plan(
        b"format: assay-monitoring/1\ndetectors:\n"
        b"- {name: a, metric: psi, columns: [age], threshold: 0.1, window: 200, receiver: me}\n"
        b"- {name: b, metric: positive_rate, window: 200}\n"
    )
    found = replay(plan, loaded, dataset.read(few.path), starts=1)
    gaps = judge(plan, loaded.info, found).gaps
    assert "detector 'b' has no threshold" in gaps
    assert "detector 'b' has no receiver" in gaps
    assert any(gap.startswith("no detector watches the categorical features") for gap in gaps)
    assert any("'hours_per_week'" in gap and "'age'" not in gap for gap in gaps)


def test_a_plan_of_which_nothing_can_be_replayed(loaded: LoadedModel, few: Dataset) -> None:
    plan = Plan((Detector("a", "psi"),))
    judged = judge(plan, loaded.info, replay(plan, loaded, dataset.read(few.path)))
    document = evidence(judged, {})
    assert not judged.complete
    assert document.values["time_to_detect_rows_p95"] is None
    assert document.values["false_alarms_per_10k_rows"] is None


def test_a_window_that_the_rows_cannot_measure_is_refused(
    loaded: LoadedModel, few: Dataset
) -> None:
    plan = Plan((Detector("wide", "psi", threshold=0.1, window=1000),))
    with pytest.raises(UsageError, match="'wide': a window of 1000 rows needs 6000"):
        replay(plan, loaded, dataset.read(few.path))


def test_labels_of_another_type_are_refused_as_in_an_evaluation(tmp_path: Path) -> None:
    """Every comparison with such labels says "wrong", before a fault as after it."""
    import pandas as pd

    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.standard_normal(2000)})
    frame["y"] = (frame["x"] > 0).astype(int)
    frame.to_csv(tmp_path / "t.csv", index=False)
    model = fit(snapshot(tmp_path / "t.csv", tmp_path, target="y"), tmp_path / "m", target="y")
    whole = models.load(model.path)
    plan = Plan((Detector("q", "accuracy", threshold=0.03, window=200, receiver="me"),))
    words = frame.assign(y=frame["y"].astype(str))
    told = "labels the model has never seen: '0', '1'; it knows '0', '1', of another type"
    with pytest.raises(UsageError, match=told):
        replay(plan, whole, words, starts=1)
    with pytest.raises(UsageError, match=told):
        Monitor(plan, whole, words)
    monitor = Monitor(plan, whole, frame)
    with pytest.raises(UsageError, match=told):
        monitor.push(words)
    # With gaps whole numbers are held as floats, and labels that come later are missing so far.
    assert monitor.push(frame.assign(y=frame["y"].astype(float))) == []
    # A class that nobody knew is wrong predictions.
    assert monitor.push(frame.assign(y=2)) != []


def test_labels_that_come_late_make_the_time_longer(loaded: LoadedModel, few: Dataset) -> None:
    frame = dataset.read(few.path)

    def times(delay: int) -> list[float]:
        one = Detector("q", "accuracy", threshold=0.05, window=200, receiver="me", delay=delay)
        return [found.rows for found in replay(Plan((one,)), loaded, frame, starts=2).replays]

    soon, late = times(0), times(5000)
    assert any(math.isfinite(rows) for rows in soon)
    assert min(soon) > 1, "a model that is given empty columns takes them"
    assert late == [rows + 5000 for rows in soon]


def test_a_model_that_refuses_faulty_rows_is_loud_at_once(
    few: Dataset, loaded: LoadedModel
) -> None:
    class Picky(LoadedModel):
        def predict(self, frame: Any) -> Any:
            if frame["age"].isna().any():
                raise UsageError("the model cannot take this data: age is missing")
            return super().predict(frame)

    plan = draft(loaded.info, 4000, "me")
    found = replay(plan, Picky(loaded.pipeline, loaded.info), dataset.read(few.path), starts=1)
    (refused,) = [r for r in found.replays if str(r.fault) == f"{DEAD} age missing"]
    assert refused.rows == 1
    assert "refuses" in refused.detector


# --- real drift ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def electricity(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """NSW electricity prices, 45,312 half hours in order."""
    folder = tmp_path_factory.mktemp("electricity")
    return snapshot(shared_data / "elec.csv", folder, target="class")


def test_the_drift_of_electricity_prices_alarms_and_dealt_anew_the_same_rows_do_not(
    electricity: Dataset, tmp_path: Path
) -> None:
    model = fit(electricity, tmp_path / "m", target="class")
    loaded = models.load(model.path)
    plan = draft(loaded.info, 12_000, "desk@example.org")
    frame = dataset.read(electricity.path)

    # In their order: the first two months against the two years that follow.
    monitor = Monitor(plan, loaded, frame[:3000])
    alarms = monitor.push(frame[3000:])
    first = {alarm.detector: alarm.rows for alarm in reversed(alarms)}
    assert first["features"] <= 2000
    # The feed from Victoria and the transfer stood still for the first year of the record.
    began = [a.rows for a in alarms if a.series == "vicprice" and a.detector == "features"]
    assert began[0] == pytest.approx(14_500, abs=1500)
    assert {alarm.receiver for alarm in alarms} == {"desk@example.org"}

    # Dealt anew nothing drifts, so that the very same rows must not alarm.
    dealt = frame.sample(frac=1, random_state=0)
    quiet = Monitor(plan, loaded, dealt[:22_000]).push(dealt[22_000:])
    assert len(quiet) <= 1


def test_rows_in_pieces_give_the_same_alarms_as_all_at_once(
    electricity: Dataset, tmp_path: Path
) -> None:
    loaded = models.load(fit(electricity, tmp_path / "m", target="class").path)
    frame = dataset.read(electricity.path)[:12_000]
    plan = Plan(
        (
            Detector("a", "psi", threshold=0.1, window=700, receiver="me"),
            Detector("b", "accuracy", threshold=0.02, window=333, receiver="me", delay=48),
            Detector("c", "ks", threshold=0.1, window=1000, receiver="me"),
        )
    )
    whole = Monitor(plan, loaded, frame[:3000]).push(frame[3000:])
    pieces = Monitor(plan, loaded, frame[:3000])
    found = []
    for begin in range(3000, len(frame), 777):
        found += pieces.push(frame[begin : begin + 777])
    key = lambda alarm: (alarm.rows, alarm.detector, alarm.series)  # noqa: E731
    assert sorted(found, key=key) == sorted(whole, key=key)
    assert whole


# --- the command -----------------------------------------------------------------------------


def assay(*words: str) -> str:
    result = CliRunner().invoke(cli, list(words), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture
def stored(
    adult_model: Model, few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Digests of a model and of held-out rows in a store of the command's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
    store = open_store((tmp_path / "store").as_uri())
    return (
        put_tree(store, adult_model.path, Model.type, {}).digest,
        put_tree(store, few.path, Dataset.type, {}).digest,
    )


def test_numbers_out_of_range_are_refused_before_anything_is_read(
    adult_model: Model, few: Dataset, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("no plan")
    digest = "sha256:" + "0" * 64
    refused = "starts is 0; give a number from 1 to 1000; seed is -1; give a number from 0 to 4294"
    with pytest.raises(UsageError, match=refused):
        assay(
            *("monitor", "check", str(plan), "--model", digest, "--data", digest),
            *("--starts", "0", "--seed", "-1"),
        )
    with pytest.raises(UsageError, match=refused):
        checked(adult_model, few, None, tmp_path / "m", starts=0, seed=-1)


def test_a_plan_is_drafted_reviewed_and_measured(stored: tuple[str, str]) -> None:
    model, data = stored
    assay("monitor", "draft", model, "--data", data, "-o", "plan.yaml")
    with pytest.raises(RunBlocked, match="detector 'features' has no receiver"):
        assay("monitor", "check", "plan.yaml", "--model", model, "--data", data, "--starts", "1")
    with pytest.raises(UsageError, match="exists; give another name"):
        assay("monitor", "draft", model, "--data", data, "-o", "plan.yaml")
    words = ("draft", model, "--data", data, "--receiver", "me", "-o", "plan.yaml", "--force")
    assay("monitor", *words)
    words = ("check", "plan.yaml", "--model", model, "--data", data, "--starts", "2")
    told = json.loads(assay("monitor", *words, "--live", data, "--json"))
    assert told["complete"]
    assert set(told["answers"]) == set(KINDS)
    assert "tells me" in told["answers"][PRIOR]
    assert isinstance(told["evidence"]["time_to_detect_rows_p50"], float)
    assert told["alarms"] == [], "these rows are the reference themselves"
    table = assay("monitor", *words)
    assert "monitoring_plan_complete\t1" in table
    assert "If a feature shifts" in table


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("check", "no.yaml"), "cannot read no.yaml"),
        (("check", "bad.yaml"), "bad.yaml line 1, column 1: unknown key 'x'"),
    ],
)
def test_a_mistake_is_one_line(stored: tuple[str, str], words: tuple[str, ...], part: str) -> None:
    Path("bad.yaml").write_text("x: 1\n")
    with pytest.raises(AssayError) as caught:
        assay("monitor", *words, "--model", stored[0], "--data", stored[1])
    assert part in str(caught.value)
    assert caught.value.exit_code == 2


def test_digests_that_are_mixed_up_are_told_both(stored: tuple[str, str]) -> None:
    model, data = stored
    with pytest.raises(UsageError, match=r"model: .* is of type .*dataset.*; data: .*model"):
        assay("monitor", "draft", data, "--data", model)


def test_the_step_runs_through_the_store_and_its_cache(
    stored: tuple[str, str], tmp_path: Path, loaded: LoadedModel
) -> None:
    from assay.core.execution import Context, execute

    store = open_store((tmp_path / "store").as_uri())
    plan = planned(tmp_path / "p", draft(loaded.info, 4000, "me"))
    digest = put_tree(store, plan.path, MonitoringPlan.type, {}).digest
    given = {"model": stored[0], "test_data": stored[1], "plan": digest, "starts": 1}
    first = execute(check_monitoring, given, Context(store))
    again = execute(check_monitoring, given, Context(store))
    assert not first.cached
    assert again.cached
    assert first.outputs == again.outputs


@pytest.mark.parametrize("gaps", [False, True])
def test_a_feature_of_truth_values_is_watched_whether_values_are_missing_or_not(
    shared_data: Path, tmp_path: Path, gaps: bool
) -> None:
    cases = shared_data.parent / "cases"
    header, *lines = (cases / "w1_bool.csv").read_text().splitlines()
    if gaps:
        place = header.split(",").index("member")
        cells = [line.split(",") for line in lines]
        for row in cells[::7]:
            row[place] = ""
        lines = [",".join(row) for row in cells]
    (tmp_path / "w1.csv").write_text("\n".join([header, *lines]) + "\n")
    data = snapshot(tmp_path / "w1.csv", tmp_path, "y")
    assert dataset.info(data.path).column("member").type == "bool"
    model = fit(data, tmp_path / "model", target="y")
    plan = parse_plan((cases / "w1.yaml").read_bytes())
    loaded, rows = models.load(model.path), dataset.read(data.path)
    found = replay(plan, loaded, rows, starts=3)
    dead = [one for one in found.replays if one.fault.kind == DEAD and one.fault.place == "member"]
    assert {one.fault.form for one in dead} == {"constant", "missing"}
    # A column that holds nothing any more is seen in the first windows.
    assert all(one.rows <= 150 for one in dead if one.fault.form == "missing")
    # Live rows that come without gaps, after a reference with them, and the other way round.
    monitor = Monitor(plan, loaded, rows)
    live = rows.head(100).assign(member=None)
    assert any(alarm.series == "member" for alarm in monitor.push(live))
    assert not any(alarm.series == "member" for alarm in Monitor(plan, loaded, rows).push(rows))
