"""The governing policy: who proposes a model does not choose the rules it is judged by."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assay.core.execution import Context, execute
from assay.core.tree import get_manifest
from assay.errors import IntegrityError, PolicyError, RunBlocked, UsageError
from assay.releases import eligibility
from assay.releases.deployment import Deployment
from assay.releases.lint import lint
from assay.releases.override import override

from simulators.forge import git
from stories import refused

ANN = "Ann Approver <ann@example.org>"
MODEL = "churn"
STRICT = "gates: [{metric: accuracy > 0.999}]\n"
LAX = "gates: [{metric: accuracy > 0.1}]\n"


def put(world: Any, path: str, text: str, *, branch: str = "main") -> None:
    """Commit a file to the deployment repository, as a merged pull request does."""
    folder = world.checkout()
    if branch != "main":
        git(folder, "checkout", "-q", branch)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", f"Change {path}")
    git(folder, "push", "-q", "origin", f"HEAD:{branch}")


def begin(world: Any) -> None:
    put(world, "README.md", "Deployments.\n")


def test_without_one_the_pull_request_says_who_chose_the_rules(world: Any) -> None:
    done = world.promote("one", "dev")
    output = "**No governing policy.** The rules were chosen by the person who started the run."
    assert output in done.changelog
    assert "**No governing policy.**" in done.evaluation


@pytest.mark.parametrize(
    "place", ["policy.yaml", f"models/{MODEL}/policy.yaml", f"models/{MODEL}/dev/policy.yaml"]
)
def test_a_model_that_its_own_lax_policy_passed_is_judged_again(world: Any, place: str) -> None:
    put(world, place, STRICT)
    refused(
        lambda: world.promote("one", "dev"),
        RunBlocked,
        f"under the governing policy {place} the verdict is block: accuracy is ",
        "; allowed above 0.999",
    )
    put(world, place, LAX)
    done = world.promote("one", "dev")
    assert f"Judged again under the governing policy `{place}`: **pass**." in done.evaluation


def test_a_model_that_the_governing_policy_blocks_is_not_registered(world: Any, keys: Any) -> None:
    """The run's own policy passed it, and is of whoever started the run."""
    from assay.components.register.step import register

    model = world.models["one"]
    decision = eligibility.decision_of(world.services, model, world.registry.find(MODEL, model))
    judged = eligibility.judgement_of(world.store, decision)
    reports = eligibility.reports_of(world.store, judged)
    context = Context(world.store, signer=keys.signer("runs"), verifier=world.services.verifier)
    arguments = {
        "model": model,
        "decision": decision,
        "evaluation": reports["evaluation"],
        "model_name": "other",
    }

    def run() -> Any:
        return execute(register, arguments, context).values

    put(world, "policy.yaml", STRICT)
    output = "under the governing policy policy.yaml the verdict is block"
    refused(run, RunBlocked, output)
    assert world.registry.find("other", model) is None
    # The most specific one counts here too.
    put(world, "models/other/policy.yaml", LAX)
    assert run()["registered"] == "new"


def test_the_most_specific_policy_governs(world: Any) -> None:
    put(world, "policy.yaml", STRICT)
    put(world, f"models/{MODEL}/policy.yaml", STRICT)
    put(world, f"models/{MODEL}/dev/policy.yaml", LAX)
    world.release("one", "dev")
    refused(
        lambda: world.promote("one", "staging"),
        RunBlocked,
        f"under the governing policy models/{MODEL}/policy.yaml",
    )


def test_a_policy_that_does_not_parse_admits_nothing(world: Any) -> None:
    put(world, "policy.yaml", "gates: [{metric: acuracy > 0.1}]\n")
    refused(lambda: world.promote("one", "dev"), PolicyError, "policy.yaml line 1", "accuracy")


def test_approval_and_lint_judge_by_the_protected_branch(world: Any) -> None:
    begin(world)
    done = world.promote("one", "dev")
    put(world, "policy.yaml", STRICT)
    refused(
        lambda: world.approve("dev"),
        IntegrityError,
        "under the governing policy policy.yaml the verdict is block",
    )
    folder = world.checkout()
    git(folder, "fetch", "-q", "origin", done.branch)
    git(folder, "merge", "-q", "FETCH_HEAD", "-m", "Try it")
    _, problems = lint(world.without_registry, folder, "origin/main")
    assert ["under the governing policy" in problem.text for problem in problems] == [True]


def test_a_proposal_that_brings_its_own_policy_is_refused(world: Any) -> None:
    put(world, "policy.yaml", STRICT)
    put(world, f"models/{MODEL}/policy.yaml", LAX)
    done = world.promote("one", "dev")
    # The branch of the release removes the stricter part of what governs it.
    put(world, f"models/{MODEL}/dev/policy.yaml", LAX, branch=done.branch)
    refused(
        lambda: world.approve("dev"),
        IntegrityError,
        f"models/{MODEL}/dev/policy.yaml governs the release and is changed together with it",
    )
    folder = world.checkout()
    git(folder, "merge", "-q", f"origin/{done.branch}", "-m", "Try it")
    _, problems = lint(world.without_registry, folder, "origin/main")
    assert any("is changed together with it" in problem.text for problem in problems)
    # Merged by hand all the same, it is not recorded, and no alias moves.
    git(folder, "push", "-q", "origin", "HEAD:main")
    synced = world.sync()
    assert any("without an approval" in text for text in synced.problems)
    assert synced.aliases == []


def test_what_a_merge_brings_does_not_govern_it(world: Any) -> None:
    put(world, "policy.yaml", LAX)
    done = world.promote("one", "dev")
    # Back to the strict one, and a merge that brings the release and the lax one.
    put(world, "policy.yaml", STRICT)
    folder = world.checkout()
    git(folder, "checkout", "-q", done.branch)
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-q", "--no-commit", "--no-ff", done.branch)
    (folder / "policy.yaml").write_text(LAX)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Merge")
    git(folder, "push", "-q", "origin", "HEAD:main")
    synced = world.sync()
    assert any("under the governing policy policy.yaml" in text for text in synced.problems)
    assert synced.aliases == []


def test_a_person_may_decide_against_the_governing_policy_too(world: Any) -> None:
    put(world, "policy.yaml", STRICT)

    def decide(deployment: Deployment) -> None:
        until = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
        override(
            deployment,
            MODEL,
            world.models["one"],
            by=ANN,
            why="the test set is too small for that",
            until=until,
        )

    alone = replace(world.deployment, settings=None)
    refused(lambda: decide(alone), UsageError, "passed its policy")
    decide(world.deployment)
    done = world.promote("one", "dev")
    assert "**Override.**" in done.evaluation
    assert "Judged again under the governing policy `policy.yaml`: **block**." in done.evaluation


def test_the_pull_request_shows_who_made_each_piece_of_evidence(world: Any) -> None:
    done = world.promote("one", "dev")
    evaluation = next(
        line
        for line in done.evaluation.splitlines()
        if line.startswith("| evaluation") and "assay.components" in line.replace("\\", "")
    )
    assert "evaluate.step:evaluate" in evaluation.replace("\\", "")
    assert "unsigned" not in evaluation
    assert "**Attempts not counted.**" in done.evaluation
    assert get_manifest(world.store, done.release.reports["evaluation"])
