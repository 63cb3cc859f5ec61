"""Restore an earlier release, after every byte of it was verified."""
