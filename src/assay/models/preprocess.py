"""Preprocessing and estimator in one pipeline, to avoid skew between training and serving.

The input of the estimator:

- numbers (and booleans, as 0 and 1): missing values are replaced by the median, then mean 0 and
  variance 1; histogram gradient boosting supports missing values, so they are kept
- categories: one-hot, or one number each for trees (histogram gradient boosting treats these as
  categories). Missing values are a category. Values other than the `MAX_CATEGORIES` most frequent
  are grouped; a value that does not occur in training belongs to this group in one-hot, and is a
  missing value for trees.

A missing value may be None or NaN, depending on where a table comes from. scikit-learn's encoders
distinguish the two, and MLflow passes a table on as it is, so steps before the encoder make them
equal.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

MAX_CATEGORIES: Final = 100
"""Further, rarer values of a column are grouped, to limit the width of the table."""
MISSING: Final = "(missing)"
"""The category of missing texts; in more parentheses if the training rows have this text."""
_NO_FLAG: Final = -1
"""The category of missing booleans. A number, because encoders sort their categories."""
MONOTONIC: Final = "monotonic_cst"
INTERACTION: Final = "interaction_cst"
COLUMN_ARGUMENTS: Final = (MONOTONIC, INTERACTION, "categorical_features")
"""Arguments of estimators that refer to columns."""
_UNSEEN: Final = -1
"""Code of missing and unseen categories for trees; codes of other categories start at 0."""


def make_pipeline(
    estimator: Any, numeric: Sequence[str], categorical: Sequence[str], frame: "pd.DataFrame"
) -> Any:
    """Create an unfitted pipeline of two steps, `prepare` and `estimator`.

    Args:
        estimator: An unfitted estimator. Histogram gradient boosting is configured with the
            categorical columns. Names of columns in `monotonic_cst` and `interaction_cst` are
            replaced by their positions after preparation.
        numeric: Numeric and boolean columns.
        categorical: Columns to encode.
        frame: The training rows as `assay.data.read` returns them. They decide how the missing
            values of a categorical column are prepared.

    Returns:
        The pipeline.

    Raises:
        UsageError: An argument of the estimator names a column that is not a feature.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    groups: dict[str, list[str]] = {"text": [], "flags": [], "gaps": [], "codes": []}
    for name in categorical:
        groups[_group(frame[name], estimator)].append(name)
    # Each with an encoder of its own, because a shared object changes the saved bytes.
    steps = {
        "text": _filled(_encoder(estimator), _unused(MISSING, frame[groups["text"]])),
        "flags": _filled(_encoder(estimator), _NO_FLAG),
        "gaps": _floats(_encoder(estimator)),
        "codes": _encoder(estimator),
    }
    transformers = [
        ("numeric", _numbers(estimator), list(numeric)),
        *((name, steps[name], columns) for name, columns in groups.items()),
    ]
    _set_positions(estimator, [name for _, _, columns in transformers for name in columns])
    prepare = ColumnTransformer(
        [entry for entry in transformers if entry[2]],
        remainder="drop",
        verbose_feature_names_out=False,
    )
    configurable = _is_histogram_boosting(estimator) and categorical
    # "from_dtype" is the default; another setting of the user is kept.
    if configurable and estimator.categorical_features == "from_dtype":
        first = len(numeric)
        estimator.set_params(categorical_features=list(range(first, first + len(categorical))))
    return Pipeline([("prepare", prepare), ("estimator", estimator)])


def _numbers(estimator: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if _is_histogram_boosting(estimator):
        # Scaling does not affect trees; it converts booleans to numbers and keeps missing values.
        return StandardScaler()
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("impute", impute), ("scale", StandardScaler())])


