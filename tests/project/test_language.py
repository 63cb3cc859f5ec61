"""Phrases of this project's own that readers stumbled over; standard terms take their place."""

import re
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
