"""A table of the outside world, made an immutable dataset."""
