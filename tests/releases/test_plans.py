"""The monitoring plan of a release that was approved before, which a rollback brings back."""

import shutil
from pathlib import Path
from typing import Any

from assay.components.check_monitoring.step import check_monitoring as library
from assay.core.attestation import Attestation, about, pointers, using
from assay.core.digest import of_bytes
from assay.core.execution import CacheMode, Context, execute
from assay.core.step import Model, Monitoring, MonitoringPlan, Out, step
from assay.core.tree import get_manifest, get_tree
from assay.errors import IntegrityError, UsageError
from assay.releases.lint import lint

from simulators.forge import git
from stories import refused

MODEL = "churn"
PLAN = f"models/{MODEL}/dev/monitoring.yaml"
SILENT = "# nobody is notified\n"


def test_a_proposed_rollback_with_another_plan_is_refused(world: Any) -> None:
    world.release("three", "dev")
    plan = git(world.bare, "show", f"main:{PLAN}")
    world.release("two", "dev")
    done = world.roll_back("dev", now=False)
    folder = world.checkout()
    git(folder, "checkout", "-q", done.request.branch)
    assert git(folder, "show", f"HEAD:{PLAN}") == plan
    (folder / PLAN).write_text(SILENT)
    git(folder, "commit", "-qam", "Be quiet")
    git(folder, "push", "-q", "origin", f"HEAD:{done.request.branch}")
    output = "monitoring.yaml is not the plan that release.yaml names"
    _, (problem,) = lint(world.deployment, folder, "origin/main")
    assert problem.text == output
    refused(lambda: world.approve("dev"), IntegrityError, output)


def test_a_rollback_does_not_take_the_plan_that_history_shows_beside_a_release(world: Any) -> None:
    """Any commit of the branch may hold an approved release.yaml, and another plan beside it."""
    world.release("three", "dev")
    plan = git(world.bare, "show", f"main:{PLAN}")
    old = world.head()
    world.release("two", "dev")
    folder = world.checkout()
    head = git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", old, "--", "models/churn/dev")
    (folder / PLAN).write_text(SILENT)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Draft")
    git(folder, "rm", "-rq", "models/churn/dev")
    git(folder, "checkout", head, "--", "models/churn/dev")
    git(folder, "commit", "-qm", "Take it back")
    git(folder, "push", "-q", "origin", "HEAD:main")
    done = world.roll_back("dev")
    assert done.release.digest == world.models["three"]
    assert git(world.bare, "show", f"main:{PLAN}") == plan


@step
def write_plan(*, text: str, plan: Out[MonitoringPlan]) -> None:
    """A plan of a user's own."""
    (plan.path / "monitoring.yaml").write_text(text)


@step
def check_monitoring(
    *, model: Model, plan: MonitoringPlan, folder: str, monitoring: Out[Monitoring]
) -> None:
    """A user's own step with the library's name, which copies what the library measured."""
    del model, plan
    shutil.copytree(folder, monitoring.path, dirs_exist_ok=True)


def measured(world: Any) -> Attestation:
    """The library's measurement of the plan of the model `three`."""
    made = using(world.store, world.models["three"], world.services.verifier)
    return next(item for item in made if item.entry_point == library.entry_point)


def runs(world: Any, keys: Any) -> Context:
    """Execute a step again, signed by the key of runs."""
    signer, verifier = keys.signer("runs"), world.services.verifier
    return Context(world.store, cache=CacheMode.REFRESH, signer=signer, verifier=verifier)


def changed(world: Any, context: Context, old: str, new: str) -> tuple[str, bytes]:
    """The measured plan with another text, as an artifact and as bytes."""
    plan = str(measured(world).inputs["plan"])
    (file,) = (e for e in get_manifest(world.store, plan).files if e.path == "monitoring.yaml")
    text = world.store.get_bytes(file.blob.digest, 1 << 20).decode()
    assert old in text
    other = text.replace(old, new)
    return execute(write_plan, {"text": other}, context).outputs["plan"], other.encode()


def test_a_step_of_the_librarys_name_does_not_choose_the_plan(
    world: Any, keys: Any, tmp_path: Path
) -> None:
    """It is the first to have measured, by its own word, with a plan that alarms nobody."""
    context, first = runs(world, keys), measured(world)
    report = first.outputs["monitoring"].digest
    plan, _ = changed(world, context, "on-call@example.org", "nobody@example.org")
    for pointer in pointers(first, first.digest):
        world.store.remove_pointer(pointer)
    get_tree(world.store, get_manifest(world.store, report), tmp_path / "report")
    arguments = {"model": world.models["three"], "folder": str(tmp_path / "report")}
    copied = execute(check_monitoring, {**arguments, "plan": plan}, context)
    assert copied.outputs["monitoring"] == report
    again = execute(library, {**first.parameters, **first.inputs}, context)
    assert again.outputs["monitoring"] == report
    attestations = about(world.store, report, context.verifier)
    assert [item.inputs["plan"] for item in attestations] == [plan, first.inputs["plan"]]
    world.release("three", "dev")
    assert "on-call@example.org" in git(world.bare, "show", f"main:{PLAN}")


def test_of_plans_with_the_same_evidence_a_person_names_one(world: Any, keys: Any) -> None:
    """The evidence does not show comments, so two plans can have the same."""
    context, first = runs(world, keys), measured(world)
    plan, content = changed(world, context, "detectors:", "# reviewed\ndetectors:")
    again = execute(library, {**first.parameters, **first.inputs, "plan": plan}, context)
    assert again.outputs["monitoring"] == first.outputs["monitoring"].digest
    refused(
        lambda: world.promote("three", "dev"),
        UsageError,
        "judged this model with several monitoring plans",
        f"{of_bytes(content)}), and their evidence is the same; name the one",
    )
    world.promote("three", "dev", plan=content)
    world.approve("dev")
    assert "# reviewed" in git(world.bare, "show", f"main:{PLAN}")
