"""The process that has MLflow loaded: nothing differs but the time, and nothing stays behind."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from assay.cli.catalog import pipeline
from assay.core.attestation import load
from assay.core.step import Out, Record, Values, step
from assay.core.store import open_store
from assay.errors import StepError
from assay.governance.mlflow_calls import quiet
from assay.runtime.warm import VARIABLE
from assay.runtime.warm.start import warm_process

ROOT = Path(__file__).resolve().parents[2]
RESOLVE = "assay.components.resolve_production.step:resolve_production"
REGISTER = "assay.components.register.step:register"
# A task as KFP's executor makes one, without KFP.
TASK = """
import json, logging, sys
logging.basicConfig(stream=sys.stdout, format="[KFP %(levelname)s]: %(message)s", level="INFO")
from assay.runtime.kfp import execute
from assay.core.provenance import find_step
step = find_step(sys.argv[1], ("probes",))
execute(step, json.loads(sys.argv[2]), *step.outputs)
"""
# Whoever is started in the background would not hear of Ctrl-C.
HEARING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execv(sys.argv[1], sys.argv[1:])
"""
# A user's module. Who did the step, and when it waits, stands in files: it is no outcome.
PROBES = """
import json, logging, os, subprocess, sys, time
from pathlib import Path

from assay import errors
from assay.releases.runner import UnreachableError
from assay.core.step import Out, Record, Values, step


def tell(what, record):
    Path("who.json").write_text(json.dumps({"pid": os.getpid(), "parent": os.getppid()}))
    print("printed")
    print("complained", file=sys.stderr)
    logging.getLogger("probe").info("logged")
    subprocess.run(["echo", "from a child"], check=True)
    if what == "wait":
        Path("waiting").touch()
        time.sleep(600)
    if what == "KeyError":
        raise KeyError("no such key")
    if what:
        raise {**vars(errors), **globals()}[what](f"{what}, said on purpose")
    (record.path / "record.json").write_text(os.environ["OF_THE_TASK"])
    return {"folder": os.getcwd(), "numbers": 3, "names": ["a", "b"]}


@step(side_effects=True, asks_registry=True)
def probe(*, what: str = "", number: float = 1.0, record: Out[Record]) -> Values:
    return tell(what, record)


@step(side_effects=True)
def elsewhere(*, what: str = "", record: Out[Record]) -> Values:
    return tell(what, record)
"""


class Run:
    """A run's folder, its warm process, and tasks in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.store = open_store((folder / "store").as_uri())
        self.database = folder / "mlflow.db"
        (folder / "probes.py").write_text(PROBES)

    def use(self, database: str) -> None:
        self.database = self.folder / database

    def variables(self, warm: dict[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "ASSAY_STORE": (self.folder / "store").as_uri(),
            "ASSAY_EVENTS": str(self.folder / "events.jsonl"),
            "ASSAY_RUN": "a-run",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.database}",
            "OF_THE_TASK": "what a task finds",
            "PYTHONHASHSEED": "0",
            **warm,
        }

    def start(
        self, entry_point: str, warm: dict[str, str], **arguments: object
    ) -> subprocess.Popen[str]:
        for name in ("events.jsonl", "who.json", "waiting"):
            (self.folder / name).unlink(missing_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", TASK, entry_point, json.dumps(arguments)],
            cwd=self.folder,
            env=self.variables(warm),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """What is to be seen of a task: its exit code, its log and its last event."""
        log, _ = process.communicate(timeout=60)
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        event = json.loads(lines[-1])
        return {"code": process.returncode, "log": log, **event}

    def do(self, entry_point: str, warm: dict[str, str], **arguments: object) -> dict[str, Any]:
        return self.end(self.start(entry_point, warm, **arguments))

    @property
    def who(self) -> dict[str, int]:
        return dict(json.loads((self.folder / "who.json").read_text()))

    @property
    def left(self) -> list[Path]:
        """What of ours lies in the temporary folder; KFP's own scripts leave theirs."""
        return list(self.temporary.glob("assay-*"))

    def wait_until_waiting(self) -> None:
        until((self.folder / "waiting").exists)

    def statement(self, done: dict[str, Any]) -> dict[str, Any]:
        """The record of a task, without when it was."""
        statement = load(self.store, done["attestation"], None).statement()
        metadata = statement["predicate"]["runDetails"]["metadata"]
        assert metadata.pop("startedOn") <= metadata.pop("finishedOn")
        return statement


