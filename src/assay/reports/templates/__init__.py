"""The templates of HTML and SVG: the only place where markup is made.

A package of their own, so that a change of a template changes the step keys of the steps that write
pages, and of no other step that imports from `assay.reports`.

Templates output values as text: escaped, and with control characters made visible. Only `Markup`,
the result of templates, is output unchanged. A value that a template does not get is an error.
"""

import functools
import html
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from assay.reports.colours import class_of
from assay.text import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def part(name: str, *arguments: Any, **named: Any) -> Markup:
    """A part of a page: the result of a macro of `parts.html`.

    Args:
        name: The macro's name.
        arguments: Its arguments.
        named: Those that are given by name.
    """
    macro = getattr(_environment().get_template("parts.html").module, name)
    made: Markup = macro(*arguments, **named)
    return made


def whole(template: str, **values: Any) -> str:
    """A whole file from a template.

    Args:
        template: Its name in the folder of templates.
        values: What it shows, by name.
    """
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> "Environment":
    # Jinja takes 15 ms to import, and most processes write no page. There is no bytecode cache:
    # each process that renders compiles the templates, so that no compiled code is on disk.
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        autoescape=True,
        auto_reload=False,
        finalize=_escaped,
        keep_trailing_newline=True,
        loader=FunctionLoader(_source),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters["class_of"] = class_of
    return made


def _source(name: str) -> str:
    return resources.files("assay.reports.templates").joinpath(name).read_text(encoding="utf-8")


def _escaped(value: Any) -> Markup:
    """Text of unknown origin as markup; quotes as `html.escape` writes them, as reports have them.

    Jinja's own escaping, which follows, leaves `Markup` as it is.
    """
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(visible(str(value))))  # noqa: S704 - escaped
