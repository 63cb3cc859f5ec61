"""Split rows into training and test sets, so that an entity keeps its side."""
