"""preflight: all that is wrong, at once, in seconds."""

import contextlib
import gzip
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.components.preflight import header
from assay.components.preflight.step import preflight
from assay.core.digest import of_bytes
from assay.core.execution import Context, execute
from assay.core.manifest import Manifest
from assay.core.step import Checks, Dataset, MonitoringPlan, Out, Policy, Services, Suite
from assay.core.store import Store, open_store
from assay.core.tree import get_manifest, put_tree
from assay.data.csv_source import Options
from assay.errors import (
    AssayError,
    DataError,
    NotFoundError,
    ServiceError,
    StoreUnavailableError,
    UsageError,
)
from assay.governance.policy import parse_policy

POLICY = "gates:\n  - metric: accuracy > 0.9\n"
SUITE = json.dumps(
    {
        "name": "s",
        "expectations": [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "age"}}
        ],
    }
)
CHECKS = """\
checks:
  - name: sex_is_no_reason
    kind: invariance
    column: sex
    values: [F, M]
"""
MONITORING = """\
format: assay-monitoring/1
detectors:
  - {name: ages, metric: psi, columns: [age], threshold: 0.1, window: 500, receiver: on-call}
"""


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("age,sex,hours,since,income\n39,M,40,2024-05-01,no\n")
    return path


@pytest.fixture
def plan(data: Path) -> dict[str, Any]:
    return {"data": str(data), "target": "income", "model_name": "income"}


def run(store: Store, folder: Path, arguments: dict[str, Any]) -> dict[str, Path]:
    """Call the step; its output folders, those of optional ones too."""
    outs = {}
    for name in preflight.outputs:
        path = folder / "out" / name
        path.mkdir(parents=True)
        outs[name] = path
    values = preflight(
        services=Services(store, None),
        **preflight.bind_parameters(arguments),
        **{name: Out(path) for name, path in outs.items()},
    )
    assert values is not None
    return outs


def refused(store: Store, folder: Path, arguments: dict[str, Any]) -> list[str]:
    with pytest.raises(UsageError) as raised:
        run(store, folder, arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value).split("; ")


def document(store: Store, folder: Path, kind: Any, name: str, text: str) -> str:
    folder.mkdir()
    (folder / name).write_text(text)
    return put_tree(store, folder, kind.type, {}).digest


def test_documents_become_artifacts(context: Context, plan: dict[str, Any], tmp_path: Path) -> None:
    given = {**plan, "policy": POLICY, "suite": SUITE, "checks": CHECKS, "monitoring": MONITORING}
    done = execute(preflight, given, context)
    for name, kind, text in (
        ("policy_artifact", Policy, POLICY),
        ("suite_artifact", Suite, SUITE),
        ("checks_artifact", Checks, CHECKS),
        ("monitoring_artifact", MonitoringPlan, MONITORING),
    ):
        manifest = get_manifest(context.store, done.outputs[name])
        assert manifest.artifact_type == kind.type
        assert [entry.blob.digest for entry in manifest.files] == [of_bytes(text.encode())]
    assert done.values == {
        "allowed_modules": [],
        "candidates": [],
        "max_regression": 0.01,
        "primary_metric": "",
        "reference_artifact": "",
    }
    # The same text from elsewhere has the same name, so nothing below runs again.
    (tmp_path / "p.yaml").write_text(POLICY)
    again = execute(preflight, {**given, "policy": str(tmp_path / "p.yaml")}, context)
    assert again.outputs["policy_artifact"] == done.outputs["policy_artifact"]
    assert not again.cached


def test_every_candidate_of_a_sweep_is_looked_at(context: Context, plan: dict[str, Any]) -> None:
    linear = "sklearn.linear_model.LogisticRegression"
    given = {**plan, "candidates": [{"estimator": linear}, {"hyperparameters": {"max_iter": 5}}]}
    assert execute(preflight, given, context).values["candidates"] == [
        {"estimator": linear, "hyperparameters": {}},
        {"estimator": "auto", "hyperparameters": {"max_iter": 5}},
    ]
    wrong = {**given, "candidates": [{"estimator": "x.y"}, {}, {}], "validation_fraction": 0}
    with pytest.raises(UsageError) as told:
        execute(preflight, wrong, context)
    for part in ("candidate 1: ", "candidate 3 is the same as candidate 2", "validation_fraction"):
        assert part in str(told.value)


