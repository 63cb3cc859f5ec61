"""A policy over evidence, failing closed."""
