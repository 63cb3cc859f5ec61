"""A model's quality on rows it has not seen."""
