"""What a task imports before and beside its work: seconds of a run that the cache answers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.cluster.stages import library_stages

HEAVY = (
    "evidently", "great_expectations", "jinja2", "kubernetes", "matplotlib", "minio", "mlflow",
    "numpy", "pandas", "pyarrow", "scipy", "sklearn", "skops", "sqlalchemy", "statsmodels",
    "urllib3",
)  # fmt: skip
"""Libraries that compute, draw, or speak with services."""
IMPORTED = f"""
import importlib, json, sys
from assay.runtime import fork_server

fork_server._load_task()
for part in ("component", "step", "task"):
    try:
        importlib.import_module(f"assay.components.{{sys.argv[1]}}.{{part}}")
    except ModuleNotFoundError as error:
        if error.name != f"assay.components.{{sys.argv[1]}}.{{part}}":
            raise
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
EXECUTED = f"""
import importlib, json, sys
from assay.core.execution import Context, execute
from assay.core.store import open_store

name, url, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
step = getattr(importlib.import_module(f"assay.components.{{name}}.step"), name)
done = execute(step, arguments, Context(open_store(url)))
print(json.dumps({{
    "cached": done.cached, "outputs": dict(done.outputs),
    "heavy": [name for name in {HEAVY!r} if name in sys.modules],
}}))
"""


def answer(script: str, *words: str) -> Any:
    """What a script prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("stage", sorted(library_stages()))
def test_a_task_imports_nothing_heavy_before_it_knows_its_answer(stage: str) -> None:
    assert answer(IMPORTED, stage) == []


def test_an_answer_of_the_cache_needs_nothing_that_computes(
    shared_data: Path, tmp_path: Path
) -> None:
    """The same steps twice: the second time, no library is imported that the first one needs."""
    url = (tmp_path / "store").as_uri()

    def run(name: str, **arguments: Any) -> dict[str, Any]:
        done: dict[str, Any] = answer(EXECUTED, name, url, json.dumps(arguments))
        return done

    table = str(shared_data / "elec.csv")
    for expected in (False, True):
        data = run("snapshot_data", data=table)
        digest = data["outputs"]["dataset"]
        sides = run("split_data", data=digest)
        validated = run("validate_data", data=digest)
        for done in (data, sides, validated):
            assert done["cached"] is expected
            assert (done["heavy"] == []) is expected


def test_what_checks_the_parameters_of_a_run_does_not_compute() -> None:
    """preflight is asked anew in each run, so its imports are paid each time."""
    script = f"""
import json, sys
import assay.components.prepare_data.task
import assay.components.preflight.examine
import assay.components.preflight.fits
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    assert answer(script) == []
