"""assay submit and compile --upload against KFP's protocol, through KFP's own client."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp_server_api import V2beta1RuntimeState

from assay.cli import main
from assay.cluster.client import Endpoint, Kfp, KfpUnavailableError
from assay.cluster.follow import follow
from assay.cluster.runs import INTERMEDIATE, TERMINAL

from simulators.kfp_api import KfpApi, look, serving, task

ROOT = Path(__file__).resolve().parents[2]
RUN = ["submit", "train-and-register", "--dev", "--poll", "0.01"]
PARAMETERS = ["-p", "data=d.csv", "-p", "target=y", "-p", "model_name=churn"]
BASE = "/apis/v2beta1"


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
        "PASSED ",
        link,
    ]
    (version,) = api.versions.values()
    assert version["display_name"].startswith("sha256-")
    assert f"version {version['display_name']}: uploaded" in err
    assert run["runtime_config"]["parameters"] == {
        "data": "d.csv",
        "target": "y",
        "model_name": "churn",
    }


def test_the_same_content_is_uploaded_once(api: KfpApi, url: str, assay: Assay) -> None:
    assert assay(*RUN, *PARAMETERS)[0] == 0
    code, _, err = assay(*RUN, *PARAMETERS)
    assert code == 0
    assert "there already" in err
    assert (len(api.pipelines), len(api.versions), len(api.runs)) == (1, 1, 2)
    profile = ROOT / "manifests/profiles/kind.yaml"
    assert assay(*RUN, *PARAMETERS, "--profile", str(profile))[0] == 0
    assert len(api.versions) == 2, "other content, other version"


def test_two_that_upload_the_same_at_once(
    api: KfpApi, url: str, assay: Assay, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert assay(*RUN, *PARAMETERS)[0] == 0
    asked = Kfp._version
    answers = iter([""])
    monkeypatch.setattr(
        Kfp, "_version", lambda self, *names: next(answers, None) or asked(self, *names)
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
    assert run["runtime_config"]["parameters"]["seed"] == 3
    assert run["runtime_config"]["parameters"]["slices"] == ["sex"]
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
    assert "there is a recurring run 'train-and-register'" in err
    assert len(api.recurring) == 1


# How a run ends.


def test_every_state_of_the_api_is_known() -> None:
    assert set(V2beta1RuntimeState.allowable_values) == TERMINAL | INTERMEDIATE
    assert not TERMINAL & INTERMEDIATE


@pytest.mark.parametrize(
    ("end", "code", "verdict", "error"),
    [
        (look("SUCCEEDED", task("register")), 0, "passed", ""),
        (look("SKIPPED"), 1, "skipped", "nothing ran"),
        (look("CANCELED", task("train", "CANCELED")), 1, "canceled", "was canceled"),
        (
            look("FAILED", task("halt", "FAILED", "Error (exit code 1): error: rejected: 3 gone")),
            3,
            "rejected",
            "3 gone",
        ),
        (look("FAILED", task("halt-2", "FAILED")), 5, "inconclusive", "the task's report says why"),
        (look("FAILED", task("halt-3", "FAILED", "exit status 4")), 4, "blocked", "report"),
        (
            look("FAILED", task("preflight", "FAILED", "exit status 2\nerror: no column 'y'")),
            2,
            "failed",
            "preflight: no column 'y'",
        ),
        (
            look("FAILED", task("train", "FAILED", "OOMKilled (exit code 137)")),
            1,
            "failed",
            "train: OOMKilled (exit code 137)",
        ),
        (look("FAILED", task("train", "FAILED")), 1, "failed", "KFP gave no reason"),
        (look("FAILED", error="pipeline root: denied"), 1, "failed", "pipeline root: denied"),
        (look("FAILED"), 1, "failed", "KFP gave no reason"),
    ],
)
def test_each_end_has_its_exit_code(
    api: KfpApi, url: str, assay: Assay, end: Any, code: int, verdict: str, error: str
) -> None:
    between = sorted(INTERMEDIATE)
    api.script = [*(look(state) for state in between), look("A_STATE_OF_TOMORROW"), end]
    # An unknown state is refused by the generated client itself, so the server never sends it.
    del api.script[-2]
    got, out, _ = assay(*RUN, *PARAMETERS, "--json")
    found = json.loads(out)
    assert (got, found["exitCode"], found["verdict"]) == (code, code, verdict)
    assert error in found["error"]
    assert found["state"] == end["state"]


def test_a_run_is_followed_later(api: KfpApi, url: str, assay: Assay) -> None:
    _, out, _ = assay(*RUN, *PARAMETERS, "--no-wait", "--json")
    run_id = json.loads(out)["run"]
    api.runs[run_id]["looks"] = [look("FAILED", task("halt-3", "FAILED"))]
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
from assay.cli import main
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
        gone = threading.Event()

        def leave(_state: str, _tasks: Any) -> None:
            api.faults.answers = ["drop"] * 1000
            gone.set()

        with pytest.raises(KfpUnavailableError) as error:
            follow(kfp, run_id, leave, poll_seconds=0.01, patience_seconds=0.2)
    assert gone.is_set()
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
    assert "see in the UI whether it is there" in err
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
    assert "is this the API's address?" in err


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
        ([*RUN, *PARAMETERS, "--endpoint", "http://me:pw@h"], "the endpoint holds a login"),
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
def test_end_to_end(api: KfpApi, url: str, assay: Assay, tmp_path: Path) -> None:
    """The pipeline that was uploaded, with the parameters that were sent, run for real."""
    rows = "".join(f"{i},{i % 7},{'yes' if i % 2 else 'no'}\n" for i in range(400))
    (tmp_path / "data.csv").write_text("a,b,y\n" + rows)
    api.executor = lambda run, spec: execute(run, spec, tmp_path)
    words = ["-p", "data=data.csv", "-p", "target=y", "-p", "model_name=m"]
    code, out, _ = assay(*RUN, *words, "-p", "policy=gates: [metric: accuracy > 0.999999]\n")
    assert code == 4, out
    assert "BLOCKED" in out
    assert "accuracy" in out
    code, out, _ = assay(*RUN, *words, "-p", "target=z")
    assert code == 2, out
    assert "preflight" in out


def execute(run: dict[str, Any], spec: dict[str, Any], folder: Path) -> None:
    """Do a run's work on this machine, and tell of it as KFP would."""
    run["state"] = "RUNNING"
    params = folder / f"{run['run_id']}.json"
    params.write_text(json.dumps(run["runtime_config"]["parameters"]))
    name = spec["pipelineInfo"]["name"]
    words = ["run", name, "--params", str(params), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", *words], cwd=folder, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    halts = {"rejected": "halt", "inconclusive": "halt-2", "blocked": "halt-3"}
    details = []
    for item in found["tasks"]:
        failed = item["state"] == "failed"
        named = halts[found["verdict"]] if item["name"] == "halt" else item["name"]
        details.append(
            task(
                named.replace("_", "-"),
                "FAILED" if failed else "SUCCEEDED",
                f"exit status {found['exitCode']}: error: {item['error']}" if failed else "",
            )
        )
    run |= look("FAILED" if done.returncode else "SUCCEEDED", *details)
