"""Great Expectations (GX) suites: parse them without GX, and draft them from data.

A suite is JSON of GX 1.x: `{"name": ..., "expectations": [{"type": ..., "kwargs": {...}}]}`. Only
the expectations of GX itself are allowed: a suite is data and must not run code.

```
known.py    the allowed expectations with their arguments
parse.py    parser, which reports all problems together
draft.py    draft of a suite from a dataset, for review
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
