"""Rehearse a rollback."""
