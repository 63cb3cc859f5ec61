"""A version in the MLflow registry, for a model whose decision is a pass."""