def until(condition: Callable[[], bool], seconds: int = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def warm_processes(parent: int) -> list[int]:
    """Warm processes that `parent` started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            started_by = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if (
                started_by == parent
                and b"assay.runtime.warm.server" in (folder / "cmdline").read_bytes()
            ):
                found.append(int(folder.name))
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run(tmp_path)
    run.temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(run.temporary))
    # Read anew by this process too, and afterwards again.
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{run.database}")
    return run


@pytest.fixture
def warm(run: Run) -> Iterator[dict[str, str]]:
    """A warm process for the main pipeline, and nothing of it afterwards."""
    with warm_process(pipeline("train-and-register")) as variables:
        started = server()
        yield variables
    assert not alive(started)
    assert run.left == []


def server() -> int:
    # A process that has only just begun has no command line yet.
    until(lambda: len(warm_processes(os.getpid())) == 1)
    return warm_processes(os.getpid())[0]


def timeless(done: dict[str, Any]) -> dict[str, Any]:
    own = ("at", "process", "seconds", "attestation")
    return {name: value for name, value in done.items() if name not in own}


def test_a_step_done_there_leaves_what_it_leaves_here(run: Run, warm: dict[str, str]) -> None:
    here = run.do("probes:probe", {}, number=2)
    assert run.who["parent"] == os.getpid()
    there = run.do("probes:probe", warm, number=2)
    assert run.who["parent"] == server()
    assert here["code"] == 0
    assert here["values"]["folder"] == str(run.folder)
    for said in ("printed", "complained", "[KFP INFO]: logged", "from a child"):
        assert said in here["log"]
    assert timeless(there) == timeless(here)
    assert run.statement(there) == run.statement(here)


def test_an_error_arrives_as_itself(run: Run, warm: dict[str, str]) -> None:
    for kind, code in {
        "UsageError": 2,
        "PolicyError": 2,
        "RunBlocked": 4,
        "IntegrityError": 6,
        "NotFoundError": 7,
        "ServiceError": 8,
        "UnreachableError": 8,  # of a module that the task need not know
        "StepError": 9,
    }.items():
        there = run.do("probes:probe", warm, what=kind)
        assert run.who["parent"] == server()
        assert there["code"] == there["exit_code"] == code
        assert there["log"].splitlines()[-1] == f"error: {kind}, said on purpose"
        assert "Traceback" not in there["log"]
        assert timeless(there) == timeless(run.do("probes:probe", {}, what=kind))


def test_a_bug_keeps_its_name_and_its_place(run: Run, warm: dict[str, str]) -> None:
    there, here = (run.do("probes:probe", by, what="KeyError") for by in (warm, {}))
    assert there["code"] == here["code"] == 1
    assert there["error"] == here["error"] == "KeyError: 'no such key'"
    for done in (there, here):
        assert 'raise KeyError("no such key")' in done["log"]


def test_the_process_has_one_thread_when_it_forks(run: Run, warm: dict[str, str]) -> None:
    run.do(RESOLVE, warm, model_name="mine")
    assert len(list(Path(f"/proc/{server()}/task").iterdir())) == 1


def test_only_steps_that_say_so_are_done_there(run: Run, warm: dict[str, str]) -> None:
    run.do("probes:elsewhere", warm)
    assert run.who["parent"] == os.getpid()


def test_a_step_that_computes_cannot_say_so() -> None:
    def compute(*, record: Out[Record]) -> Values:
        return {"path": str(record.path)}

    with pytest.raises(StepError, match="which is a side effect"):
        step(side_effects=False, asks_registry=True)(compute)


def test_a_pipeline_that_asks_no_registry_has_none() -> None:
    with warm_process(pipeline("doctor")) as variables:
        assert variables == {VARIABLE: ""}
        assert warm_processes(os.getpid()) == []


def test_where_it_is_gone_the_task_does_the_step_itself(run: Run, warm: dict[str, str]) -> None:
    os.kill(server(), signal.SIGKILL)
    done = run.do(RESOLVE, warm, model_name="mine")
    assert done["code"] == 0, done["log"]
    names = ("production", "production_data", "production_rows", "version")
    assert done["values"] == dict.fromkeys(names, "")
    shutil.rmtree(Path(warm[VARIABLE]).parent)
    assert run.do(RESOLVE, warm, model_name="mine")["code"] == 0


def test_where_it_cannot_import_the_task_does_the_step_itself(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = run.folder / "broken"
    broken.mkdir()
    (broken / "mlflow.py").write_text("raise ImportError('half an installation')")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(broken))
        warm = contextlib.ExitStack()
        variables = warm.enter_context(warm_process(pipeline("train-and-register")))
    with warm:
        assert run.do(RESOLVE, variables, model_name="mine")["code"] == 0
    assert run.left == []


def test_a_step_cut_off_is_told_in_one_line_and_never_done_twice(
    run: Run, warm: dict[str, str]
) -> None:
    task = run.start("probes:probe", warm, what="wait")
    run.wait_until_waiting()
    os.kill(run.who["pid"], signal.SIGKILL)
    done = run.end(task)
    assert done["code"] == 8
    told = " ".join(done["log"].split()).rpartition("error: ")[2]
    assert told.startswith("probe: the process that asked the registry")
    assert "run the pipeline again" in told
    assert "Traceback" not in done["log"]
    assert done["log"].count("printed") == 1
    # And the next one finds all as it should be.
    assert run.do("probes:probe", warm)["code"] == 0
    assert run.who["parent"] == server()
    for left in run.left:  # of who was killed, as of any task
        if left != Path(warm[VARIABLE]).parent:
            shutil.rmtree(left)


def test_a_step_goes_on_when_the_process_behind_it_ends(run: Run, warm: dict[str, str]) -> None:
    task = run.start("probes:probe", warm, what="wait")
    run.wait_until_waiting()
    ended = server()
    os.kill(ended, signal.SIGKILL)
    until(lambda: not alive(ended))
    assert alive(run.who["pid"])
    task.kill()
    task.communicate()
    until(lambda: not alive(run.who["pid"]))
    assert run.left == [Path(warm[VARIABLE]).parent]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_task_that_ends_takes_its_step_along(
    run: Run, warm: dict[str, str], how: signal.Signals
) -> None:
    task = run.start("probes:probe", warm, what="wait")
    run.wait_until_waiting()
    task.send_signal(how)
    log, _ = task.communicate(timeout=60)
    assert task.returncode == -how
    if how is signal.SIGINT:
        # Then it has waited until its step had cleaned up.
        assert not alive(run.who["pid"])
        assert "KeyboardInterrupt" in log
        event = json.loads((run.folder / "events.jsonl").read_text().splitlines()[-1])
        assert event["error"] == "KeyboardInterrupt: "
    until(lambda: not alive(run.who["pid"]))
    assert run.left == [Path(warm[VARIABLE]).parent]


def test_code_that_changed_meanwhile_is_not_run_from_memory(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training may take hours, in which somebody edits: the record says what ran."""
    copy = run.folder / "lib" / "assay"
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "assay", copy, ignore=leave)
    shutil.copytree(ROOT / "components", copy / "components", ignore=leave)
    monkeypatch.setenv("PYTHONPATH", str(copy.parent))
    with warm_process(pipeline("train-and-register")) as warm:
        before = run.do("probes:probe", warm)
        assert run.who["parent"] == server()
        with (copy / "core" / "execution.py").open("a") as stream:
            stream.write("# edited\n")
        after = run.do("probes:probe", warm)
        assert run.who["parent"] == os.getpid()
    codes = {load(run.store, done["attestation"], None).code_digest for done in (before, after)}
    assert len(codes) == 2


