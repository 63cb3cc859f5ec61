"""Predict a dataset in parallel tasks."""
