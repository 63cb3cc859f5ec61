"""Checks of everything that runs need, from inside the cluster."""