def test_a_sweep_over_classifiers_and_regressors_is_refused_before_its_cost(
    context: Context, plan: dict[str, Any]
) -> None:
    several = ["linear_model.LogisticRegression", "linear_model.LinearRegression"]
    several += ["tree.DecisionTreeClassifier"]
    given = {**plan, "candidates": [{"estimator": f"sklearn.{name}"} for name in several]}
    with pytest.raises(UsageError) as told:
        execute(preflight, given, context)
    assert str(told.value) == (
        "candidates: classifiers (1, 3) and regressors (2) cannot be compared; "
        "give estimators of one kind"
    )


def test_what_is_not_given_is_said(
    folder_store: Store, plan: dict[str, Any], tmp_path: Path
) -> None:
    outs = run(folder_store, tmp_path, plan)
    summary = (outs["record"] / "summary.md").read_text()
    assert "the default, which forbids a regression" in summary
    assert "structural checks only" in summary
    assert "people.csv: 5 columns" in summary
    assert list(outs["suite_artifact"].iterdir()) == []
    assert list(outs["checks_artifact"].iterdir()) == []
    assert list(outs["monitoring_artifact"].iterdir()) == []
    policy = parse_policy((outs["policy_artifact"] / "policy.yaml").read_bytes())
    assert any(rule.expression.metric == "regression_delta" for rule in policy.rules)


@pytest.mark.parametrize(
    ("rules", "given", "margin"),
    [
        (["regression_delta < 0.05"], {}, 0.05),
        (["regression_delta_upper <= 0.02", "regression_delta < 0.05"], {}, 0.02),
        (["regression_delta < 0.05"], {"max_regression": 0.05}, 0.05),
        (["accuracy > 0.5", "regression_delta_roc_auc < 0.2"], {"max_regression": 0.03}, 0.03),
        (["accuracy > 0.5"], {}, 0.01),
    ],
)
def test_the_margin_is_set_in_one_place(
    folder_store: Store, plan: dict[str, Any], rules: list[str], given: Any, margin: float
) -> None:
    text = "gates:\n" + "".join(f"  - metric: {rule}\n" for rule in rules)
    done = execute(preflight, {**plan, "policy": text, **given}, Context(folder_store))
    assert done.values["max_regression"] == margin


def test_a_margin_that_contradicts_the_policy_is_refused(
    folder_store: Store, plan: dict[str, Any]
) -> None:
    text = "gates: [{metric: regression_delta < 0.01}]"
    wrong = {**plan, "policy": text, "max_regression": 0.5}
    with pytest.raises(
        UsageError, match=r"max_regression is 0\.5, and .* says 0\.01, which counts"
    ):
        execute(preflight, wrong, Context(folder_store))


