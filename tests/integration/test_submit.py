"""assay submit and compile --upload against KFP's protocol, through KFP's own client."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from kfp_server_api import V2beta1RuntimeState
from rich.console import Console

from assay import __version__
from assay.cli import main, submit
from assay.cli.catalog import pipeline
from assay.cli.compile import compile_one
from assay.cli.run_arguments import as_digests
from assay.cluster.client import Endpoint, Kfp, KfpUnavailableError
from assay.cluster.follow import follow
from assay.cluster.runs import INTERMEDIATE, TERMINAL, Task
from assay.core.digest import is_digest
from assay.core.step import Checks, MonitoringPlan, Policy, Suite
from assay.core.store import Store, open_store
from assay.core.tree import get_manifest, read_file
from assay.runtime import runs
from assay.runtime.compiled import uncached
from assay.runtime.images import read_images

from simulators.kfp_api import KfpApi, Pod, look, seen, serving, task
from simulators.kfp_runs import DIGEST, RECORDED, RED, UNMOUNTED, Recorded, a_record

ROOT = Path(__file__).resolve().parents[2]
RUN = ["submit", "train-and-register", "--dev", "--poll", "0.01"]
SENT = {"data": "d.csv", "target": "y", "model_name": "churn"}
PARAMETERS = [word for name, value in SENT.items() for word in ("-p", f"{name}={value}")]
BASE = "/apis/v2beta1"
KIND = str(ROOT / "manifests/profiles/kind.yaml")


@pytest.fixture(autouse=True)
def _no_kfp_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("KFP_", "KF_PIPELINES_")):
            monkeypatch.delenv(name)


@pytest.fixture
def api() -> KfpApi:
    return KfpApi()


@pytest.fixture
def url(api: KfpApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(api) as url:
        monkeypatch.setenv("KFP_ENDPOINT", url)
        yield url


@pytest.fixture
def assay(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Calls the command; exit code, output, errors."""

    def call(*words: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(list(words))
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return call


Assay = Callable[..., tuple[int, str, str]]


# The way of a run.


def test_a_run_is_uploaded_started_and_followed(api: KfpApi, url: str, assay: Assay) -> None:
    api.script = [
        look("PENDING"),
        look("RUNNING", task("train", "RUNNING"), task("train-driver"), task("root")),
        look("SUCCEEDED", task("train"), task("register"), task("executor")),
    ]
    code, out, err = assay(*RUN, *PARAMETERS)
    assert code == 0
    (run,) = api.runs.values()
    link = f"run: {url}/#/runs/details/{run['run_id']}"
    assert out.splitlines() == [
        link,
        "train\tsucceeded\t7.0 s",
        "register\tsucceeded\t7.0 s",
        "PASSED",
        link,
    ]
    (version,) = api.versions.values()
    assert re.fullmatch(rf"{re.escape(__version__)} · [0-9a-f]{{8}}", version["display_name"])
    assert f"version {version['display_name']}: uploaded" in err


def test_every_parameter_is_sent(api: KfpApi, url: str, assay: Assay) -> None:
    """Clone and Compare in the UI know what was sent, and no default."""
    assert assay(*RUN, *PARAMETERS)[0] == 0
    (run,) = api.runs.values()
    (version,) = api.versions.values()
    declared = version["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    parameters = run["runtime_config"]["parameters"]
    assert set(parameters) == set(declared)
    assert parameters | {"data": "d.csv", "target": "y", "model_name": "churn"} == parameters
    assert parameters["estimator"] == "auto"


def test_the_same_content_is_uploaded_once(api: KfpApi, url: str, assay: Assay) -> None:
    assert assay(*RUN, *PARAMETERS)[0] == 0
    code, _, err = assay(*RUN, *PARAMETERS)
    assert code == 0
    assert "unchanged" in err
    assert (len(api.pipelines), len(api.versions), len(api.runs)) == (1, 1, 2)
    assert assay(*RUN, *PARAMETERS, "--profile", KIND)[0] == 0
    assert len(api.versions) == 2, "other content, other version"


def test_two_that_upload_the_same_at_once(
    api: KfpApi, url: str, assay: Assay, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert assay(*RUN, *PARAMETERS)[0] == 0
    asked = Kfp._version
    blind_once = iter([True])
    monkeypatch.setattr(
        Kfp,
        "_version",
        lambda self, *names: None if next(blind_once, False) else asked(self, *names),
    )
    first = Kfp._find_pipeline
    blind = iter([True])
    monkeypatch.setattr(
        Kfp, "_find_pipeline", lambda self, name: "" if next(blind, False) else first(self, name)
    )
    assert assay(*RUN, *PARAMETERS)[0] == 0
    assert (len(api.pipelines), len(api.versions)) == (1, 1)


def test_compile_uploads_too(api: KfpApi, url: str, assay: Assay, tmp_path: Path) -> None:
    words = ("compile", "--dev", "--upload", "-o", str(tmp_path))
    profile = str(ROOT / "manifests/profiles/production.yaml")
    assert assay(*words, "--profile", profile)[0] == 0
    assert assay(*words, "--profile", profile)[0] == 0
    version = next(
        item
        for item in api.versions.values()
        if item["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "train-and-register"
    )
    assert "kubernetes" in version["pipeline_spec"]["platform_spec"]["platforms"]
    assert len(api.versions) == len(api.pipelines)
    assert not api.runs


def test_options_of_a_run(api: KfpApi, url: str, assay: Assay, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("data: a.csv\ntarget: y\nmodel_name: m\nseed: 3\n")
    options = ["--service-account", "runner", "--name", "nightly", "--experiment", "churn"]
    options += ["--pipeline-root", "s3://kfp/root", "--params", str(tmp_path / "run.yaml")]
    assert assay(*RUN, *options, "-p", "slices=[sex]", "--no-wait", "--json")[0] == 0
    (run,) = api.runs.values()
    assert run["service_account"] == "runner"
    assert run["display_name"] == "nightly"
    assert run["runtime_config"]["pipeline_root"] == "s3://kfp/root"
    assert run["runtime_config"]["parameters"]["options"]["seed"] == 3
    assert run["runtime_config"]["parameters"]["options"]["slices"] == ["sex"]
    assert [item["display_name"] for item in api.experiments.values()] == ["churn"]
    assert not any(request.startswith(f"GET {BASE}/runs/") for request in api.seen)


@pytest.mark.parametrize(
    ("words", "trigger"),
    [
        (["--cron", "0 3 * * 1"], {"cron_schedule": {"cron": "0 0 3 * * 1"}}),
        (["--cron", "30 0 3 * * 1"], {"cron_schedule": {"cron": "30 0 3 * * 1"}}),
        (["--every", "6h"], {"periodic_schedule": {"interval_second": "21600"}}),
    ],
)
def test_a_recurring_run(
    api: KfpApi, url: str, assay: Assay, words: list[str], trigger: dict[str, Any]
) -> None:
    code, out, _ = assay(*RUN, *PARAMETERS, *words)
    assert code == 0
    (recurring,) = api.recurring.values()
    found = json.loads(json.dumps(recurring["trigger"]))
    if "periodic_schedule" in found:
        found["periodic_schedule"]["interval_second"] = str(
            found["periodic_schedule"]["interval_second"]
        )
    assert found == trigger
    assert recurring["mode"] == "ENABLE"
    assert recurring["no_catchup"] is True
    assert f"#/recurringrun/details/{recurring['recurring_run_id']}" in out
    assert not api.runs
    code, _, err = assay(*RUN, *PARAMETERS, *words)
    assert code == 2, "a second one would run everything twice"
    assert "the recurring run 'churn · d · auto' exists" in err
    assert len(api.recurring) == 1


def test_a_recurring_run_that_makes_up_for_what_it_missed(
    api: KfpApi, url: str, assay: Assay
) -> None:
    words = ["--every", "1h", "--catch-up", "--max-concurrency", "3"]
    assert assay(*RUN, *PARAMETERS, *words)[0] == 0
    (recurring,) = api.recurring.values()
    assert recurring["no_catchup"] is False
    assert int(recurring["max_concurrency"]) == 3


# What stands in KFP's lists.


def test_a_pipeline_says_what_it_is(api: KfpApi, url: str, assay: Assay) -> None:
    assert assay(*RUN, *PARAMETERS)[0] == 0
    (pipeline,) = api.pipelines.values()
    (version,) = api.versions.values()
    for text in (pipeline["description"], version["description"]):
        assert text.startswith("Snapshot, ")
        for name in ("data", "target", "model_name"):
            assert f"\n\n**{name}**: " in text
        assert "**policy**" not in text, "not required"
        assert "\n\nIf a run fails: " in text
    assert re.search(r"content `sha256:[0-9a-f]{64}`", version["description"])
    pipeline["description"] = "ours"
    assert assay(*RUN, *PARAMETERS, "--profile", KIND)[0] == 0
    assert pipeline["description"] == "ours", "what somebody wrote stays"


def test_two_versions_whose_digests_begin_alike(api: KfpApi, url: str, assay: Assay) -> None:
    assert assay(*RUN, *PARAMETERS)[0] == 0
    (version,) = api.versions.values()
    version["description"] = "content `sha256:" + "0" * 64 + "`"
    for output in ("uploaded", "unchanged"):
        code, _, err = assay(*RUN, *PARAMETERS)
        assert (code, output in err) == (0, True)
    first, second = (item["display_name"] for item in api.versions.values())
    assert second.startswith(first)
    assert len(second) == len(first) + 8


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (
            ["-p", "data=s3://b/x/adult-train.csv.gz?endpoint=https://h"],
            "churn · adult-train · auto",
        ),
        (["-p", "data=" + DIGEST], "churn · 555555555555 · auto"),
        (
            ["-p", "estimator=sklearn.ensemble.HistGradientBoostingClassifier"],
            "churn · d · HistGradientBoosting",
        ),
        (["-p", "model_name=a\x1b[31m/b c"], "a-31m-b-c · d · auto"),
        (["-p", f"model_name={'m' * 500}"], f"{'m' * 40} · d · auto"),
    ],
)
def test_a_runs_name_tells_something(
    api: KfpApi, url: str, assay: Assay, words: list[str], name: str
) -> None:
    given = {name for word in words for name in SENT if word.startswith(f"{name}=")}
    others = [w for n, v in SENT.items() if n not in given for w in ("-p", f"{n}={v}")]
    assert assay(*RUN, *others, *words, "--no-wait")[0] == 0
    (run,) = api.runs.values()
    assert run["display_name"] == name


def test_a_run_without_a_model_has_the_pipelines_name(api: KfpApi, url: str, assay: Assay) -> None:
    assert assay("submit", "doctor", "--dev", "--no-wait")[0] == 0
    (run,) = api.runs.values()
    assert re.fullmatch(r"doctor-[0-9a-f]{8}", run["display_name"])


# Without KFP's cache.


@pytest.mark.parametrize("profile", [[], ["--profile", KIND]])
def test_a_run_that_wants_nothing_from_the_cache(
    api: KfpApi, url: str, assay: Assay, profile: list[str]
) -> None:
    """KFP's own switch reaches only the root's tasks, and none of a version that was uploaded."""
    assert assay(*RUN, *PARAMETERS, *profile)[0] == 0
    assert assay(*RUN, *PARAMETERS, *profile, "--no-cache")[0] == 0
    cached, anew = api.runs.values()
    assert len(api.versions) == 1, "the version that the UI offers first stays the cached one"
    assert anew["runtime_config"] == cached["runtime_config"]
    (version,) = api.versions.values()
    wanted = [item["enableCache"] for item in caching(version["pipeline_spec"]) if item]
    assert any(wanted)
    assert not any(item.get("enableCache") for item in caching(anew["pipeline_spec"]))
    assert ("platform_spec" in anew["pipeline_spec"]) == bool(profile)
    assert assay(*RUN, *PARAMETERS, *profile, "--no-cache", "--every", "1h")[0] == 0
    (recurring,) = api.recurring.values()
    assert recurring["pipeline_spec"] == anew["pipeline_spec"]


def caching(spec: dict[str, Any]) -> list[dict[str, Any]]:
    spec = spec.get("pipeline_spec", spec)
    dags = [item["dag"] for item in [spec["root"], *spec["components"].values()] if "dag" in item]
    return [task.get("cachingOptions", {}) for dag in dags for task in dag["tasks"].values()]


# Documents.


POLICY = "gates:\n- metric: accuracy > 0.8\n"


def test_documents_travel_as_the_digests_that_preflight_gives_them(
    api: KfpApi, url: str, assay: Assay, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "suite.json").write_text('{"name": "s", "expectations": []}')
    words = ["-p", f"policy={POLICY}", "-p", f"suite={tmp_path}/suite.json"]
    code, _, err = assay(*RUN, *PARAMETERS, *words)
    assert code == 0
    assert err.count(": stored as sha256:") == 2
    assert assay(*RUN, *PARAMETERS, "-p", "policy=s3://b/policy.yaml?endpoint=https://h")[0] == 0
    first, second = (run["runtime_config"]["parameters"] for run in api.runs.values())
    for name, kind, file in [
        ("policy", Policy, "policy.yaml"),
        ("suite", Suite, "suite.json"),
    ]:
        manifest = get_manifest(store, first[name])
        assert manifest.artifact_type == kind.type
        assert [entry.path for entry in manifest.files] == [file]
        assert not manifest.annotations
    assert read_file(store, get_manifest(store, first["policy"]), "policy.yaml", 99) == (
        POLICY.encode()
    )
    assert second["policy"].startswith("s3://"), "the cluster reads it when the run does"
    words = ["-p", f"policy={first['policy'][:20]}"]
    assert assay(*RUN, *PARAMETERS, *words)[0] == 0
    assert list(api.runs.values())[-1]["runtime_config"]["parameters"]["policy"] == first["policy"]


def test_documents_among_the_options_travel_so_too(store: Store) -> None:
    given = {
        "data": "d",
        "options": {"checks": "checks: []\n", "monitoring": {"format": 1}, "n": 3},
    }
    found = as_digests(given, store)["options"]
    assert get_manifest(store, found["checks"]).artifact_type == Checks.type
    assert get_manifest(store, found["monitoring"]).artifact_type == MonitoringPlan.type
    assert found["n"] == 3
    assert as_digests(found, store) == found, "a digest stays"
    assert given["options"]["checks"] == "checks: []\n", "the caller's own stays as it was"


def test_documents_without_a_store(
    api: KfpApi, url: str, assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_STORE", raising=False)
    assert assay(*RUN, *PARAMETERS, "-p", f"policy={POLICY}", "--no-wait")[0] == 0
    (run,) = api.runs.values()
    assert run["runtime_config"]["parameters"]["policy"] == POLICY
    (tmp_path / "policy.yaml").write_text(POLICY)
    long = POLICY + "#" * (16 << 10)
    words = ["-p", f"policy={tmp_path}/policy.yaml", "-p", f"suite={{{long}}}"]
    code, _, err = assay(*RUN, *PARAMETERS, *words)
    assert code == 2
    assert len(api.runs) == 1
    path = tmp_path / "policy.yaml"
    assert f"policy: the cluster cannot read the local file {path}; set ASSAY_STORE" in err
    assert "suite: a text of 16,4" in err
    assert len(err.splitlines()) == 1


# How a run ends.


def test_every_state_of_the_api_is_known() -> None:
    assert set(V2beta1RuntimeState.allowable_values) == TERMINAL | INTERMEDIATE
    assert not TERMINAL & INTERMEDIATE


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The cluster's store, which this machine sees too."""
    monkeypatch.setenv("ASSAY_STORE", f"file://{tmp_path}/store")
    return open_store(f"file://{tmp_path}/store")


@functools.cache
def compiled() -> dict[str, Any]:
    return uncached(
        compile_one(pipeline("train-and-register"), read_images(None, development=True))
    )


@pytest.fixture
def followed(api: KfpApi, url: str, assay: Assay) -> Assay:
    """Follows a run that somebody else started, and asks at once what its pods wait for."""

    def call(*words: str) -> tuple[int, str, str]:
        kfp = Kfp(Endpoint(url))
        run_id = kfp.start("r", kfp.experiment("e"), compiled(), SENT)
        return assay("submit", "--follow", run_id, "--poll", "0.01", "--still", "0", *words)

    return call


def said(out: str) -> str:
    """What is said of the end, between the tasks and the link."""
    lines = [line.rstrip() for line in out.splitlines() if not line.startswith("run: ")]
    return "\n".join(line for line in lines if "\t" not in line)


def recording(store: Store, recorded: Recorded) -> Callable[[dict[str, Any], Any], None]:
    """A run that writes its records and then is as it was recorded."""

    def work(run: dict[str, Any], _spec: Any) -> None:
        for one in recorded.tasks:
            runs.write_task(store, run["run_id"], one)
        if recorded.record is not None:
            runs.write_outcome(store, replace(recorded.record, run=run["run_id"]))
        run["looks"] = list(recorded.looks)

    return work


@pytest.mark.parametrize("name", RECORDED)
def test_an_end_is_reported_from_kfp_alone(api: KfpApi, followed: Assay, name: str) -> None:
    recorded = RECORDED[name]
    api.script = list(recorded.looks)
    code, out, _ = followed()
    assert (code, said(out)) == (recorded.code, recorded.line)
    assert recorded.waits in out.splitlines() or not recorded.waits
    assert len(out.splitlines()) == len(set(out.splitlines())) + 1, "nothing but the link twice"
    api.script = list(recorded.looks)
    code, out, _ = followed("--json")
    found = json.loads(out)
    assert (code, found["exitCode"], found["reasonFrom"]) == (code, code, recorded.from_kfp)
    assert found["state"] == recorded.looks[-1]["state"]


@pytest.mark.parametrize("name", RECORDED)
def test_an_end_is_reported_from_its_record(
    api: KfpApi, followed: Assay, store: Store, name: str
) -> None:
    recorded = RECORDED[name]
    api.executor = recording(store, recorded)
    code, out, _ = followed("--json")
    found = json.loads(out)
    if recorded.record is not None:
        assert found["reasonFrom"] == recorded.recorded_from
        assert found["digests"] == {"model": DIGEST}
    elif recorded.tasks:
        assert (code, found["error"]) == (2, "train: no column 'y'")
        assert found["reasonFrom"] == "tasks"
        return
    code, out, _ = followed()
    assert (code, said(out)) == (recorded.code, recorded.recorded_line or recorded.line)


LIES = {
    "a red run that is said to have passed": (
        "blocked", a_record("passed", 0), 1,
        "FAILED KFP reports the run as failed, but its status in the store is passed",
    ),
    "a green run that is said to be blocked": (
        "green", a_record("blocked", 4, "recall fell"), 4,
        "BLOCKED KFP reports the run as succeeded, but its status in the store is blocked",
    ),
    "a red run whose exit code would be that of a pass": (
        "blocked", a_record("blocked", 0, "recall fell"), 4, "BLOCKED recall fell",
    ),
    "an exit code that the shell would cut to 0": (
        "killed",
        a_record("failed", 256, "killed"),
        1,
        "FAILED train: OOMKilled (exit code 137)",
    ),
    "a green run whose exit code is that of a failure": (
        "green", a_record("passed", 7), 7,
        "FAILED KFP reports the run as succeeded, but its status in the store is failed",
    ),
    "a canceled run that is said to have passed": (
        "canceled", a_record("passed", 0), 1, "CANCELED the run was canceled",
    ),
    "a reason that would move the cursor": (
        "blocked", a_record("blocked", 4, "a\x1b[2Jb\nc"), 4, "BLOCKED a\\x1b[2Jb c",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_record_makes_no_run_green(api: KfpApi, followed: Assay, store: Store, lie: str) -> None:
    """Anyone who may write to the store may write a record; KFP's state rules."""
    name, record, code, line = LIES[lie]
    api.executor = recording(store, replace(RECORDED[name], record=record))
    got, out, _ = followed()
    assert (got, said(out).splitlines()[0]) == (code, line)


def test_a_version_is_reported_as_the_records_word(
    api: KfpApi, followed: Assay, store: Store
) -> None:
    """It may be forged on a green run as well, where KFP's state does not contradict it."""
    forged = replace(a_record("passed", 0), model_name="m", version="99")
    api.executor = recording(store, replace(RECORDED["green"], record=forged))
    code, out, _ = followed()
    assert code == 0
    assert "registered, according to the run's status: m version 99" in out.splitlines()
    _, out, _ = followed("--json")
    found = json.loads(out)
    assert (found["registryVersion"], found["artifactsFrom"]) == ("99", "record")
    api.executor = recording(store, replace(RECORDED["green"], record=None))
    _, out, _ = followed("--json")
    assert json.loads(out)["artifactsFrom"] == "none"


def test_a_store_that_does_not_answer_costs_the_reason_and_nothing_else(
    api: KfpApi, followed: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.script = list(RECORDED["blocked"].looks)
    (tmp_path / "store").write_text("a file where the folder should be")
    monkeypatch.setenv("ASSAY_STORE", f"file://{tmp_path}/store")
    code, out, err = followed()
    assert (code, said(out)) == (4, RECORDED["blocked"].line)
    assert "the status of the run cannot be read from the store: " in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("end", "code", "verdict", "error"),
    [
        (look("SUCCEEDED", task("register")), 0, "passed", ""),
        (look("SKIPPED"), 1, "skipped", "nothing ran"),
        (look("CANCELED", task("train", "CANCELED")), 1, "canceled", "was canceled"),
        # Other versions of KFP may say why.
        (look("FAILED", task("gate", "FAILED", f"{RED}blocked: too bad")), 4, "blocked", "too bad"),
        (look("FAILED", task("train", "FAILED", "gone")), 1, "failed", "train: gone"),
        (look("FAILED", task("train", "FAILED")), 1, "failed", "train: KFP gave no reason"),
        (look("FAILED", error="pipeline root: denied"), 1, "failed", "pipeline root: denied"),
        (look("FAILED"), 1, "failed", "KFP gave no reason"),
    ],
)
def test_each_state_has_its_exit_code(
    api: KfpApi, followed: Assay, end: Any, code: int, verdict: str, error: str
) -> None:
    between = sorted(INTERMEDIATE - {"CANCELING"})
    api.script = [*(look(state) for state in between), look("A_STATE_OF_TOMORROW"), end]
    got, out, _ = followed("--json")
    found = json.loads(out)
    assert (got, found["exitCode"], found["verdict"]) == (code, code, verdict)
    assert error in found["error"]
    assert found["state"] == end["state"]


def test_pods_are_looked_at_only_when_nothing_goes_on(api: KfpApi, followed: Assay) -> None:
    """A workflow is large, and most of the time says what KFP says anyway."""
    waits = seen("RUNNING", Pod("train", "Pending", UNMOUNTED))
    api.script = [waits] * 30 + [seen("SUCCEEDED", Pod("train"))]
    assert followed("--still", "600")[0] == 0
    asked = "GET /apis/v1beta1/runs/"
    assert not any(request.startswith(asked) for request in api.seen)
    code, out, _ = followed()
    assert code == 0
    assert out.count("CreateContainerConfigError") == 1, "told once, not at each look"
    assert any(request.startswith(asked) for request in api.seen)


def test_a_terminal_shows_what_tasks_wait_for_and_why_they_failed() -> None:
    display = submit._Display()
    output = StringIO()
    console = Console(file=output, width=120, force_terminal=True, color_system=None)
    console.print(display)
    display.update(
        "RUNNING",
        (
            Task("split-data", "SUCCEEDED", 7.0, ""),
            Task("train", "RUNNING", None, "", UNMOUNTED),
            Task("gate", "FAILED", 7.0, "blocked: [red]recall fell"),
        ),
    )
    console.print(display)
    lines = output.getvalue().splitlines()
    assert "waiting for the first task" in lines[0]
    assert "✓" in lines[1]
    assert lines[2].rstrip().endswith(UNMOUNTED)
    assert lines[3].rstrip().endswith("blocked: [red]recall fell"), "text of others is no markup"


def test_an_installation_without_the_older_protocol(api: KfpApi, followed: Assay) -> None:
    api.script = list(RECORDED["blocked"].looks)
    api.faults.only = "GET /apis/v1beta1/runs/"
    api.faults.answers = [404] * 100
    code, out, _ = followed()
    assert code == 1
    assert "FAILED gate: KFP gave no reason; see the log of the failed task" in out


def test_a_run_is_followed_later(api: KfpApi, url: str, assay: Assay) -> None:
    _, out, _ = assay(*RUN, *PARAMETERS, "--no-wait", "--json")
    run_id = json.loads(out)["run"]
    api.runs[run_id]["looks"] = [RECORDED["blocked"].looks[-1]]
    code, out, _ = assay("submit", "--follow", run_id, "--poll", "0.01")
    assert code == 4
    assert "BLOCKED" in out


def test_a_run_is_stopped(api: KfpApi, url: str, assay: Assay) -> None:
    api.script = [look("RUNNING")]
    _, out, _ = assay(*RUN, *PARAMETERS, "--no-wait", "--json")
    run_id = json.loads(out)["run"]
    assert assay("submit", "--cancel", run_id)[0] == 0
    code, out, _ = assay("submit", "--follow", run_id, "--poll", "0.01")
    assert code == 1
    assert "CANCELED" in out


HEEDS_CTRL_C = """
import signal
from assay import __version__
from assay.runtime import runs
from assay.cli import main, submit
# Whoever is started in the background ignores it, and so do those that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("cancel", [False, True])
def test_ctrl_c(api: KfpApi, url: str, cancel: bool) -> None:
    api.script = [look("RUNNING", task("train", "RUNNING"))]
    words = [*RUN, *PARAMETERS, *(["--cancel-on-interrupt"] if cancel else [])]
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDS_CTRL_C, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "KFP_ENDPOINT": url},
    )
    while sum(request.startswith(f"GET {BASE}/runs/") for request in list(api.seen)) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    (run,) = api.runs.values()
    assert "Traceback" not in err
    if cancel:
        assert process.returncode == 1
        assert "CANCELED" in out
    else:
        assert process.returncode == 130
        assert f"stop it with: assay submit --cancel {run['run_id']}" in err
        assert run["state"] == "RUNNING"


# What the network does.


@pytest.mark.parametrize("fault", [500, 502, 503, 504, 429, "drop"])
def test_a_fault_while_following_is_borne(
    api: KfpApi, url: str, assay: Assay, fault: int | str
) -> None:
    api.faults.only = f"GET {BASE}/runs/"
    api.faults.answers = [fault, fault]
    assert assay(*RUN, *PARAMETERS)[0] == 0
    assert len(api.runs) == 1


def test_an_api_that_goes_away_and_stays_away(api: KfpApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.script = [look("RUNNING")]
    with serving(api) as url:
        kfp = Kfp(Endpoint(url))
        run_id = start(kfp, api)
        missing = threading.Event()

        def leave(_state: str, _tasks: Any) -> None:
            api.faults.answers = ["drop"] * 1000
            missing.set()

        with pytest.raises(KfpUnavailableError) as error:
            follow(kfp, run_id, leave, poll_seconds=0.01, patience_seconds=0.2)
    assert missing.is_set()
    assert str(error.value).endswith(
        f"the run goes on; follow it with: assay submit --follow {run_id}"
    )


def start(kfp: Kfp, api: KfpApi) -> str:
    api.pipelines["p"] = {"pipeline_id": "p", "display_name": "p"}
    api.versions["v"] = {
        "pipeline_version_id": "v",
        "pipeline_id": "p",
        "display_name": "v",
        "pipeline_spec": {"root": {"dag": {"tasks": {}}}},
    }
    return kfp.start("r", kfp.experiment("e"), ("p", "v"), {})


def test_a_run_is_never_started_twice(api: KfpApi, url: str, assay: Assay) -> None:
    api.faults.only = f"POST {BASE}/runs"
    api.faults.answers = [503]
    code, _, err = assay(*RUN, *PARAMETERS)
    assert code == 8
    assert "check in the UI whether it exists" in err
    assert sum(request == f"POST {BASE}/runs" for request in api.seen) == 1


def test_nobody_there(assay: Assay) -> None:
    code, _, err = assay(*RUN, *PARAMETERS, "--endpoint", "http://127.0.0.1:9")
    assert code == 8
    assert "check --endpoint or KFP_ENDPOINT" in err
    assert len(err.splitlines()) == 1


def test_somebody_else_is_there(api: KfpApi, url: str, assay: Assay) -> None:
    api.faults.answers = ["page"]
    code, _, err = assay(*RUN, *PARAMETERS)
    assert code == 8
    assert "is this the address of the API?" in err


def test_a_slow_api_is_waited_for(api: KfpApi, url: str, assay: Assay) -> None:
    api.faults.only = f"GET {BASE}/runs/"
    api.faults.delay = 0.3
    assert assay(*RUN, *PARAMETERS)[0] == 0


def test_a_silent_api_is_given_up(
    api: KfpApi, url: str, assay: Assay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.cluster.client.READ_SECONDS", 0.2)
    api.faults.only = f"GET {BASE}/pipelines"
    api.faults.delay = 1.5
    code, _, err = assay(*RUN, *PARAMETERS)
    assert code == 8
    assert "does not answer" in err


# Logging in, and who may do what.


def test_a_token(api: KfpApi, url: str, assay: Assay, monkeypatch: pytest.MonkeyPatch) -> None:
    api.token = "s3cret"  # noqa: S105 - the simulator's
    code, _, err = assay(*RUN, *PARAMETERS)
    assert code == 8
    assert "set KFP_TOKEN or KFP_COOKIES" in err
    monkeypatch.setenv("KFP_TOKEN", "wrong")
    code, _, err = assay(*RUN, *PARAMETERS)
    assert code == 8
    assert "wrong" not in err
    monkeypatch.setenv("KFP_TOKEN", "s3cret")
    code, out, err = assay(*RUN, *PARAMETERS)
    assert code == 0
    assert "s3cret" not in out + err


def test_cookies(api: KfpApi, url: str, assay: Assay, monkeypatch: pytest.MonkeyPatch) -> None:
    api.cookies = "authservice_session=abc"
    assert assay(*RUN, *PARAMETERS)[0] == 8
    monkeypatch.setenv("KFP_COOKIES", "authservice_session=abc")
    assert assay(*RUN, *PARAMETERS)[0] == 0


def test_many_users(api: KfpApi, url: str, assay: Assay) -> None:
    api.multi_user = True
    code, _, err = assay(*RUN, *PARAMETERS)
    assert code == 2
    assert "give --namespace" in err
    assert assay(*RUN, *PARAMETERS, "--namespace", "team-a")[0] == 0
    (pipeline,) = api.pipelines.values()
    (experiment,) = api.experiments.values()
    assert pipeline["namespace"] == experiment["namespace"] == "team-a"


def test_a_namespace_does_not_disturb_a_server_for_one(api: KfpApi, url: str, assay: Assay) -> None:
    assert assay(*RUN, *PARAMETERS, "--namespace", "kubeflow-user")[0] == 0


def test_links_lead_to_the_ui(
    api: KfpApi, url: str, assay: Assay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://ui.example.org/pipeline/")
    _, out, _ = assay(*RUN, *PARAMETERS, "--no-wait", "--json")
    assert json.loads(out)["url"].startswith("https://ui.example.org/pipeline/#/runs/details/")


# Mistakes.


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["submit"], "give one of: a pipeline"),
        (["submit", "train-and-registre", "--dev"], "did you mean 'train-and-register'"),
        (["submit", "train-and-register", "--dev"], "parameter 'data' is missing"),
        (["submit", "train-and-register", *PARAMETERS], "not pinned by digest"),
        ([*RUN, *PARAMETERS, "-p", "seeed=1"], "did you mean 'seed'"),
        ([*RUN, *PARAMETERS, "--cron", "daily"], "five fields"),
        ([*RUN, *PARAMETERS, "--every", "0h"], "an interval such as 30m"),
        ([*RUN, *PARAMETERS, "--every", "1h", "--cron", "* * * * *"], "not both"),
        ([*RUN, *PARAMETERS, "--profile", "none.yaml"], "--profile: cannot read none.yaml"),
        (["submit", "--follow", "a", "--cancel", "b"], "give one of"),
        (["submit", "--follow", "nothing"], "run nothing not found"),
        (["submit", "--cancel", "nothing"], "run nothing not found"),
        ([*RUN, *PARAMETERS, "--endpoint", "kfp.example.org"], "is not an endpoint"),
        ([*RUN, *PARAMETERS, "--endpoint", "http://me:pw@h"], "the endpoint contains a login"),
    ],
)
def test_a_mistake_is_one_line(
    api: KfpApi, url: str, assay: Assay, words: list[str], part: str
) -> None:
    code, _, err = assay(*words)
    assert code == 2
    assert part in err
    assert len(err.splitlines()) == 1
    assert "pw" not in err
    assert not api.runs, "the cluster never heard of it"


def test_no_endpoint(assay: Assay) -> None:
    code, _, err = assay(*RUN, *PARAMETERS)
    assert code == 2
    assert "set KFP_ENDPOINT" in err


# All of it: the run is really done.


@pytest.mark.slow
def test_end_to_end(
    api: KfpApi, url: str, assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline that was uploaded, with the parameters that were sent, run for real."""
    rows = "".join(f"{i},{i % 7},{'yes' if i % 2 else 'no'}\n" for i in range(400))
    (tmp_path / "data.csv").write_text("a,b,y\n" + rows)
    api.executor = lambda run, _spec: execute(run, tmp_path)
    words = ["-p", "data=data.csv", "-p", "target=y", "-p", "model_name=m"]
    misspelt = [word.replace("target=y", "target=z") for word in words]
    policy = ["-p", "policy=gates: [metric: accuracy > 0.999999]\n"]
    code, out, _ = assay(*RUN, *words, *policy)
    assert code == 4, out
    assert "BLOCKED" in out
    assert "accuracy" in out
    code, out, _ = assay(*RUN, *misspelt)
    assert code == 1, out
    assert "no column 'z'" in out, "KFP's protocols tell the reason, and no exit code"
    monkeypatch.setenv("ASSAY_STORE", f"file://{tmp_path}/.assay/store")
    code, out, _ = assay(*RUN, *words, *policy, "-p", "seed=3", "--json")
    found = json.loads(out)
    assert (code, found["verdict"]) == (4, "blocked"), out
    assert found["reasonFrom"] == "record"
    assert found["digests"]["model"]
    assert found["next"]
    assert is_digest(list(api.runs.values())[-1]["runtime_config"]["parameters"]["policy"])
    code, out, _ = assay(*RUN, *misspelt, "--json")
    assert code == 2, out


def execute(run: dict[str, Any], folder: Path) -> None:
    """Do a run's work on this machine, and tell of it as KFP would."""
    run["state"] = "RUNNING"
    params = folder / f"{run['run_id']}.json"
    params.write_text(json.dumps(run["runtime_config"]["parameters"]))
    words = ["run", "train-and-register", "--params", str(params), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", *words], cwd=folder, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    # On a cluster the tasks know KFP's id of the run; here they know that of its folder.
    store, own = open_store(f"file://{folder}/.assay/store"), Path(found["log"]).parent.name
    for one in runs.tasks(store, own):
        runs.write_task(store, run["run_id"], one)
    if (record := runs.outcome(store, own)) is not None:
        runs.write_outcome(store, replace(record, run=run["run_id"]))
    pods = [
        Pod(item["name"].replace("_", "-"), "Failed", f"{RED}{item['error']}")
        if item["state"] == "failed"
        else Pod(item["name"].replace("_", "-"))
        for item in found["tasks"]
    ]
    run["looks"] = [seen("FAILED" if done.returncode else "SUCCEEDED", *pods)]


# The documentation.


def test_the_documentation_names_options_that_there_are() -> None:
    text = (ROOT / "docs/submit.md").read_text()
    result = {name for option in submit.command.params for name in option.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", text)) - {"--upload", "--pin"}
    assert named <= result
    assert {"--no-cache", "--catch-up", "--max-concurrency", "--still"} <= named
    (line,) = re.findall(r"^assay submit .*$", text, re.MULTILINE)
    words = line.split()[2:]
    assert submit.command.make_context("submit", words).params["name"] == "train-and-register"


def test_the_documentation_has_every_source_of_a_reason() -> None:
    text = (ROOT / "docs/submit.md").read_text()
    for source in ("record", "tasks", "workflow", "none"):
        assert f"\n| `{source}` | " in text
