"""Datasets: a table as canonical Parquet parts, with a schema that needs no Parquet reader.

The same rows give the same bytes, on any machine, tomorrow: parts hold a fixed number of rows and
are written with fixed settings and no metadata of their own. Appending rows leaves every earlier
full part as it was, so that a store keeps it once.

```
schema.json     columns, types, null counts, parts           schema.py
part-*.parquet  the rows                                     parquet.py
statistics.json per part and column: nulls, bounds, means    statistics.py
summary.md      the same for people                          card.py
```

docs/format-dataset.md specifies them. `sources.py` opens tables of the outside world. Importing
this package imports neither pyarrow nor pandas.
"""

from assay.data.parquet import arrow_schema, arrow_types, iter_batches, read, write
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
    "arrow_schema",
    "arrow_types",
    "column_problems",
    "info",
    "iter_batches",
    "read",
    "require_columns",
    "write",
]
