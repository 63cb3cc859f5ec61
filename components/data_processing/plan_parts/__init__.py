"""How the parts of a dataset are distributed over parallel tasks."""
