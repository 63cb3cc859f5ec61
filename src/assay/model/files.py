"""A model's folder: written by `save`, read by `load`, and by MLflow.

`model.skops` is the pipeline; `MLmodel` and the files it names are MLflow's; `assay-model.json`
says what the model is (task, features, classes, settings) without any of them.
"""

import hashlib
import json
import logging
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from assay.digest import canonical_json
from assay.errors import IntegrityError, UsageError
from assay.model.canonical import canonical, check_archive

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

INFO_FILE: Final = "assay-model.json"
SKOPS_FILE: Final = "model.skops"
FORMAT: Final = "assay-model/1"
MAX_INFO_BYTES: Final = 16 << 20
MAX_MODEL_BYTES: Final = 8 << 30
PYTHON: Final = "3.11"
EXAMPLE_ROWS: Final = 3
REQUIREMENTS: Final = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")
"""What serving a model needs, and nothing else."""
_TRUSTED_PREFIXES: Final = ("sklearn.", "numpy.", "scipy.sparse.")


@dataclass(frozen=True)
class ModelInfo:
    """What `assay-model.json` says."""

    task: str
    """`binary`, `multiclass` or `regression`."""
    target: str
    features: tuple[str, ...]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    classes: tuple[Any, ...]
    """Labels in the order of `predict_proba`'s columns; empty for regression."""
    positive: Any
    """The positive class of a binary model, else None."""
    estimator: str
    hyperparameters: Mapping[str, Any]
    seed: int
    threads: int
    rows: int
    """Rows it was fitted on."""
    allowed_modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadedModel:
    """A fitted pipeline and what is known of it."""

    pipeline: Any
    info: ModelInfo

    @property
    def task(self) -> str:
        """`binary`, `multiclass` or `regression`."""
        return self.info.task

    @property
    def target(self) -> str:
        """The column it predicts."""
        return self.info.target

    @property
    def features(self) -> tuple[str, ...]:
        """The columns it reads."""
        return self.info.features

    @property
    def classes(self) -> tuple[Any, ...]:
        """Labels in the order of `predict_proba`'s columns."""
        return self.info.classes

    @property
    def positive(self) -> Any:
        """The positive class of a binary model."""
        return self.info.positive

    def predict(self, frame: "pd.DataFrame") -> "np.ndarray":
        """Labels, or numbers; shape (rows,)."""
        return self.pipeline.predict(self._select(frame))  # type: ignore[no-any-return]

    def predict_proba(self, frame: "pd.DataFrame") -> "np.ndarray | None":
        """Class probabilities, shape (rows, classes); None when the estimator has none."""
        if not hasattr(self.pipeline, "predict_proba"):
            return None
        return self.pipeline.predict_proba(self._select(frame))  # type: ignore[no-any-return]

    def _select(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        missing = [name for name in self.features if name not in frame.columns]
        if missing:
            raise UsageError(f"the model needs columns that the data lacks: {', '.join(missing)}")
        return frame[list(self.features)]


def save(pipeline: Any, info: ModelInfo, frame: "pd.DataFrame", folder: Path) -> None:
    """Write a fitted pipeline as a model folder; the same pipeline gives the same bytes.

    Args:
        pipeline: Fitted.
        info: What it is.
        frame: Its training features, for signature and example.
        folder: An existing folder.

    Raises:
        UsageError: The pipeline holds a type that may not be loaded again.
    """
    import skops.io

    data = canonical(skops.io.dumps(pipeline))
    trusted = _trusted(data, info.allowed_modules)
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch) / "model"
        _save_mlflow(pipeline, info, frame, trusted, staged)
        (staged / SKOPS_FILE).write_bytes(data)
        _canonical_mlmodel(staged / "MLmodel", data)
        shutil.copytree(staged, folder, dirs_exist_ok=True)
    (folder / INFO_FILE).write_bytes(canonical_json({"format": FORMAT, **_plain(asdict(info))}))


