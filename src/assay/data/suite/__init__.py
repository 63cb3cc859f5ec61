"""Great Expectations suites: parsed without Great Expectations, and drafted from data.

A suite is GX 1.x's own JSON: `{"name": ..., "expectations": [{"type": ..., "kwargs": {...}}]}`.
Only GX's own expectations are admitted: a suite is data, and data runs no code.

```
known.py    the expectations there are, with their arguments
parse.py    a suite's bytes, checked, all offenders at once
draft.py    a first suite from a dataset, for a person to review
```

docs/validation.md describes it for users. Importing this package imports neither GX nor pandas.
"""

from assay.data.suite.draft import draft
from assay.data.suite.known import EXPECTATION_TYPES
from assay.data.suite.parse import FILE_NAME, MAX_EXPECTATIONS, MAX_SUITE_BYTES, Suite, parse_suite

__all__ = [
    "EXPECTATION_TYPES",
    "FILE_NAME",
    "MAX_EXPECTATIONS",
    "MAX_SUITE_BYTES",
    "Suite",
    "draft",
    "parse_suite",
]
