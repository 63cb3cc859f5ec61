"""`assay revoke`; implemented with `assay override`."""

from assay.cli.override import revoke_command as command

__all__ = ["command"]
