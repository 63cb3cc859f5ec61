"""Templates: what is not markup already is escaped, and what is missing is an error."""

import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from assay.reports.page import Section, details, heading, joined, page, paragraph, table
from assay.reports.templates import part, whole

TEXT = "<b onclick='a()'>\u202e& \x1b[31m"
ESCAPED = "&lt;b onclick=&#x27;a()&#x27;&gt;\\u202e&amp; \\x1b[31m"


def test_text_is_escaped_wherever_it_meets_markup() -> None:
    assert paragraph(TEXT) == f"<p>{ESCAPED}</p>"
    made = page("t", [Section("t", TEXT)])  # type: ignore[arg-type]
    assert f"<h2>t</h2>\n{ESCAPED}</section>" in made
    assert ESCAPED in details("t", TEXT)  # type: ignore[arg-type]
    assert "<b" not in paragraph("x") + TEXT
    assert "<b" not in joined([paragraph("x"), TEXT])  # type: ignore[list-item]


def test_markup_stays_as_it_is() -> None:
    made = joined([heading("a"), paragraph("b")])
    assert made == "<h3>a</h3><p>b</p>"
    assert isinstance(made, Markup)
    assert f"\n{made}</details>" in details("t", made)


def test_a_value_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        whole("page.html", title="t")
    with pytest.raises(UndefinedError):
        part("paragraph")


def test_a_row_without_a_cell_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        table(("a", "b"), [("x",)])


def test_jinja_is_imported_when_a_page_is_written_and_leaves_no_file(tmp_path: Path) -> None:
    program = (
        "import sys, assay.reports.page as p; early = 'jinja2' in sys.modules; "
        "p.page('t', []); print(early, 'jinja2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.stdout.split() == ["False", "True"]
    assert not list(tmp_path.iterdir())
