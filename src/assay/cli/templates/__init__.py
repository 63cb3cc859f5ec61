"""Templates of `assay new`; `$name` and other placeholders are replaced by the user's values."""
