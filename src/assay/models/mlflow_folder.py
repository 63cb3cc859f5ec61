"""Write the MLflow part of a model folder without times, random ids and host names."""

import contextlib
import hashlib
import logging
import shutil
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from assay.core import unlocked
from assay.core.digest import is_digest
from assay.core.environment import silence_mlflow
from assay.models.allowed import admitted_classes

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE_ROWS: Final = 3
REQUIREMENTS: Final = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")
"""Distributions for loading and serving a model."""
_PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
_SCALARS: Final = frozenset({str, bool, float, type(None)})
"""Types of cells of which MLflow infers the same whatever their values."""
_NOT_CHECKED: Final = "mlflow; python_version < '3'"
_EPOCH: Final = "1970-01-01 00:00:00.000000"


def versions(extra: Sequence[str] = ()) -> Mapping[str, str]:
    """Exact versions of the distributions for loading a model, and of Python.

    Args:
        extra: Import prefixes of the admitted classes that it may hold, such as `lightgbm`. For
            a package that is in no distribution, the version is the digest of its files.
    """
    origins = [unlocked.find(path) for path in sorted(admitted_classes(extra))]
    more = {
        unlocked.distribution_of(each) or each.name: each.version or each.digest
        for each in origins
        if each is not None
    }
    # Images hold mlflow-skinny alone, of which mlflow is an extension with the same version.
    needed = {name: version("mlflow-skinny" if name == "mlflow" else name) for name in REQUIREMENTS}
    known = {**more, **needed}
    return {"python": _PYTHON} | {name: known[name] for name in sorted(known, key=str.lower)}


def write_mlflow_folder(
    pipeline: Any,
    frame: "pd.DataFrame",
    trusted: Sequence[str],
    needs: Mapping[str, str],
    skops_file: str,
    data: bytes,
    folder: Path,
) -> None:
    """Write `MLmodel`, its environments and examples, and `data` as its model file.

    Args:
        pipeline: The fitted pipeline.
        frame: Its training features; the first `EXAMPLE_ROWS` become the input example.
        trusted: Types that MLflow may construct from `data`.
        needs: The result of `versions`.
        skops_file: Name of the model file.
        data: The pipeline as a canonical skops file.
        folder: An existing folder; a temporary folder is created next to it, and removed.
    """
    pins = [
        f"{name}=={number}"
        for name, number in needs.items()
        if name != "python" and not is_digest(number)
    ]
    example = frame.head(EXAMPLE_ROWS)
    environment = {
        "name": "model",
        "channels": ["conda-forge"],
        "dependencies": [f"python={_PYTHON}", "pip", {"pip": pins}],
    }
    # In the work folder, because the temporary folder of the system may be too small.
    with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=folder.parent) as scratch, _quiet():
        silence_mlflow()
        import mlflow.sklearn

        staged = Path(scratch) / "model"
        mlflow.sklearn.save_model(
            pipeline,
            staged,
            serialization_format="skops",
            skops_trusted_types=list(trusted),
            signature=_signature(frame, pipeline.predict(example)),
            input_example=example,
            # Set, so that MLflow neither analyses imports nor queries a package index, and with
            # one requirement, which never applies: for others it would read the file lists of all
            # installed distributions, to compare the versions with themselves.
            conda_env={"dependencies": [{"pip": [_NOT_CHECKED]}]},
        )
        (staged / skops_file).write_bytes(data)
        (staged / "requirements.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
        _write_yaml(staged / "conda.yaml", environment)
        _write_yaml(
            staged / "python_env.yaml",
            {
                "python": _PYTHON,
                "build_dependencies": ["pip"],
                "dependencies": ["-r requirements.txt"],
            },
        )
        _make_canonical(staged / "MLmodel", data)
        shutil.copytree(staged, folder, dirs_exist_ok=True)


def _signature(frame: "pd.DataFrame", predicted: Any) -> Any:
    """The MLflow signature, which accepts all inputs that `assay.models` accepts.

    Numeric columns, and boolean ones with missing values, have any type, so MLflow does not refuse
    texts, which `assay.models` does. The type `long` would refuse missing values, which pandas
    reads as floats, `double` would refuse requests in which all numbers are integers, and `boolean`
    those in which all values are NaN.
    """
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.type_hints import AnyType

    inferred = infer_signature(_representative(frame), predicted)
    columns = [
        ColSpec(AnyType(), item.name, required=item.required)
        if frame[item.name].dtype.kind in "iuf"
        or (item.type == DataType.boolean and not item.required)
        else item
        for item in inferred.inputs.inputs
    ]
    return ModelSignature(inputs=Schema(columns), outputs=inferred.outputs)


def _representative(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of a table from which MLflow infers the same signature as from all rows.

    MLflow looks at each cell in Python. What it infers depends only on the type of a column, on
    whether it has missing values, and for objects on the types of the cells, in the order of their
    first occurrence. These are the first rows, and the first row of each such case of each column.

    Returns:
        Some rows, in their order; all rows if a column has objects of further types, such as lists,
        whose content MLflow looks at.
    """
    import numpy as np
    from pandas.api.types import infer_dtype

    rows = set(range(min(EXAMPLE_ROWS, len(frame))))
    for name in frame.columns:
        column = frame[name]
        missing = column.isna().to_numpy(dtype=bool)
        if missing.any():
            rows.add(int(missing.argmax()))
        if column.dtype.kind != "O":
            continue
        cells = column.to_numpy(dtype=object)
        positions = [np.flatnonzero(missing), np.flatnonzero(~missing)]
        if infer_dtype(cells, skipna=True) in {"string", "boolean"}:
            # One type; much faster than asking for the type of each cell.
            positions[1] = positions[1][:1]
        for chosen in positions:
            # Backwards, so that the first row of a type is the one that remains.
            backwards = chosen[::-1]
            first = dict(zip(map(type, cells[backwards]), backwards.tolist(), strict=True))
            if not first.keys() <= _SCALARS:
                return frame
            rows.update(first.values())
    return frame.iloc[sorted(rows)]


def _make_canonical(path: Path, data: bytes) -> None:
    """Replace times, random ids and properties of this machine."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    raw["utc_time_created"] = _EPOCH
    raw["model_uuid"] = uuid.UUID(hashlib.sha256(data).hexdigest()[:32]).hex
    raw["model_size_bytes"] = len(data)
    raw["flavors"]["python_function"]["python_version"] = _PYTHON
    # Present only if the model is saved within an MLflow run.
    for name in ("artifact_path", "run_id"):
        raw.pop(name, None)
    _write_yaml(path, raw)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress messages of MLflow about pip versions and integer columns, which do not apply."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # The pipeline supports missing values in integer columns.
            warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
            yield
    finally:
        logger.setLevel(level)


def _write_yaml(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=True, allow_unicode=True), encoding="utf-8")
