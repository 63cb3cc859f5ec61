"""`assay revoke`; its work stands beside that of `assay override`."""

from assay.cli.override import revoke_command as command

__all__ = ["command"]
