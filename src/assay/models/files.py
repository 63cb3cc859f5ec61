"""The folder of a model: written by `save`, read by `load` and by MLflow.

`model.skops` is the pipeline; `MLmodel` and the files that it refers to are those of MLflow;
`assay-model.json` describes the model and does not depend on the other files.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.core.findings import Finding
from assay.errors import IntegrityError, UsageError
from assay.models.canonical import canonical, check_archive, from_foreign, schema_of
from assay.models.classify import classify
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
"""Exceptions of skops for damaged or forged files. Nothing is constructed before the audit."""


@dataclass(frozen=True)
class LoadedModel:
    """A fitted pipeline and its description."""

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
        """Labels in the order of the columns of `predict_proba`."""
        return self.info.classes

    @property
    def positive(self) -> Any:
        """The positive class of a binary model."""
        return self.info.positive

    def predict(self, frame: "pd.DataFrame") -> "np.ndarray":
        """Labels, or numbers; shape (rows,).

        Raises:
            UsageError: Columns are missing or have other types than in the training data, or the
                model does not accept their values.
        """
        return self._call(self.pipeline.predict, frame)

    def predict_proba(self, frame: "pd.DataFrame") -> "np.ndarray | None":
        """Class probabilities, shape (rows, classes); None if the estimator has none.

        Raises:
            UsageError: As for `predict`, or a probability is NaN or infinite.
        """
        if self.task == "regression" or not hasattr(self.pipeline, "predict_proba"):
            return None
        return self._finite(self._call(self.pipeline.predict_proba, frame))

    def predict_both(self, frame: "pd.DataFrame") -> "tuple[np.ndarray, np.ndarray | None]":
        """The results of `predict` and `predict_proba`, with one preparation of the rows.

        Raises:
            UsageError: As for `predict_proba`.
        """
        from sklearn.pipeline import Pipeline

        chances = self.task != "regression" and hasattr(self.pipeline, "predict_proba")
        if not chances or not isinstance(self.pipeline, Pipeline) or len(self.pipeline) == 1:
            return self.predict(frame), self.predict_proba(frame)
        prepared = self._call(self.pipeline[:-1].transform, frame)
        labels, probabilities = self._checked(
            functools.partial(classify, self.pipeline[-1]), prepared
        )
        return labels, self._finite(probabilities)

    def _finite(self, chances: "np.ndarray") -> "np.ndarray":
        import numpy as np

        wrong = ~np.isfinite(np.asarray(chances, dtype=float))
        if wrong.any():
            column = int(wrong.any(axis=0).argmax())
            raise UsageError(
                f"the model's {self.info.estimator} gives NaN or infinity as the probability of "
                f"{str(self.classes[column])!r} (column {column} of predict_proba) in "
                f"{wrong[:, column].sum()} of {len(wrong)} rows; train with other hyperparameters"
            )
        return chances

    def check_table(self, frame: "pd.DataFrame") -> list[Finding]:
        """Check a table on which the model is evaluated; returns findings for a report.

        Raises:
            UsageError: Columns are missing or have other types than in the training data, or all
                values of a closed set of categories are unknown to the model.
        """
        return check_table(self.pipeline, self.info, frame)

    def unseen_shares(self, frame: "pd.DataFrame") -> Mapping[str, float]:
        """By categorical feature: the share of values that training has not seen, 0 to 1."""
        return unseen_shares(self.pipeline, self.info, frame)

    @functools.cached_property
    def _gaps(self) -> Mapping[str, Sequence[Any]]:
        return learned_gaps(self.pipeline, self.info.features)

    def _call(self, method: Any, frame: "pd.DataFrame") -> "np.ndarray":
        result: np.ndarray = self._checked(method, conform(frame, self.info, self._gaps))
        return result

    def _checked(self, method: Any, rows: Any) -> Any:
        try:
            return method(rows)
        except (ValueError, TypeError) as error:
            raise UsageError(f"the model cannot take this data: {error}") from error


def save(pipeline: Any, info: ModelInfo, frame: "pd.DataFrame", folder: Path) -> None:
    """Write a fitted pipeline as a model folder; equal pipelines give equal bytes.

    Thread counts and times are removed from `pipeline` first.

    Args:
        pipeline: The fitted pipeline.
        info: Its description.
        frame: Its training features, for signature and example.
        folder: An existing folder.

    Raises:
        UsageError: The pipeline has objects that skops cannot write or `load` would refuse.
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
            f"{info.estimator} contains types outside of scikit-learn: {', '.join(offenders)}; use "
            "another, or admit their module in the policy (allowed_modules)"
        )
    write_mlflow_folder(pipeline, frame, sorted(types), info.versions, SKOPS_FILE, data, folder)
    (folder / INFO_FILE).write_bytes(info.to_bytes())


def load(folder: Path, *, allowed_modules: Sequence[str] = ()) -> LoadedModel:
    """Read a model folder: check its limits, then its types, then construct the pipeline.

    Args:
        folder: The folder of the model.
        allowed_modules: Import prefixes of types that may be constructed, in addition to the
            allowed types of scikit-learn, NumPy and SciPy. The folder itself cannot allow types.

    Raises:
        IntegrityError: Not a model, damaged, or with types that are not allowed; the message lists
            all of them.
    """
    info = read_info(folder)
    data = _read(folder / SKOPS_FILE)
    check_archive(data)
    pipeline = _construct(data, allowed_modules, f"; it was made with {_versions(info)}")
    return LoadedModel(pipeline, info)


def audit(data: bytes, allowed_modules: Sequence[str] = ()) -> Any:
    """Load a file that skops itself wrote, with the checks of `load`.

    Raises:
        IntegrityError: As for `load`.
    """
    try:
        converted = from_foreign(data)
    except _FAULTS as error:
        raise IntegrityError(f"{SKOPS_FILE}: cannot be read ({error!r})") from error
    check_archive(converted)
    return _construct(converted, allowed_modules)


def _construct(data: bytes, allowed_modules: Sequence[str], remark: str = "") -> Any:
    """Construct the pipeline of a canonical file that `check_archive` has passed."""
    import skops.io

    from assay.models.walk import check_trees

    # skops imports some of the types of a file while it determines them.
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
        raise IntegrityError(
            f"{SKOPS_FILE}: contains {type(pipeline).__name__}, which is not a model"
        )
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
