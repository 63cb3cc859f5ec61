"""Predictions for the rows of a dataset."""
