"""Files that people write, in YAML and JSON: one bounded reader for all of them.

Such a file may be hostile, or may simply be the wrong one. The reader therefore limits bytes,
depth, number of values and time, refuses syntax that two parsers could read differently (repeated
keys, anchors, tags, `01234`), and reports the position of every mistake. docs/documents.md has the
rules. This package is independent of what the files mean: policies and suites are defined in the
modules that read them.
"""

from assay.documents.json_values import read_json
from assay.documents.messages import MAX_NAMED, closest, shown, some
from assay.documents.nodes import Limits
from assay.documents.positions import position, position_of_index
from assay.documents.regular import NotRegularError, open_regular, read_regular
from assay.documents.walker import NodeReader
from assay.documents.yaml_values import Document, read_yaml

__all__ = [
    "MAX_NAMED",
    "Document",
    "Limits",
    "NodeReader",
    "NotRegularError",
    "closest",
    "open_regular",
    "position",
    "position_of_index",
    "read_json",
    "read_regular",
    "read_yaml",
    "shown",
    "some",
]
