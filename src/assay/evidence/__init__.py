"""Evidence: the map that a gate judges, its labels and selectors, written and parsed here alone."""
