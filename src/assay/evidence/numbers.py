"""Rounding of numbers in evidence."""


def tidy(value: float) -> float:
    """Round to twelve significant digits; further digits depend on the instructions of the CPU."""
    return float(f"{value:.12g}")
