"""`assay release revoke`; implemented with `assay release override`."""

from assay.cli.release.override import revoke_command as command

__all__ = ["command"]
