"""The locked distributions that the result of a step can depend on, and a digest of their versions.

The lock (`requirements.txt` in the folder of the library) lists after each distribution the ones
that require it, in the format of `uv pip compile`: `# via NAME`. The requirements are therefore the
same in every environment: an image without distributions that its steps do not import gives the
same digest as one with all of them.
"""

import functools
import os
import platform
import re
import site
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay.core.digest import canonical_json, of_bytes

LOADED_BY_NAME: Final = ()
"""The lock is not part of a closure, but its digest is."""

_NAMES: Final[Mapping[str, str]] = {
    "git": "gitpython",
    "github": "pygithub",
    "gitlab": "python-gitlab",
    "google.protobuf": "protobuf",
    "kfp.kubernetes": "kfp-kubernetes",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Distributions by import name, if the names differ."""
_OPTIONAL: Final[Mapping[str, frozenset[str]]] = {
    "great-expectations": frozenset(
        {
            "boto3",
            "databricks-sdk",
            "docstring-parser",
            "google-cloud-storage",
            "opentelemetry-api",
            "sqlalchemy",
        }
    ),
    "lark": frozenset({"regex"}),
    "mlflow": frozenset({"multipart", "rich", "sniffio", "tqdm", "ujson"}),
    "pandas": frozenset({"matplotlib", "openpyxl", "scipy", "sqlalchemy"}),
    "pyarrow": frozenset({"cloudpickle"}),
}
"""Distributions that a distribution (or one of its requirements) loads if they are installed."""
_SHARED: Final = frozenset({"google"})
"""Import names that several distributions share."""
_OWN_NAME: Final = "kfp-assay"


@dataclass(frozen=True, slots=True)
class Lock:
    """Locked distributions, by normalised name."""

    versions: Mapping[str, Collection[str]]
    """Several if they depend on the Python version."""
    requires: Mapping[str, Collection[str]] | None
    """None if the lock does not list the requirements of every distribution."""

    def of_imports(self, names: Iterable[str]) -> frozenset[str] | None:
        """The distributions of some modules, with all of their requirements.

        Returns:
            The distributions. None if a module is not in a locked distribution, or the requirements
            are unknown.
        """
        pending = [self.distribution_of(name) for name in names]
        if self.requires is None or None in pending:
            return None
        result: set[str] = set()
        while pending:
            name = pending.pop()
            if name is not None and name not in result:
                result.add(name)
                pending += self.requires.get(name, ())
                pending += _OPTIONAL.get(name, frozenset()) & self.versions.keys()
        return frozenset(result)

    def distribution_of(self, module: str) -> str | None:
        """The locked distribution that a module belongs to; None if it is in none."""
        parts = module.split(".")
        for length in range(len(parts), 0, -1):
            if name := _NAMES.get(".".join(parts[:length])):
                return name if name in self.versions else None
        name = normal(parts[0])
        return name if name in self.versions and name not in _SHARED else None


def digest_of(names: Collection[str] | None, unlocked: Collection[str] = ()) -> str:
    """Digest of the locked versions of distributions, and of installed versions that differ.

    An environment with other versions than the lock must not share a step key with one that has the
    locked versions. An environment without some distributions may: an image has only those that its
    steps import, and a step without one fails instead of returning another result. If an installed
    version differs, its requirements may differ too; then all distributions are included.

    Args:
        names: Normalized names; None for all locked distributions.
        unlocked: Further code that the result depends on, one line each (`assay.core.unlocked`).
    """
    versions, strays = locked().versions, _strays()
    if names is None or any(stray.partition("==")[0] in names for stray in strays):
        names = versions
    else:
        strays = []
    python = ".".join(platform.python_version_tuple()[:2])
    content = {
        "locked": {name: sorted(versions[name]) for name in names},
        "strays": strays,
        "python": f"{platform.python_implementation()} {python}",
        "machine": platform.machine(),
    }
    if unlocked:
        content["unlocked"] = sorted(unlocked)
    return of_bytes(canonical_json(content))


@functools.cache
def locked() -> Lock:
    """The lock of this installation."""
    return parse(
        (Path(__file__).resolve().parents[1] / "requirements.txt").read_text(encoding="utf-8")
    )


def parse(text: str) -> Lock:
    """A lock from its text."""
    versions: dict[str, set[str]] = {}
    requires: dict[str, set[str]] = {}
    explained = set()
    current = ""
    for line in text.split("\n"):
        if line[:5] == "    -":
            continue  # a hash, like most lines
        if line[:5] == "    #":
            words = line.removeprefix("    #").removeprefix(" via").split()
            if words and current:
                explained.add(current)
                requires.setdefault(normal(words[0]), set()).add(current)
        elif line[:1].isalnum():
            name, _, rest = line.partition("==")
            current = normal(name.strip())
            # A name may occur several times, with a version for each range of Python versions.
            versions.setdefault(current, set()).add(rest.split(maxsplit=1)[0].rstrip(";"))
    return Lock(versions, requires if explained == set(versions) else None)


def forget() -> None:
    """Clear the caches, so that all files are read again."""
    locked.cache_clear()
    _strays.cache_clear()


def normal(name: str) -> str:
    """A distribution's name as PEP 503 writes it."""
    simple = name.lower().replace("_", "-").replace(".", "-")
    return re.sub("--+", "-", simple) if "--" in simple else simple


@functools.cache
def _strays() -> list[str]:
    """`name==version` of each distribution on the path with another version than the locked."""
    versions = locked().versions
    strays = set()
    for entry in {*sys.path, *site.getsitepackages()}:
        folder = entry or "."
        if not os.path.isdir(folder):  # noqa: PTH112 - this runs in every step; os is 5x quicker
            continue
        for item in os.listdir(folder):  # noqa: PTH208
            if not item.endswith(".dist-info"):
                continue
            name, _, version = item.removesuffix(".dist-info").partition("-")
            name = normal(name)
            if name in versions and version not in versions[name]:
                strays.add(f"{name}=={version}")
    return sorted(strays)
