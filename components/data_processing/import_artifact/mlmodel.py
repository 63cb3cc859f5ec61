"""A foreign model in MLflow's format as one of ours.

Nothing of the folder is taken over as it is but the fitted pipeline, and that only after the same
audit that every model passes. MLmodel and environments are written anew: those that came could
name any loader and any package.

Which columns are categories, and of which type, the pipeline's own encoders say: an input example
shows numbers and not what they stand for. A folder that `export_artifact` wrote keeps what its
assay-model.json says, if that describes the pipeline beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.documents import Limits, read_json, read_regular, read_yaml
from assay.errors import DataError, IntegrityError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import ModelInfo

FILE: Final = "MLmodel"
MAX_BYTES: Final = 16 << 20
_LIMITS: Final = Limits(MAX_BYTES, depth=32, values=1_000_000)
_SAVE: Final = "mlflow.sklearn.save_model(…, serialization_format='skops', input_example=X.head())"
_BINARY: Final = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """What the folder does not say."""

    target: str
    positive_label: str


def convert(place: Path, settings: Settings, folder: Path) -> None:
    """Write the model in `place` as a model of Assay.

    Args:
        place: A folder in MLflow's format.
        settings: What the folder does not contain.
        folder: Where the model is written.

    Raises:
        DataError: Of another flavour, pickled, or incomplete; says how to save it.
        UsageError: The target is not given, or the positive label is not one of the model's.
        IntegrityError: Damaged, or with types that are on no allow-list.
    """
    import sklearn

    from assay.models import audit, save
    from assay.models.allowed import platform_classes
    from assay.models.walk import walk
    from assay.reports.markdown import markdown_table

    said = _read_mlmodel(place / FILE)
    own = _own(place)
    settings = _completed(settings, own)
    flavour = _flavour(said, sklearn.__version__)
    frame, types = _example(place, said)
    data = _read(place / _plain_name(flavour["pickled_model"]))
    # Who starts a run chooses no classes; the platform's own are all that may be added.
    admitted = platform_classes()
    pipeline = audit(data, tuple(admitted))
    held = {f"{type(item).__module__}.{type(item).__qualname__}" for item in walk(pipeline)}
    classes = tuple(sorted(held & admitted))
    info = _info(pipeline, frame, types, settings, classes)
    if own is not None:
        info = _confirmed(own, info)
    frame = _suited(pipeline, info, frame)
    save(pipeline, info, frame, folder)
    facts = [
        ("estimator", info.estimator),
        ("task", info.task),
        ("target", info.target),
        ("features", len(info.features)),
        ("origin", f"imported; {'how it was trained is not known' if own is None else _CLAIMED}"),
    ]
    (folder / "summary.md").write_text(
        "# Imported model\n\n" + markdown_table(["what", "value"], facts), encoding="utf-8"
    )


def _own(place: Path) -> "ModelInfo | None":
    """What a folder of ours says of itself; None for somebody else's."""
    from assay.models import INFO_FILE, read_info

    return read_info(place) if (place / INFO_FILE).exists() else None


def _completed(settings: Settings, own: "ModelInfo | None") -> Settings:
    """The settings with what a folder of ours says."""
    if own is None:
        if settings.target:
            return settings
        raise UsageError("target is missing; a model's folder does not say what it predicts")
    positive = "" if own.positive is None else str(own.positive)
    for name, given, known in (
        ("target", settings.target, own.target),
        ("positive_label", settings.positive_label, positive),
    ):
        if given and given != known:
            raise UsageError(f"{name} is {given!r}, and the model's own is {known!r}; leave it out")
    return Settings(own.target, positive)


