"""The categories that a fitted pipeline knows, whoever made it.

A column is a category when an encoder reads it, whatever its values look like. Columns are followed
from the pipeline's input to the first encoder: through imputers, which leave values as they are,
and into column transformers, unions and pipelines.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from assay.errors import IntegrityError
from assay.models.preprocess import MISSING


def categories(pipeline: Any, features: Sequence[str]) -> dict[str, list[Any]]:
    """The values that its encoders have learned of each feature, without missing ones.

    Args:
        pipeline: Fitted.
        features: The columns that it reads, in its order.

    Raises:
        IntegrityError: Its steps do not fit together, so that no fit can have made them.
    """
    found: dict[str, dict[Any, None]] = {}
    try:
        for name, values in _learned(pipeline, features):
            known = np.asarray(values).tolist()
            found.setdefault(name, {}).update(dict.fromkeys(v for v in known if not _is_gap(v)))
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"the model's encoders cannot be read ({error!r}); it is damaged or forged"
        ) from error
    return {name: list(known) for name, known in found.items()}


def _is_gap(value: Any) -> bool:
    return value is None or value != value or value == MISSING  # noqa: PLR0124 - NaN


def _learned(step: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Each column that is encoded, with what the encoder learned."""
    for one, columns in _within(step, names):
        yield from _learned(one, columns)
    if hasattr(step, "categories_") and len(step.categories_) == len(names):
        yield from zip(names, step.categories_, strict=True)


def _within(step: Any, names: Sequence[str]) -> Iterator[tuple[Any, Sequence[str]]]:
    """The steps within a step that get columns as they are."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import FeatureUnion, Pipeline

    if isinstance(step, Pipeline):
        for _, one in step.steps:
            yield one, names
            if not _keeps_values(one):
                return
    elif isinstance(step, FeatureUnion):
        yield from ((one, names) for _, one in step.transformer_list)
    elif isinstance(step, ColumnTransformer):
        yield from ((one, _picked(names, columns)) for _, one, columns in step.transformers_)
    elif getattr(step, "is_categorical_", None) is not None:
        # Histogram gradient boosting has an encoder of its own.
        yield step._preprocessor, names  # noqa: SLF001 - what it knows is nowhere else


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
