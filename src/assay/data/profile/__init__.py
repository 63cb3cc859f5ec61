"""Profiles of columns: bounded in size, exact in their counts, merged without loss.

```
cells.py     counts of 64-bit keys, in cells that grow
keys.py      the keys of numbers and of texts
profile.py   the profile of a column
distance.py  distances between two profiles, with bounds
reading.py   profiles of the columns of a dataset
```

docs/adr/0022-profiles.md gives the reasons. Importing this package imports neither pyarrow nor
NumPy.
"""

from assay.data.profile.distance import (
    Distance,
    between,
    categories,
    jensen_shannon,
    middles,
    wasserstein,
)
from assay.data.profile.profile import LIMIT, Profile, Profiler, merge, of_array
from assay.data.profile.reading import all_differ, counts_between, profiles

__all__ = [
    "LIMIT",
    "Distance",
    "Profile",
    "Profiler",
    "all_differ",
    "between",
    "categories",
    "counts_between",
    "jensen_shannon",
    "merge",
    "middles",
    "of_array",
    "profiles",
    "wasserstein",
]
