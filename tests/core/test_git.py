"""Git is bounded, asks nobody, and runs nothing that a repository names."""

import os
import time
from pathlib import Path

import pytest

from assay.core import git
from assay.core.git import Git, GitError, GitNotFoundError

from stories import refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Git(tmp_path).run("init", "--quiet", "--initial-branch=main")
    return tmp_path


def test_a_command_that_takes_too_long_is_stopped(folder: Path) -> None:
    slow = Git(folder, {"alias.slow": "!sleep 60"}, seconds=0.5)
    begun = time.monotonic()
    refused(lambda: slow.run("slow"), GitError, "git slow: timed out after 0 s")
    assert time.monotonic() - begun < 30


def test_output_without_end_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "MAX_OUTPUT_BYTES", 1 << 20)
    endless = Git(folder, {"alias.endless": "!cat /dev/zero"}, seconds=60)
    refused(lambda: endless.run("endless"), GitError, "more than 1048576 bytes of output")


def test_errors_without_end_are_cut(folder: Path) -> None:
    loud = Git(folder, {"alias.loud": "!head -c 10000000 /dev/zero >&2; false"})
    with pytest.raises(GitError) as caught:
        loud.run("loud")
    assert len(caught.value.errors) <= git.MAX_ERROR_BYTES + (1 << 16)


def test_an_error_has_what_git_wrote(folder: Path) -> None:
    with pytest.raises(GitError, match="git rev-parse: ") as caught:
        Git(folder).run("rev-parse", "--verify", "nothing")
    assert "fatal" in caught.value.errors


def test_the_input_may_be_larger_than_a_pipe(folder: Path) -> None:
    content = os.urandom(1 << 20)
    blob = Git(folder).text("hash-object", "-w", "--stdin", stdin=content)
    assert Git(folder).run("cat-file", "blob", blob) == content


def test_no_program_of_the_repository_is_run(folder: Path) -> None:
    marker = folder / "ran"
    hook = folder / ".git" / "hooks" / "post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    with (folder / ".git" / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = touch {marker}; false\n")
    who = {f"GIT_{role}_{field}": "x" for role in ("AUTHOR", "COMMITTER") for field in ("NAME",)}
    mail = {f"GIT_{role}_EMAIL": "x@example.org" for role in ("AUTHOR", "COMMITTER")}
    Git(folder).run("commit", "--quiet", "--allow-empty", "-m", "first", env={**who, **mail})
    Git(folder).run("status", "--porcelain")
    assert not marker.exists()


def test_a_hook_of_another_repository_does_not_redirect_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert Git(folder).text("rev-parse", "--git-dir") == ".git"


def test_settings_of_the_environment_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Some Body")
    assert Git(folder).text("config", "user.name") == "Some Body"
    login = {"http.https://forge.example/.extraHeader": "Authorization: Basic c2VjcmV0"}
    found = Git(folder, login).text("config", "--get-urlmatch", "http", "https://forge.example/x")
    assert "c2VjcmV0" in found


def test_settings_of_the_user_change_no_output_that_is_parsed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed commit, a renamed file and a name with an umlaut, under settings of a person."""
    who = {f"GIT_{role}_NAME": "Jörg" for role in ("AUTHOR", "COMMITTER")}
    who |= {f"GIT_{role}_EMAIL": "joerg@example.org" for role in ("AUTHOR", "COMMITTER")}
    plain = Git(folder)
    (folder / "old").write_text("content\n" * 20)
    plain.run("add", "old")
    plain.run("commit", "--quiet", "-m", "first", env=who)
    plain.run("mv", "old", "new")
    plain.run("commit", "--quiet", "-m", "second", env=who)
    head, _, rest = plain.run("cat-file", "commit", "HEAD").partition(b"\n\n")
    signature = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n"
    signed = plain.text(
        "hash-object", "-t", "commit", "-w", "--stdin", stdin=head + signature + rest
    )
    settings = tmp_path_factory.mktemp("home") / "gitconfig"
    settings.write_text(
        "[log]\nshowSignature = true\nfollow = true\n[i18n]\nlogOutputEncoding = latin1\n"
        "commitEncoding = latin1\n[color]\nui = always\n[diff]\nrelative = true\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    shown = Git(folder).text("log", "--format=%H %an", "--end-of-options", signed, "--", "new")
    assert shown == f"{signed} Jörg"


def test_a_folder_that_is_missing_is_not_taken_for_a_missing_git(tmp_path: Path) -> None:
    refused(lambda: Git(tmp_path / "no").run("status"), GitError, "no such folder")


def test_git_that_is_not_installed_has_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(lambda: Git(tmp_path).run("status"), GitNotFoundError, "install git")
