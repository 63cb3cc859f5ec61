"""Files that people write, in YAML and JSON: one bounded reader for all of them.

Whoever writes such a file may mean harm, or may have given the wrong file. So the reader bounds
bytes, depth, values and time, refuses what two readers could understand differently (repeated
keys, anchors, tags, `01234`), and names the place of every mistake. docs/documents.md has the
rules. The room knows no domain: what a policy or a suite is stands in the modules that read them.
"""

from assay.documents.json_values import read_json
from assay.documents.nodes import Limits
from assay.documents.places import place, place_of_index
from assay.documents.regular import NotRegularError, open_regular, read_regular
from assay.documents.walker import NodeReader
from assay.documents.words import MAX_NAMED, closest, shown, some
from assay.documents.yaml_values import Document, read_yaml

__all__ = [
    "MAX_NAMED",
    "Document",
    "Limits",
    "NodeReader",
    "NotRegularError",
    "closest",
    "open_regular",
    "place",
    "place_of_index",
    "read_json",
    "read_regular",
    "read_yaml",
    "shown",
    "some",
]
