"""Datasets: tables as canonical Parquet parts, with a schema that needs no Parquet reader.

Equal rows give equal bytes on every machine: parts have a fixed number of rows and are written with
fixed settings and without metadata. Appending rows does not change full parts, so that a store
keeps them once.

```
schema.json     columns, types, null counts, parts           schema.py
part-*.parquet  the rows                                     parquet.py
statistics.json per part and column: nulls, bounds, means    statistics.py
summary.md      a summary for people                         card.py
```

docs/format-dataset.md specifies them. `sources.py` opens external tables. Importing
this package imports neither pyarrow nor pandas.
"""

from assay.data.parquet import Writer, arrow_schema, arrow_types, iter_batches, read, write
from assay.data.schema import (
    FORMAT,
    NUMERIC_TYPES,
    ROWS_PER_PART,
    SCHEMA_FILE,
    STATISTICS_FILE,
    TYPES,
    Column,
    DatasetInfo,
    column_problems,
    info,
    require_columns,
)

__all__ = [
    "FORMAT",
    "NUMERIC_TYPES",
    "ROWS_PER_PART",
    "SCHEMA_FILE",
    "STATISTICS_FILE",
    "TYPES",
    "Column",
    "DatasetInfo",
    "Writer",
    "arrow_schema",
    "arrow_types",
    "column_problems",
    "info",
    "iter_batches",
    "read",
    "require_columns",
    "write",
]
