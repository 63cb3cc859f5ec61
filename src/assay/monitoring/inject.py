"""Faults that happen to models in production, put into held-out rows; the same ones every time.

Four kinds, each in several places and forms:

- `shifted_feature`: a number moves by one standard deviation; in half of the rows a category
  becomes the most frequent one (the second most frequent where it was that already)
- `label_prior`: the odds of a class double, by leaving out half of the rows of other classes; for
  a numeric target, those of the upper or of the lower half
- `dead_column`: a column holds its most frequent value only, or none at all
- `unit_change`: a number is 1,000 times (grams for kilograms), or 2.54 times (centimetres for
  inches) what it was

The sizes are fixed here and not in the plan, so that plans are measured by the same yardstick.
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
"""Of rows whose category changes."""
PRIOR_KEPT: Final = 0.5
"""Share of the other rows that is kept, which doubles the odds of the rest."""
MIN_CLASS_SHARE: Final = 0.05
"""Rarer classes are left alone: doubling them changes next to nothing that a window could show."""
FACTORS: Final = (1000.0, 2.54)
MAX_PLACES: Final = 20
"""Columns or classes that one kind of fault is put into; in wider tables, these are spread evenly
over all."""
CONSTANT, MISSING = "constant", "missing"
UPPER, LOWER = "upper half", "lower half"
_SALT: Final = 1763


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in one place."""

    kind: str
    """One of `KINDS`."""
    place: str
    """The column, or the class whose odds double."""
    form: str = ""
    """`constant` or `missing`; the factor of a change of unit."""
    label: Any = None
    """The class itself."""

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind, self.place, self.form) if part)


def faults(frame: "pd.DataFrame", info: "ModelInfo") -> list[Fault]:
    """All faults that can happen to the features and the target of a model.

    Args:
        frame: Held-out rows with the target.
        info: What is known of the model.
    """
    numeric = [name for name in info.numeric if is_number(frame[name])]
    found = [Fault(SHIFTED, name) for name in _some(info.features)]
    found += list(_priors(frame[info.target], info))
    for name in _some(info.features):
        found += [Fault(DEAD, name, CONSTANT), Fault(DEAD, name, MISSING)]
    found += [Fault(UNIT, name, f"x{factor:g}") for name in _some(numeric) for factor in FACTORS]
    return found


def is_number(column: "pd.Series") -> bool:
    """Whether a column holds numbers that have a unit; truth values have none."""
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
    """The rows with a fault in one column; other columns stay as they are.

    Args:
        frame: The rows.
        fault: Any but a `label_prior`, which leaves rows out instead; see `kept`.
        seed: Decides which rows' category changes.
        categorical: Columns whose numbers are categories, which move to another category.
    """
    column = frame[fault.place]
    moves = is_number(column) and fault.place not in categorical
    return frame.assign(**{fault.place: _changed(column, fault, seed, moves=moves)})


def _changed(column: "pd.Series", fault: Fault, seed: int, *, moves: bool) -> "pd.Series":
    if fault.kind == UNIT:
        return column * float(fault.form.removeprefix("x"))
    if fault.kind == DEAD and fault.form == MISSING:
        # As a dataset says it: NaN among numbers, None among everything else.
        gone, kind = (np.nan, float) if is_number(column) else (None, object)
        return column.__class__([gone] * len(column), column.index, dtype=kind, name=column.name)
    common = column.value_counts().index
    if fault.kind == DEAD:
        return column.where(np.zeros(len(column), dtype=bool), common[0]) if len(common) else column
    if moves:
        deviation = float(column.std(ddof=0))
        return column + SHIFT_DEVIATIONS * (deviation if np.isfinite(deviation) else 0.0)
    if len(common) < 2:  # noqa: PLR2004 - one value cannot change into another
        return column
    hit = np.random.default_rng([seed, len(column)]).random(len(column)) < SHIFT_SHARE
    becomes = np.where((column == common[0]).to_numpy(), 1, 0)
    changed = column.to_numpy(copy=True)
    for index in (0, 1):
        changed[hit & (becomes == index)] = common[index]
    return column.__class__(changed, index=column.index, name=column.name, dtype=column.dtype)


def kept(truth: np.ndarray, fault: Fault, seed: int | list[int]) -> np.ndarray:
    """Which rows remain when a class's odds double; shape (rows,).

    Args:
        truth: The target of the rows.
        fault: A `label_prior`.
        seed: Decides which of the other rows are left out.
    """
    if fault.place in {UPPER, LOWER} and fault.label is None:
        middle = float(np.median(truth.astype(float)))
        favoured = truth.astype(float) > middle
        favoured = favoured if fault.place == UPPER else ~favoured
    else:
        favoured = np.asarray(truth == fault.label)
    # Salted, because whoever dealt the rows may have drawn from the same seed.
    random = np.random.default_rng([_SALT, *([seed] if isinstance(seed, int) else seed)])
    return np.asarray(favoured | (random.random(len(truth)) < PRIOR_KEPT))
