"""Locations as they may be printed and kept: without the secrets in them.

A presigned URL is a password: whoever has it reads the object. Attestations, MLflow, logs, reports
and messages outlive it and are read by many, so they hold what comes from here. What was read is
named by its digest.
"""

import re
import traceback
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

_PUBLIC_QUERY: Final = frozenset({"endpoint", "region"})
"""Query parameters of s3:// that are no secrets, and needed to find the object again."""
_SCHEME: Final = r"(?:[a-zA-Z][a-zA-Z0-9+.-]{0,30}://|(?:[hH][tT]{2}[pP][sS]?|[sS]3):/)"
"""With one slash as well where that is a web address that was mistyped."""
_MISTYPED: Final = re.compile(r"(\s*(?:https?|s3)):/(?!/)", re.IGNORECASE)
_URL: Final = re.compile(rf"{_SCHEME}(?:[^\s'\"<>`]|['\"<>`](?=[\w?/%&=]))+")
"""A quote ends it only where no more of a location follows."""
_AFTER: Final = ",;.:!)]}"
"""Ends a clause or bracket around a location, and no location."""
_PARAMETERS: Final = re.compile(r";[^/]*")
_KEEPS_SEMICOLONS: Final = frozenset({"s3", "file", "sqlite"})
"""Elsewhere parameters follow a semicolon: sessions, tokens, passwords of databases."""
_BEGINS: Final = re.compile(rf"\s*(?:{_SCHEME}|//(?=[^\s/]))")
"""How a value begins that is one location, whatever white space is in it."""
_SENTENCE: Final = re.compile(rf"[{re.escape(_AFTER)}'\"]\s")
"""What a location is followed by in a sentence."""


def public(location: str) -> str:
    """A location without credentials, fit for records and messages.

    User, password, fragment, query and what follows a semicolon go, because a signed URL has its
    secret there; of s3:// the endpoint and region stay.
    """
    if _MISTYPED.match(location):
        return public(_MISTYPED.sub(r"\1://", location)).replace("://", ":/", 1)
    try:
        parts = urlsplit(location)
        query = ""
        if parts.scheme == "s3":
            given = parse_qs(parts.query)
            names = sorted(_PUBLIC_QUERY.intersection(given))
            kept = {name: public(given[name][-1]) for name in names}
            query = urlencode(kept, safe=":/")
        host, path = parts.netloc.rpartition("@")[2], parts.path
        if parts.scheme not in _KEEPS_SEMICOLONS:
            host, path = host.partition(";")[0], _PARAMETERS.sub("", path)
        if not host and location[len(parts.scheme) :].startswith("://"):
            # urlunsplit drops slashes here: sqlite:////a.db would become sqlite://a.db.
            return f"{parts.scheme}://{path}{'?' if query else ''}{query}"
        return urlunsplit((parts.scheme, host, path, query, ""))
    except ValueError:
        # Such as brackets without an address in them.
        scheme, _, rest = location.partition("://")
        place = rest.rpartition("@")[2]
        return f"{scheme}://{re.split('[?#;]', place)[0]}"


def without_secrets(value: Any, *, given: bool = False) -> Any:
    """A JSON value with every URL in it as `public` writes it; what holds none is unchanged.

    Args:
        value: The value.
        given: Whether it is what somebody gave, not a message: then a text that begins like a
            location is one to its end.
    """
    if isinstance(value, str):
        if _BEGINS.match(value) and (given or not _SENTENCE.search(value)):
            return _whole(value)
        return _URL.sub(_without, value) if ":/" in value else value
    if isinstance(value, Mapping):
        return {name: without_secrets(item, given=given) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item, given=given) for item in value]
    return value


def traceback_of(error: BaseException) -> str:
    """An error's traceback as Python prints it, without the secrets in its locations."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(map(without_secrets, lines))


def _whole(location: str) -> str:
    """As `public`; a location without secrets stays as it is, with its white space."""
    shown = public(location)
    return location if shown == _plain(location) else shown


def _plain(location: str) -> str:
    """A location as `urlsplit` reads it, who drops line breaks."""
    try:
        return urlunsplit(urlsplit(location))
    except ValueError:
        return location


def _without(match: re.Match[str]) -> str:
    location = match[0].rstrip(_AFTER)
    return public(location) + match[0][len(location) :]
