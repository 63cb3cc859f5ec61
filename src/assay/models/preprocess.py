"""Preprocessing and estimator in one pipeline, so that serving cannot skew.

What each kind of estimator gets:

- numbers (and truth values, as 0 and 1): the median for missing values, then mean 0 and variance 1;
  histogram gradient boosting keeps missing values, which it takes as they are
- categories: one-hot, or for trees one number each (histogram gradient boosting is given that these
  are categories). A missing value is a category of its own. Beyond the `MAX_CATEGORIES` most
  frequent, values are put together; a value that training has not seen counts as one of these in
  one-hot, as missing for trees.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

MAX_CATEGORIES: Final = 100
"""Rarer values of a column with more are put together, so that the table's width stays bounded."""
MISSING: Final = "(missing)"
"""The category that a missing text belongs to."""
_UNSEEN: Final = -1
"""Code of a missing or unseen category for trees; codes of seen ones start at 0."""


def make_pipeline(
    estimator: Any,
    numeric: Sequence[str],
    categorical: Sequence[str],
    text: Collection[str] | None = None,
) -> Any:
    """An unfitted pipeline of two steps, `prepare` and `estimator`.

    Args:
        estimator: Unfitted; told which columns are categories when it wants to know.
        numeric: Columns that hold numbers or truth values.
        categorical: Columns to encode.
        text: Those of `categorical` that hold text; all of them by default.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    words = [name for name in categorical if text is None or name in text]
    codes = [name for name in categorical if name not in words]
    wanted = [
        ("numeric", _numbers(estimator), list(numeric)),
        ("text", _words(_encoder(estimator)), words),
        ("codes", _encoder(estimator), codes),
    ]
    prepare = ColumnTransformer(
        [entry for entry in wanted if entry[2]], remainder="drop", verbose_feature_names_out=False
    )
    asks = _is_histogram_boosting(estimator) and categorical
    # "from_dtype" is its default; a user who set something else has the last word.
    if asks and estimator.categorical_features == "from_dtype":
        first = len(numeric)
        estimator.set_params(categorical_features=list(range(first, first + len(categorical))))
    return Pipeline([("prepare", prepare), ("estimator", estimator)])


def _numbers(estimator: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if _is_histogram_boosting(estimator):
        # Scaling changes nothing for trees; it makes numbers of truth values, and keeps gaps.
        return StandardScaler()
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("impute", impute), ("scale", StandardScaler())])


def _words(encoder: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline

    # A dataset says None where a table read from CSV says NaN, and both are one category. NaN comes
    # first: an imputer of None refuses a table with NaN.
    steps = [
        (
            name,
            SimpleImputer(
                missing_values=missing,
                strategy="constant",
                fill_value=MISSING,
                keep_empty_features=True,
            ),
        )
        for name, missing in (("nan", float("nan")), ("none", None))
    ]
    return Pipeline([*steps, ("encode", encoder)])


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
