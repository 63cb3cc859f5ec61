"""The declarations of stages, read from `stage.yaml` in their folders.

The library's stages are the folders of `assay.components`. Other distributions declare theirs with
an entry point of the group `assay.stages`, whose value is the package with `stage.yaml`. No stage
is imported.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from assay.cluster.violations import described, violations
from assay.documents import Limits, read_regular, read_yaml
from assay.errors import UsageError

FILE: Final = "stage.yaml"
GROUP: Final = "assay.stages"
"""Entry points of other distributions' stages: name of the stage to its package."""
LIBRARY: Final = "assay.components"
MAX_BYTES: Final = 1 << 16
_LIMITS: Final = Limits(MAX_BYTES, depth=8, values=5_000)


@dataclass(frozen=True, slots=True)
class Requirement:
    """An option of a run without which evidence is missing."""

    option: str
    names: tuple[str, ...]
    missing: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence that a stage gives to a gate."""

    about: str
    """`model` if only a model can have it, else `data`."""
    names: tuple[str, ...]
    requires: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class UiArtifact:
    """A KFP output artifact that people look at."""

    type: str
    """A class of `kfp.dsl`."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Component:
    """What a stage's KFP component has, where its step does not say it."""

    steps: tuple[str, ...]
    """Steps that the task runs, in order, by the names of their stages."""
    artifacts: Mapping[str, UiArtifact] = field(default_factory=dict)
    parameters: tuple[str, ...] | None = None
    """The only step parameters that the component has; None for all of them."""
    hides: tuple[str, ...] = ()
    """Step parameters that the component does not have."""
    required: Mapping[str, bool] = field(default_factory=dict)
    """Parameters that differ from the step in whether they must be given."""
    settings: bool = False
    """Whether it has the parameter `settings`."""
    outputs: tuple[str, ...] | None = None
    """The only outputs and values that the component gives; None for all of them."""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Outputs that join others in one list, by name."""
    judge: str = ""
    """`block` or `reject`: what a verdict other than `pass` does to the run. Empty: nothing."""
    base_image: str = ""
    """Reference of the image; empty for a stage of the library."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage's declaration."""

    name: str
    folder: Path
    category: str
    image: str
    """Role of the image that it runs in."""
    secrets: tuple[str, ...] = ()
    """Secrets, besides those that every stage gets."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Resources and time-out, if they differ from the defaults of all stages."""
    never_retried: str = ""
    """Why a failed pod must not be retried; empty if it may be."""
    evidence: Evidence | None = None
    component: Component = field(default_factory=lambda: Component(()))


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of `stage.yaml`."""
    text = (
        resources.files("assay.cluster").joinpath("stage.schema.json").read_text(encoding="utf-8")
    )
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@cache
def stages() -> Mapping[str, Stage]:
    """All stages by name: the library's, and those of other distributions.

    Raises:
        UsageError: A stage cannot be read, or two have the same name.
    """
    declared: dict[str, Stage] = {}
    for name, folder in [*library_folders().items(), *_others()]:
        if name in declared:
            raise UsageError(
                f"two stages have the name {name!r}: {declared[name].folder}, {folder}"
            )
        declared[name] = read_stage(folder, name)
    return dict(sorted(declared.items()))


def library_stages() -> Mapping[str, Stage]:
    """The library's stages by name."""
    return {name: stages()[name] for name in library_folders()}


def library_folders() -> Mapping[str, Path]:
    """The folder of each of the library's stages, by name."""
    root = _folder(LIBRARY)
    # In an installation they are siblings; in the source tree each category has a folder.
    files = [*root.glob(f"*/{FILE}"), *root.glob(f"*/*/{FILE}")]
    return {file.parent.name: file.parent for file in sorted(files, key=lambda f: f.parent.name)}


def read_stage(folder: Path, name: str) -> Stage:
    """The declaration in a stage's folder.

    Raises:
        UsageError: The file cannot be read, or has mistakes, each with line and column.
    """
    path = folder / FILE
    document = read_yaml(read_regular(path, MAX_BYTES, FILE), str(path), _LIMITS)
    given = document.value
    if problems := list(violations(given, schema())):
        raise UsageError.all_of(described(document, problems))
    timeout = {key: given[key] for key in ("timeout_seconds",) if key in given}
    return Stage(
        name,
        folder,
        category=given["category"],
        image=given["image"],
        secrets=tuple(given.get("secrets", ())),
        options={**given.get("resources", {}), **timeout},
        never_retried=given.get("never_retried", ""),
        evidence=_evidence(given["evidence"]) if "evidence" in given else None,
        component=_component(given.get("component", {}), name),
    )


def _component(given: Mapping[str, Any], name: str) -> Component:
    def names(key: str) -> tuple[str, ...] | None:
        return tuple(given[key]) if key in given else None

    return Component(
        steps=tuple(given.get("steps", (name,))),
        artifacts={key: UiArtifact(**item) for key, item in given.get("artifacts", {}).items()},
        parameters=names("parameters"),
        hides=tuple(given.get("hides", ())),
        required=given.get("required", {}),
        settings=given.get("settings", False),
        outputs=names("outputs"),
        lists={key: tuple(parts) for key, parts in given.get("lists", {}).items()},
        judge=given.get("judge", ""),
        base_image=given.get("base_image", ""),
    )


def _evidence(given: Mapping[str, Any]) -> Evidence:
    names = tuple(given["names"])
    requires = tuple(
        Requirement(item["option"], tuple(item.get("names", names)), item["missing"])
        for item in given.get("requires", ())
    )
    return Evidence(given["about"], names, requires)


def _others() -> Iterator[tuple[str, Path]]:
    for point in metadata.entry_points(group=GROUP):
        yield point.name, _folder(point.value)


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"{GROUP}: {package!r} is not an installed package; install it")
    return Path(next(iter(spec.submodule_search_locations)))
