"""`assay-model.json`: the description of a model, readable without scikit-learn or MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from assay.core.digest import canonical_json, parse_canonical_json
from assay.errors import IntegrityError
from assay.evidence.format import POSITIVE, POSITIVE_DEFAULT

INFO_FILE: Final = "assay-model.json"
FORMAT: Final = "assay-model/1"
"""docs/format-model.md describes how to raise the version."""
MAX_INFO_BYTES: Final = 16 << 20
TASKS: Final = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class ModelInfo:
    """The description of a model in `assay-model.json`."""

    task: str
    """`binary`, `multiclass` or `regression`."""
    target: str
    features: tuple[str, ...]
    """Columns that it reads: numeric columns, then categorical columns."""
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    classes: tuple[Any, ...]
    """Labels in the order of the columns of `predict_proba`; empty for regression."""
    positive: Any
    """The positive class of a binary model; None for other tasks."""
    estimator: str
    """Import path."""
    hyperparameters: Mapping[str, Any]
    """The hyperparameters that the user set."""
    seed: int
    threads: int
    rows: int
    """Number of training rows; 0 (unknown) for an imported model."""
    allowed_modules: tuple[str, ...] = ()
    """Import prefixes that were allowed in training in addition to scikit-learn. Informative only;
    not used as an allow-list."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Dataset type of each feature."""
    class_rows: tuple[int, ...] = ()
    """Training rows of each class, in the order of `classes`."""
    left_out: tuple[str, ...] = ()
    """Columns that are not features because they have no values."""
    transformed: int = 0
    """Number of columns after preprocessing."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the libraries in training, and of Python."""

    def class_notes(self) -> dict[str, str]:
        """Notes about the positive class for evidence; empty for tasks other than binary."""
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
    """Read the description of a model without loading it.

    Raises:
        IntegrityError: Not a model folder, malformed, or of an unknown version.
    """
    path = folder / INFO_FILE
    try:
        if path.stat().st_size > MAX_INFO_BYTES:
            raise IntegrityError(f"{INFO_FILE}: larger than {MAX_INFO_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"not a model: {INFO_FILE} cannot be read ({error})") from error
    return parse_info(content)


def parse_info(content: bytes) -> ModelInfo:
    """The description of a model, from the bytes of its file.

    Raises:
        IntegrityError: Malformed, or of an unknown version.
    """
    raw = parse_canonical_json(content, INFO_FILE)
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise IntegrityError(
            f"{INFO_FILE}: not of format {FORMAT}; was it created by another version?"
        )
    try:
        return _parse(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{INFO_FILE}: malformed: {error!r}") from error


def _parse(raw: dict[str, Any]) -> ModelInfo:
    features = _features(raw["features"])
    classes = tuple(map(_label, _list(raw["classes"])))
    if raw["task"] not in TASKS or (raw["task"] == "binary") != (raw["positive"] in classes):
        raise ValueError(f"task {raw['task']!r} with positive class {raw['positive']!r}")
    return ModelInfo(
        task=raw["task"],
        target=_text(raw["target"]),
        features=tuple(name for name, _, _ in features),
        numeric=_with_role(features, "numeric"),
        categorical=_with_role(features, "categorical"),
        classes=classes,
        positive=raw["positive"],
        estimator=_text(raw["estimator"]),
        hyperparameters=_mapping(raw["hyperparameters"]),
        seed=_count(raw["seed"]),
        threads=_count(raw["threads"]),
        rows=_count(raw["rows"]),
        allowed_modules=tuple(map(_text, _list(raw["allowedModules"]))),
        types={name: kind for name, _, kind in features},
        class_rows=tuple(map(_count, _list(raw["classRows"]))),
        left_out=tuple(map(_text, _list(raw["leftOut"]))),
        transformed=_count(raw["transformed"]),
        versions={_text(k): _text(v) for k, v in _mapping(raw["versions"]).items()},
    )


def _features(raw: Any) -> list[tuple[str, str, str]]:
    """Name, role and type of each feature."""
    features = [(_text(f["name"]), _text(f["role"]), _text(f["type"])) for f in raw]
    if not features or {role for _, role, _ in features} - {"numeric", "categorical"}:
        raise ValueError("features")
    return features


def _with_role(features: list[tuple[str, str, str]], wanted: str) -> tuple[str, ...]:
    return tuple(name for name, role, _ in features if role == wanted)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _label(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise TypeError(f"{value!r} is not a label")
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
    """Convert NumPy scalars to JSON values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value