ARGUMENTS = {
    "data": "data.csv",
    "target": "label",
    "model_name": "mine",
    "estimator": "sklearn.tree.DecisionTreeClassifier",
    "policy": "gates: [{metric: accuracy > 0.5}]",
}


def command(**changes: str) -> list[str]:
    words = [sys.executable, "-m", "assay.cli", "run", "train-and-register", "--json"]
    for name, value in {**ARGUMENTS, **changes}.items():
        words += ["-p", f"{name}={value}"]
    return words


def write_table(folder: Path) -> None:
    rows = [f"{i % 7},{(i * 37) % 11},{'yes' if i % 7 > 3 else 'no'},{i}" for i in range(400)]
    (folder / "data.csv").write_text("\n".join(["a,b,label,c", *rows]) + "\n")


def events(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob(".assay/runs/*/events.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def registered(run: Run) -> dict[str, Any]:
    """All that a registry says of its one version, but when it was."""
    uri = f"sqlite:///{run.database}"
    with quiet():
        client = MlflowClient(uri, uri)
        (version,) = client.search_model_versions("name = 'mine'")
        data = client.get_run(version.run_id).data
        aliases = client.get_registered_model("mine").aliases
    return {
        "version": version.version, "source": version.source, "tags": version.tags,
        "aliases": aliases, "metrics": data.metrics, "params": data.params,
    }  # fmt: skip


@pytest.mark.slow
def test_a_model_registered_there_is_registered_as_here(run: Run, warm: dict[str, str]) -> None:
    write_table(run.folder)
    environment = run.variables({})
    del environment["ASSAY_EVENTS"]
    subprocess.run(command(), cwd=run.folder, env=environment, check=True, capture_output=True)
    (first,) = [e for e in events(run.folder) if e["task"] == "register" and "attestation" in e]
    record = load(run.store, first["attestation"], None)
    arguments = {**record.parameters, **record.inputs}
    found = []
    for by, database in (({}, "here.db"), (warm, "there.db")):
        run.use(database)
        new, known = (run.do(REGISTER, by, **arguments) for _ in range(2))
        assert (new["values"]["registered"], known["values"]["registered"]) == ("new", "existing")
        statements = [run.statement(new), run.statement(known)]
        found.append([timeless(new), timeless(known), statements, registered(run)])
    here, there = found
    assert there == here
    assert here[0]["outputs"] == first["outputs"]


@pytest.fixture
def started(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    """`assay run`, whose first task has begun."""
    write_table(run.folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "MLFLOW_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", HEARING, *command()],
        cwd=run.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    until(lambda: warm_processes(process.pid) != [])
    until(lambda: any(run.folder.glob(".assay/runs/*/events.jsonl")))
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_killed_run_takes_it_along(run: Run, started: subprocess.Popen[bytes]) -> None:
    (server,) = warm_processes(started.pid)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    until(lambda: not alive(server))
    assert list(run.temporary.glob("assay-warm-*")) == []  # work folders of killed tasks may be


def test_ctrl_c_ends_it_too(run: Run, started: subprocess.Popen[bytes]) -> None:
    (server,) = warm_processes(started.pid)
    os.killpg(started.pid, signal.SIGINT)
    said, _ = started.communicate(timeout=60)
    assert started.returncode == 130
    assert b"interrupted; what was finished is kept" in said
    assert not alive(server)
    assert list(run.temporary.glob("assay-warm-*")) == []  # work folders of killed tasks may be