def _confirmed(own: "ModelInfo", seen: "ModelInfo") -> "ModelInfo":
    """What a folder of ours says of itself, where the pipeline shows the same.

    Raises:
        IntegrityError: It describes another pipeline.
    """
    from assay.models import INFO_FILE

    def kinds(info: "ModelInfo") -> list[str]:
        # An encoder of whole numbers with gaps has seen floats. Without an encoder, the type of a
        # column whose cells in the example are all missing is unknown.
        alike = {"int64"}, {"int64", "bool"}
        types = [(info.types[name], name in info.numeric) for name in info.features]
        return ["float64" if kind in alike[number] else kind for kind, number in types]

    pairs = {
        "task": (own.task, seen.task),
        "features": (own.features, seen.features),
        "roles": (own.numeric, seen.numeric),
        "classes": (own.classes, seen.classes),
        "estimator": tuple(info.estimator.rpartition(".")[2] for info in (own, seen)),
    }
    if own.features == seen.features:
        pairs["types"] = (kinds(own), kinds(seen))
    if unlike := [name for name, (said, found) in pairs.items() if said != found]:
        raise IntegrityError(
            f"{INFO_FILE} does not describe the model beside it: other {', '.join(unlike)}; export "
            "the model again, or remove that file to import it as somebody else's"
        )
    # Requirements are written from these: what a file says could name any package.
    return replace(own, versions=seen.versions)


def _suited(pipeline: Any, info: "ModelInfo", frame: "pd.DataFrame") -> "pd.DataFrame":
    """The example as the model takes it.

    Raises:
        DataError: The model does not take it.
    """
    from assay.models import LoadedModel
    from assay.models.encoders import learned_gaps
    from assay.models.inputs import conform

    frame = frame[list(info.features)]
    whole = [
        name
        for name in info.features
        if info.types[name] == "int64"
        and frame[name].dtype.kind == "f"
        and (frame[name] % 1 == 0).all()
    ]
    frame = frame.astype(dict.fromkeys(whole, "int64"))
    try:
        LoadedModel(pipeline, info).predict(frame)
    except UsageError as error:
        raise DataError(
            f"the input example is not what the model was fitted on: {error}"
        ) from error
    # JSON knows one missing value, and the encoders may have learned another.
    return conform(frame, info, learned_gaps(pipeline, info.features))


def _read_mlmodel(path: Path) -> Mapping[str, Any]:
    data = read_regular(path, MAX_BYTES, FILE, DataError)
    raw = read_yaml(data, FILE, _LIMITS, error=DataError, person=False).value
    if not isinstance(raw, dict) or not isinstance(raw.get("flavors"), dict):
        raise DataError(f"{FILE} names no flavours; save the model again with {_SAVE}")
    return raw


def _flavour(said: Mapping[str, Any], installed: str) -> Mapping[str, Any]:
    """The scikit-learn flavour, when it can be loaded here without running code from it."""
    flavour = said["flavors"].get("sklearn")
    if not isinstance(flavour, dict):
        found = ", ".join(sorted(map(str, said["flavors"]))) or "none"
        raise DataError(
            f"the model's flavours are {found}; only scikit-learn's can be imported: {_SAVE}"
        )
    problems = []
    form = flavour.get("serialization_format")
    if form != "skops":
        problems.append(
            f"the model is saved as {form}, a pickle, which runs code when it is read; save it "
            f"with {_SAVE}"
        )
    if flavour.get("code") or said["flavors"].get("python_function", {}).get("code"):
        problems.append("the model brings code of its own (code_paths); save it without")
    made = str(flavour.get("sklearn_version", "unknown"))
    if made.split(".")[:2] != installed.split(".")[:2]:
        problems.append(
            f"the model was made with scikit-learn {made}, and this image has {installed}, which "
            "may predict otherwise; train it with the same version"
        )
    if problems:
        raise DataError.all_of(problems)
    return flavour


def _example(place: Path, said: Mapping[str, Any]) -> tuple["pd.DataFrame", dict[str, str]]:
    """The input example: rows that show columns; and the types that the signature tells."""
    import pandas as pd

    from assay.models.inputs import column_type

    example = said.get("saved_input_example_info") or {}
    signature = said.get("signature") or {}
    try:
        if example["type"] != "dataframe" or example["pandas_orient"] != "split":
            raise KeyError("dataframe")  # noqa: TRY301 - told below like any other lack
        raw = read_json(
            _read(place / _plain_name(example["artifact_path"]), MAX_BYTES),
            "the input example",
            _LIMITS,
            error=DataError,
            gaps=True,
        )
        frame = pd.DataFrame(raw["data"], columns=[str(name) for name in raw["columns"]])
        inputs = read_json(signature["inputs"], f"{FILE}: signature", _LIMITS, error=DataError)
        types = {item["name"]: _TYPES[item["type"]] for item in inputs}
        types |= {
            name: "bool" for name in frame if not types[name] and column_type(frame[name]) == "bool"
        }
        # JSON knows one kind of number; the signature says which it was.
        return frame.astype({name: _held(frame[name], types[name]) for name in frame}), types
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            "the model's folder has no input example with named columns of numbers, text or truth "
            f"values, which say what it reads ({error!r}); save it with {_SAVE}"
        ) from error


