"""What a merge of a release changes: its own files, whatever the history of the proposal is."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assay.errors import IntegrityError
from assay.releases.lint import lint

from simulators.forge import git
from stories import refused

MODEL = "churn"
STRICT = "gates: [{metric: accuracy > 0.999}]\n"
LAX = "gates: [{metric: accuracy > 0.1}]\n"
POLICY = f"models/{MODEL}/production/policy.yaml"
CLUSTER = f"models/{MODEL}/production/kustomization.yaml"


def put(world: Any, path: str, text: str, *, branch: str = "main") -> None:
    """Commit a file to a branch of the deployment repository."""
    folder = world.checkout()
    if branch != "main":
        git(folder, "checkout", "-q", branch)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", f"Change {path}")
    git(folder, "push", "-q", "origin", f"HEAD:{branch}")


def commit_tree(folder: Path, tree: str, parents: list[str], date: str = "") -> str:
    """A commit of any tree with any parents."""
    dates = {"GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date} if date else {}
    arguments = [word for parent in parents for word in ("-p", parent)]
    done = subprocess.run(
        ["git", "commit-tree", tree, *arguments, "-m", "Release"],
        cwd=folder,
        env={**os.environ, **dates},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def tree_with(folder: Path, base: str, files: dict[str, str]) -> str:
    """The tree of a commit, with some files changed."""
    git(folder, "read-tree", base)
    for path, text in files.items():
        source = folder / ".git" / "content"
        source.write_text(text)
        blob = git(folder, "hash-object", "-w", str(source))
        git(folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    return git(folder, "write-tree")


def shown(world: Any, path: str) -> str:
    return git(world.bare, "show", f"main:{path}")


def test_a_proposal_with_two_merge_bases_does_not_change_other_files(world: Any) -> None:
    """What Git lists as changed since one merge base is not all that a merge over both brings."""
    put(world, POLICY, STRICT)
    world.sync()
    first = world.promote("one", "dev")
    folder = world.checkout()
    start, release = (git(folder, "rev-parse", f"origin/{b}") for b in ("main", first.branch))
    smuggled = {POLICY: LAX, CLUSTER: "images: []\n"}
    clean = git(folder, "rev-parse", f"{release}^{{tree}}")
    changed = commit_tree(folder, tree_with(folder, start, smuggled), [start])
    undone = commit_tree(folder, clean, [changed])
    again = commit_tree(
        folder, tree_with(folder, release, smuggled), [changed], "2030-01-01T00:00:00Z"
    )
    tip = commit_tree(folder, clean, [undone, again])
    git(folder, "push", "-q", "-f", "origin", f"{tip}:refs/heads/{first.branch}")
    world.approve("dev")
    assert world.sync().problems == []
    assert shown(world, POLICY) == STRICT.strip()
    second = world.promote("one", "staging")
    folder = world.checkout()
    release = git(folder, "rev-parse", f"origin/{second.branch}")
    crossed = commit_tree(folder, tree_with(folder, release, smuggled), [again, undone])
    listed = git(folder, "diff", "--name-only", f"origin/main...{crossed}").splitlines()
    assert POLICY not in listed
    assert CLUSTER not in listed
    git(folder, "push", "-q", "-f", "origin", f"{crossed}:refs/heads/{second.branch}")
    refused(lambda: world.approve("staging"), IntegrityError, "2 merge bases", "promote")
    assert shown(world, POLICY) == STRICT.strip()


def test_a_proposal_does_not_bring_back_an_earlier_policy(world: Any) -> None:
    put(world, POLICY, LAX)
    first = world.promote("one", "dev")
    put(world, POLICY, STRICT)
    folder = world.checkout()
    release = git(folder, "rev-parse", f"origin/{first.branch}")
    base = git(folder, "rev-parse", f"{release}^")
    tree = git(folder, "rev-parse", f"{release}^{{tree}}")
    ahead = commit_tree(folder, tree, [base], "2030-01-01T00:00:00Z")
    main = git(folder, "rev-parse", "origin/main")
    git(folder, "push", "-q", "-f", "origin", f"{ahead}:refs/heads/{first.branch}")
    world.approve("dev")
    assert world.sync().problems == []
    second = world.promote("one", "staging")
    folder = world.checkout()
    release = git(folder, "rev-parse", f"origin/{second.branch}")
    crossed = commit_tree(folder, tree_with(folder, release, {POLICY: LAX}), [ahead, main])
    git(folder, "push", "-q", "-f", "origin", f"{crossed}:refs/heads/{second.branch}")
    refused(lambda: world.approve("staging"), IntegrityError, "2 merge bases")
    assert shown(world, POLICY) == STRICT.strip()


@pytest.mark.parametrize("name", ["models/churn/dev/kustomization.yaml", "models/other.yaml"])
def test_a_proposal_with_a_file_that_is_not_of_the_release_is_refused(
    world: Any, name: str
) -> None:
    done = world.promote("one", "dev")
    put(world, name, "resources: []\n", branch=done.branch)
    refused(
        lambda: world.approve("dev"),
        IntegrityError,
        f"{name} is changed too, but a release may change only its own files",
    )
    folder = world.checkout()
    git(folder, "checkout", "-q", done.branch)
    # What the branch has by now, the proposal does not change.
    put(world, "README.md", "Deployments.\n")
    git(folder, "fetch", "-q")
    _, (problem,) = lint(world.deployment, folder, "origin/main")
    assert problem.text == f"{name} is changed too, but a release may change only its own files"


def test_a_merge_by_hand_that_changes_other_files_is_not_recorded(world: Any) -> None:
    """An approval of the commit is no approval of what came with it."""
    world.release("one", "dev")
    done = world.promote("two", "dev")
    put(world, CLUSTER, "images: []\n", branch=done.branch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.releases.approval._require_own", lambda *_: None)
        world.approve("dev")
    (problem,) = world.sync().problems
    assert f"{CLUSTER} is changed too" in problem
    assert world.registry.at(MODEL, "dev").model == world.models["one"]