@pytest.mark.parametrize("how", ["path", "file", "digest", "text", "http"])
def test_a_policy_may_be_given_in_every_way(
    folder_store: Store, plan: dict[str, Any], tmp_path: Path, web: str, how: str
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    (tmp_path / "web" / "policy.yaml").write_text(POLICY)
    given = {
        "path": str(path),
        "file": path.as_uri(),
        "text": "gates: [{metric: accuracy > 0.9}]",
        "digest": document(folder_store, tmp_path / "p", Policy, "policy.yaml", POLICY),
        "http": f"{web}/policy.yaml",
    }[how]
    outs = run(folder_store, tmp_path, {**plan, "policy": given})
    assert b"accuracy > 0.9" in (outs["policy_artifact"] / "policy.yaml").read_bytes()


def test_everything_that_is_wrong_is_told_at_once(
    folder_store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}")
    problems = refused(
        folder_store,
        tmp_path,
        {
            "data": str(data),
            "target": "incme",
            "model_name": "a/b",
            "policy": "gates:\n  - metric: acuracy > 0.9\n",
            "suite": SUITE.replace("age", "agee"),
            "checks": CHECKS.replace("column: sex", "column: sxe"),
            "estimator": "sklearn.ensemble.RandomForestClasifier",
            "numeric_columns": ["hours"],
            "categorical_columns": ["hours"],
            "key_columns": ["id"],
            "split_by": "tme",
            "slices": ["sex&racee"],
            "test_fraction": 1.5,
            "confidence": 95,
            "drift_share": 0,
            "max_regression": -1,
            "threads": 0,
            "primary_metric": "acuracy",
            "reference": "latest",
        },
    )
    text = "; ".join(problems)
    for said in (
        "no column 'incme'",
        "did you mean 'income'?",
        "model_name 'a/b'",
        "policy line 2",
        "did you mean 'accuracy'?",
        "no column 'agee'",
        "no column 'sxe'",
        "did you mean 'sklearn.ensemble.RandomForestClassifier'?",
        "column 'hours' is given as numeric and as categorical",
        "key_columns: no column 'id'",
        "split_by is 'tme'",
        "slices: no column 'racee'",
        "test_fraction is 1.5",
        "confidence is 95",
        "drift_share is 0",
        "max_regression is -1",
        "threads is 0",
        "primary_metric: no metric 'acuracy'",
        "reference: 'latest' is not a digest",
        "MLflow:",
    ):
        assert text.count(said) == 1 or said.startswith("did you mean"), (said, text)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split_by": "time"}, "time_column is missing"),
        ({"split_by": "time", "time_column": "sine"}, "did you mean 'since'?"),
        ({"drop_columns": ["income"]}, "drop_columns: 'income' is the target"),
        ({"drop_columns": ["age", "sex", "hours", "since"]}, "no feature columns are left"),
        ({"slices": ["income"]}, "is the target, by which nothing can be sliced"),
        ({"delimiter": "ab"}, "give one ASCII character"),
        ({"estimator": "os.system"}, "is not admitted; use one of scikit-learn's"),
        (
            {"estimator": "sklearn.svm.SVC", "hyperparameters": {"kernl": 1}},
            "did you mean 'kernel'?",
        ),
        ({"estimator": "sklearn.svm.SVC", "hyperparameters": {"C": -1}}, "'C' parameter of SVC"),
        (
            {
                "estimator": "sklearn.ensemble.AdaBoostClassifier",
                "hyperparameters": {
                    "estimator": {
                        "$estimator": "sklearn.tree.DecisionTreeClassifier",
                        "hyperparameters": {"max_depth": "deep"},
                    }
                },
            },
            "estimator: max_depth: 'deep' is not one of its allowed values",
        ),
        (
            {
                "estimator": "sklearn.ensemble.BaggingClassifier",
                "hyperparameters": {"max_samples": 1.0},
            },
            "max_samples: 1 and 1.0 have different meanings in scikit-learn",
        ),
        (
            {
                "candidates": [
                    {
                        "estimator": "sklearn.ensemble.ExtraTreesClassifier",
                        "hyperparameters": {"max_features": 1},
                    }
                ]
            },
            "candidate 1: max_features: 1 and 1.0 have different meanings",
        ),
        ({"hyperparameters": {"max_iter": 0}}, "'max_iter' parameter of HistGradientBoosting"),
        ({"reference": "sha256:" + "0" * 64}, "sha256:0000"),
        ({"policy": "polcy.yaml"}, "policy: no file polcy.yaml"),
        ({"policy": "{}"}, "policy"),
        ({"suite": "{}"}, "assay suite draft"),
        ({"checks": "checks: []"}, "checks"),
        ({"monitoring": "detectors: []"}, "monitoring line 1, column 1: no 'format'"),
        (
            {"monitoring": MONITORING.replace("[age]", "[aeg, income]")},
            (
                "monitoring: detector 'ages': no column 'aeg'; did you mean 'age'?; "
                "monitoring: detector 'ages': no column 'income'"
            ),
        ),
        ({"policy": "https://user:pass@host/p.yaml"}, "leave user and password out"),
        ({"policy": "ftp://host/p.yaml"}, "not a location that can be read"),
    ],
)
def test_each_mistake_has_its_line(
    folder_store: Store, plan: dict[str, Any], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(AssayError) as raised:
        run(folder_store, tmp_path, {**plan, **changes})
    assert said in str(raised.value)
    assert raised.value.exit_code in {2, 7}


@pytest.mark.parametrize(
    ("rule", "changes", "said"),
    [
        ("safety_violations == 0", {}, "no behavioural checks are given"),
        ("safety_violations == 0", {"checks": CHECKS}, ""),
        ('safety_violations{check="other"} == 0', {"checks": CHECKS}, "there is no check 'other'"),
        ("failed_expectations == 0", {}, "no suite is given"),
        ("failed_expectations == 0", {"suite": SUITE}, ""),
        ("drifted_columns_share < 0.3", {}, "no dataset to look for drift against"),
        ('accuracy{sex="F"} > 0.8', {}, "quality is not sliced by sex; add it to 'slices' (none)"),
        ('accuracy{sex="F"} > 0.8', {"slices": ["sex"]}, ""),
        ('recall{sex="F",hours="40"} > 0.8', {"slices": ["sex", "hours"]}, "by hours&sex"),
        ('recall{sex="F",hours="40"} > 0.8', {"slices": ["hours&sex"]}, ""),
        ('accuracy{"marital-status"="x"} > 0.8', {"slices": ["sex"]}, "sliced by marital-status"),
        ('accuracy_gap{column="sex"} < 0.1', {"slices": ["age"]}, "not sliced by sex"),
        ('accuracy_gap{column="sex&age"} < 0.1', {"slices": ["age&sex"]}, "not sliced by sex&age"),
        ('accuracy_gap{column="sex"} < 0.1', {"slices": ["sex"]}, ""),
        ("monitoring_plan_complete == 1", {}, "no monitoring plan is given"),
        ("monitoring_plan_complete == 1", {"monitoring": MONITORING}, ""),
        ('time_to_detect_rows_p95{fault="unit_change"} < 9', {}, "no monitoring plan is given"),
        ("profit > 0", {}, ""),
    ],
)
def test_rules_that_could_only_fail_are_told(
    folder_store: Store,
    plan: dict[str, Any],
    tmp_path: Path,
    rule: str,
    changes: dict[str, Any],
    said: str,
) -> None:
    given = {**plan, **changes, "policy": f"gates:\n  - metric: {rule}\n"}
    if said:
        assert said in "; ".join(refused(folder_store, tmp_path, given))
        # One that may be skipped may be right.
        given["policy"] += "    when: production_exists == 1\n"
    run(folder_store, tmp_path / "again", given)


def test_modules_that_the_policy_admits(
    folder_store: Store,
    plan: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An inline policy of the run's user admits nothing that the platform does not."""
    given = {
        **plan,
        "policy": f"{POLICY}allowed_modules: [http]\n",
        "estimator": "http.server.HTTPServer",
    }
    told = "; ".join(refused(folder_store, tmp_path, given))
    assert "policy: allowed_modules: 'http' is not admitted on this platform" in told
    monkeypatch.setenv("ASSAY_ALLOWED_CLASSES", "http.server.HTTPServer")
    told = "; ".join(refused(folder_store, tmp_path / "again", given))
    # Admitted, and then found not to be an estimator.
    assert "'http.server.HTTPServer' is not an estimator" in told


def test_an_artifact_of_another_kind_is_refused(
    folder_store: Store, plan: dict[str, Any], tmp_path: Path
) -> None:
    suite = document(folder_store, tmp_path / "s", Suite, "suite.json", SUITE)
    wrong = document(folder_store, tmp_path / "w", Policy, "other.yaml", POLICY)
    text = "; ".join(refused(folder_store, tmp_path, {**plan, "policy": suite}))
    assert "is of type application/vnd.assay.suite.v1" in text
    text = "; ".join(refused(folder_store, tmp_path / "2", {**plan, "policy": wrong}))
    assert "holds no policy.yaml" in text
    text = "; ".join(refused(folder_store, tmp_path / "3", {**plan, "data": suite}))
    assert "not a dataset" in text


def test_what_is_no_document_of_any_size_is_refused(
    folder_store: Store, plan: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(b"x" * ((4 << 20) + 1))
    text = "; ".join(refused(folder_store, tmp_path, {**plan, "policy": str(tmp_path / "big")}))
    assert "is larger than" in text


def test_a_service_alone_at_fault_gives_its_own_exit_code(
    folder_store: Store, plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}")
    with pytest.raises(ServiceError):
        run(folder_store, tmp_path, plan)
    with pytest.raises(NotFoundError):
        run(folder_store, tmp_path / "2", {**plan, "data": "sha256:" + "0" * 64})

    class Down(type(folder_store)):  # type: ignore[misc]
        def put_bytes(self, *_: object) -> None:
            raise StoreUnavailableError("the store does not answer")

    down = Down(tmp_path / "down")
    with pytest.raises(StoreUnavailableError, match=r"does not answer; MLflow:|MLflow"):
        run(down, tmp_path / "3", plan)
    # With a mistake of the user's besides, it is the user's error.
    with pytest.raises(UsageError, match="does not answer"):
        run(down, tmp_path / "4", {**plan, "target": "x"})


# Headers.


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server for `tmp_path/web` that gives parts of files, but under /whole/."""
    root = tmp_path / "web"
    root.mkdir()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = root / self.path.removeprefix("/whole").lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content, status = path.read_bytes(), 200
            wanted = self.headers.get("Range", "")
            if wanted.startswith("bytes=-") and not self.path.startswith("/whole"):
                content, status = content[-int(wanted.removeprefix("bytes=-")) :], 206
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            # Who only wanted the beginning may have gone.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def parquet(path: Path) -> Path:
    pq.write_table(pa.table({"age": [1], "ort": ["a"], "income": ["no"]}), path)
    return path


def test_headers_of_every_kind(folder_store: Store, tmp_path: Path, web: str) -> None:
    names = ["age", "ort", "income"]
    (tmp_path / "web" / "a.csv").write_text("age;ort;income\n1;a;no\n")
    (tmp_path / "web" / "a.csv.gz").write_bytes(gzip.compress(b"age,ort,income\n1,a,no\n"))
    parquet(tmp_path / "web" / "a.parquet")
    for name in ("a.csv", "a.csv.gz", "a.parquet"):
        for place in (str(tmp_path / "web" / name), f"{web}/{name}"):
            assert header.column_names(place, Options(), folder_store) == names, place
    # A server that gives no parts would have to send the whole file.
    assert header.column_names(f"{web}/whole/a.parquet", Options(), folder_store) == []
    assert header.column_names(f"{web}/whole/a.csv", Options(), folder_store) == names


@pytest.mark.minio
def test_the_end_of_a_parquet_file_in_s3(
    minio_url: str, folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.core.store.client import client_for

    monkeypatch.setenv("AWS_ENDPOINT_URL", minio_url.partition("endpoint=")[2])

    client = client_for(minio_url)
    path = parquet(tmp_path / "a.parquet")
    client.fput_object("assay-tests", "preflight/a.parquet", str(path))
    endpoint = minio_url.partition("?")[2]
    uri = f"s3://assay-tests/preflight/a.parquet?{endpoint}"
    assert header.column_names(uri, Options(), folder_store) == ["age", "ort", "income"]


def test_a_header_longer_than_the_sample(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_MAX_COLUMNS", "50000")
    names = [f"column_{number:06d}" for number in range(40_000)]
    path = tmp_path / "wide.csv"
    path.write_text(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
    assert header.column_names(str(path), Options(), folder_store) == names


def test_a_dataset_in_the_store_is_asked_for_its_schema(
    folder_store: Store, plan: dict[str, Any], adult: Dataset, tmp_path: Path
) -> None:
    manifest: Manifest = put_tree(folder_store, adult.path, Dataset.type, {})
    run(
        folder_store,
        tmp_path,
        {**plan, "data": manifest.digest, "reference": manifest.digest, "slices": ["sex"]},
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "is empty"),
        ("names.csv", b"a,a,\n1,2,3\n", "column 'a' occurs 2 times"),
        ("cut.parquet", b"PAR1" + b"x" * 100, "a damaged Parquet file"),
        ("footer.parquet", b"PAR1" + b"x" * 90 + b"\x10\0\0\0PAR1", "a damaged Parquet file"),
        ("huge.parquet", b"PAR1" + b"\xff\xff\xff\xffPAR1", "a damaged Parquet file"),
        ("cut.csv.gz", b"\x1f\x8bnonsense", "a damaged gzip file"),
    ],
)
def test_what_is_no_table_is_told(
    folder_store: Store, plan: dict[str, Any], tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as raised:
        run(folder_store, tmp_path, {**plan, "data": str(tmp_path / name)})
    assert name in str(raised.value) or "gzip" in said


def test_a_large_source_costs_no_more(
    folder_store: Store, plan: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as stream:
        stream.write(b"age,sex,hours,since,income\n39,M,40,2024-05-01,no\n")
        stream.truncate(100 << 30)  # 100 GiB, of which the disk holds one page
    run(folder_store, tmp_path, plan)
    started = time.monotonic()
    run(folder_store, tmp_path / "large", {**plan, "data": str(path)})
    assert time.monotonic() - started < 5


def test_a_store_in_another_place(plan: dict[str, Any], tmp_path: Path) -> None:
    store = open_store((tmp_path / "fresh").as_uri())
    run(store, tmp_path, plan)
    assert store.get_bytes(of_bytes(b"assay preflight"), 100) == b"assay preflight"


SVM = "sklearn.svm.LinearSVC"


class TestWhatTheEstimatorNeverGives:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"policy": "gates:\n  - metric: roc_auc > 0.9\n"}, "policy line 2: roc_auc > 0.9"),
            ({"policy": "gates:\n  - metric: brier_score_gap < 0.1\n"}, "brier_score needs them"),
            ({"primary_metric": "log_loss"}, "primary_metric log_loss"),
            (
                {"policy": "primary_metric: roc_auc\ngates:\n  - metric: accuracy > 0.1\n"},
                "policy: primary_metric roc_auc",
            ),
            (
                {
                    "policy": POLICY,
                    "checks": "checks:\n  - {name: older, kind: direction, column: age, "
                    "delta: 1, expect: not_decrease}\n",
                },
                "'older' looks at the direction of a probability",
            ),
        ],
    )
    def test_a_probability_of_a_machine_that_has_none_is_not_asked_for_after_the_fit(
        self,
        folder_store: Store,
        plan: dict[str, Any],
        tmp_path: Path,
        changes: dict[str, Any],
        said: str,
    ) -> None:
        told = "; ".join(refused(folder_store, tmp_path, {**plan, "estimator": SVM, **changes}))
        assert said in told
        assert "LinearSVC" in told

    @pytest.mark.parametrize(
        "estimator",
        [
            {"estimator": "sklearn.linear_model.LogisticRegression"},
            {"estimator": "auto"},
            {"estimator": "sklearn.svm.SVC", "hyperparameters": {"probability": True}},
            {
                "estimator": "sklearn.ensemble.StackingClassifier",
                "hyperparameters": {
                    "estimators": [
                        ["a", {"$estimator": "sklearn.linear_model.LogisticRegression"}],
                        ["b", {"$estimator": SVM}],
                    ]
                },
            },
            {
                "estimator": "sklearn.calibration.CalibratedClassifierCV",
                "hyperparameters": {"estimator": {"$estimator": SVM}},
            },
        ],
    )
    def test_one_that_gives_them_is_not_refused(
        self, folder_store: Store, plan: dict[str, Any], tmp_path: Path, estimator: dict[str, Any]
    ) -> None:
        run(folder_store, tmp_path, {**plan, **estimator, "primary_metric": "roc_auc"})

    def test_a_metric_of_numbers_and_a_classifier(
        self, folder_store: Store, plan: dict[str, Any], tmp_path: Path
    ) -> None:
        asked = {**plan, "estimator": SVM, "primary_metric": "r2"}
        told = refused(folder_store, tmp_path, asked)
        assert "r2 is a metric of numbers" in told[0]

    def test_the_candidate_of_a_sweep_is_named(
        self, folder_store: Store, plan: dict[str, Any], tmp_path: Path
    ) -> None:
        several = [{"estimator": "auto"}, {"estimator": SVM}]
        asked = {**plan, "candidates": several, "primary_metric": "roc_auc"}
        (first, *_) = refused(folder_store, tmp_path, asked)
        assert "candidate 2, LinearSVC gives no probabilities" in first


class TestTheLevelOfARule:
    RULES = (
        "confidence: 0.9\ngates:\n  - metric: accuracy > 0.5\n"
        "  - {metric: regression_delta < 0.01, when: production_exists == 1}\n"
        "  - {metric: recall > 0.5, confidence: 0.99}\n"
    )

    def test_that_the_run_does_not_measure_is_told_before_it(
        self, folder_store: Store, plan: dict[str, Any], tmp_path: Path
    ) -> None:
        told = refused(folder_store, tmp_path, {**plan, "policy": self.RULES})
        assert [line for line in told if line.startswith("policy line")] == [
            f"policy line {line}: {rule} is judged at confidence {level}, and the run's intervals "
            "are at 0.95"
            for line, rule, level in (
                (4, "regression_delta < 0.01", 0.9),
                (5, "recall > 0.5", 0.99),
            )
        ]

    def test_that_it_measures_passes(
        self, folder_store: Store, plan: dict[str, Any], tmp_path: Path
    ) -> None:
        policy = self.RULES.replace("0.99", "0.9")
        run(folder_store, tmp_path, {**plan, "policy": policy, "confidence": 0.9})


def test_the_time_column_is_said_to_be_left_out(
    folder_store: Store, plan: dict[str, Any], tmp_path: Path
) -> None:
    outs = run(folder_store, tmp_path, {**plan, "split_by": "time", "time_column": "since"})
    assert "since: left out of the features" in (outs["record"] / "summary.md").read_text()
