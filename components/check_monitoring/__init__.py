"""How soon a monitoring plan sees silent failures; see README.md."""
