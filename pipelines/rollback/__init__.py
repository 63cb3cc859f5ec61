"""Restore an earlier release."""