def _set_positions(estimator: Any, order: Sequence[str]) -> None:
    """Replace names of columns in arguments by positions.

    Estimators with these arguments are trees, for which each column becomes one.
    """
    signs, groups = (getattr(estimator, name, None) for name in (MONOTONIC, INTERACTION))
    if isinstance(signs, Mapping):
        _require_features(MONOTONIC, list(signs), order)
        estimator.set_params(**{MONOTONIC: [signs.get(name, 0) for name in order]})
    if isinstance(groups, list | tuple):
        _require_features(INTERACTION, [name for group in groups for name in group], order)
        places = [[order.index(name) for name in group] for group in groups]
        estimator.set_params(**{INTERACTION: places})


def _require_features(argument: str, names: Sequence[str], order: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in order]:
        raise UsageError(
            f"{argument}: {', '.join(map(repr, unknown))}: not a feature of the model; it has "
            f"{', '.join(map(repr, order))}"
        )


def _group(column: "pd.Series", estimator: Any) -> str:
    """How a categorical column is prepared: `text`, `flags`, `gaps` or `codes`.

    Only columns with missing values in training need a step before the encoder: without, the
    encoder treats None and NaN alike, as an unseen value.
    """
    from pandas.api.types import infer_dtype

    if column.dtype.kind == "O":
        return "flags" if infer_dtype(column, skipna=True) == "boolean" else "text"
    # For trees, missing and unseen numbers have the same code.
    return "codes" if are_trees(estimator) or not column.hasnans else "gaps"


def _unused(text: str, frame: "pd.DataFrame") -> str:
    """`text`, in parentheses until no cell of a table is equal to it."""
    while frame.isin([text]).any(axis=None):
        text = f"({text})"
    return text


def _filled(encoder: Any, fill: str | int) -> Any:
    """An encoder of objects for which all missing values are the category `fill`."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline

    # A missing value is None in datasets and NaN in tables from CSV; both are the same category.
    # NaN is imputed first, because an imputer for None refuses tables with NaN.
    steps = [
        (
            name,
            SimpleImputer(
                missing_values=missing,
                strategy="constant",
                fill_value=fill,
                keep_empty_features=True,
            ),
        )
        for name, missing in (("nan", float("nan")), ("none", None))
    ]
    return Pipeline([*steps, ("encode", encoder)])


def _floats(encoder: Any) -> Any:
    """An encoder of numbers for which all missing values are NaN."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    # Neither shifts nor scales: it only converts to float64, which makes None NaN.
    return Pipeline(
        [("floats", StandardScaler(with_mean=False, with_std=False)), ("encode", encoder)]
    )


def _encoder(estimator: Any) -> Any:
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if not are_trees(estimator):
        return OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False
        )
    bins = getattr(estimator, "max_bins", MAX_CATEGORIES)
    return OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=_UNSEEN,
        encoded_missing_value=_UNSEEN,
        max_categories=min(MAX_CATEGORIES, bins) if isinstance(bins, int) else MAX_CATEGORIES,
    )


def are_trees(estimator: Any) -> bool:
    """Whether an estimator, or every predictor within a meta-estimator, splits on thresholds."""
    from sklearn import ensemble, tree

    kinds = (
        tree.BaseDecisionTree,
        ensemble.RandomForestClassifier,
        ensemble.RandomForestRegressor,
        ensemble.ExtraTreesClassifier,
        ensemble.ExtraTreesRegressor,
        ensemble.GradientBoostingClassifier,
        ensemble.GradientBoostingRegressor,
        ensemble.HistGradientBoostingClassifier,
        ensemble.HistGradientBoostingRegressor,
    )
    within = [value for value in estimator.get_params(deep=True).values() if hasattr(value, "fit")]
    if within and not isinstance(estimator, kinds):
        return all(isinstance(value, kinds) for value in within)
    return isinstance(estimator, kinds)


def _is_histogram_boosting(estimator: Any) -> bool:
    from sklearn import ensemble

    return isinstance(
        estimator,
        ensemble.HistGradientBoostingClassifier | ensemble.HistGradientBoostingRegressor,
    )
