"""Tasks that are forks of a process: only the time differs."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from assay.cli.catalog import pipeline
from assay.cluster.stages import library_folders
from assay.core.attestation import load
from assay.core.step import Out, Record, Values, step
from assay.core.store import open_store
from assay.errors import StepError
from assay.governance.mlflow_calls import quiet
from assay.runtime import fork_server as module
from assay.runtime.fork_server import ForkServer, fork_server
from assay.runtime.task_group import TaskGroup, task_group

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

ROOT = Path(__file__).resolve().parents[2]
# A stage beside the library's. Who ran it, and when it waits, stands in files: it is no result.
STEP = """
import json, logging, os, subprocess, sys, time
from pathlib import Path

from assay import errors
from assay.core.step import Out, Record, Values, step
from assay.releases.runner import UnreachableError


@step(side_effects=True, asks_registry=True)
def probe(*, what: str = "", number: float = 1.0, record: Out[Record]) -> Values:
    heavy = {"mlflow", "numpy", "pandas", "pyarrow", "scipy", "sklearn"} & set(sys.modules)
    who = {"pid": os.getpid(), "parent": os.getppid(), "loaded": sorted(heavy)}
    Path("who.json").write_text(json.dumps(who))
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
    return {"folder": os.getcwd(), "argv": len(sys.argv), "names": ["a", "b"]}
"""
COMPONENT = """
from assay.runtime.declaration import component


@component("release")
def NAME(what: str = "", number: float = 1.0):
    from assay.components.probe import step
    from assay.runtime.kfp import execute

    execute(step.probe, locals())
"""


class Run:
    """A run's folder, a copy of the library with one more stage, and tasks."""

    def __init__(self, folder: Path, group: TaskGroup) -> None:
        self.folder = folder
        self.group = group
        self.server: ForkServer | None = None
        self.registry = 0
        """The server with MLflow."""
        self.store = open_store((folder / "store").as_uri())
        self.library = folder / "lib" / "assay"
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "assay", self.library, ignore=leave)
        for name, stage in library_folders().items():
            shutil.copytree(stage, self.library / "components" / name, ignore=leave)
        shutil.copy(ROOT / "components/__init__.py", self.library / "components")
        for name in ("probe", "other"):
            stage = self.library / "components" / name
            stage.mkdir()
            (stage / "__init__.py").touch()
            (stage / "step.py").write_text(STEP)
            (stage / "component.py").write_text(COMPONENT.replace("NAME", name))

    def command(self, component: str, **arguments: object) -> list[str]:
        given = {
            "inputs": {"parameterValues": arguments},
            "outputs": {"outputFile": str(self.folder / "executor_output.json")},
        }
        words = ["-m", "assay.runtime.task", "kfp.dsl.executor_main", component, json.dumps(given)]
        return [sys.executable, *words]

    def variables(self) -> dict[str, str]:
        return {
            **os.environ,
            "ASSAY_STORE": (self.folder / "store").as_uri(),
            "ASSAY_EVENTS": str(self.folder / "events.jsonl"),
            "ASSAY_RUN": "a-run",
            "OF_THE_TASK": "what a task finds",
            "PYTHONHASHSEED": "0",
        }

    def fork(self, component: str = "probe", **arguments: object) -> module.Fork | None:
        for name in ("events.jsonl", "who.json", "waiting"):
            (self.folder / name).unlink(missing_ok=True)
        assert self.server is not None
        task = self.server.start(self.command(component, **arguments), self.variables())
        if task is not None:
            task.begin()
        return task

    def forked(self, component: str = "probe", **arguments: object) -> dict[str, Any]:
        """What is to be seen of a task that is a fork: exit code, log and last event."""
        task = self.fork(component, **arguments)
        assert task is not None
        with task:
            log = task.stdout.read()
        assert task.returncode is not None
        return self.seen(task.returncode, log)

    def process(self, component: str = "probe", **arguments: object) -> dict[str, Any]:
        (self.folder / "events.jsonl").unlink(missing_ok=True)
        done = subprocess.run(
            self.command(component, **arguments),
            cwd=self.folder,
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self.seen(done.returncode, done.stdout)

    def seen(self, code: int, log: str) -> dict[str, Any]:
        event = self.event() if (self.folder / "events.jsonl").exists() else {}
        return {"code": code, "log": log, **event}

    def event(self) -> dict[str, Any]:
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        return dict(json.loads(lines[-1]))

    @property
    def who(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "who.json").read_text()))

    def wait_until_waiting(self) -> None:
        until((self.folder / "waiting").exists)

    def statement(self, done: dict[str, Any]) -> dict[str, Any]:
        """The attestation of a task, without when it was."""
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


