"""The command line as a user meets it: help, errors, speed of imports."""

import errno
import importlib
import inspect
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from assay import cli as command_line
from assay.cli import cli
from assay.cli.catalog import names, options_of, pipeline
from assay.cli.console import write_whole
from assay.errors import EXIT_CODES, INTERRUPTED, AssayError, UsageError
from assay.governance.registry import Registry
from assay.runtime import local

from stories import every_command

HEAVY = ("pandas", "sklearn", "mlflow", "great_expectations", "evidently", "pyarrow", "matplotlib")


def assay(*words: str, cwd: Path, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", *words], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def imported(code: str, cwd: Path) -> set[str]:
    script = f"import sys\n{code}\nprint([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "from assay.cli import cli\ntry: cli(['--help'])\nexcept SystemExit: pass"
    assert imported(code, tmp_path) == set()


def test_a_cached_step_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
    code = (
        f"import os; os.environ['ASSAY_STORE'] = {(tmp_path / 'store').as_uri()!r}\n"
        "from assay.components.snapshot_data.step import snapshot_data\n"
        "from assay.core.context import context_from_env\n"
        "from assay.core.execution import execute\n"
        "done = execute(snapshot_data, {'data': 'data.csv'}, context_from_env())\n"
    )
    assert imported(code, tmp_path) != set(), "computing does import them"
    assert imported(code + "assert done.cached\n", tmp_path) == set()


@pytest.mark.parametrize(
    "stage",
    [
        "train",
        "evaluate",
        "compare",
        "gate",
        "register",
        "check_monitoring",
        "validate_data",
        "split_data",
        "preflight",
        "run_report",
        "resolve_production",
    ],
)
def test_no_step_module_imports_anything_heavy(tmp_path: Path, stage: str) -> None:
    assert imported(f"import assay.components.{stage}.step", tmp_path) == set()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["rnu"], "did you mean 'run'"),
        (["run"], "PIPELINE is missing"),
        (["run", "train-and-registre"], "did you mean 'train-and-register'"),
        (["run", "train-and-register", "-p", "data"], "NAME=VALUE"),
        (
            ["run", "train-and-register", "-p", "data=a", "-p", "data=b"],
            "-p data: given more than once",
        ),
        (["run", "train-and-register", "--params", "none.yaml"], "cannot read none.yaml"),
        (["run", "train-and-register", "-p", f"seed={'1' * 30}"], "a whole number up to 9007199"),
        (["compile", "--images", "nofile.json"], "cannot read nofile.json: No such file"),
        (["show", "latest"], "is not a digest"),
        (["store", "verify", "sha256:12"], "is not a digest"),
        (["gate", "--policy", "p.yaml", "--evidence", "e.json"], "cannot read p.yaml"),
        (["compile"], "not pinned by digest"),
        (["suite", "draft", "none.csv"], "no file none.csv"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, words: list[str], part: str) -> None:
    done = assay(*words, cwd=tmp_path, code=2)
    assert part in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.lower().startswith("error")]) == 1


def test_a_seed_that_training_cannot_take_is_refused_before_the_data_is_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "data.csv").write_text("a,y\n1,0\n2,1\n")
    given = ["data=data.csv", "target=y", "model_name=m", f"seed={2**32}"]
    words = [word for pair in given for word in ("-p", pair)]
    done = assay("run", "train-and-register", *words, cwd=tmp_path, code=2)
    assert f"options.seed is {2**32}; give a number from 0 to {2**32 - 1}" in done.stdout
    assert "snapshot_data" not in done.stdout


def test_an_address_that_mlflow_does_not_know_is_the_users_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "foo://user:secret@host")
    done = assay("model", "production", "m", cwd=tmp_path, code=2)
    assert done.stderr.startswith("error: MLFLOW_TRACKING_URI: MLflow does not support foo://host")
    assert "secret" not in done.stderr


