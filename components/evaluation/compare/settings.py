"""compare: its parameters."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The step's parameters."""

    primary_metric: str
    margin: float
    slices: tuple[str, ...]
    confidence: float
    resamples: int
    min_slice_rows: int
    seed: int
