"""What a cluster mounts becomes variables, and nothing else does."""

import os
from pathlib import Path

import pytest

from assay.errors import UsageError
from assay.runtime import mounted


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ASSAY_STORE", "ASSAY_GIT_TOKEN"):
        monkeypatch.setenv(name, "before")
        monkeypatch.delenv(name)
    return tmp_path


def put(folder: Path, place: str, text: str) -> None:
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_secrets_and_the_config_map_become_variables(folder: Path) -> None:
    put(folder, "runner/access-key", "user")
    put(folder, "runner/secret-key", "two words")
    put(folder, "config/ASSAY_STORE", "s3://bucket/store")
    mounted.use(folder)
    assert os.environ["AWS_ACCESS_KEY_ID"] == "user"
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "two words"  # noqa: S105
    assert os.environ["ASSAY_STORE"] == "s3://bucket/store"


def test_what_is_set_already_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STORE", "file:///mine")
    put(folder, "config/ASSAY_STORE", "s3://bucket/store")
    mounted.use(folder)
    assert os.environ["ASSAY_STORE"] == "file:///mine"


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "ASSAY_SIGNING_KEY"])
def test_a_config_map_cannot_change_what_the_process_is(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    put(folder, f"config/{name}", "/evil")
    mounted.use(folder)
    assert name not in os.environ


@pytest.mark.parametrize("name", ["ASSAY_SOURCE_REPOSITORY", "ASSAY_MAX_COLUMNS", "ASSAY_FORGE"])
def test_a_config_map_sets_what_a_task_may_need(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "before")
    monkeypatch.delenv(name)
    put(folder, f"config/{name}", "value")
    mounted.use(folder)
    assert os.environ[name] == "value"


def test_without_mounts_nothing_happens(tmp_path: Path) -> None:
    before = dict(os.environ)
    mounted.use(tmp_path / "none")
    assert dict(os.environ) == before


@pytest.mark.parametrize("text", ["a\0b", "x" * (mounted.MAX_FILE_BYTES + 1)])
def test_what_cannot_be_a_variable_is_reported(folder: Path, text: str) -> None:
    put(folder, "git/token", text)
    with pytest.raises(UsageError, match="git/token: not text of at most"):
        mounted.use(folder)


def test_what_is_not_utf8_is_reported_and_not_shown(folder: Path) -> None:
    put(folder, "git/token", "")
    (folder / "git/token").write_bytes(b"s3cret\xff")
    with pytest.raises(UsageError, match="git/token: not UTF-8; correct it") as raised:
        mounted.use(folder)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_every_file_that_a_profile_mounts_is_read(folder: Path) -> None:
    for kind, keys in mounted.VARIABLES.items():
        for key in keys:
            put(folder, f"{kind}/{key}", "value")
    names = [name for keys in mounted.VARIABLES.values() for name in keys.values()]
    saved = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        mounted.use(folder)
        assert all(os.environ.pop(name) == "value" for name in names)
    finally:
        os.environ.update(saved)
