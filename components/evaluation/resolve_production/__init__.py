"""The model in production, or none."""
