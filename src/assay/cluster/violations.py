"""Violations of a JSON schema in a YAML file, each with line and column."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from assay.documents import MAX_NAMED, Document, closest, shown, some

MAX_PROBLEMS: Final = 100

Path = tuple[str | int, ...]


def described(document: Document, problems: Iterable[tuple[Path, str]]) -> list[str]:
    """Problems in the order of the file, each with line and column."""
    # A key is marked by a path that ends with it twice: ("security", "uid", "uid").
    violations = {
        (
            document.position(path[:-1], key=True)
            if path[-1:] == path[-2:-1]
            else document.position(path),
            text,
        )
        for path, text in problems
    }  # fmt: skip
    return some(sorted(violations), lambda item: f"{document.at(item[0])}: {item[1]}", MAX_PROBLEMS)


def violations(given: Any, schema: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Violations of a JSON schema by a value: path and description of each."""
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(schema).iter_errors(given):
        path = tuple(error.absolute_path)
        where = f"{path[-1]}: " if path and isinstance(path[-1], str) else ""
        if error.validator == "additionalProperties":
            yield from _unknown_keys(path, error.instance, sorted(error.schema["properties"]))
        elif error.validator == "required":
            yield path, f"{where}{error.message.split(' is ')[0]} is missing"
        elif error.parent is not None or "propertyNames" in error.absolute_schema_path:
            yield (*path, error.instance, error.instance), _unfit(error.instance, error.schema)
        elif error.validator == "enum":
            choices = [str(item) for item in error.schema["enum"]]
            text = hint(str(error.instance), choices)
            yield path, f"{where}{shown(error.instance)} is not a choice; {text}"
        elif error.validator == "type":
            yield path, f"{where}expected {_words(error.schema)}, got {_shown(error.instance)}"
        elif error.validator == "uniqueItems":
            yield path, f"{where}has duplicates"
        elif error.validator in {"pattern", "maxLength"}:
            yield path, f"{where}{_unfit(error.instance, error.schema)}"
        else:
            word = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above"}
            limit = f"{word[error.validator]} {error.validator_value}"
            yield path, f"{where}give a number {limit}, not {shown(error.instance)}"


def _unknown_keys(
    path: Path, given: Iterable[str], known: Sequence[str]
) -> Iterator[tuple[Path, str]]:
    unknown = sorted(set(given) - set(known))
    for word in unknown[:MAX_NAMED]:
        yield (*path, word, word), f"unknown key {shown(word)}; {hint(word, known)}"
    if len(unknown) > MAX_NAMED:
        yield path, f"and {len(unknown) - MAX_NAMED} more unknown keys"


def hint(word: str, known: Sequence[str]) -> str:
    """A suggestion: the known word that is similar to `word`, or all known words."""
    close = closest(word, known)
    return f"did you mean {close!r}?" if close else f"known are {', '.join(known)}"


def _unfit(value: Any, shape: Mapping[str, Any]) -> str:
    return f"{shown(value)} is not {shape['description']}, such as {shape['examples'][0]}"


def _words(shape: Mapping[str, Any]) -> str:
    if "examples" in shape:
        return f"{shape['description']}, such as {shape['examples'][0]}"
    words = {
        "object": "an object of 'key: value'",
        "array": "a list such as [a, b]",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
    }
    return words[shape["type"]]


def _shown(value: Any) -> str:
    if value is None:
        return "nothing (leave the key out instead)"
    return "true or false (quote it if it is text)" if isinstance(value, bool) else shown(value)
