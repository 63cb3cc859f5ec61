"""Compile profiles: configuration of a cluster's pods in YAML. docs/profiles.md describes them.

A JSON schema (`profile.schema.json`) defines types and ranges; this module checks the rest. All
problems are reported at once, each with line and column.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import chain, islice
from typing import Any, Final

import yaml

from assay.cluster.stages import Stage, stages
from assay.cluster.violations import MAX_PROBLEMS, Path, described, hint, violations
from assay.documents import MAX_NAMED, Limits, read_yaml, shown
from assay.errors import UsageError
from assay.runtime.mounted import RUNNER

MAX_PROFILE_BYTES: Final = 1 << 20
_LIMITS: Final = Limits(MAX_PROFILE_BYTES, depth=8, values=20_000)
_MAX_FOUND: Final = 2 * MAX_PROBLEMS
"""Largest number of reported problems."""
_UNITS: Final = {
    "": 1, "m": 1e-3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"([0-9.]+)([A-Za-z]*)")


EVERY_STAGE: Final = (RUNNER,)
"""Secrets of every stage: each reads and writes the store, and signs and verifies attestations."""


class ProfileError(UsageError):
    """A profile does not parse, or has options that are not allowed."""


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
    """A taint that a pod tolerates."""

    key: str
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Options of the pods of one component."""

    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str
    timeout_seconds: int
    retry: Retry | None
    """None if a failed pod must not be retried, whatever the defaults of the profile."""
    needs: tuple[str, ...]
    scratch: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A checked profile, completed with the defaults."""

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
    text = (
        resources.files("assay.cluster").joinpath("profile.schema.json").read_text(encoding="utf-8")
    )
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def default_profile() -> Profile:
    """The empty profile."""
    return parse_profile(b"{}")


def parse_profile(data: bytes, name: str = "profile") -> Profile:
    """Parse a profile.

    Args:
        data: YAML, UTF-8, at most `MAX_PROFILE_BYTES`.
        name: Name of the file in errors.

    Raises:
        ProfileError: All problems, each with line and column.
    """
    document = read_yaml(data, name, _LIMITS, error=ProfileError)
    given = document.value
    if not isinstance(given, Mapping):
        raise ProfileError(f"{name}: has no options; write 'key: value' lines, or {{}} for none")
    known = stages()
    everything = chain(violations(given, schema()), _key_problems(given, known))
    problems = list(islice(everything, _MAX_FOUND))
    # Values are compared only if their types are correct.
    if not problems:
        problems = list(_rule_problems(given, known))
    if problems:
        raise ProfileError.all_of(described(document, problems))
    return _profile(given)


def _key_problems(given: Mapping[str, Any], known: Collection[str]) -> Iterator[tuple[Path, str]]:
    entries = given.get("components")
    unknown = [name for name in entries if name not in known] if isinstance(entries, dict) else []
    for name in unknown[:MAX_NAMED]:
        yield (
            ("components", name, name),
            f"unknown component {shown(name)}; {hint(name, sorted(known))}",
        )
    if len(unknown) > MAX_NAMED:
        yield ("components",), f"and {len(unknown) - MAX_NAMED} more unknown components"


def _rule_problems(
    given: Mapping[str, Any], known: Mapping[str, Stage]
) -> Iterator[tuple[Path, str]]:
    own = given.get("components", {})
    for name, entry in own.items():
        stage = known[name]
        if entry.get("retry", {}).get("count", 0) and stage.never_retried:
            yield (
                ("components", name, "retry"),
                f"{name} must not be retried: {stage.never_retried}",
            )
        if more := sorted(set(entry.get("needs", ())) - {*EVERY_STAGE, *stage.secrets}):
            yield (
                ("components", name, "needs"),
                f"{name} does not use {', '.join(more)}; leave out 'needs'",
            )
    for path, entry in _entries(given):
        for index, item in enumerate(entry.get("tolerations", ())):
            if "value" in item and item.get("operator") == "Exists":
                yield (
                    (*path, "tolerations", index),
                    "a toleration with Exists must not have a value",
                )
            if "seconds" in item and item.get("effect") not in {None, "NoExecute"}:
                yield (
                    (*path, "tolerations", index),
                    "seconds are allowed only with the effect NoExecute",
                )
    yield from _quantity_problems(given, known)


def _entries(given: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    yield ("defaults",), given.get("defaults", {})
    for name, entry in given.get("components", {}).items():
        yield ("components", name), entry


def _quantity_problems(
    given: Mapping[str, Any], known: Collection[str]
) -> Iterator[tuple[Path, str]]:
    """Requests above limits, after all entries are merged."""
    conflicts: dict[tuple[Path, str], list[str]] = {}
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
                conflicts.setdefault((path, what), []).append(component)
    for (path, what), components in conflicts.items():
        yield path, f"{what} for {', '.join(components)}; give both"


def _at(given: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    value: Mapping[str, Any] = given
    for word in path:
        value = value.get(word, {})
    return value


def amount(quantity: str) -> float:
    """The value of a Kubernetes quantity, in CPUs or bytes.

    Raises:
        ProfileError: It is not a quantity.
    """
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ProfileError(f"{quantity!r} is not a quantity")
    return float(match[1]) * _UNITS[match[2]]


@cache
def _defaults() -> dict[str, Any]:
    text = resources.files("assay.cluster").joinpath("default.yaml").read_text(encoding="utf-8")
    defaults: dict[str, Any] = yaml.safe_load(text)
    return defaults


def _merged(component: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the entries: the most specific one has priority, then the profile over the defaults."""
    layers = (
        _defaults()["defaults"],
        given.get("defaults", {}),
        stages()[component].options if component in stages() else {},
        given.get("components", {}).get(component, {}),
    )
    merged: dict[str, Any] = {}
    for layer in layers:
        retry = {**merged.get("retry", {}), **layer.get("retry", {})}
        merged |= {**layer, "retry": retry}
    return merged


def _task(component: str, merged: Mapping[str, Any]) -> TaskOptions:
    retry = Retry(**merged["retry"])
    stage = stages().get(component)
    return TaskOptions(
        cpu_request=str(merged["cpu_request"]),
        cpu_limit=str(merged["cpu_limit"]),
        memory_request=merged["memory_request"],
        memory_limit=merged["memory_limit"],
        timeout_seconds=merged["timeout_seconds"],
        retry=None if not retry.count or (stage and stage.never_retried) else retry,
        needs=tuple(merged.get("needs", (*EVERY_STAGE, *(stage.secrets if stage else ())))),
        scratch=merged.get("scratch", ""),
        node_selector=merged.get("node_selector", {}),
        tolerations=tuple(Toleration(**item) for item in merged.get("tolerations", ())),
    )


def _profile(given: Mapping[str, Any]) -> Profile:
    base = _defaults()
    model = {"assay-model": given["model"]} if given.get("model") else {}
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
        _tasks={name: _merged(name, given) for name in stages()},
        _own=_merged("", given),
    )