def servers(parent: int) -> list[int]:
    """Fork servers that `parent` started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            started_by = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes()
            if started_by == parent and b"assay.runtime.fork_server" in words:
                found.append(int(folder.name))
    return found


def server(parent: int = 0) -> int:
    # A process that has only just begun has no command line yet.
    parent = parent or os.getpid()
    until(lambda: len(servers(parent)) == 1)
    return servers(parent)[0]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run without a server."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.setattr(module, "_those_that_ask", lambda _: frozenset({"probe"}))
    monkeypatch.chdir(tmp_path)
    with task_group() as group:
        yield Run(tmp_path, group)


@pytest.fixture
def run(bare: Run) -> Iterator[Run]:
    with fork_server(pipeline("train-and-register"), bare.group) as bare.server:
        started = server()
        # What it forks before any task.
        bare.registry = server(started)
        yield bare
    assert not alive(started)
    until(lambda: not alive(bare.registry))


OWN = ("at", "process", "seconds", "attestation", "log")
"""What differs from task to task."""


def timeless(done: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in done.items() if name not in OWN}


def test_a_fork_leaves_what_a_process_leaves(run: Run) -> None:
    here = run.process(number=2)
    assert run.who["parent"] == os.getpid()
    result = run.forked(number=2)
    assert run.who["parent"] == run.registry
    assert here["code"] == 0, here["log"]
    assert here["values"]["folder"] == str(run.folder)
    for output in ("printed", "complained", "INFO]: logged", "from a child"):
        assert output in here["log"]
        assert output in result["log"]
    assert timeless(result) == timeless(here)
    assert run.statement(result) == run.statement(here)


def test_an_error_has_its_own_exit_code_and_last_line(run: Run) -> None:
    for kind, code in {
        "UsageError": 2,
        "RunBlocked": 4,
        "IntegrityError": 6,
        "NotFoundError": 7,
        "UnreachableError": 8,
        "StepError": 9,
    }.items():
        result = run.forked(what=kind)
        assert run.who["parent"] == run.registry
        assert result["code"] == result["exit_code"] == code
        assert result["log"].splitlines()[-1] == f"error: {kind}, said on purpose"
        assert "Traceback" not in result["log"]
    assert timeless(result) == timeless(run.process(what="StepError"))


def test_a_bug_keeps_its_name_and_its_place(run: Run) -> None:
    result, here = run.forked(what="KeyError"), run.process(what="KeyError")
    assert result["code"] == here["code"] == 1
    assert result["error"] == here["error"] == "KeyError: 'no such key'"
    for done in (result, here):
        assert 'raise KeyError("no such key")' in done["log"]


def test_forks_side_by_side_are_reported_apart(run: Run) -> None:
    run.forked()
    first = run.event()["process"]
    run.forked()
    assert run.event()["process"] != first


def test_the_servers_have_one_thread_when_they_fork(run: Run) -> None:
    for component, served_by in (("probe", run.registry), ("other", server())):
        run.forked(component)
        assert len(list(Path(f"/proc/{served_by}/task").iterdir())) == 1


def test_only_tasks_whose_step_says_so_find_mlflow(run: Run) -> None:
    run.forked("probe")
    assert run.who["loaded"] == ["mlflow", "numpy"]
    result = run.forked("other")
    assert run.who["parent"] == server()
    assert run.who["loaded"] == []
    assert timeless(result) == timeless(run.process("other"))
    assert run.who["loaded"] == []


def test_who_waits_while_another_thread_closes_gets_the_exit_code() -> None:
    """Ctrl-C waits in a thread of its own for tasks whose end the run sees as well."""
    with ThreadPoolExecutor() as threads:
        for _ in range(50):
            ours, theirs = socket.socketpair()
            reading, writing = os.pipe()
            os.close(writing)
            with theirs, module.Fork(ours, reading, b"") as task:
                waits = [threads.submit(task.wait, 30) for _ in range(3)]
                theirs.sendall(bytes([3]))
            assert [wait.result() for wait in waits] == [3, 3, 3]


def test_which_stages_say_so() -> None:
    asks = {"resolve_production", "register"}
    for name in ("train-and-register", "sweep-and-register"):
        assert module._those_that_ask(module._components(pipeline(name))) == asks
    assert module._those_that_ask(module._components(pipeline("rollback"))) == frozenset()


def test_a_task_with_variables_that_a_process_reads_at_its_start_is_a_process(run: Run) -> None:
    given = {**run.variables(), "PYTHONHASHSEED": "1"}
    assert run.server is not None
    assert run.server.start(run.command("probe"), given) is None
    assert not (run.folder / "who.json").exists()


def test_a_step_that_computes_cannot_say_so() -> None:
    def compute(*, record: Out[Record]) -> Values:
        return {"path": str(record.path)}

    with pytest.raises(StepError, match="which is a side effect"):
        step(side_effects=False, asks_registry=True)(compute)


@pytest.mark.parametrize("component", ["probe", "other"])
def test_where_the_server_is_gone_a_process_is_started(run: Run, component: str) -> None:
    for ended in (run.registry, server()):
        os.kill(ended, signal.SIGKILL)
        until(lambda: not alive(ended))  # noqa: B023 - called at once
    assert run.fork(component) is None
    assert not (run.folder / "who.json").exists()


def test_where_it_cannot_import_a_process_is_started(bare: Run) -> None:
    (bare.library.parent / "mlflow.py").write_text("raise ImportError('half an installation')")
    with fork_server(pipeline("train-and-register"), bare.group) as bare.server:
        assert bare.fork() is None
        assert bare.forked("other")["code"] == 0
    (bare.library.parent / "yaml.py").write_text("raise ImportError('half an installation')")
    with fork_server(pipeline("train-and-register"), bare.group) as bare.server:
        assert bare.fork("other") is None


def test_code_that_changed_meanwhile_is_not_run_from_memory(run: Run) -> None:
    """A training may take hours, in which somebody edits: the attestation names what ran."""
    before = run.forked()
    with (run.library / "text.py").open("a") as stream:
        stream.write("# edited\n")
    assert run.fork() is None
    assert run.fork("other") is None
    after = run.process()
    codes = {load(run.store, done["attestation"], None).code_digest for done in (before, after)}
    assert len(codes) == 2


def test_a_fork_that_is_killed_says_no_exit_code_and_the_next_one_works(run: Run) -> None:
    task = run.fork(what="wait")
    assert task is not None
    run.wait_until_waiting()
    assert task.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        task.wait(0.01)
    os.kill(run.who["pid"], signal.SIGKILL)
    with task:
        assert "printed" in task.stdout.read()
    assert task.returncode == task.poll() == -signal.SIGKILL
    assert run.event()["state"] == "started"
    assert run.forked()["code"] == 0


def test_a_fork_goes_on_when_the_server_ends(run: Run) -> None:
    task = run.fork(what="wait")
    assert task is not None
    run.wait_until_waiting()
    for ended in (run.registry, server()):
        os.kill(ended, signal.SIGKILL)
        until(lambda: not alive(ended))  # noqa: B023 - called at once
    assert alive(run.who["pid"])
    os.kill(run.who["pid"], signal.SIGKILL)
    with task:
        task.stdout.read()


def test_an_interrupt_of_the_run_lets_the_fork_clean_up(run: Run) -> None:
    task = run.fork(what="wait")
    assert task is not None
    with task, run.group.followed(task):
        run.wait_until_waiting()
        assert any((run.folder / "tmp").glob("assay-*"))
        stopping = threading.Thread(target=run.group.stop)
        stopping.start()
        log = task.stdout.read()
        stopping.join()
    assert task.returncode == 128 + signal.SIGINT
    assert "KeyboardInterrupt" in log
    assert run.event()["error"] == "KeyboardInterrupt: "
    assert list((run.folder / "tmp").glob("assay-*")) == []
    until(lambda: not alive(run.who["pid"]))


def test_an_interrupt_before_a_task_begins_is_not_lost(run: Run) -> None:
    """Otherwise the task would run until it is killed, and leave its temporary folder."""
    assert run.server is not None
    task = run.server.start(run.command("probe", what="wait"), run.variables())
    assert task is not None
    with task, run.group.followed(task):
        os.killpg(run.group.number, signal.SIGINT)
        task.begin()
        assert task.wait(30) == 128 + signal.SIGINT
    assert not (run.folder / "waiting").exists()
    assert list((run.folder / "tmp").glob("assay-*")) == []


def test_a_stopped_group_follows_no_more_forks(run: Run) -> None:
    assert run.server is not None
    task = run.server.start(run.command("probe"), run.variables())
    assert task is not None
    run.group.stop()
    with task, pytest.raises(InterruptedError), run.group.followed(task):
        task.begin()


def test_the_end_of_the_group_is_the_end_of_all_forks(run: Run) -> None:
    task = run.fork(what="wait")
    assert task is not None
    run.wait_until_waiting()
    started_at = time.monotonic()
    run.group.stop()
    until(lambda: not alive(run.who["pid"]))
    assert time.monotonic() - started_at < 10
    with task:
        task.stdout.read()


RUN = [
    "run", "train-and-register", "-p", "data=data.csv", "-p", "target=label",
    "-p", "model_name=mine", "-p", "estimator=sklearn.tree.DecisionTreeClassifier",
    "-p", "policy=gates: [{metric: accuracy > 0.5}]",
]  # fmt: skip
# Whoever is started in the background would not hear of Ctrl-C.
HEARING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execv(sys.argv[1], sys.argv[1:])
"""
WITHOUT = """
import contextlib, sys
from assay.runtime import local
if sys.argv[1] == "without":
    local.fork_server = lambda *_: contextlib.nullcontext()
from assay.cli import main
main(sys.argv[2:])
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [f"{i % 7},{(i * 37) % 11},{'yes' if i % 7 > 3 else 'no'},{i}" for i in range(400)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,label,c", *rows]) + "\n")
    for name in [name for name in os.environ if name.startswith(("ASSAY_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return tmp_path


def registered(database: Path) -> dict[str, Any]:
    """All that a registry says of its one version, but when it was."""
    uri = f"sqlite:///{database}"
    with quiet():
        client = MlflowClient(uri, uri)
        (version,) = client.search_model_versions("name = 'mine'")
        data = client.get_run(version.run_id).data
        aliases = client.get_registered_model("mine").aliases
    return {
        "version": version.version, "tags": version.tags,
        "aliases": aliases, "metrics": data.metrics, "params": data.params,
    }  # fmt: skip


@pytest.mark.slow
def test_a_model_that_a_fork_registers_is_registered_as_by_a_process(project: Path) -> None:
    found = []
    for how in ("without", "with"):
        # The second run is answered from the cache of the first, and registers anew elsewhere.
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, how, *RUN],
            cwd=project,
            env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{project}/{how}.db"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found.append(registered(project / f"{how}.db"))
    without, with_server = found
    assert with_server == without


@pytest.mark.slow
def test_forks_compute_the_bytes_that_processes_compute(project: Path) -> None:
    made = []
    for how in ("without", "with"):
        (project / how).mkdir()
        shutil.copy(project / "data.csv", project / how)
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, how, *RUN, "--json"],
            cwd=project / how,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        tasks = {task["name"]: task for task in json.loads(done.stdout)["tasks"]}
        computed = ("snapshot_data", "validate_data", "split_data", "train")
        assert {tasks[name]["state"] for name in computed} == {"done"}
        made.append([tasks[name]["outputs"] for name in computed])
    without, with_server = made
    assert with_server == without


@pytest.fixture
def started(project: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`assay run`, whose first task has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEARING, sys.executable, "-m", "assay.cli", *RUN],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    until(lambda: servers(process.pid) != [])
    until(lambda: any(project.glob(".assay/runs/*/events.jsonl")))
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_killed_run_takes_the_server_along(started: subprocess.Popen[bytes]) -> None:
    (number,) = servers(started.pid)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    until(lambda: not alive(number))


def test_ctrl_c_ends_it_too(started: subprocess.Popen[bytes]) -> None:
    (number,) = servers(started.pid)
    os.killpg(started.pid, signal.SIGINT)
    output, _ = started.communicate(timeout=60)
    assert started.returncode == 130
    assert b"interrupted; finished work is kept" in output
    assert not alive(number)
