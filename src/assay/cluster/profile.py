"""Compile profiles: what a cluster's pods need, in a YAML file. docs/profiles.md describes them.

Shapes and ranges are a JSON schema (`profile.schema.json`); what it cannot say stands here. All
problems are told at once, each with line and column.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import chain, islice
from typing import Any, Final

import yaml

from assay.cluster.needs import NEEDS, NEVER_RETRIED, needs_of
from assay.documents import MAX_NAMED, Document, Limits, closest, read_yaml, shown, some
from assay.errors import UsageError

MAX_PROFILE_BYTES: Final = 1 << 20
MAX_PROBLEMS: Final = 100
_LIMITS: Final = Limits(MAX_PROFILE_BYTES, depth=8, values=20_000)
_MAX_FOUND: Final = 2 * MAX_PROBLEMS
"""Problems after which nobody looks for more."""
_UNITS: Final = {
    "": 1, "m": 1e-3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"([0-9.]+)([A-Za-z]*)")

Path = tuple[str | int, ...]


class ProfileError(UsageError):
    """A profile that does not parse, or asks for what must not be."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A Secret or ConfigMap in the namespace of the run."""

    name: str
    optional: bool
    """Whether a pod starts without it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Retries of a failed pod."""

    count: int
    backoff_seconds: int
    factor: float
    max_seconds: int


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that a pod bears."""

    key: str
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What one component's pods get."""

    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str
    timeout_seconds: int
    retry: Retry | None
    """None where a failure must stand, whatever the profile says for all."""
    needs: tuple[str, ...]
    scratch: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A checked profile, with what it leaves unsaid filled in."""

    config: Reference
    secrets: Mapping[str, Reference]
    image_pull_policy: str
    image_pull_secrets: tuple[str, ...]
    security: Mapping[str, int | bool]
    labels: Mapping[str, str]
    _tasks: Mapping[str, Mapping[str, Any]]
    _own: Mapping[str, Any]

    def task(self, component: str) -> TaskOptions:
        """Options of a component: its own entry, or the defaults."""
        return _task(component, self._tasks.get(component, self._own))


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of a profile."""
    text = resources.files("assay.cluster").joinpath("profile.schema.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def default_profile() -> Profile:
    """The profile that says nothing."""
    return parse_profile(b"{}", components=NEEDS)


def parse_profile(
    data: bytes, name: str = "profile", *, components: Iterable[str] = NEEDS
) -> Profile:
    """Parse a profile.

    Args:
        data: YAML, UTF-8, at most `MAX_PROFILE_BYTES`.
        name: What to call the file in errors.
        components: Names that may stand under `components`.

    Raises:
        ProfileError: All that is wrong, each with line and column.
    """
    document = read_yaml(data, name, _LIMITS, error=ProfileError)
    given = document.value
    if not isinstance(given, Mapping):
        raise ProfileError(f"{name}: holds no options; write 'key: value' lines, or {{}} for none")
    known = set(components)
    everything = chain(_schema_problems(given), _key_problems(given, known))
    problems = list(islice(everything, _MAX_FOUND))
    # Figures are compared only where their shapes are right.
    if not problems:
        problems = list(_rule_problems(given, known))
    if problems:
        raise ProfileError.all_of(_tell(document, problems))
    return _profile(given)


def _tell(document: Document, problems: Sequence[tuple[Path, str]]) -> list[str]:
    """Problems in the order of the file, each with its place."""
    # A key is marked by a path that ends with it twice: ("security", "uid", "uid").
    found = {
        (document.place(path[:-1], key=True) if path[-1:] == path[-2:-1] else document.place(path),
         text)
        for path, text in problems
    }  # fmt: skip
    return some(sorted(found), lambda item: f"{document.at(item[0])}: {item[1]}", MAX_PROBLEMS)


def _schema_problems(given: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(schema()).iter_errors(given):
        path = tuple(error.absolute_path)
        where = f"{path[-1]}: " if path and isinstance(path[-1], str) else ""
        if error.validator == "additionalProperties":
            yield from _unknown_keys(path, error.instance, sorted(error.schema["properties"]))
        elif error.validator == "required":
            yield path, f"{where}{error.message.split(' is ')[0]} is missing"
        elif error.parent is not None or "propertyNames" in error.absolute_schema_path:
            yield (*path, error.instance, error.instance), _unfit(error.instance, error.schema)
        elif error.validator == "enum":
            hint = _hint(str(error.instance), [str(item) for item in error.schema["enum"]])
            yield path, f"{where}{shown(error.instance)} is not a choice; {hint}"
        elif error.validator == "type":
            yield path, f"{where}expected {_words(error.schema)}, got {_shown(error.instance)}"
        elif error.validator == "uniqueItems":
            yield path, f"{where}names something twice"
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
        yield (*path, word, word), f"unknown key {shown(word)}; {_hint(word, known)}"
    if len(unknown) > MAX_NAMED:
        yield path, f"and {len(unknown) - MAX_NAMED} more unknown keys"


def _hint(word: str, known: Sequence[str]) -> str:
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


def _key_problems(given: Mapping[str, Any], known: set[str]) -> Iterator[tuple[Path, str]]:
    entries = given.get("components")
    unknown = [name for name in entries if name not in known] if isinstance(entries, dict) else []
    for name in unknown[:MAX_NAMED]:
        yield (
            ("components", name, name),
            f"there is no component {shown(name)}; {_hint(name, sorted(known))}",
        )
    if len(unknown) > MAX_NAMED:
        yield ("components",), f"and {len(unknown) - MAX_NAMED} more unknown components"


def _rule_problems(given: Mapping[str, Any], known: set[str]) -> Iterator[tuple[Path, str]]:
    own = given.get("components", {})
    for name, entry in own.items():
        if entry.get("retry", {}).get("count", 0) and name in NEVER_RETRIED:
            yield (
                ("components", name, "retry"),
                f"{name} must not be retried: {NEVER_RETRIED[name]}",
            )
        if name in NEEDS and (more := sorted(set(entry.get("needs", ())) - set(NEEDS[name]))):
            yield (
                ("components", name, "needs"),
                f"{name} has no use for {', '.join(more)}; leave out 'needs'",
            )
    for path, entry in _entries(given):
        for index, item in enumerate(entry.get("tolerations", ())):
            if "value" in item and item.get("operator") == "Exists":
                yield (*path, "tolerations", index), "a toleration with Exists has no value"
            if "seconds" in item and item.get("effect") not in {None, "NoExecute"}:
                yield (*path, "tolerations", index), "seconds go with the effect NoExecute only"
    yield from _quantity_problems(given, known)


def _entries(given: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    yield ("defaults",), given.get("defaults", {})
    for name, entry in given.get("components", {}).items():
        yield ("components", name), entry


def _quantity_problems(given: Mapping[str, Any], known: set[str]) -> Iterator[tuple[Path, str]]:
    """Requests above limits, once everything is laid over each other."""
    found: dict[tuple[Path, str], list[str]] = {}
    for component in sorted(known):
        merged = _merged(component, given)
        for kind in ("cpu", "memory"):
            request, limit = f"{kind}_request", f"{kind}_limit"
            if amount(str(merged[request])) > amount(str(merged[limit])):
                path = next(
                    (*path, name)
                    for path in (("components", component), ("defaults",))
                    for name in (request, limit)
                    if name in _at(given, path)
                )
                what = f"{request} {merged[request]} is above {limit} {merged[limit]}"
                found.setdefault((path, what), []).append(component)
    for (path, what), components in found.items():
        yield path, f"{what} for {', '.join(components)}; give both"


def _at(given: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = given
    for word in path:
        found = found.get(word, {})
    return found


def amount(quantity: str) -> float:
    """What a quantity of Kubernetes amounts to: CPUs, or bytes.

    Raises:
        ProfileError: It is none.
    """
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ProfileError(f"{quantity!r} is no quantity")
    return float(match[1]) * _UNITS[match[2]]


@cache
def _defaults() -> dict[str, Any]:
    text = resources.files("assay.cluster").joinpath("default.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def _merged(component: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The most specific entry counts; of two that are alike, the profile's."""
    layers = (
        _defaults()["defaults"],
        given.get("defaults", {}),
        _defaults()["components"].get(component, {}),
        given.get("components", {}).get(component, {}),
    )
    merged: dict[str, Any] = {}
    for layer in layers:
        retry = {**merged.get("retry", {}), **layer.get("retry", {})}
        merged |= {**layer, "retry": retry}
    return merged


def _task(component: str, merged: Mapping[str, Any]) -> TaskOptions:
    retry = Retry(**merged["retry"])
    return TaskOptions(
        cpu_request=str(merged["cpu_request"]),
        cpu_limit=str(merged["cpu_limit"]),
        memory_request=merged["memory_request"],
        memory_limit=merged["memory_limit"],
        timeout_seconds=merged["timeout_seconds"],
        retry=retry if retry.count and component not in NEVER_RETRIED else None,
        needs=tuple(merged.get("needs", needs_of(component))),
        scratch=merged.get("scratch", ""),
        node_selector=merged.get("node_selector", {}),
        tolerations=tuple(Toleration(**item) for item in merged.get("tolerations", ())),
    )


def _profile(given: Mapping[str, Any]) -> Profile:
    base = _defaults()
    model = {"assay-model": given["model"]} if given.get("model") else {}
    named = {*base["components"], *given.get("components", {})}
    return Profile(
        config=Reference(**{**base["config"], **given.get("config", {})}),
        secrets={
            kind: Reference(**{**default, **given.get("secrets", {}).get(kind, {})})
            for kind, default in base["secrets"].items()
        },
        image_pull_policy=given.get("image_pull_policy", base["image_pull_policy"]),
        image_pull_secrets=tuple(given.get("image_pull_secrets", ())),
        security={**base["security"], **given.get("security", {})},
        labels={**given.get("labels", {}), **model},
        _tasks={name: _merged(name, given) for name in sorted(named)},
        _own=_merged("", given),
    )