def load(folder: Path) -> LoadedModel:
    """Read a model folder; constructs only types of scikit-learn, NumPy and SciPy.

    Raises:
        IntegrityError: Not a model, or it holds types that may not be loaded; names all of them.
    """
    import skops.io

    info = read_info(folder)
    path = folder / SKOPS_FILE
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise IntegrityError(f"{SKOPS_FILE}: larger than {MAX_MODEL_BYTES} bytes")
    data = path.read_bytes()
    check_archive(data)
    try:
        trusted = _trusted(data, info.allowed_modules)
    except UsageError as error:
        raise IntegrityError(f"model refused: {error}") from error
    return LoadedModel(skops.io.loads(data, trusted=trusted), info)


def read_info(folder: Path) -> ModelInfo:
    """What a model folder says of itself; loads nothing.

    Raises:
        IntegrityError: Not a model folder, or of another format version.
    """
    path = folder / INFO_FILE
    try:
        if path.stat().st_size > MAX_INFO_BYTES:
            raise IntegrityError(f"{INFO_FILE}: larger than {MAX_INFO_BYTES} bytes")
        raw = json.loads(path.read_bytes())
        if raw.pop("format") != FORMAT:
            raise IntegrityError(f"{INFO_FILE}: not of format {FORMAT}")
        lists = {key: tuple(value) for key, value in raw.items() if isinstance(value, list)}
        return ModelInfo(**{**raw, **lists})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"not a model: {INFO_FILE} cannot be read ({error!r})") from error


def _trusted(data: bytes, allowed_modules: tuple[str, ...]) -> list[str]:
    """The types in a skops file beyond skops' own list, if all of them are admitted."""
    import skops.io

    prefixes = (*_TRUSTED_PREFIXES, *(f"{module}." for module in allowed_modules))
    found = sorted(skops.io.get_untrusted_types(data=data))
    refused = [name for name in found if not name.startswith(prefixes)]
    if refused:
        raise UsageError(
            f"types outside of scikit-learn: {', '.join(refused)}; use another estimator, or admit "
            "their module in the policy (allowed_modules)"
        )
    return found


def _save_mlflow(
    pipeline: Any, info: ModelInfo, frame: "pd.DataFrame", trusted: list[str], folder: Path
) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature

    pins = [f"{name}=={version(name)}" for name in REQUIREMENTS]
    logger = logging.getLogger("mlflow")
    level = logger.level
    # MLflow talks of pip versions and scheme changes, which no reader of this log can use.
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # "inferred schema contains integer column(s)": the pipeline takes missing values.
            warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
            example = frame.head(EXAMPLE_ROWS)
            mlflow.sklearn.save_model(
                pipeline,
                folder,
                serialization_format="skops",
                skops_trusted_types=trusted,
                signature=infer_signature(frame, pipeline.predict(frame.head(EXAMPLE_ROWS))),
                input_example=example,
                conda_env={
                    "name": "model",
                    "channels": ["conda-forge"],
                    "dependencies": [f"python={PYTHON}", "pip", {"pip": pins}],
                },
            )
    finally:
        logger.setLevel(level)
    (folder / "requirements.txt").write_text("\n".join(pins) + "\n")
    _write_yaml(
        folder / "python_env.yaml",
        {"python": PYTHON, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]},
    )
    del info


def _canonical_mlmodel(path: Path, data: bytes) -> None:
    """Replace what MLflow takes from the clock, from chance and from this machine."""
    raw = yaml.safe_load(path.read_text())
    raw["utc_time_created"] = "1970-01-01 00:00:00.000000"
    raw["model_uuid"] = uuid.UUID(hashlib.sha256(data).hexdigest()[:32]).hex
    raw["model_size_bytes"] = len(data)
    raw["flavors"]["python_function"]["python_version"] = PYTHON
    _write_yaml(path, raw)


def _write_yaml(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=True, allow_unicode=True))


def _plain(value: Any) -> Any:
    """NumPy scalars as JSON's own."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value
