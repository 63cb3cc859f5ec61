"""Compiled components in other people's pipelines, as `load_component_from_file` reads them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from assay.core.attestation import about
from assay.core.store import open_store
from assay.runtime import images, task
from assay.runtime.images import ROLES

ROOT: Final = Path(__file__).parents[2]
COMPONENTS: Final = sorted((ROOT / "components").glob("*/*/component.yaml"))

PIPELINE: Final = """
import json, sys
from pathlib import Path
from kfp import compiler, components, dsl, local

root, folder = Path(sys.argv[1]), Path(sys.argv[2])


def load(name):
    (path,) = root.glob(f"components/*/{name}/component.yaml")
    return components.load_component_from_file(str(path))


snapshot_data, split_data, train, evaluate, gate = map(
    load, ["snapshot_data", "split_data", "train", "evaluate", "gate"]
)


@dsl.pipeline(name="loaded")
def loaded(data: str, policy: str) -> str:
    table = snapshot_data(data=data, target="y")
    parts = split_data(data=table.outputs["dataset_digest"], target="y")
    fitted = train(
        data=parts.outputs["train"], target="y", estimator="sklearn.linear_model.Ridge"
    )
    quality = evaluate(model=fitted.outputs["model_digest"], test_data=parts.outputs["test"])
    judged = gate(
        model=fitted.outputs["model_digest"], policy=policy, evaluation=quality.outputs["evidence"]
    )
    return judged.outputs["decision_digest"]


compiler.Compiler().compile(loaded, str(folder / "loaded.yaml"))
local.init(
    runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "outputs"),
    workspace_root=str(folder / "workspace"),
)
done = loaded(data=str(folder / "data.csv"), policy=sys.argv[3])
(folder / "decision").write_text(done.output)
"""


def test_every_one_loads_and_a_pipeline_of_it_compiles(tmp_path: Path) -> None:
    # In one process of its own, because KFP keeps what it has loaded.
    script = """
import sys
from kfp import compiler, components, dsl
for path in sys.argv[2:]:
    one = components.load_component_from_file(path)
    required = [n for n, s in (one.component_spec.inputs or {}).items() if not s.optional]
    types = {n: one.component_spec.inputs[n].type for n in required}
    lists = {n for n, kind in types.items() if kind == "List"}
    files = {n for n, kind in types.items() if "@" in kind}
    inputs = one.component_spec.inputs or {}
    ends = {n for n, s in inputs.items() if "TaskFinalStatus" in str(s.type)}

    @dsl.pipeline(name="one")
    def pipeline(a: str, b: list):
        file = dsl.importer(artifact_uri="file:///x", artifact_class=dsl.Artifact)
        given = {n: b if n in lists else a for n in set(types) - ends - files}
        given |= {n: file.output for n in files}
        if ends:
            with dsl.ExitHandler(one(**given)):
                dsl.importer(artifact_uri="file:///y", artifact_class=dsl.Artifact)
        else:
            one(**given)

    compiler.Compiler().compile(pipeline, sys.argv[1])
    print(path)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "p.yaml"), *map(str, COMPONENTS)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(path) for path in COMPONENTS]
    assert len(COMPONENTS) >= 20


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.parent.name)
def test_no_container_has_a_list_that_the_sdk_reads_as_a_map(path: Path) -> None:
    spec = next(iter(yaml.safe_load_all(path.read_text())))
    for executor in spec["deploymentSpec"]["executors"].values():
        assert "env" not in executor["container"]


def test_a_pipeline_of_loaded_components_runs(tmp_path: Path, monkeypatch: Any) -> None:
    from assay.core.step import Policy
    from assay.core.tree import put_tree

    rows = [f"{i},{(i * 37) % 11},{2 * i + (i * 37) % 11}\n" for i in range(200)]
    (tmp_path / "data.csv").write_text("a,b,y\n" + "".join(rows))
    store = open_store((tmp_path / "store").as_uri())
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.yaml").write_text("gates:\n  - metric: r2 > 0.9\n")
    policy = put_tree(store, tmp_path / "policy", Policy.type, {}).digest
    monkeypatch.setenv("ASSAY_STORE", store.url)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "pipeline.py"), str(ROOT), str(tmp_path), policy],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    decision = (tmp_path / "decision").read_text()
    (made,) = about(store, decision, None)
    assert made.step == "gate"
    assert made.values["verdict"] == "pass"
    # A plain process is in no image, and its attestation must not claim one.
    assert made.image == ""


@pytest.mark.parametrize("role", ROLES)
def test_the_command_names_the_image(role: str) -> None:
    found = 0
    for path in COMPONENTS:
        spec = next(iter(yaml.safe_load_all(path.read_text())))
        (container,) = (e["container"] for e in spec["deploymentSpec"]["executors"].values())
        if f"-{role}:" in container["image"]:
            place = container["command"].index("--image")
            assert container["command"][place + 1] == container["image"]
            found += 1
    assert found


@pytest.mark.parametrize("inside", [True, False])
def test_which_counts_in_an_image_of_ours_only(
    inside: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(images, "CODE_FOLDER", str(tmp_path if inside else tmp_path / "none"))
    monkeypatch.setenv("ASSAY_IMAGE", "")
    monkeypatch.setenv("_KFP_RUNTIME", "true")
    monkeypatch.setattr(sys, "argv", ["task", "--image", "an/image@sha256:1", "kfp", "no", "{}"])
    with pytest.raises(SystemExit) as ended:
        task.main()
    assert ended.value.code == 1
    assert "No module named 'assay.components.no'" in capsys.readouterr().err
    assert os.environ["ASSAY_IMAGE"] == ("an/image@sha256:1" if inside else "")
