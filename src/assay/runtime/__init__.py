"""Everything that imports kfp: tasks, declarations of components, local runs."""
