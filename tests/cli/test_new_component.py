"""`assay new component`: a step's signature and docstring become its KFP component."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from assay import data as dataset
from assay.cli.new.component import command
from assay.core.step import Dataset
from assay.core.store import open_store
from assay.core.tree import put_tree
from assay.errors import AssayError, StepError

STEP = '''"""weigh: the work."""

from assay.core.step import Dataset, Validation, Out, Values, step


@step
def weigh(
    *,
    data: Dataset,
    reference: Dataset | None = None,
    unit: str = "kg",
    limits: list[int] | None = None,
    dry_run: bool = False,
    counts: Out[Validation],
) -> Values:
    """Weigh the rows.

    Heavy rows come first.

    Args:
        data: The rows.
        reference: Rows to compare with. Empty: none.
        unit: What weights are in: "kg" or "t".
        limits: Bounds of each scale, in units.
        dry_run: Weigh nothing.
        counts: The weights.

    Returns:
        verdict (str): pass or block.
        heaviest (float): Of all rows.

    Raises:
        UsageError: An unknown unit.
    """
    return {"verdict": "pass", "heaviest": 1.5}
'''
TASK = '''"""weigh: how its task runs the step."""

from __future__ import annotations

from assay.runtime.kfp import Task


def weigh(task: Task, *, twice: bool = False) -> dict[str, int]:
    """Weigh again where asked to.

    Args:
        task: The task.
        twice: Weigh everything two times.

    Returns:
        times (int): How often it was weighed.
    """
    (step,) = task.steps
    task.run(step)
    return {"times": 1 + twice}
'''
STAGE = """category: data_processing
image: data
component:
  base_image: registry.test/weigh:1
  artifacts: {counts: {type: HTML, meaning: Rows by weight.}}
  hides: [dry_run]
  required: {reference: true}
  settings: true
  judge: block
"""
EXPECTED = '''\
# Generated from step.py, task.py and stage.yaml by `assay new component`. Do not edit.
"""The KFP declaration of weigh."""

from typing import NamedTuple, Optional

from kfp import dsl


@dsl.component(base_image="registry.test/weigh:1", install_kfp_package=False)
def weigh(
    data: str,
    reference: str,
    counts: dsl.Output[dsl.HTML],
    unit: str = "kg",
    limits: Optional[list] = None,
    twice: bool = False,
    settings: dict = {},
) -> NamedTuple("Outputs", [("counts_digest", str), ("heaviest", float), ("times", int)]):
    """Weigh the rows.

    Heavy rows come first.

    A verdict other than pass fails the task, with exit code 4, or 5 if it is inconclusive, after
    the result is stored.

    Args:
        data: Digest of the rows.
        reference: Digest of rows to compare with. Empty: none.
        counts: Rows by weight.
        unit: What weights are in: "kg" or "t".
        limits: Bounds of each scale, in units.
        twice: Weigh everything two times.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text, \
