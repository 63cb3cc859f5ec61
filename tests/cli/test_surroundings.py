"""A command in surroundings that nobody wishes for: it works, or says in one line why not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ASSAY = [sys.executable, "-m", "assay"]
RUN = ["run", "train-and-register", "-p", "data=data.csv", "-p", "target=y", "-p", "model_name=m"]


def call(
    words: list[str], cwd: Path, *, before: list[str] | None = None, **variables: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*(before or []), *ASSAY, *words],
        cwd=cwd, capture_output=True, env={**os.environ, **variables},
    )  # fmt: skip


def one_line(told: bytes) -> str:
    text = told.decode()
    assert text.count("\n") == 1, text
    assert text.startswith("error: ")
    return text


@pytest.fixture
def powerless() -> list[str]:
    """Words before a command that take its rights over other users' files from it."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("as root, this needs setpriv (util-linux)")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--securebits=+noroot"]


class TestAFolderThatCannotBeWritten:
    @pytest.mark.parametrize("words", [RUN, ["demo"], ["init", "--approver", "A <a@b.c>"]])
    def test_is_reported_with_its_name(
        self, tmp_path: Path, powerless: list[str], words: list[str]
    ) -> None:
        folder = tmp_path / "theirs"
        folder.mkdir()
        (folder / "data.csv").write_text("a,y\n1,0\n2,1\n")
        folder.chmod(0o555)
        done = call(words, folder, before=powerless)
        assert done.returncode in {2, 7}
        output = one_line(done.stderr)
        assert "Permission denied" in output
        assert ".assay" in output or "assay-demo" in output or str(folder) in output

    def test_is_reported_too_when_only_the_folder_of_runs_is_in_it(
        self, tmp_path: Path, powerless: list[str]
    ) -> None:
        folder = tmp_path / "theirs"
        folder.mkdir()
        (folder / "data.csv").write_text("a,y\n1,0\n2,1\n")
        folder.chmod(0o555)
        done = call(
            RUN, folder, before=powerless,
            ASSAY_STORE=(tmp_path / "store").as_uri(),
            MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/mlflow.db",
        )  # fmt: skip
        assert done.returncode == 2
        assert "theirs/.assay: Permission denied; give this user permission" in one_line(
            done.stderr
        )


def test_a_file_in_the_place_of_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,y\n1,0\n2,1\n")
    (tmp_path / ".assay").mkdir()
    (tmp_path / ".assay" / "runs").touch()
    done = call(RUN, tmp_path)
    assert done.returncode == 2
    assert "Not a directory; a file has the name of a folder that is needed" in one_line(
        done.stderr
    )


@pytest.mark.parametrize(
    "words", [["store", "gc"], ["show", "m/1"], RUN, ["init", "--approver", "A <a@b>"]]
)
def test_a_current_folder_that_was_removed_is_reported(tmp_path: Path, words: list[str]) -> None:
    missing = tmp_path / "gone"
    missing.mkdir()
    script = f"rmdir {missing}; exec " + " ".join(f"'{word}'" for word in [*ASSAY, *words])
    done = subprocess.run(
        ["sh", "-c", script], cwd=missing, capture_output=True, env={**os.environ, "PWD": "/"}
    )
    assert done.returncode == 2, done.stderr
    assert "the current folder was removed" in one_line(done.stderr)


