"""A model proposed for an environment."""
