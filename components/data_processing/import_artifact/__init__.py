"""An artifact of a foreign component, imported under a digest."""
