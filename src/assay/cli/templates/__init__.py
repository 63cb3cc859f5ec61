"""Files that `assay new` writes; `$name` and the like stand for what the user gives."""
