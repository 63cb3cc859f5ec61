"""Propose a model for an environment."""
