"""`assay init`: a project that works, and nothing that is there is lost."""

import errno
import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from assay.cli.init import APPROVER, IGNORED, PUBLIC, REPOSITORY, RUNNER, SETTINGS
from assay.cli.init import init as make
from assay.core import settings
from assay.core.signing import Role, Verifier
from assay.errors import UsageError
from assay.governance.policy import parse_policy

from stories import refused

ANN = "Ann Lee <ann@example.org>"
ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def show(repository: Path, name: str) -> str:
    return subprocess.run(
        ["git", "-C", str(repository), "show", f"main:{name}"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def test_the_keys_may_do_what_their_owners_do_and_no_more(tmp_path: Path) -> None:
    make(tmp_path, ANN)
    keys = Verifier.from_yaml((tmp_path / PUBLIC).read_bytes()).keys
    assert {key.owner: set(key.roles) for key in keys} == {
        "Runs of this project <runs@localhost>": {Role.RUNNER},
        ANN: {Role.APPROVER},
    }
    for name in (RUNNER, APPROVER):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_no_secret_can_be_committed_by_mistake(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("data/\n")
    make(tmp_path, ANN)
    shown = subprocess.run(
        ["git", "-C", str(tmp_path), "status", "--porcelain", "-uall"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert sorted(shown.split()[1::2]) == [".gitignore", PUBLIC]
    assert (tmp_path / ".gitignore").read_text().splitlines() == ["data/", *IGNORED]


def test_the_repository_is_one_that_releases_can_go_to(tmp_path: Path) -> None:
    make(tmp_path, ANN)
    repository = tmp_path / REPOSITORY
    assert parse_policy(show(repository, "policy.yaml").encode()).rules
    assert show(repository, "keys.yaml") == (tmp_path / PUBLIC).read_text()
    assert "assay release promote" in show(repository, "README.md")
    lint = show(repository, ".github/workflows/release-lint.yaml")
    template = ROOT / "manifests/deployments-template/.github/workflows/release-lint.yaml"
    assert lint == template.read_text()
    assert str(tmp_path) not in (repository / "config").read_text()
    assert not list(tmp_path.glob(".assay-init-*"))


def test_again_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path, ANN)
    before = contents(tmp_path)
    assert {item.state for item in make(tmp_path, "Bob Roe <bob@example.org>")} == {"kept"}
    assert contents(tmp_path) == before


def test_what_is_missing_is_made_and_the_rest_stays(tmp_path: Path) -> None:
    make(tmp_path, ANN)
    key = (tmp_path / RUNNER).read_bytes()
    (tmp_path / SETTINGS).unlink()
    states = {item.path: item.state for item in make(tmp_path)}
    assert states.pop(SETTINGS) == "made"
    assert set(states.values()) == {"kept"}
    assert (tmp_path / RUNNER).read_bytes() == key


INIT = [sys.executable, "-m", "assay", "init", "--approver", ANN]


def test_a_disk_that_gets_full_leaves_no_half_written_file(tmp_path: Path) -> None:
    """Whichever file it was: what is made later, when there is room, is whole."""
    whole = tmp_path / "whole"
    make(whole, ANN)
    sizes = {name: (whole / name).stat().st_size for name in (RUNNER, PUBLIC, SETTINGS)}
    for number, size in enumerate(sizes.values()):
        folder = tmp_path / f"case{number}"  # as long as the other, which the settings name
        folder.mkdir()

        def few_bytes(limit: int = size - 20) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        done = subprocess.run(
            INIT, cwd=folder, preexec_fn=few_bytes, capture_output=True, text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: cannot write ")
        assert "Traceback" not in done.stderr
        left = contents(folder)
        assert all(name.endswith(".pem") or len(data) > 200 for name, data in left.items())
        states = {item.path: item.state for item in make(folder, ANN)}
        assert "made" in states.values()
        assert [name for name in contents(folder) if "init" in name] == []
        assert len(Verifier.from_yaml((folder / PUBLIC).read_bytes()).keys) == 2
        assert (folder / SETTINGS).read_text().count("export ") == 5


@pytest.mark.parametrize("name", [RUNNER, PUBLIC, SETTINGS])
def test_an_empty_file_is_not_kept_but_reported(tmp_path: Path, name: str) -> None:
    make(tmp_path, ANN)
    (tmp_path / name).write_bytes(b"")
    output = refused(lambda: make(tmp_path, ANN), UsageError, f"{name} is empty; remove it")
    assert output.endswith("run again: assay init")


def test_gitignore_is_not_lost_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, ANN)
    (tmp_path / ".gitignore").write_text("mine/\n")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        make(tmp_path, ANN)
    assert (tmp_path / ".gitignore").read_text() == "mine/\n"


def test_what_a_killed_one_left_is_removed_and_what_another_uses_is_not(tmp_path: Path) -> None:
    holder = (
        "import sys, time\nfrom pathlib import Path\nfrom assay.cli.init import _scratch\n"
        "with _scratch(Path(sys.argv[1])): print('up', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE
    ) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == b"up\n"
        make(tmp_path, ANN)
        assert len(list(tmp_path.glob(".assay-init-*"))) == 1
        held.kill()
    make(tmp_path, ANN)
    assert not list(tmp_path.glob(".assay-init-*"))


def test_a_key_that_nobody_would_believe_is_reported(tmp_path: Path) -> None:
    make(tmp_path, ANN)
    (tmp_path / APPROVER).unlink()
    refused(lambda: make(tmp_path), UsageError, "does not list", APPROVER, "openssl pkey")


@pytest.mark.parametrize("approver", ["Ann", "Ann <>", "a <b>\nc"])
def test_an_approver_without_a_name_and_mail_leaves_no_list_behind(
    tmp_path: Path, approver: str
) -> None:
    refused(lambda: make(tmp_path, approver), UsageError, "owner")
    assert not (tmp_path / PUBLIC).exists()


@pytest.mark.slow
def test_what_it_says_to_do_next_works_as_it_stands(tmp_path: Path) -> None:
    """From nothing to a release in dev, by the lines that it printed and nothing else."""
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).frame
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "MLFLOW_"))},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def shell(script: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    message = json.loads(shell(f"assay init project --approver '{ANN}' --json"))
    renamed = frame.rename(columns=lambda name: name.replace(" ", "_")).rename(
        columns={"target": "y"}
    )
    renamed.to_csv(tmp_path / "project" / "data.csv", index=False)
    output = shell("\n".join(message["next"]))
    assert "PASSED" in output
    assert "merged: " in output
    listed = shell("cd project; . ./assay.env; assay release list mine --json")
    entries = [item for item in json.loads(listed) if item["environment"] == "dev"]
    assert any(ANN in json.dumps(entry) for entry in entries)


def test_the_settings_are_those_that_the_library_reads(tmp_path: Path) -> None:
    make(tmp_path, ANN)
    names = [
        line.split()[1].partition("=")[0]
        for line in (tmp_path / SETTINGS).read_text().splitlines()
        if line.startswith("export")
    ]
    assert len(names) == 5
    assert set(names) <= {setting.name for setting in settings.SETTINGS}
    assert yaml.safe_load((tmp_path / PUBLIC).read_text())
