"""`assay-model.json`: what a model is, readable without scikit-learn or MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from assay.core.digest import canonical_json, parse_canonical_json
from assay.errors import IntegrityError
from assay.evidence.format import POSITIVE, POSITIVE_DEFAULT

INFO_FILE: Final = "assay-model.json"
FORMAT: Final = "assay-model/1"
"""docs/format-model.md has the procedure for raising it."""
MAX_INFO_BYTES: Final = 16 << 20
TASKS: Final = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class ModelInfo:
    """What `assay-model.json` says."""

    task: str
    """`binary`, `multiclass` or `regression`."""
    target: str
    features: tuple[str, ...]
    """Columns it reads: numeric ones, then categorical ones."""
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    classes: tuple[Any, ...]
    """Labels in the order of `predict_proba`'s columns; empty for regression."""
    positive: Any
    """The positive class of a binary model, else None."""
    estimator: str
    """Import path."""
    hyperparameters: Mapping[str, Any]
    """As the user gave them."""
    seed: int
    threads: int
    rows: int
    """Rows it was fitted on; 0 for an imported model, of which nobody knows."""
    allowed_modules: tuple[str, ...] = ()
    """Import prefixes that training was allowed besides scikit-learn. To know, not to trust."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Dataset type of each feature."""
    class_rows: tuple[int, ...] = ()
    """Training rows of each class, in the order of `classes`."""
    left_out: tuple[str, ...] = ()
    """Columns that could have been features, but hold no value at all."""
    transformed: int = 0
    """Width of the table that the estimator sees after preprocessing."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the libraries that made it, and Python."""

    def class_notes(self) -> dict[str, str]:
        """What evidence about a binary model says of its positive class; else nothing."""
        if self.task != "binary":
            return {}
        try:
            default = max(self.classes)
        except TypeError:  # labels of several types
            default = max(self.classes, key=str)
        return {POSITIVE: str(self.positive), POSITIVE_DEFAULT: str(default)}

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        features = [
            {
                "name": name,
                "role": "numeric" if name in self.numeric else "categorical",
                "type": self.types.get(name, ""),
            }
            for name in self.features
        ]
        return canonical_json(
            {
                "format": FORMAT,
                "task": self.task,
                "target": self.target,
                "features": features,
                "transformed": self.transformed,
                "classes": [_plain(label) for label in self.classes],
                "classRows": list(self.class_rows),
                "positive": _plain(self.positive),
                "estimator": self.estimator,
                "hyperparameters": _plain(self.hyperparameters),
                "seed": self.seed,
                "threads": self.threads,
                "rows": self.rows,
                "leftOut": list(self.left_out),
                "allowedModules": list(self.allowed_modules),
                "versions": dict(self.versions),
            }
        )


def read_info(folder: Path) -> ModelInfo:
    """What a model folder says of itself; loads nothing.

    Raises:
        IntegrityError: Not a model folder, malformed, or of another format version.
    """
    path = folder / INFO_FILE
    try:
        if path.stat().st_size > MAX_INFO_BYTES:
            raise IntegrityError(f"{INFO_FILE}: larger than {MAX_INFO_BYTES} bytes")
        raw = parse_canonical_json(path.read_bytes(), INFO_FILE)
    except OSError as error:
        raise IntegrityError(f"not a model: {INFO_FILE} cannot be read ({error})") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise IntegrityError(
            f"{INFO_FILE}: not of format {FORMAT}; was it made by another version?"
        )
    try:
        return _parse(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{INFO_FILE}: malformed: {error!r}") from error


def _parse(raw: dict[str, Any]) -> ModelInfo:
    features = [(_text(f["name"]), _text(f["role"]), _text(f["type"])) for f in raw["features"]]
    classes = tuple(_label(label) for label in _list(raw["classes"]))
    if raw["task"] not in TASKS or (raw["task"] == "binary") != (raw["positive"] in classes):
        raise ValueError(f"task {raw['task']!r} with positive class {raw['positive']!r}")
    if not features or {role for _, role, _ in features} - {"numeric", "categorical"}:
        raise ValueError("features")
    return ModelInfo(
        task=raw["task"],
        target=_text(raw["target"]),
        features=tuple(name for name, _, _ in features),
        numeric=tuple(name for name, role, _ in features if role == "numeric"),
        categorical=tuple(name for name, role, _ in features if role == "categorical"),
        classes=classes,
        positive=raw["positive"],
        estimator=_text(raw["estimator"]),
        hyperparameters=_mapping(raw["hyperparameters"]),
        seed=_count(raw["seed"]),
        threads=_count(raw["threads"]),
        rows=_count(raw["rows"]),
        allowed_modules=tuple(_text(name) for name in _list(raw["allowedModules"])),
        types={name: kind for name, _, kind in features},
        class_rows=tuple(_count(rows) for rows in _list(raw["classRows"])),
        left_out=tuple(_text(name) for name in _list(raw["leftOut"])),
        transformed=_count(raw["transformed"]),
        versions={_text(k): _text(v) for k, v in _mapping(raw["versions"]).items()},
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _label(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise TypeError(f"{value!r} is no label")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is not a count")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return value


def _plain(value: Any) -> Any:
    """NumPy scalars as JSON's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value
