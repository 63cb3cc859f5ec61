"""Candidate and production model on the same rows."""
