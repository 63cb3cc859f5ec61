"""A run that is killed takes all of its processes along, at whatever moment; the next one works."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.core.store import open_store
from assay.releases.upkeep import fsck
from assay.runtime.task_group import GRACE_SECONDS, task_group

LEFT_SECONDS = 2.0
RUN = [
    sys.executable, "-m", "assay.cli", "run", "train-and-register",
    "-p", "data=data.csv", "-p", "target=label", "-p", "model_name=mine",
    "-p", "estimator=sklearn.tree.DecisionTreeClassifier",
    "-p", "policy=gates: [{metric: accuracy > 0.5}]",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [f"{i % 7},{(i * 37) % 11},{'yes' if i % 7 > 3 else 'no'},{i}" for i in range(400)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,label,c", *rows]) + "\n")
    (tmp_path / "tmp").mkdir()
    return tmp_path


def start(folder: Path) -> subprocess.Popen[bytes]:
    # As from a script: no process group of its own, so that nothing but the run itself is killed.
    with (folder / "said").open("wb") as output:
        return subprocess.Popen(
            RUN,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder / "tmp")},
            stdout=output,
            stderr=output,
        )


def processes(folder: Path) -> list[str]:
    """Whatever runs with the folder's own TMPDIR: the run, and all that was started below it."""
    mark = f"TMPDIR={folder / 'tmp'}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (place / "environ").read_bytes().split(b"\0"):
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
    return found


def begun(folder: Path, count: int) -> bool:
    text = "".join(path.read_text() for path in folder.glob(".assay/runs/*/events.jsonl"))
    return text.count('"started"') >= count


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.slow
def test_kill_9_of_a_run_leaves_no_process_and_no_half_state(folder: Path) -> None:
    moments: list[Callable[[], bool]] = [
        lambda: any(folder.glob(".assay/runs/*/run.log")),
        lambda: begun(folder, 2),
        lambda: begun(folder, 5),
    ]
    for number, moment in enumerate(moments):
        run = start(folder)
        if not until(moment, 120):
            run.kill()
            run.wait()
            pytest.fail(f"moment {number} never came: {(folder / 'said').read_text()[-2000:]}")
        left_behind = until(lambda: len(processes(folder)) > 1, 30)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert left_behind, "nothing was there to leave behind"
        assert until(lambda: not processes(folder), LEFT_SECONDS), processes(folder)
        if (folder / ".assay" / "store").exists():
            assert fsck(open_store((folder / ".assay" / "store").as_uri()), None).findings == []
        for events in folder.glob(".assay/runs/*/events.jsonl"):
            events.unlink()
        for log in folder.glob(".assay/runs/*/run.log"):
            log.unlink()
    done = start(folder)
    assert done.wait(300) == 0, (folder / "said").read_text()[-2000:]
    assert processes(folder) == []


HOLDER = """
import subprocess, sys, time
from assay.runtime.task_group import task_group
with task_group() as group, group.started(["sh", "-c", sys.argv[1]], start_new_session=False):
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_grandchildren_that_ignore_signals_die_with_the_run(
    folder: Path, number: signal.Signals
) -> None:
    deaf = "trap '' INT TERM HUP; sh -c 'trap \"\" INT TERM; sleep 300' & sleep 300"
    run = subprocess.Popen(
        [sys.executable, "-c", HOLDER, deaf],
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
    )
    assert until(lambda: sum("sleep 300" in name for name in processes(folder)) >= 4, 30)
    run.send_signal(number)
    run.wait()
    assert until(lambda: not processes(folder), LEFT_SECONDS), processes(folder)


LOOP = """
import signal, sys
from concurrent.futures import ThreadPoolExecutor
from assay.cli.process import prepare
from assay.runtime.task_group import stopped_by_signals, task_group
prepare()
# As in a terminal; what is started in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
def work(_):
    with group.started(["sh", "-c", sys.argv[1]]):
        pass
with task_group() as group, stopped_by_signals(group), ThreadPoolExecutor(2) as pool:
    list(pool.map(work, range(6)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("trap", ["", "trap '' INT TERM HUP; "])
@pytest.mark.slow
def test_a_loop_of_tasks_ends_soon_when_it_is_asked_to(
    folder: Path, number: signal.Signals, trap: str
) -> None:
    """Its tasks run in threads, for which Python waits before it lets an interrupt through."""
    with (folder / "said").open("wb") as output:
        run = subprocess.Popen(
            [sys.executable, "-c", LOOP, f"{trap}sleep 300 & sleep 300"],
            env={**os.environ, "TMPDIR": str(folder / "tmp")},
            stderr=output,
        )
    assert until(lambda: sum("sleep 300" in name for name in processes(folder)) >= 4, 30)
    run.send_signal(number)
    assert run.wait(GRACE_SECONDS + 10) in {128 + number, -number, 1}
    assert until(lambda: not processes(folder), LEFT_SECONDS), processes(folder)


def test_a_task_is_given_the_time_to_clean_up_when_the_run_is_interrupted(tmp_path: Path) -> None:
    script = f"trap 'echo clean > {tmp_path}/clean; exit 1' INT; : > {tmp_path}/up; sleep 60 & wait"

    def interrupted() -> None:
        with task_group() as group, group.started(["sh", "-c", script]):
            assert until((tmp_path / "up").exists, 30)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "clean").read_text() == "clean\n"


def test_a_block_that_ends_leaves_no_guard() -> None:
    with task_group() as group, group.started(["true"]) as process:
        guard = group._guard
    assert process.returncode == 0
    assert guard.returncode == -signal.SIGKILL
