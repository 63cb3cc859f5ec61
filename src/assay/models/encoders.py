"""Determine the categories of any fitted pipeline.

A column is categorical if an encoder reads it, regardless of its values. Columns are followed from
the input of the pipeline to the first encoder: through imputers and conversions to floats, which do
not change values, and into column transformers, unions and pipelines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assay.errors import IntegrityError

NAN: Final = float("nan")
_Earlier = tuple[Any, Sequence[str]]
"""A step before an encoder, and the names of its columns."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A column that an encoder reads."""

    name: str
    encoder: Any
    values: list[Any]
    """The values that the encoder has learned, including missing values."""
    before: tuple[tuple[Any, int], ...]
    """The imputers and conversions before the encoder, with the index of the column in each."""

    @property
    def fills(self) -> list[Any]:
        """The constants by which imputers replace missing values."""
        return [
            step.statistics_[index]
            for step, index in self.before
            if getattr(step, "strategy", "") == "constant"
        ]


def categories(
    pipeline: Any, features: Sequence[str], *, fills: bool = False
) -> dict[str, list[Any]]:
    """The values that the encoders have learned of each feature, without missing values.

    Args:
        pipeline: The fitted pipeline.
        features: The columns that it reads, in its order.
        fills: Include the constants by which imputers replace missing values. If a row has such a
            constant as its value, the encoder knows it.

    Returns:
        By feature, the values in the order of the encoder.

    Raises:
        IntegrityError: The steps are inconsistent, so that they cannot be the result of a fit.
    """
    values: dict[str, dict[Any, None]] = {}
    for column in _encoded(pipeline, features):
        left_out = [] if fills else column.fills
        known = [
            value
            for value in column.values
            if not _is_gap(value) and not any(_is_same(value, fill) for fill in left_out)
        ]
        values.setdefault(column.name, {}).update(dict.fromkeys(known))
    return {name: list(known) for name, known in values.items()}


def learned_gaps(pipeline: Any, features: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The missing values (None, NaN) that all encoders of a feature know, or imputers replace.

    scikit-learn distinguishes the two: an encoder that has learned NaN treats None as an unseen
    value.

    Args:
        pipeline: The fitted pipeline.
        features: The columns that it reads, in its order.

    Raises:
        IntegrityError: As for `categories`.
    """
    gaps: dict[str, tuple[Any, ...]] = {}
    for column in _encoded(pipeline, features):
        before = gaps.get(column.name, (None, NAN))
        gaps[column.name] = tuple(gap for gap in before if _has_learned(column, gap))
    return gaps


def unequal_gaps(pipeline: Any, features: Sequence[str]) -> dict[str, Any]:
    """By feature: the missing value (None or NaN) that its encoders treat as an unseen value.

    Contains the features of which the encoders have learned the other one, and give the two
    different codes. `assay.models` replaces one by the other; MLflow does not.

    Args:
        pipeline: The fitted pipeline.
        features: The columns that it reads, in its order.

    Raises:
        IntegrityError: As for `categories`.
    """
    return {
        column.name: unseen
        for column in _encoded(pipeline, features)
        for unseen, other in ((None, NAN), (NAN, None))
        if _has_learned(column, other)
        and not _has_learned(column, unseen)
        and not _is_coded_as_unseen(column.encoder, other)
    }


def _is_coded_as_unseen(encoder: Any, gap: Any) -> bool:
    """Whether the code of a missing value is that of unseen values."""
    code = getattr(encoder, "encoded_missing_value", None)
    # scikit-learn uses this code for NaN only.
    return gap is not None and code is not None and _is_same(code, encoder.unknown_value)


def _has_learned(column: _Encoded, gap: Any) -> bool:
    for step, index in column.before:
        if not hasattr(step, "statistics_"):
            # Floats have one missing value.
            gap = NAN
        elif _is_same(gap, step.missing_values):
            gap = step.statistics_[index]
        elif _is_same(gap, NAN):
            # This imputer refuses NaN.
            return False
    # An encoder may map unknown values to NaN, if the estimator accepts missing values.
    passed_on = getattr(column.encoder, "unknown_value", None)
    return _is_same(passed_on, NAN) or any(_is_same(gap, value) for value in column.values)


def _is_same(first: Any, second: Any) -> bool:
    if first is None or second is None:
        return first is second
    return bool(first == second) or (first != first and second != second)  # noqa: PLR0124 - NaN


def _is_gap(value: Any) -> bool:
    return value is None or value != value  # noqa: PLR0124 - NaN


def _encoded(pipeline: Any, features: Sequence[str]) -> list[_Encoded]:
    try:
        return list(_learned(pipeline, features, ()))
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"the model's encoders cannot be read ({error!r}); it is damaged or forged"
        ) from error


def _learned(step: Any, names: Sequence[str], earlier: Sequence[_Earlier]) -> Iterator[_Encoded]:
    """The encoded columns with the values that their encoders have learned."""
    import numpy as np

    for inner, columns, before in _within(step, names):
        yield from _learned(inner, columns, (*earlier, *before))
    if hasattr(step, "categories_") and len(step.categories_) == len(names):
        for name, values in zip(names, step.categories_, strict=True):
            places = tuple((other, list(known).index(name)) for other, known in earlier)
            yield _Encoded(name, step, np.asarray(values).tolist(), places)


def _within(
    step: Any, names: Sequence[str]
) -> Iterator[tuple[Any, Sequence[str], Sequence[_Earlier]]]:
    """The inner steps of a step that get unchanged columns, and the steps before each."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import FeatureUnion, Pipeline

    if isinstance(step, Pipeline):
        earlier: list[_Earlier] = []
        for _, inner in step.steps:
            yield inner, names, tuple(earlier)
            if not _keeps_values(inner):
                return
            if inner is not None and not isinstance(inner, str):
                earlier.append((inner, names))
    elif isinstance(step, FeatureUnion):
        yield from ((inner, names, ()) for _, inner in step.transformer_list)
    elif isinstance(step, ColumnTransformer):
        yield from (
            (inner, _picked(names, columns), ()) for _, inner, columns in step.transformers_
        )
    elif getattr(step, "is_categorical_", None) is not None:
        # Histogram gradient boosting has an encoder of its own.
        yield step._preprocessor, names, ()  # noqa: SLF001 - there is no public attribute


def _keeps_values(step: Any) -> bool:
    """Whether a step changes neither the values nor the order of the columns."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    if step is None or isinstance(step, str):
        return True
    if isinstance(step, StandardScaler):
        return not step.with_mean and not step.with_std
    # Imputers that drop empty columns, or add indicator columns, change the order.
    return (
        isinstance(step, SimpleImputer)
        and not step.add_indicator
        and (step.keep_empty_features or not any(map(_is_gap, step.statistics_)))
    )


def _picked(names: Sequence[str], columns: Any) -> list[str]:
    """The names of the columns that a column transformer selects."""
    import numpy as np
    import pandas as pd

    index = pd.Series(list(names), index=list(names), dtype=object)
    if isinstance(columns, str):
        return [columns]
    if isinstance(columns, int | np.integer):
        return [names[int(columns)]]
    if isinstance(columns, slice):
        by_name = isinstance(columns.start, str) or isinstance(columns.stop, str)
        return list(index.loc[columns] if by_name else index.iloc[columns])
    chosen = list(columns)
    return chosen if all(isinstance(item, str) for item in chosen) else list(index.iloc[chosen])
