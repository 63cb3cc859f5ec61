"""Predictions for some parts of a dataset, in one task."""