only
            changes KFP's cache key.

    Returns:
        counts_digest: Digest of the weights.
        heaviest: Of all rows.
        times: How often it was weighed.
    """
    from assay.runtime.kfp import BLOCKS, execute

    from weigh import step, task

    return execute(
        step.weigh,
        locals(),
        "counts_digest",
        "heaviest",
        "times",
        judge=BLOCKS,
        by=task.weigh,
    )
'''


class Stage:
    """The package of a stage, and the command in the folder around it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "weigh"
        self.folder.mkdir()
        for name, text in {
            "__init__.py": "", "step.py": STEP, "task.py": TASK, "stage.yaml": STAGE
        }.items():  # fmt: skip
            (self.folder / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def generate(self, *words: str, code: int = 0) -> str:
        """What the command says when it fails; each time the step is imported anew."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "weigh"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        done = CliRunner().invoke(command, words or ["weigh"])
        error = done.exception
        if isinstance(error, AssayError):
            assert error.exit_code == code, error
            return f"error: {error}"
        assert (done.exit_code, code) == (0, 0), done.output
        return ""

    @property
    def component(self) -> str:
        return (self.folder / "component.py").read_text()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Stage(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "weigh"]:
        del sys.modules[name]


def test_it_says_what_step_task_and_stage_say(stage: Stage) -> None:
    stage.generate()
    assert stage.component == EXPECTED
    names = {path.name for path in stage.folder.iterdir()}
    assert names == {"__init__.py", "step.py", "task.py", "stage.yaml", "component.py"}


def test_what_it_writes_is_formatted_and_kfp_takes_it(stage: Stage) -> None:
    stage.generate()
    folder = str(stage.folder)
    ruff = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100"]
    subprocess.run([*ruff, "--check", folder], check=True, capture_output=True)
    read = "from weigh.component import weigh; print(sorted(weigh.component_spec.inputs))"
    done = subprocess.run(
        [sys.executable, "-c", read], cwd=stage.root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['data', 'limits', 'reference', 'settings', 'twice', 'unit']"


def test_a_change_of_the_step_makes_it_stale_and_generating_mends_it(stage: Stage) -> None:
    stage.generate()
    stage.edit("step.py", 'unit: str = "kg"', 'unit: str = "t"')
    before = stage.component
    output = stage.generate("--check", "weigh", code=1)
    assert "stale: weigh/component.py" in output
    assert "assay new component weigh" in output
    assert stage.component == before
    stage.generate()
    assert '    unit: str = "t",\n' in stage.component
    stage.generate("--check", "weigh")


def test_all_that_is_wrong_with_a_step_is_named_at_once(stage: Stage) -> None:
    stage.edit("step.py", "unit: str =", "tare: set[int], lid: bytes, unit: str =")
    (output,) = stage.generate(code=2).splitlines()
    assert output.startswith("error: weigh/step.py: ")
    for part in (
        "'tare' is annotated set[int]",
        "'lid' is annotated bytes",
        "use an artifact kind",
        "not described: tare, lid; write a line 'NAME: what it means'",
    ):
        assert part in output
    assert not (stage.folder / "component.py").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("step.py", "        unit: What", "        unti: What", "weigh/step.py: 'unti' is in Args"),
        ("step.py", "heaviest (float)", "heaviest", "output 'heaviest' has no type"),
        ("task.py", "twice: bool", "twice: complex", "weigh/task.py: 'twice' is annotated"),
        ("task.py", "        twice: Weigh", "        Weigh", "weigh/task.py: not described: twice"),
        ("task.py", "def weigh", "def weight", "weigh/task.py: no function 'weigh'"),
        ("step.py", "from assay.core", "1 / 0\nfrom assay.core", "ZeroDivisionError"),
        ("stage.yaml", "[dry_run]", "[dry]", "component.hides: unknown: dry; known are data, "),
        ("stage.yaml", "hides: [", "outputs: [count, ", "component.outputs: unknown: count"),
        ("stage.yaml", "  base_image: registry.test/weigh:1\n", "", "base_image is missing"),
        ("stage.yaml", "{counts:", "{unit:", "component.artifacts: 'unit' is a parameter"),
        ("stage.yaml", "hides: [dry_run]", "steps: [weigh, wegh]", "wegh/step.py: cannot be"),
        ("stage.yaml", "judge: block", "judge: blocks", "did you mean 'block'?"),
    ],
)
def test_what_is_wrong_gets_one_line_with_its_file(
    stage: Stage, file: str, old: str, new: str, problem: str
) -> None:
    stage.edit(file, old, new)
    (output,) = stage.generate(code=2).splitlines()
    assert problem in output
    assert not (stage.folder / "component.py").exists()


def test_a_folder_without_a_stage_is_named(stage: Stage) -> None:
    assert "nowhere has no stage.yaml" in stage.generate("nowhere", code=2)


def test_a_task_function_runs_the_steps_and_adds_outputs(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = '    (counts.path / "report.html").write_text(unit)\n'
    stage.edit("step.py", "    return {", f"{write}    return {{")
    stage.generate()
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
    (tmp_path / "data").mkdir()
    table = pa.table({"a": [1, 2]})
    dataset.write(table.to_batches(), table.schema, tmp_path / "data")
    store = open_store((tmp_path / "store").as_uri())
    digest = put_tree(store, tmp_path / "data", Dataset.type, {}).digest
    from weigh.component import weigh  # type: ignore[import-not-found]

    view: Any = type("HTML", (), {"metadata": {}, "path": str(tmp_path / "view.html")})()
    done = weigh.python_func(
        data=digest, reference="", counts=view, twice=True, settings={"unit": "t"}
    )
    assert done.times == 2
    assert done.heaviest == 1.5
    assert Path(view.path).read_text() == "t"


def test_a_task_function_that_runs_no_step_is_named(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage.edit("task.py", "    task.run(step)\n", "")
    stage.generate()
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
    from weigh.component import weigh

    with pytest.raises(SystemExit) as stop:
        weigh.python_func(data="", reference="", counts=None)
    assert stop.value.code == StepError.exit_code
    assert "weigh: no step was run; call task.run in task.py" in capsys.readouterr().err
