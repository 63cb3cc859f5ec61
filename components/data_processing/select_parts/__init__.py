"""Some parts of a dataset, as a dataset."""
