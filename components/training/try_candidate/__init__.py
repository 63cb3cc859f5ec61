"""One candidate of a sweep, trained and measured in one task."""
