"""Datasets, one after the other, as one dataset."""