def test_a_run_that_is_unsigned_by_mistake_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = local.Outcome([], tmp_path, 2, "bad")
    module = importlib.import_module("assay.cli.run")
    monkeypatch.setattr(module, "follow", lambda *_, **__: outcome)
    output = "finding: unsigned: assay.env exists and is not loaded; run: . ./assay.env"
    words = ["run", "train-and-register", "-p", "data=d", "-p", "target=y", "-p", "model_name=m"]

    def findings() -> int:
        outcome.notes.clear()
        return CliRunner().invoke(cli, words).output.count(output)

    assert findings() == 0
    (tmp_path / "assay.env").touch()
    assert findings() == 1
    monkeypatch.setenv("ASSAY_SIGNING_KEY", "key.pem")
    assert findings() == 0


def test_what_is_not_in_the_store(tmp_path: Path) -> None:
    done = assay("show", "sha256:" + "0" * 64, cwd=tmp_path, code=7)
    assert "is this the right store" in done.stderr


def test_a_store_that_is_down_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STORE", "s3://bucket/x?endpoint=http://127.0.0.1:9")
    done = assay("show", "sha256:" + "0" * 64, cwd=tmp_path, code=7)
    assert "check that it is up" in done.stderr


def test_completion_scripts(tmp_path: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_ASSAY_COMPLETE" in assay("completion", shell, cwd=tmp_path).stdout


def test_completion_imports_no_command(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom assay.cli import COMMANDS, main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([module for module, _ in COMMANDS.values() if module in sys.modules])"
    )
    given = {"_ASSAY_COMPLETE": "bash_complete", "COMP_WORDS": "assay re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env={**os.environ, **given}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["plain,reproduce", "plain,release", "[]"]


def test_the_gate_is_replayed_without_a_store(tmp_path: Path) -> None:
    model = "sha256:" + "a" * 64
    evidence = {
        "subjects": {"model": model},
        "evidence": {"accuracy": 0.9},
        "intervals": {},
        "notes": {},
        "verdict": None,
        "reason": "",
    }
    (tmp_path / "e.json").write_text(json.dumps(evidence))
    (tmp_path / "p.yaml").write_text("gates:\n  - metric: accuracy > 0.8\n")
    assert (
        "verdict: pass"
        in assay("gate", "--policy", "p.yaml", "--evidence", "e.json", cwd=tmp_path).stdout
    )
    (tmp_path / "p.yaml").write_text("gates:\n  - metric: accuracy > 0.95\n")
    done = assay(
        "gate", "--policy", "p.yaml", "--evidence", "e.json", "--json", cwd=tmp_path, code=4
    )
    assert json.loads(done.stdout)["verdict"] == "block"


def test_a_suite_is_drafted_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40)))
    assay("suite", "draft", "data.csv", "--target", "y", "-o", "s.json", cwd=tmp_path)
    kinds = {e["type"] for e in json.loads((tmp_path / "s.json").read_text())["expectations"]}
    assert "expect_column_values_to_be_in_set" in kinds
    assert (
        "--force"
        in assay("suite", "draft", "data.csv", "-o", "s.json", cwd=tmp_path, code=2).stderr
    )


def test_a_draft_that_cannot_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "draft").write_text("before")
    # No disk is needed to run into its end: the system refuses what is beyond a file's limit.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(UsageError, match=r"cannot write .*draft: File too large"):
            write_whole("x" * 1000, tmp_path / "draft")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["draft"]
    assert (tmp_path / "draft").read_text() == "before"


