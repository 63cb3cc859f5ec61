"""A rollback, rehearsed."""
