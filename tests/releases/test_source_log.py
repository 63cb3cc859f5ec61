"""The changelog's list of commits: nothing that an attestation says reaches Git unchecked."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.core.attestation import about, load
from assay.core.digest import canonical_json
from assay.errors import AttestationError
from assay.releases.changelog import _commits

from simulators.forge import git
from stories import refused


@pytest.fixture
def source(tmp_path: Path) -> tuple[str, str, str]:
    """A repository of code; its URL and two commits, with odd messages between them."""
    folder = tmp_path / "code"
    git(tmp_path, "init", "-q", "-b", "main", str(folder))
    git(folder, "config", "user.name", "Some Body")
    git(folder, "config", "user.email", "some@example.org")
    for message in ("first", "second \x1e [link](javascript:x)", "third"):
        git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return folder.as_uri(), git(folder, "rev-parse", "HEAD~2"), git(folder, "rev-parse", "HEAD")


def test_a_repository_that_only_an_attestation_names_is_not_fetched(
    source: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, old, new = source
    assert "ASSAY_SOURCE_REPOSITORY lists no" in _commits(f"git+{url}", old, new)
    monkeypatch.setenv("ASSAY_SOURCE_REPOSITORY", "file:///nowhere.git")
    assert "could not be reached" in _commits(f"git+{url}", old, new)
    monkeypatch.setenv("ASSAY_SOURCE_REPOSITORY", f"file:///nowhere.git {url}")
    output = _commits(f"git+{url}", old, new)
    assert len(output.splitlines()) == 2
    assert "third (Some Body)" in output
    assert "[link](" not in output


def test_a_commit_that_is_an_option_overwrites_no_file(
    source: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, old, _ = source
    monkeypatch.setenv("ASSAY_SOURCE_REPOSITORY", url)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for first, second in ((f"--output={victim}", old), (old, f"x --output={victim}"), ("", old)):
        assert "name no commits" in _commits(url, first, second)
    assert victim.read_text() == "precious"


def test_an_attestation_whose_commit_is_no_commit_is_refused(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_VERIFY_KEYS")
    (attestation, *_) = about(world.store, world.models["one"], None)
    statement = json.loads(canonical_json(attestation.statement()))
    dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    for entry in dependencies:
        if entry["name"] == "git":
            entry["digest"]["gitCommit"] = "--output=/tmp/overwritten"
            break
    else:
        pytest.skip("this checkout has no commit")
    forged = world.store.put_bytes(canonical_json(statement)).digest
    refused(lambda: load(world.store, forged, None), AttestationError, "not a commit id")