class TestHelp:
    @pytest.mark.parametrize("words", ["", *(words for words, _ in every_command())])
    def test_reads_as_text_on_a_narrow_terminal(self, words: str) -> None:
        done = CliRunner().invoke(cli, [*words.split(), "--help"], terminal_width=80)
        assert done.exit_code == 0
        assert "\\" not in done.output
        assert "\b" not in done.output
        # A help line that is cut off says nothing.
        assert "..." not in done.output.replace("[ARGS]...", "").replace("]...", "").replace(
            "FOLDERS...", ""
        )
        assert max(map(len, done.output.splitlines())) <= 80

    def test_lists_every_exit_code(self, tmp_path: Path) -> None:
        def codes(kind: type[AssayError]) -> set[int]:
            return {kind.exit_code}.union(*(codes(child) for child in kind.__subclasses__()))

        assert set(EXIT_CODES) == {0, INTERRUPTED} | codes(AssayError)
        shown = assay("--help", cwd=tmp_path).stdout.split("Exit codes:")[1]
        listed = dict(line.split(maxsplit=1) for line in shown.splitlines() if line.strip())
        assert listed == {str(code): meaning for code, meaning in EXIT_CODES.items()}

    @pytest.mark.parametrize("name", names("assay.pipelines"))
    def test_of_parameters_keeps_each_name_and_default_whole(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        narrow = Console(force_terminal=True, width=40)
        monkeypatch.setattr(importlib.import_module("assay.cli.run"), "stdout", narrow)
        shown = CliRunner().invoke(cli, ["run", name, "--help-parameters"], catch_exceptions=False)
        lines = shown.output.splitlines()
        for option, default in options_of(pipeline(name)).items():
            kind = type(default).__name__
            assert f"{option} ({kind}, default: {json.dumps(default)})" in lines
        for parameter in inspect.signature(pipeline(name).pipeline_func).parameters.values():
            if parameter.name == "options":
                continue
            required = parameter.default is inspect.Parameter.empty
            given = "required" if required else f"default: {json.dumps(parameter.default)}"
            assert f"{parameter.name} ({parameter.annotation.__name__}, {given})" in lines


class TestAModelThatNobodyKnows:
    @pytest.fixture
    def registered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
        Registry().register("income", f"sha256:{'1' * 64}", "file:///nowhere", {}, {})
        return tmp_path

    @pytest.mark.parametrize("command", ["model production", "release list"])
    def test_is_not_one_of_which_nothing_is_there(self, registered: Path, command: str) -> None:
        done = assay(*command.split(), "incme", cwd=registered, code=2)
        assert "did you mean 'income'?" in done.stderr
        assert "no" in assay(*command.split(), "income", cwd=registered).stdout

    def test_a_version_that_is_no_number_is_the_users_mistake(self, registered: Path) -> None:
        done = assay("model", "production", "income", "--set", "latest", cwd=registered, code=2)
        assert done.stderr == (
            "error: --set: 'latest' is not a version; give its number, as in --set 1\n"
        )


def test_without_git_the_error_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", "init", "project"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 8
    assert done.stderr == (
        "error: Git is not on the PATH; install git 2.38 or later, or add its folder to PATH\n"
    )


def test_a_full_disk_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "run.log")

    monkeypatch.setattr(command_line, "cli", full)
    with pytest.raises(SystemExit) as stop:
        command_line.main(["run"])
    assert stop.value.code == 7
    output = capsys.readouterr().err
    assert output.startswith("error: run.log: No space left on device; free space")
    assert output.count("\n") == 1


def test_reports_without_room_do_not_hide_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "report.html")

    monkeypatch.setattr(local, "_outputs_of", lambda *_: set())
    monkeypatch.setattr(local, "_collect_reports", full)
    monkeypatch.setattr(local, "fork_server", lambda *_: nullcontext())
    outcome = local.run(lambda: None, {}, tmp_path / "run")
    assert outcome.verdict == "passed"
    assert "No space left on device" in outcome.findings[0]


@pytest.mark.slow
def test_an_interrupted_run_says_so_in_one_line(tmp_path: Path) -> None:
    rows = [f"{i},{(i * 37) % 11},{'ab'[i % 2]}\n" for i in range(400)]
    (tmp_path / "data.csv").write_text("a,b,y\n" + "".join(rows))
    given = ["data=data.csv", "target=y", "model_name=m"]
    # A process group of its own and Python's handler, as a shell in a terminal sets them up.
    script = (
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from assay.cli import main\nmain(sys.argv[1:])\n"
    )
    words = [word for pair in given for word in ("-p", pair)]
    started = subprocess.Popen(
        [sys.executable, "-c", script, "run", "train-and-register", *words],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert started.stdout is not None
    assert started.stdout.readline().startswith("preflight")
    os.killpg(started.pid, signal.SIGINT)
    _, output = started.communicate(timeout=60)
    assert started.returncode == 130
    assert output.lstrip("\n") == "interrupted; finished work is kept, and the next run continues\n"
