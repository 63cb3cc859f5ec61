"""Inject faults that occur in production into held-out rows, deterministically.

There are four kinds, each injected into several columns or classes and in several forms:

- `shifted_feature`: a number increases by one standard deviation; in half of the rows a category
  becomes the most frequent one (the second most frequent if it was the most frequent before)
- `label_prior`: the odds of a class double, because half of the rows of other classes are dropped;
  for a numeric target, the odds of the upper or of the lower half
- `dead_column`: a column has its most frequent value in all rows, or no value at all
- `unit_change`: a number is multiplied by 1,000 (grams for kilograms) or by 2.54 (centimetres for
  inches)

The sizes are constants and not part of the plan, so that plans are comparable.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import ModelInfo

SHIFTED, PRIOR, DEAD, UNIT = "shifted_feature", "label_prior", "dead_column", "unit_change"
KINDS: Final = (SHIFTED, PRIOR, DEAD, UNIT)
SHIFT_DEVIATIONS: Final = 1.0
SHIFT_SHARE: Final = 0.5
"""Share of the rows whose category changes."""
PRIOR_KEPT: Final = 0.5
"""Share of the rows of other classes that are kept, which doubles the odds of the class."""
MIN_CLASS_SHARE: Final = 0.05
"""Rarer classes are skipped, because doubling them has hardly any effect within a window."""
FACTORS: Final = (1000.0, 2.54)
MAX_PLACES: Final = 20
"""Maximum number of columns or classes for one kind of fault; in wider tables they are evenly
spaced."""
CONSTANT, MISSING = "constant", "missing"
UPPER, LOWER = "upper half", "lower half"
_SALT: Final = 1763


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in one column or class."""

    kind: str
    """One of `KINDS`."""
    place: str
    """The column, or the name of the class whose odds double."""
    form: str = ""
    """`constant` or `missing`; the factor of a change of unit."""
    label: Any = None
    """The class itself."""

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind, self.place, self.form) if part)


def faults(frame: "pd.DataFrame", info: "ModelInfo") -> list[Fault]:
    """All faults that can be injected into the features and the target of a model.

    Args:
        frame: Held-out rows with the target.
        info: Description of the model.
    """
    numeric = [name for name in info.numeric if is_number(frame[name])]
    result = [Fault(SHIFTED, name) for name in _some(info.features)]
    result += list(_priors(frame[info.target], info))
    for name in _some(info.features):
        result += [Fault(DEAD, name, CONSTANT), Fault(DEAD, name, MISSING)]
    result += [Fault(UNIT, name, f"x{factor:g}") for name in _some(numeric) for factor in FACTORS]
    return result


def is_number(column: "pd.Series") -> bool:
    """Whether a column is numeric; booleans are not, because they have no unit."""
    return column.dtype.kind in "iuf"


def _some(names: Sequence[Any]) -> list[Any]:
    if len(names) <= MAX_PLACES:
        return list(names)
    return [names[i] for i in np.linspace(0, len(names) - 1, MAX_PLACES).astype(int)]


def _priors(truth: "pd.Series", info: "ModelInfo") -> Iterator[Fault]:
    if info.task == "regression":
        yield from (Fault(PRIOR, half) for half in (UPPER, LOWER))
        return
    shares = truth.value_counts(normalize=True)
    common = [label for label in info.classes if shares.get(label, 0.0) >= MIN_CLASS_SHARE]
    for label in _some(common if len(common) > 1 else []):
        yield Fault(PRIOR, str(label), label=label)


def apply(
    frame: "pd.DataFrame", fault: Fault, seed: int, categorical: Collection[str] = ()
) -> "pd.DataFrame":
    """Inject a fault into one column.

    Args:
        frame: The rows.
        fault: Any kind except `label_prior`, which drops rows; see `kept`.
        seed: Selects the rows whose category changes.
        categorical: Numeric columns that are categories.

    Returns:
        The rows with the changed column.
    """
    column = frame[fault.place]
    moves = is_number(column) and fault.place not in categorical
    return frame.assign(**{fault.place: _changed(column, fault, seed, moves=moves)})


def _changed(column: "pd.Series", fault: Fault, seed: int, *, moves: bool) -> "pd.Series":
    if fault.kind == UNIT:
        return column * float(fault.form.removeprefix("x"))
    if fault.kind == DEAD and fault.form == MISSING:
        # As datasets represent missing values: NaN in numeric columns, None in all others.
        missing, kind = (np.nan, float) if is_number(column) else (None, object)
        return column.__class__([missing] * len(column), column.index, dtype=kind, name=column.name)
    common = column.value_counts().index
    if fault.kind == DEAD:
        return column.where(np.zeros(len(column), dtype=bool), common[0]) if len(common) else column
    if moves:
        deviation = float(column.std(ddof=0))
        return column + SHIFT_DEVIATIONS * (deviation if np.isfinite(deviation) else 0.0)
    if len(common) < 2:  # noqa: PLR2004 - a constant column has no other value
        return column
    hit = np.random.default_rng([seed, len(column)]).random(len(column)) < SHIFT_SHARE
    becomes = np.where((column == common[0]).to_numpy(), 1, 0)
    changed = column.to_numpy(copy=True)
    for index in (0, 1):
        changed[hit & (becomes == index)] = common[index]
    return column.__class__(changed, index=column.index, name=column.name, dtype=column.dtype)


def kept(truth: np.ndarray, fault: Fault, seed: int | list[int]) -> np.ndarray:
    """Select the rows that remain when the odds of a class double.

    Args:
        truth: The target of the rows.
        fault: A `label_prior`.
        seed: Selects the rows of other classes that are dropped.

    Returns:
        Boolean mask of the remaining rows; shape (rows,).
    """
    if fault.place in {UPPER, LOWER} and fault.label is None:
        middle = float(np.median(truth.astype(float)))
        favoured = truth.astype(float) > middle
        favoured = favoured if fault.place == UPPER else ~favoured
    else:
        favoured = np.asarray(truth == fault.label)
    # Salted, because the rows may have been split with the same seed.
    random = np.random.default_rng([_SALT, *([seed] if isinstance(seed, int) else seed)])
    return np.asarray(favoured | (random.random(len(truth)) < PRIOR_KEPT))
