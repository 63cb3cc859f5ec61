"""Evidence: the file format, labels and selectors of the values that a gate evaluates."""
