"""Governance: policies, decisions, admission of models, and the registry."""
