"""The commands and files in README and docs: they are run and read as they are written."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import pandas as pd
import pytest
import yaml

from assay.cli import cli
from assay.governance.policy import parse_policy
from assay.models.behaviour import parse_checks
from assay.monitoring import parse_plan

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "components").glob("*/*/README.md")),
    *sorted((ROOT / "pipelines").glob("*/README.md")),
    ROOT / "manifests" / "deployments-template" / "README.md",
]
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path: Path) -> list[tuple[str, str]]:
    """The language and text of each fenced block."""
    return FENCE.findall(path.read_text())


def commands() -> Iterator[tuple[str, str]]:
    """Document and command line of each command, in fenced blocks and in text."""
    for path in DOCUMENTS:
        text = path.read_text()
        lines = [
            line for _, block in blocks(path) for line in block.replace("\\\n", " ").splitlines()
        ]
        lines += re.findall(r"`(assay [^`\n]*)`", FENCE.sub("", text))
        for line in lines:
            match = re.match(r"(?:\$ )?(?:\w+=\S+ )*(assay .*)", line.strip())
            if match:
                yield str(path.relative_to(ROOT)), match[1]


@pytest.mark.parametrize(("document", "line"), sorted(set(commands())))
def test_a_command_in_a_document_exists(document: str, line: str) -> None:
    """With its options and the number of its arguments; [] marks optional ones."""
    words = shlex.split(line.replace("[", "").replace("]", ""), comments=True)[1:]
    if words in (["--help"], ["--version"]):
        return
    command: click.Command = cli
    rest = words
    while isinstance(command, click.Group) and rest:
        child = command.get_command(click.Context(command), rest[0])
        assert child is not None, f"{document}: no command {rest[0]}"
        command, rest = child, rest[1:]
    context = click.Context(command, help_option_names=["-h", "--help"])
    _, given, _ = command.make_parser(context).parse_args(rest)
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    assert len(given) <= len(arguments) or any(p.nargs == -1 for p in arguments), document


def documents_to_parse() -> Iterator[tuple[str, str, Any]]:
    readers = {"gates": parse_policy, "checks": parse_checks, "detectors": parse_plan}
    for path in DOCUMENTS:
        for language, text in blocks(path):
            if language != "yaml":
                continue
            value = yaml.safe_load(text)
            if isinstance(value, dict) and isinstance(value.get("policy"), str):
                yield str(path.relative_to(ROOT)), value["policy"], parse_policy
            # The first key decides: a policy may name checks too.
            for key, reader in readers.items():
                if isinstance(value, dict) and key in value:
                    yield str(path.relative_to(ROOT)), text, reader
                    break


@pytest.mark.parametrize(("document", "text", "parse"), list(documents_to_parse()))
def test_an_example_file_in_a_document_can_be_read(document: str, text: str, parse: Any) -> None:
    assert parse(text.encode()), document


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_has_a_target(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", FENCE.sub("", path.read_text()))
    missing = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert missing == []


class Reader:
    """A user who follows the documentation, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ASSAY_", "MLFLOW_"))
        }
        (folder / ".venv").symlink_to(sys.prefix)

    def types(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("reader"))


OWN_DATA: Final = ROOT / "docs" / "own-data.md"


def examples(language: str) -> list[str]:
    """The blocks of docs/own-data.md in a language."""
    return [text for label, text in blocks(OWN_DATA) if label == language]


def test_the_readme_has_the_two_commands_of_the_guide() -> None:
    first, _ = examples("sh")
    commands = first.removeprefix(". .venv/bin/activate\n")
    assert commands in [text for _, text in blocks(ROOT / "README.md")]


@pytest.mark.slow
def test_the_guides_work_from_the_first_run_to_the_last_question(
    reader: Reader, shared_data: Path
) -> None:
    from sklearn.datasets import load_breast_cancer

    first, longer = examples("sh")
    frame = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "y"})
    frame.rename(columns=lambda name: name.replace(" ", "_")).to_csv(
        reader.folder / "data.csv", index=False
    )
    printed = reader.types(first)
    assert "PASSED" in printed
    (model,) = re.findall(r"^model: (sha256:\w{64})$", printed, re.MULTILINE)

    (load,) = examples("python")
    before = set(reader.folder.rglob("*.db"))
    (reader.folder / "load.py").write_text(load + "\nprint(type(model).__name__)\n")
    assert "PyFuncModel" in reader.types(". .venv/bin/activate; python load.py")
    assert set(reader.folder.rglob("*.db")) == before, "no stray database"

    (predict,) = [text for label, text in blocks(ROOT / "docs" / "batch.md") if label == "sh"]
    predicted = reader.types(f". .venv/bin/activate; {predict}")
    (table,) = re.findall(r"^table: (.*)$", predicted, re.MULTILINE)
    assert len(pd.read_parquet(reader.folder / table)) == len(frame)

    # Every question of the table that needs nothing but this run.
    table = (ROOT / "docs" / "artifacts.md").read_text()
    asked = 0
    for line in re.findall(r"\| `(assay [^`]+)` \|", table):
        words = {
            "DIGEST": model[:19],
            "LEFT": model[:12],
            "RIGHT": "mine@candidate",
            "MODEL": "mine",
        }
        if not set(re.findall(r"\b[A-Z]{2,}\b", line)) <= set(words) or ".yaml" in line:
            continue
        typed = " ".join(words.get(word, word) for word in line.split())
        reader.types(f". .venv/bin/activate; {typed}")
        asked += 1
    assert asked >= 8

    adult = (shared_data / "adult-train.csv").read_text().splitlines(keepends=True)
    (reader.folder / "data.csv").write_text("".join(adult[:8001]))
    (parameters,) = examples("yaml")
    (reader.folder / "run.yaml").write_text(parameters)
    assert "PASSED" in reader.types(f". .venv/bin/activate; {longer}")
    assert json.loads(reader.types(". .venv/bin/activate; assay model production income --json"))


def test_each_sentence_about_security_has_a_test_that_exists() -> None:
    listed = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text()))
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"(?m)^ *def (test_\w+)\(", path.read_text())
    }
    assert listed
    assert sorted(listed - written) == []
