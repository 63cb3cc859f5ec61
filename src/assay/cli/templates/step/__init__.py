"""A step of the user's own, as a project."""
