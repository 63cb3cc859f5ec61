"""What a run is given, checked, and its table as an immutable dataset: one task."""
