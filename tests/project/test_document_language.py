"""Documents are plain technical English: phrases that readers stumble over are not used."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
GENERATED: Final = re.compile(
    r"<!-- (?P<kind>generated|measured):(?P<name>[\w-]+) -->.*?<!-- /(?P=kind):(?P=name) -->",
    re.DOTALL,
)
"""Parts that are written from code or by tests."""
PHRASES: Final = {
    r"\b[Ww]hoever\b": "anyone who, the user",
    r"\b[Ss]omebody\b": "a user, another person",
    r"\b[Nn]obody\b": "no one, or the passive voice",
    r"\bWho (?:does|writes|runs|serves|installs|answers|remembers|reads)\b": "if you, users who",
    r"\b[Ww]hat there is\b": "a noun",
    r"\bwhat (?:rests|stands|lies|was there|was before)\b": "a noun",
    r"\brests? on\b": "is based on",
    r"\bstands? (?:there|beside|in|at)\b": "is in",
    r"\bl(?:ies|ay) (?:in|at|there|under|beside|on)\b": "is in, is at",
    r"\b(?:is|are|was|were) told\b": "is reported, is given",
    r"\b(?:is|are) none\b": "is not one, does not exist",
    r"\bbelieved?\b": "accepts, counts",
    r"\bmends?\b|\bmended\b": "corrects, repairs",
    r"\bput back\b|\bputs back\b": "restores",
    r"\btaken? back\b|\btakes? back\b": "undoes",
    r"\bthe ground that\b": "what a run needs",
    r"\bred run\b|\brun is red\b|\bruns? red\b": "a failed run",
    r"\bknows? (?:nothing|no)\b": "does not use, does not depend on",
    r"\bon its way\b|\bon their way\b": "in transit",
    r"\bso many\b": "a number of",
}
"""By pattern: what to write instead."""
DOCUMENTS: Final = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(path for folder in ("docs", "images", "manifests", "pipelines")
      for path in sorted((ROOT / folder).rglob("*.md"))),
]  # fmt: skip


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that people write, with their numbers."""
    text = path.read_text(encoding="utf-8")
    written = GENERATED.sub(lambda part: "\n" * part[0].count("\n"), text)
    yield from enumerate(written.splitlines(), 1)


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_document_has_no_phrase_of_our_own(phrase: str) -> None:
    pattern = re.compile(phrase)
    offenders = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in DOCUMENTS
        for number, line in lines(path)
        if pattern.search(line)
    ]
    assert not offenders, f"write {PHRASES[phrase]!r} instead:\n" + "\n".join(offenders)


def test_a_generated_part_is_left_out_and_the_rest_is_not(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("one\n<!-- generated:a -->\ntwo\n<!-- /generated:a -->\nthree\n")
    assert [(number, line) for number, line in lines(path) if line] == [(1, "one"), (5, "three")]


def test_the_navigation_has_the_four_kinds_of_documentation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    parts = [next(iter(part)) for part in yaml.safe_load(text)["nav"] if isinstance(part, dict)]
    assert parts == ["Tutorial", "How-to guides", "Reference", "Explanation"]


def test_the_readme_begins_with_what_a_newcomer_needs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Flow",
        "Installation",
        "Getting started",
        "Supported versions",
        "Documentation",
        "Licence",
    ]
    assert "\nBLOCKED " in text, "a sample of a failed run"
    assert len(text.splitlines()) <= 120
