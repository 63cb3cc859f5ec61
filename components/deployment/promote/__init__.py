"""A model proposed for an environment by a pull request."""
