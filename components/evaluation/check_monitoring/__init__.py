"""How soon a monitoring plan detects silent failures."""
