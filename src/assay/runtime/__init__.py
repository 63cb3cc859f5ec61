"""The modules that import kfp: tasks, declarations of components, local runs."""
