"""Everything that can be known to be wrong, checked before anything costs time."""
