"""The categories that a fitted pipeline knows, whoever made it.

A column is a category when an encoder reads it, whatever its values look like. Columns are followed
from the pipeline's input to the first encoder: through imputers, which leave values as they are,
and into column transformers, unions and pipelines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from assay.errors import IntegrityError
from assay.models.preprocess import MISSING

NAN: Final = float("nan")
_Imputer = tuple[Any, Sequence[str]]
"""An imputer with the names of its columns."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A column as an encoder reads it."""

    name: str
    encoder: Any
    values: list[Any]
    """Those that the encoder has learned, missing ones too."""
    imputers: tuple[tuple[Any, int], ...]
    """Those before the encoder, with the place of the column in each."""


def categories(pipeline: Any, features: Sequence[str]) -> dict[str, list[Any]]:
    """The values that its encoders have learned of each feature, without missing ones.

    Args:
        pipeline: Fitted.
        features: The columns that it reads, in its order.

    Raises:
        IntegrityError: Its steps do not fit together, so that no fit can have made them.
    """
    found: dict[str, dict[Any, None]] = {}
    for one in _encoded(pipeline, features):
        known = [value for value in one.values if not _is_gap(value)]
        found.setdefault(one.name, {}).update(dict.fromkeys(known))
    return {name: list(known) for name, known in found.items()}


def learned_gaps(pipeline: Any, features: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Of None and NaN, those that all encoders of a feature have learned, or imputers fill in.

    scikit-learn tells the two apart: an encoder that has learned NaN takes None for a value that
    it has never seen.

    Args:
        pipeline: Fitted.
        features: The columns that it reads, in its order.

    Raises:
        IntegrityError: As `categories`.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for one in _encoded(pipeline, features):
        before = found.get(one.name, (None, NAN))
        found[one.name] = tuple(gap for gap in before if _has_learned(one, gap))
    return found


def _has_learned(column: _Encoded, gap: Any) -> bool:
    for imputer, place in column.imputers:
        if _is_same(gap, imputer.missing_values):
            gap = imputer.statistics_[place]
        elif _is_same(gap, NAN):
            # This imputer refuses NaN.
            return False
    # An encoder may hand NaN on for what it does not know: the estimator takes missing values.
    passed_on = getattr(column.encoder, "unknown_value", None)
    return _is_same(passed_on, NAN) or any(_is_same(gap, value) for value in column.values)


def _is_same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124 - NaN


def _is_gap(value: Any) -> bool:
    return value is None or value != value or value == MISSING  # noqa: PLR0124 - NaN


def _encoded(pipeline: Any, features: Sequence[str]) -> list[_Encoded]:
    try:
        return list(_learned(pipeline, features, ()))
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"the model's encoders cannot be read ({error!r}); it is damaged or forged"
        ) from error


def _learned(step: Any, names: Sequence[str], imputers: Sequence[_Imputer]) -> Iterator[_Encoded]:
    """Each column that is encoded, with what the encoder learned."""
    for one, columns, before in _within(step, names):
        yield from _learned(one, columns, (*imputers, *before))
    if hasattr(step, "categories_") and len(step.categories_) == len(names):
        for name, values in zip(names, step.categories_, strict=True):
            filled = tuple((imputer, list(known).index(name)) for imputer, known in imputers)
            yield _Encoded(name, step, np.asarray(values).tolist(), filled)


def _within(
    step: Any, names: Sequence[str]
) -> Iterator[tuple[Any, Sequence[str], Sequence[_Imputer]]]:
    """The steps within a step that get columns as they are, and the imputers before each."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import FeatureUnion, Pipeline

    if isinstance(step, Pipeline):
        imputers: list[_Imputer] = []
        for _, one in step.steps:
            yield one, names, tuple(imputers)
            if not _keeps_values(one):
                return
            if hasattr(one, "statistics_"):
                imputers.append((one, names))
    elif isinstance(step, FeatureUnion):
        yield from ((one, names, ()) for _, one in step.transformer_list)
    elif isinstance(step, ColumnTransformer):
        yield from ((one, _picked(names, columns), ()) for _, one, columns in step.transformers_)
    elif getattr(step, "is_categorical_", None) is not None:
        # Histogram gradient boosting has an encoder of its own.
        yield step._preprocessor, names, ()  # noqa: SLF001 - what it knows is nowhere else


def _keeps_values(step: Any) -> bool:
    """Whether a step hands every column on in its place, with its values as they are."""
    from sklearn.impute import SimpleImputer

    if step is None or isinstance(step, str):
        return True
    # An imputer that drops empty columns, or adds marks of gaps, moves the others.
    return (
        isinstance(step, SimpleImputer)
        and not step.add_indicator
        and (step.keep_empty_features or not any(map(_is_gap, step.statistics_)))
    )


def _picked(names: Sequence[str], columns: Any) -> list[str]:
    """The names that a column transformer's selection means."""
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
    return chosen if all(isinstance(one, str) for one in chosen) else list(index.iloc[chosen])
