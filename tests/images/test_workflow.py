"""The workflow that publishes images is about every image."""

from pathlib import Path

import yaml

from assay.runtime.images import ROLES

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "images.yaml"


def test_every_image_is_scanned_before_any_is_pushed_and_then_gets_its_provenance() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["permissions"] == {}
    names = [step.get("name", "") for step in workflow["jobs"]["images"]["steps"]]
    push = names.index("Push")
    for role in ROLES:
        assert names.index(f"Scan {role}") < push < names.index(f"Provenance of {role}")


def test_what_push_writes_is_what_the_provenance_reads() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    steps = workflow["jobs"]["images"]["steps"]
    for role in ROLES:
        (step,) = (step for step in steps if step.get("name") == f"Provenance of {role}")
        assert step["with"]["subject-name"] == f"${{{{ steps.push.outputs.{role} }}}}"
        assert step["with"]["subject-digest"] == f"${{{{ steps.push.outputs.{role}-digest }}}}"
