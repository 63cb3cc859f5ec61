"""Numbers as evidence holds them."""


def tidy(value: float) -> float:
    """Twelve significant digits: beyond them, results depend on the processor's instructions."""
    return float(f"{value:.12g}")
