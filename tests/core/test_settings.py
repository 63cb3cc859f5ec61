"""Environment variables: declared once, read in one place, refused by name."""

import ast
import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from assay.core import settings
from assay.core.settings import (
    SETTINGS,
    Choice,
    Folder,
    Integer,
    Number,
    Setting,
    Text,
    TextList,
    check,
    misspelt,
)
from assay.core.store.client import Limits
from assay.core.store.wire import Pace
from assay.errors import UsageError

ROOT: Final = Path(__file__).parents[2]
LIBRARY: Final = ("src", "components", "pipelines")
READERS: Final = {
    "src/assay/core/settings.py": "reads every variable",
    "src/assay/core/environment.py": "sets variables, and hands them on to subprocesses",
}
BY_OTHERS: Final = {
    "MLFLOW_TRACKING_USERNAME": "MLflow",
}


@functools.cache
def trees() -> list[tuple[str, ast.Module]]:
    return [
        (str(path.relative_to(ROOT)), ast.parse(path.read_text()))
        for folder in LIBRARY
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def touches_environment(tree: ast.Module) -> bool:
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names:
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            imported = {alias.name for alias in node.names}
            if imported & names:
                return True
    return False


def test_nothing_else_touches_the_environment() -> None:
    assert {path for path, tree in trees() if touches_environment(tree)} == set(READERS)


def test_every_variable_of_assay_that_the_code_names_is_declared() -> None:
    known = {setting.name for setting in SETTINGS}
    named = {
        name
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in re.findall(r"\bASSAY_[A-Z_]*[A-Z]\b", node.value)
    }
    assert len(named) > 20
    assert named - known == set()


def test_every_setting_is_in_a_section_once_and_is_read() -> None:
    declared = {name: value for name, value in vars(settings).items() if isinstance(value, Setting)}
    assert len({item.name for item in SETTINGS}) == len(SETTINGS)
    assert sorted(declared.values(), key=lambda item: item.name) == sorted(
        SETTINGS, key=lambda item: item.name
    )
    used = {
        node.id if isinstance(node, ast.Name) else node.attr
        for path, tree in trees()
        if path != "src/assay/core/settings.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
        or (isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "settings")
    }
    unread = {item.name for name, item in declared.items() if name not in used}
    assert unread == set(BY_OTHERS)


def test_a_secret_never_comes_from_the_config_map() -> None:
    assert [item.name for item in SETTINGS if item.secret and item.config_map] == []
    assert [item.name for item in SETTINGS if item.mounted and item.config_map] == []


def test_the_usual_pace_is_the_client_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_STORE_TIMEOUT", raising=False)
    monkeypatch.delenv("ASSAY_STORE_MIN_RATE", raising=False)
    assert Limits.from_env().pace == Pace()


COUNT: Final = Integer(name="X_COUNT", meaning="a count", used_by="a test", default=7)
RATE: Final = Number(name="X_RATE", meaning="a rate", used_by="a test", default=0.5)
WORD: Final = Choice(
    name="X_WORD", meaning="a word", used_by="a test", choices=("on", "off"), default="off"
)
ITEMS: Final = TextList(name="X_ITEMS", meaning="items", used_by="a test", of="words")
FOLDER: Final = Folder(name="X_FOLDER", meaning="a folder", used_by="a test")
LINE: Final = Text(name="X_LINE", meaning="a line", used_by="a test", example="this")


def test_an_unset_or_empty_variable_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", " \n"):
        for setting in (COUNT, RATE, WORD, ITEMS, FOLDER, LINE):
            monkeypatch.setenv(setting.name, value)
        check(COUNT, RATE, WORD, ITEMS, FOLDER, LINE)
        assert (COUNT.get(), RATE.get(), WORD.get()) == (7, 0.5, "off")
        assert (ITEMS.get(), FOLDER.get(), LINE.get()) == ((), "", "")
    assert LINE.is_set
    with pytest.raises(UsageError, match="X_LINE is not set; give a line, such as this"):
        LINE.require()


def test_values_have_their_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {"COUNT": "12", "RATE": "1e3", "WORD": "on", "ITEMS": " a, b,,c ", "LINE": " a line\n"}
    for name, value in {**given, "FOLDER": str(tmp_path)}.items():
        monkeypatch.setenv(f"X_{name}", value)
    check(COUNT, RATE, WORD, ITEMS, FOLDER, LINE)
    assert (COUNT.get(), RATE.get(), WORD.get()) == (12, 1000.0, "on")
    assert (ITEMS.get(), FOLDER.get(), LINE.get()) == (("a", "b", "c"), str(tmp_path), "a line")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "١", "1" * 19, "x" * 1000])
def test_an_invalid_count_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COUNT.name, value)
    with pytest.raises(UsageError) as refused:
        COUNT.get()
    assert str(refused.value) == (
        f"X_COUNT: {value[:80]!r} is not a whole number of at least 1; give one, or unset it for 7"
    )


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "fast"])
def test_an_invalid_rate_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RATE.name, value)
    with pytest.raises(UsageError, match=f"X_RATE: '{value}' is not a positive number"):
        RATE.get()


def test_all_wrong_values_are_reported_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(COUNT.name, "many")
    monkeypatch.setenv(WORD.name, "perhaps")
    monkeypatch.setenv(FOLDER.name, str(tmp_path / "none"))
    with pytest.raises(UsageError) as refused:
        check(COUNT, RATE, WORD, FOLDER)
    assert [text.partition(":")[0] for text in str(refused.value).split("; X_")] == [
        "X_COUNT",
        "WORD",
        "FOLDER",
    ]


def test_a_secret_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Integer(name="X_PIN", meaning="a pin", used_by="a test", default=1, secret=True)
    monkeypatch.setenv("X_PIN", "s3cret")
    with pytest.raises(UsageError, match="X_PIN: the value is not a whole number") as refused:
        setting.get()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ASSAY_STOER", "ASSAY_STORE"),
        ("ASSAY_DEPLOYMENT", "ASSAY_DEPLOYMENTS"),
        ("ASSAY_SIGN_KEY", "ASSAY_SIGNING_KEY"),
        ("ASSAY_MAX_COLUMN", "ASSAY_MAX_COLUMNS"),
    ],
)
def test_a_misspelt_variable_is_recognised(name: str, meant: str) -> None:
    assert list(misspelt([name, "PATH", "ASSAY_STORE"])) == [(name, meant)]


@pytest.mark.parametrize("name", ["ASSAY_REQUIRE_SERVERS", "ASSAY_TEST_BASE_IMAGE", "STORE"])
def test_a_variable_of_another_program_is_not_reported(name: str) -> None:
    assert list(misspelt([name])) == []


def test_a_command_warns_of_a_misspelt_variable_once(tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")
    }
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", "show", "0123"],
        env={**environment, "ASSAY_STOER": "file:///secret"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert warnings == ["warning: ASSAY_STOER is not a setting; did you mean ASSAY_STORE?"]
    assert "secret" not in done.stderr
