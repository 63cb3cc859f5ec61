"""A rollback and back again, rehearsed and timed."""