def _held(column: "pd.Series", kind: str) -> str:
    """What pandas holds a column of a type in."""
    if kind in {"", "float64"}:
        return "float64"
    return "object" if kind == "string" or column.isna().any() else kind


_TYPES: Final = {
    # Written by our own models for every number, and for booleans with gaps, so that a request may
    # hold whole numbers and gaps.
    "any": "",
    "double": "float64",
    "float": "float64",
    "long": "int64",
    "integer": "int64",
    "boolean": "bool",
    "string": "string",
}
"""Dataset types by MLflow's names."""
_CLAIMED: Final = "what it says of its training is taken from its assay-model.json"


def _info(
    pipeline: Any,
    frame: "pd.DataFrame",
    said: Mapping[str, str],
    settings: Settings,
    admitted: tuple[str, ...],
) -> "ModelInfo":
    import numpy as np
    import pandas as pd
    from sklearn.base import is_regressor

    from assay.models import ModelInfo
    from assay.models.encoders import categories
    from assay.models.inputs import column_type
    from assay.models.mlflow_folder import versions

    features = tuple(str(name) for name in getattr(pipeline, "feature_names_in_", frame.columns))
    if lacking := [name for name in features if name not in frame.columns]:
        raise DataError(f"the input example lacks columns of the model: {', '.join(lacking)}")
    encoded = categories(pipeline, features)
    types = {name: said[name] or "float64" for name in features}
    for name, values in encoded.items():
        # What an encoder was fitted on, it knows; an example's author may have been mistaken.
        kind = column_type(pd.Series(values, dtype=None if values else object))
        types[name] = kind if kind in _TYPES.values() and kind else types[name]
    categorical = tuple(n for n in features if n in encoded or types[n] == "string")
    numeric = tuple(name for name in features if name not in categorical)
    classes: tuple[Any, ...] = ()
    task = "regression"
    if not is_regressor(pipeline):
        classes = tuple(np.asarray(getattr(pipeline, "classes_", ())).tolist())
        task = "binary" if len(classes) == _BINARY else "multiclass"
        if len(classes) < _BINARY:
            raise DataError(f"{type(pipeline).__name__} is neither a classifier nor a regressor")
    last = pipeline[-1] if hasattr(pipeline, "steps") else pipeline
    return ModelInfo(
        task=task,
        target=settings.target,
        # As it was fitted; scikit-learn takes columns in no other order.
        features=features,
        numeric=numeric,
        categorical=categorical,
        classes=classes,
        positive=_positive(classes, settings.positive_label, task),
        estimator=f"{type(last).__module__}.{type(last).__name__}",
        # What is not known of how it was trained stays at its least.
        hyperparameters={},
        seed=0,
        threads=1,
        rows=0,
        allowed_modules=admitted,
        types=types,
        class_rows=(0,) * len(classes),
        transformed=int(getattr(last, "n_features_in_", len(features))),
        versions=versions(admitted),
    )


def _positive(classes: tuple[Any, ...], label: str, task: str) -> Any:
    if task != "binary":
        if label:
            raise UsageError(f"positive_label is given, but the model is for {task}")
        return None
    named = {str(item): item for item in classes}
    if label and label not in named:
        raise UsageError(
            f"positive_label {label!r} is no class of the model; there are: {', '.join(named)}"
        )
    return named[label] if label else classes[-1]


def _plain_name(name: Any) -> str:
    if not isinstance(name, str) or Path(name).name != name:
        raise IntegrityError(f"{FILE}: {name!r} is no file of this folder")
    return name


def _read(path: Path, limit: int = 0) -> bytes:
    from assay.models.files import MAX_MODEL_BYTES

    return read_regular(path, limit or MAX_MODEL_BYTES, FILE, DataError)
