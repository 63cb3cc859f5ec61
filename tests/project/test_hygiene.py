"""What a project owes to those who install, audit or change it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest
import yaml

from assay.runtime.images import ROLES

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS: Final = [
    *sorted((ROOT / ".github" / "workflows").glob("*.yaml")),
    *sorted(ROOT.glob("manifests/deployments-template/.github/workflows/*.yaml")),
    ROOT / "src" / "assay" / "cli" / "release-lint.yaml",
]
UNIMPORTED: Final = {"boto3": "MLflow loads models from s3:// with it"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> dict[str, str]:
    """Distribution to its requirement."""
    found = {}
    for requirement in PROJECT["dependencies"]:
        match = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert match is not None
        found[normal(match[0])] = requirement
    return found


def imported() -> Iterator[str]:
    """Top-level modules that the wheel's code imports, wherever in a function."""
    for folder in ("src", "components", "pipelines"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module


def distributions(modules: Iterator[str]) -> dict[str, set[str]]:
    """Top-level module to what may provide it."""
    known = packages_distributions()
    tops = {module.partition(".")[0] for module in modules}
    ours = {"assay", *sys.stdlib_module_names}
    return {top: {normal(name) for name in known.get(top, [top])} for top in tops - ours}


def test_what_is_imported_is_declared() -> None:
    known = set(declared())
    found = distributions(imported())
    assert len(found) > 20
    assert {top for top, names in found.items() if not names & known} == set()


def test_what_is_declared_is_imported() -> None:
    needed = set().union(*distributions(imported()).values())
    assert set(declared()) - needed == set(UNIMPORTED)


def test_a_client_whose_private_names_are_used_cannot_grow_under_them() -> None:
    assert "<7.3" in declared()["minio"]


def test_the_licence_goes_with_the_code() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text


def test_metadata_names_nothing_that_does_not_exist() -> None:
    assert PROJECT["authors"] == [{"name": "The Assay maintainers"}]
    assert "urls" not in PROJECT
    # setuptools refuses a licence classifier beside an SPDX expression.
    assert not [c for c in PROJECT["classifiers"] if c.startswith("License")]


def test_whoever_finds_a_vulnerability_knows_where_to_go() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert "privately" in text
    assert "## Reporting a vulnerability" in text


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_action_cannot_change_under_its_tag(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_gitlab_scans_every_image_before_it_pushes_any() -> None:
    script = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())["images"]["script"]
    (scan,) = [line for line in script if "grype" in line]
    (push,) = [line for line in script if line.startswith("make push")]
    scanned = re.search(r"for role in ([a-z ]+);", scan)
    assert scanned is not None
    assert set(scanned[1].split()) == set(ROLES)
    assert script.index(scan) < script.index(push)


def test_a_commit_is_checked_by_what_ci_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repository,) = config["repos"]
    (hook,) = repository["hooks"]
    assert repository["repo"] == "local"
    assert hook["entry"] == "make lint"
    assert "lint" in (ROOT / "Makefile").read_text().split("ci: ")[1].splitlines()[0]


MODE: Final = re.compile(r"[rwax][+t]{0,2}")
LIBRARY: Final = ("src", "components", "pipelines", "docs", "images")


def by_locale(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the encoding of the machine's locale."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    bare = call.func.id if isinstance(call.func, ast.Name) else ""
    if "encoding" in named or None in named:
        return False
    if called in {"read_text", "write_text"}:
        return len(call.args) == (called == "write_text")
    if "TextIOWrapper" in {called, bare}:
        return len(call.args) < 2
    if bare != "open" and called not in {"open", "NamedTemporaryFile", "TemporaryFile"}:
        return False
    at = 1 if bare == "open" or ast.unparse(call.func) == "io.open" else 0
    mode = named.get("mode") or next(iter(call.args[at : at + 1]), None)
    if mode is None:
        return bare == "open"
    return isinstance(mode, ast.Constant) and MODE.fullmatch(str(mode.value)) is not None


def test_text_is_read_and_written_in_utf_8_whatever_the_locale() -> None:
    """In another locale the same step key gave other bytes, or a traceback."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for folder in LIBRARY
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and by_locale(node)
    ]
    assert not found, "give encoding='utf-8':\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("p.read_text()", True),
        ("p.read_text('utf-8')", False),
        ("p.write_text(a)", True),
        ("p.write_text(a, newline='')", True),
        ("p.write_text(a, 'utf-8')", False),
        ("open(p)", True),
        ("open(p, 'w')", True),
        ("open(p, 'rb')", False),
        ("open(p, encoding='utf-8')", False),
        ("p.open('w', newline='')", True),
        ("p.open('rb')", False),
        ("store.open()", False),
        ("io.TextIOWrapper(s)", True),
        ("io.TextIOWrapper(s, 'utf-8')", False),
        ("tempfile.NamedTemporaryFile('w')", True),
        ("tempfile.NamedTemporaryFile()", False),
    ],
)
def test_a_call_that_depends_on_the_locale_is_found(text: str, wrong: bool) -> None:
    (call,) = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert by_locale(call) is wrong
