"""Which component gets which secrets: what it needs, and nothing else.

A pod that holds a credential can lose it, so a step that never asks the registry has no login
there.
"""

from collections.abc import Mapping
from typing import Final

from assay.runtime.mounted import GIT, MLFLOW, NOTIFY, SIGNING, STORE

_RECORDS: Final = (STORE, SIGNING)
"""Every step reads and writes the store, and signs and verifies records when there are keys."""

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "prepare_data": (*_RECORDS, MLFLOW),
    "snapshot_data": _RECORDS,
    "validate_data": _RECORDS,
    "split_data": _RECORDS,
    "train": _RECORDS,
    "try_candidate": _RECORDS,
    "evaluate": _RECORDS,
    "compare": _RECORDS,
    "gate": _RECORDS,
    "preflight": (*_RECORDS, MLFLOW),
    "resolve_production": (*_RECORDS, MLFLOW, GIT),
    "register": (*_RECORDS, MLFLOW, GIT),
    "run_report": (*_RECORDS, NOTIFY),
    "doctor": (*_RECORDS, MLFLOW),
    "check_monitoring": _RECORDS,
    "import_artifact": _RECORDS,
    "export_artifact": _RECORDS,
    "select_best": _RECORDS,
    "promote": (*_RECORDS, MLFLOW, GIT),
    "rollback": (*_RECORDS, MLFLOW, GIT),
    "rollback_drill": (*_RECORDS, MLFLOW, GIT),
    "release_evidence": _RECORDS,
}

NEVER_RETRIED: Final[Mapping[str, str]] = {
    "prepare_data": "it fails of what a user gave, which no retry mends",
    "preflight": "it fails of what a user gave, which no retry mends",
    "validate_data": "its failure is a verdict on the data",
    "gate": "it decides; a second try must not decide otherwise",
    "register": "it refuses what the gate did not pass",
    "run_report": "it would tell the same twice",
    "doctor": "it tells what it finds",
    "rollback": "a second try of a half-done one would go back once more",
    "rollback_drill": "a failure is what a drill is there to find",
}
"""Components whose failure must stand, and why. KFP retries whatever the exit code, so what is
worth retrying is decided by component."""


def needs_of(component: str) -> tuple[str, ...]:
    """What a component gets; one that the library does not know gets the store and no more."""
    return NEEDS.get(component, _RECORDS)
