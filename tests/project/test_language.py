"""Phrases and names of this project's own that readers stumbled over; write standard terms."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PHRASES: Final = {
    r"stands there": "occurs, or: duplicate X",
    r"for ever\b": "forever",
    r"(?:is|are|was|were) told (?:at once|all at once|in one line|once|together)": "is reported",
    r"nobody who counts": "a trusted key",
    r"somebody of that name": "X",
}
"""By pattern: what to write instead."""
FOLDERS: Final = ("src", "components", "pipelines", "docs", "images", "manifests")
ROOMS: Final = (
    *("core", "data", "documents", "evidence", "models", "monitoring"),
    *("cli", "cluster", "governance", "releases", "runtime"),
)
"""Packages of the library that are checked for `ROOM_PHRASES` and `NAMES` too."""
ROOM_PHRASES: Final = {
    r"\btold\b": "reported",
    r"\banew\b": "again",
    r"\b[Ww]hoever\b(?! calls the model)": "a user, callers, or the passive voice",
    r"\b[Ss]omebody\b": "a user, or another user",
    r"\bbeliev(?:e|es|ed|able)\b": "trust, valid",
    r"\bborne?\b": "tolerated, or: how long a call is repeated",
    r"\bby half\b": "in part",
    r"\b(?:that|it|which) is none\b(?!\.\")": "is not one, or: does not exist",
    r"\bnothing (?:there|under)\b": "does not exist",
    r"\b(?:lies?|lay|lying) (?:in|below|at|there|under|beside|on|within|together)\b": "is in",
    r"\bstands? (?:in|at|for|there|alone|last|beside)\b": "is in, means",
    r"\b(?:is|are|make|makes|made) young\b": "recent",
    r"\bheld against\b": "compared with, checked against",
    r"\b[Oo]f what (?:is|was|there)\b": "a noun",
    r"\b[Ww]hat (?:there is|it takes|a thing)\b": "a noun",
    r"\b(?:believed|unsigned) records?\b": "attestations",
    r"\btells? (?:apart|what|who|which)\b": "distinguishes, gives",
    r"\ball at once\b": "together",
    r"\bby hand\b": "manually",
    r"\b(?:is|are) no (?:column|label|number|path|class|count|table|suite|plan)s?\b": "is not a",
    r"\bin the way\b|\bon (?:its|their) way\b": "in transit",
    r"\bcounts (?:only|no more|any more)\b": "is valid",
}
NAMES: Final = {
    "told": "message",
    "found": "what was found",
    "theirs": "production, second",
    "ours": "candidate, first",
    "there": "present, existing",
    "said": "predicted, message",
    "begun": "start",
    "gone": "missing",
    "sides": "what the sides are",
    "one": "the name of an item",
    "view": "what it shows",
    "record": "attestation",
}
"""Identifiers by what to use instead."""


def texts() -> list[Path]:
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    for folder in FOLDERS:
        found += [
            path for kind in ("py", "md", "yaml") for path in (ROOT / folder).rglob(f"*.{kind}")
        ]
    return sorted(found)


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_of_our_own_is_not_used(phrase: str) -> None:
    pattern = re.compile(phrase)
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not offenders, f"write {PHRASES[phrase]!r} instead"


STORED: Final = {
    "which lies within the interval": "governance/policy/judge.py",
    "cannot be told": "governance/policy/judge.py",
    "no margin that it tells": "governance/policy/terms.py",
}
"""Texts of stored decisions, which are compared with a new judgement: they must not change."""


def test_texts_of_stored_decisions_are_unchanged() -> None:
    for text, path in STORED.items():
        assert text in (ROOT / "src" / "assay" / path).read_text(encoding="utf-8")


def of_rooms() -> Iterator[tuple[Path, str]]:
    for room in ROOMS:
        for path in sorted((ROOT / "src" / "assay" / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            for stored in STORED:
                text = text.replace(stored, "")
            yield path, text


@pytest.mark.parametrize("phrase", ROOM_PHRASES)
def test_a_phrase_of_our_own_is_not_used_in_the_rooms_that_were_rewritten(phrase: str) -> None:
    pattern = re.compile(phrase)
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path, text in of_rooms()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not offenders, f"write {ROOM_PHRASES[phrase]!r} instead"


def named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a module defines or assigns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name.strip("_")


def test_a_name_of_our_own_is_not_used_in_the_rooms_that_were_rewritten() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}:{line}: use {NAMES[name]!r} instead of {name}"
        for path, text in of_rooms()
        for line, name in named(ast.parse(text))
        if name in NAMES
    ]
    assert not offenders, "\n".join(offenders)
