"""The monitoring plan of a release that was approved before, which a rollback brings back."""

from typing import Any

from assay.errors import IntegrityError
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
