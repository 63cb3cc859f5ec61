"""A model's folder: written by `save`, read by `load`, and by MLflow.

`model.skops` is the pipeline; `MLmodel` and the files it names are MLflow's; `assay-model.json`
says what the model is without any of them.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.core.findings import Finding
from assay.errors import IntegrityError, UsageError
from assay.models.canonical import canonical, check_archive, from_foreign, schema_of
from assay.models.encoders import learned_gaps
from assay.models.info import INFO_FILE, ModelInfo, read_info
from assay.models.inputs import check_table, conform, unseen_shares
from assay.models.trust import refused, require_admitted, require_importable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SKOPS_FILE: Final = "model.skops"
MAX_MODEL_BYTES: Final = 8 << 30
_FAULTS: Final = (
    ValueError, TypeError, KeyError, AttributeError, ImportError, IndexError, OverflowError,
    EOFError, MemoryError, RecursionError,
)  # fmt: skip
"""What a damaged or forged file makes skops raise. Nothing is constructed before the audit."""


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
        """Labels, or numbers; shape (rows,).

        Raises:
            UsageError: The table lacks columns, has columns of other types than the model's
                training data, or holds values that the model cannot take.
        """
        return self._call(self.pipeline.predict, frame)

    def predict_proba(self, frame: "pd.DataFrame") -> "np.ndarray | None":
        """Class probabilities, shape (rows, classes); None when the estimator has none.

        Raises:
            UsageError: As `predict`, or a probability is not a number.
        """
        import numpy as np

        if self.task == "regression" or not hasattr(self.pipeline, "predict_proba"):
            return None
        found = self._call(self.pipeline.predict_proba, frame)
        wrong = ~np.isfinite(np.asarray(found, dtype=float))
        if wrong.any():
            column = int(wrong.any(axis=0).argmax())
            raise UsageError(
                f"the model's {self.info.estimator} gives NaN or infinity as the probability of "
                f"{str(self.classes[column])!r} (column {column} of predict_proba) in "
                f"{wrong[:, column].sum()} of {len(wrong)} rows; train with other hyperparameters"
            )
        return found

    def check_table(self, frame: "pd.DataFrame") -> list[Finding]:
        """What a reader should know of a table that the model is judged on.

        Raises:
            UsageError: The table lacks columns, has other types than the model's training data,
                or of a closed set of categories only values that the model has never seen.
        """
        return check_table(self.pipeline, self.info, frame)

    def unseen_shares(self, frame: "pd.DataFrame") -> Mapping[str, float]:
        """For each categorical feature: the share of values that training has not seen, 0 to 1."""
        return unseen_shares(self.pipeline, self.info, frame)

    @functools.cached_property
    def _gaps(self) -> Mapping[str, Sequence[Any]]:
        return learned_gaps(self.pipeline, self.info.features)

    def _call(self, method: Any, frame: "pd.DataFrame") -> "np.ndarray":
        features = conform(frame, self.info, self._gaps)
        try:
            return method(features)  # type: ignore[no-any-return]
        except (ValueError, TypeError) as error:
            raise UsageError(f"the model cannot take this data: {error}") from error


def save(pipeline: Any, info: ModelInfo, frame: "pd.DataFrame", folder: Path) -> None:
    """Write a fitted pipeline as a model folder; the same pipeline gives the same bytes.

    The thread counts and clock times that estimators keep are taken out of `pipeline` first.

    Args:
        pipeline: Fitted.
        info: What it is.
        frame: Its training features, for signature and example.
        folder: An existing folder.

    Raises:
        UsageError: The pipeline holds what skops cannot write or `load` would refuse.
    """
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    from assay.models.mlflow_folder import write_mlflow_folder
    from assay.models.walk import forget_circumstances

    forget_circumstances(pipeline)
    try:
        data = canonical(skops.io.dumps(pipeline))
    except UnsupportedTypeException as error:
        raise UsageError(
            f"{info.estimator} cannot be saved without pickle ({error}); use another estimator"
        ) from error
    types = skops.io.get_untrusted_types(data=data)
    if offenders := refused(types, info.allowed_modules):
        raise UsageError(
            f"{info.estimator} holds types outside of scikit-learn: {', '.join(offenders)}; use "
            "another, or admit their module in the policy (allowed_modules)"
        )
    write_mlflow_folder(pipeline, frame, sorted(types), info.versions, SKOPS_FILE, data, folder)
    (folder / INFO_FILE).write_bytes(info.to_bytes())


def load(folder: Path, *, allowed_modules: Sequence[str] = ()) -> LoadedModel:
    """Read a model folder: bounds first, then the types it names, then construction.

    Args:
        folder: The model's folder.
        allowed_modules: Import prefixes whose types may be constructed besides those of
            scikit-learn, NumPy and SciPy that models are made of. What the folder says of itself
            admits nothing.

    Raises:
        IntegrityError: Not a model, damaged, or holding types that must not be constructed; names
            all of them.
    """
    info = read_info(folder)
    data = _read(folder / SKOPS_FILE)
    check_archive(data)
    pipeline = _construct(data, allowed_modules, f"; it was made with {_versions(info)}")
    return LoadedModel(pipeline, info)


def audit(data: bytes, allowed_modules: Sequence[str] = ()) -> Any:
    """A fitted pipeline from a skops file that skops itself wrote, after the checks of `load`.

    Raises:
        IntegrityError: As `load`.
    """
    try:
        ours = from_foreign(data)
    except _FAULTS as error:
        raise IntegrityError(f"{SKOPS_FILE}: cannot be read ({error!r})") from error
    check_archive(ours)
    return _construct(ours, allowed_modules)


def _construct(data: bytes, allowed_modules: Sequence[str], remark: str = "") -> Any:
    """The pipeline in a canonical file whose shape was checked."""
    import skops.io

    from assay.models.walk import check_trees

    # skops imports some of what a file names while it looks at it.
    require_importable(schema_of(data), allowed_modules, SKOPS_FILE)
    try:
        types = skops.io.get_untrusted_types(data=data)
    except _FAULTS as error:
        raise IntegrityError(f"{SKOPS_FILE}: cannot be read ({error!r})") from error
    trusted = require_admitted(types, allowed_modules, SKOPS_FILE)
    try:
        pipeline = skops.io.loads(data, trusted=trusted)
    except _FAULTS as error:
        raise IntegrityError(f"{SKOPS_FILE}: cannot be constructed ({error!r}){remark}") from error
    if not hasattr(pipeline, "predict"):
        raise IntegrityError(f"{SKOPS_FILE}: holds {type(pipeline).__name__}, which is no model")
    check_trees(pipeline)
    return pipeline


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise IntegrityError(f"{SKOPS_FILE}: larger than {MAX_MODEL_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"not a model: {SKOPS_FILE} cannot be read ({error})") from error


def _versions(info: ModelInfo) -> str:
    return ", ".join(f"{name} {version}" for name, version in info.versions.items()) or "unknown"