class TestOutput:
    """Standard output and error may be closed, full, without a reader, or in another encoding."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        rows = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40))
        (tmp_path / "data.csv").write_text(f"a,größe\n{rows}", encoding="utf-8")
        return tmp_path

    @pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
    def test_a_closed_one_stops_no_command(self, project: Path, closed: str) -> None:
        words = [*ASSAY, "suite", "draft", "data.csv", "--target", "größe", "-o", "suite.json"]
        script = " ".join(f"'{word}'" for word in words)
        done = subprocess.run(["sh", "-c", f"{script} {closed}"], cwd=project, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        assert json.loads((project / "suite.json").read_text())["expectations"]

    def test_a_closed_one_stops_no_run(self, project: Path) -> None:
        words = [*ASSAY, *RUN[:4], "-p", "target=none", "-p", "model_name=m"]
        script = " ".join(f"'{word}'" for word in words)
        done = subprocess.run(["sh", "-c", f"{script} >&-"], cwd=project, capture_output=True)
        assert (done.returncode, done.stderr) == (2, b"")
        log = next(project.glob(".assay/runs/*/run.log")).read_text(encoding="utf-8")
        assert "no column 'none'" in log

    @pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
    @pytest.mark.slow
    def test_characters_that_its_encoding_lacks_are_escaped(
        self, project: Path, encoding: str
    ) -> None:
        pages = ["run", "train-and-register", "--help-parameters"]
        done = call(pages, project, PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
        # Also what the tasks print, and what is told of a failure.
        words = [*RUN[:4], "-p", "target=→", "-p", "model_name=m"]
        done = call(words, project, PYTHONIOENCODING=encoding)
        assert done.returncode == 2
        assert b"Traceback" not in done.stderr
        assert b"no column '\\u2192'" in done.stdout
        log = next(project.glob(".assay/runs/*/run.log")).read_text(encoding="utf-8")
        assert "no column '→'" in log
        assert "größe" in log

    def test_json_stays_json_in_an_encoding_that_lacks_characters(self, project: Path) -> None:
        words = [*RUN[:4], "-p", "target=😀é", "-p", "model_name=m", "--json"]
        done = call(words, project, PYTHONIOENCODING="ascii")
        assert done.returncode == 2, done.stderr
        assert "no column '😀é'" in json.loads(done.stdout)["error"]

    def test_a_full_one_is_reported(self, project: Path) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("needs /dev/full")
        words = [*ASSAY, "run", "train-and-register", "--help-parameters"]
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(words, cwd=project, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 7
        assert "error: standard output: No space left on device" in one_line(done.stderr)

    def test_a_reader_that_leaves_does_not_change_the_exit_code(self, project: Path) -> None:
        """It is the verdict of the run: 0 would say that a model was registered."""
        for words in (["--help"], [*RUN[:4], "-p", "target=none", "-p", "model_name=m"]):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(
                [*ASSAY, *words], cwd=project, stdout=writer, stderr=subprocess.PIPE
            )
            os.close(writer)
            assert done.stderr == b""
            assert done.returncode == (2 if "run" in words else 0)


def test_ctrl_c_leaves_no_trace_at_any_moment(tmp_path: Path) -> None:
    """From when Python is up and has read the first lines of the command."""
    script = (
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from assay.__main__ import main\nprint('up', flush=True)\nmain()\n"
    )
    for milliseconds in (0, 20, 40, 60, 80, 100, 150, 250, 400):
        with subprocess.Popen(
            [sys.executable, "-c", script, "store", "gc"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        ) as started:  # fmt: skip
            assert started.stdout is not None
            assert started.stdout.readline() == b"up\n"
            time.sleep(milliseconds / 1000)
            started.send_signal(signal.SIGINT)
            _, output = started.communicate(timeout=60)
        assert b"Traceback" not in output, output.decode()
        assert started.returncode in {0, 130}


def test_an_interrupt_that_python_swallows_is_repeated(tmp_path: Path) -> None:
    """In the callback of a weak reference, such as that of an import lock, nothing can raise."""
    script = (
        "import time, weakref\nfrom assay import __main__\n"
        "class Lock: pass\n"
        "def stop(_): raise KeyboardInterrupt\n"
        "def command():\n"
        "    lock = Lock()\n    ref = weakref.ref(lock, stop)\n    del lock\n"
        "    try: time.sleep(30)\n    except KeyboardInterrupt: raise SystemExit(130)\n"
        "import assay.cli\nassay.cli.main = command\n__main__.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, b"")


def until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_asked_to_end_leaves_nothing_temporary(
    tmp_path: Path, number: signal.Signals
) -> None:
    rows = "".join(f"{i % 7},{'ab'[i % 2]}\n" for i in range(400))
    (tmp_path / "data.csv").write_text(f"a,y\n{rows}")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    with subprocess.Popen(
        [*ASSAY, *RUN], cwd=tmp_path, env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as started:  # fmt: skip
        assert until(lambda: bool(list(scratch.glob("assay-*"))), 60)
        assert until(lambda: bool(list(tmp_path.glob(".assay/runs/*/events.jsonl"))), 60)
        started.send_signal(number)
        _, output = started.communicate(timeout=60)
    assert started.returncode == 128 + number
    assert output == b""
    assert until(lambda: not list(scratch.iterdir()), 15), list(scratch.iterdir())


class TestAStoreThatIsNotThere:
    """Who only reads makes no folder, and does not say that all is well."""

    def test_is_no_replica_to_repair_from(self, tmp_path: Path) -> None:
        done = call(["store", "fsck", "--from", (tmp_path / "nope").as_uri()], tmp_path)
        assert done.returncode == 7
        assert "is empty; give the address of a replica" in one_line(done.stderr)
        assert not (tmp_path / "nope").exists()

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["show", f"sha256:{'0' * 64}"], 7),
            (["show", "0123abcd"], 7),
            (["store", "verify", f"sha256:{'0' * 64}"], 7),
            (["passport", f"sha256:{'0' * 64}"], 7),
            (["model", "diff", f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"], 7),
            (["reproduce", f"sha256:{'0' * 64}"], 7),
            (["store", "gc", "--no-registry"], 0),
            (["store", "fsck"], 7),
        ],
    )
    def test_is_not_made_by_a_command_that_reads(
        self, tmp_path: Path, words: list[str], code: int
    ) -> None:
        done = call(words, tmp_path, ASSAY_STORE=(tmp_path / "nope").as_uri())
        assert done.returncode == code, done.stderr
        assert not (tmp_path / "nope").exists()


def test_a_name_that_is_no_unicode_is_reported_in_one_line(tmp_path: Path) -> None:
    name = os.fsdecode(b"data=l\xe4.csv")
    done = call(["run", "train-and-register", "-p", name], tmp_path)
    assert done.returncode == 2
    assert "not valid UTF-8; rename the file" in one_line(done.stderr)
