"""An earlier release put back."""
