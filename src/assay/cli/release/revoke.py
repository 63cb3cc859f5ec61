"""`assay release revoke`; its work stands beside that of `assay release override`."""

from assay.cli.release.override import revoke_command as command

__all__ = ["command"]
