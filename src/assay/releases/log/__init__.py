"""The release log: approvals, releases, rollbacks, overrides, revocations. Append-only.

There is a chain for each model, one (`REVOCATIONS`) for the revocations of all models, and one for
the recorded tips of each branch (`assay.releases.tips`). An entry is a blob; it names the
entry before it, so no earlier entry can be changed, left out or inserted without changing every
later name. `releases/<chain>/<number>` says which blob is which entry; it is created, never
replaced, so when two writers race for a number, one takes the next, and no entry is lost. An entry
also names the newest revocation, so that a revocation cannot be removed without the releases after
it.

With keys configured every entry is signed, and it is valid only if:

| event | written by | based on |
|---|---|---|
| `release` | approver, recorder | an approval of exactly this release and commit |
| `passed` | approver, recorder | as `release`; merged, and replaced before it was recorded |
| `rollback`, `reconciled` | approver, recorder, runner | an earlier `release` entry that counts |
| `override` | approver | the override that it names |
| `revocation` | approver | nothing else; it cannot be undone, unless its key is out of use |
| `intent` | approver, recorder, runner | nothing; it proves nothing |
| `seen` | approver, recorder | nothing: only the process that saw the tip knows it |

An entry by a key that may not write it stays in the chain and does not count (`refused` says why).
An entry by a key that is not configured is an error for every reader: it could be a revocation, and
rotating a key must not undo that.

A chain alone cannot show that its newest entries were removed. The deployment repository can: its
commits name the newest entries that their writer saw (`heads`), and every release that was merged
there must be in the log (`missing`).

| module | contents |
|---|---|
| `entry` | the fields of an entry, who may write it, its encoding |
| `blocking` | pointers without valid entries that block readers |
| `scope` | the deployment repository of an entry |
| `history` | current and earlier releases in a list of entries |
| `chain` | adding, reading and verifying entries; trailers of commits |
| `decisions` | revocations and overrides |
| `retention` | copies of releases, and the roots for the collector |
| `check` | the logs of a store, and their faults |
"""

from assay.releases.log.blocking import Blocking, blocking, clear
from assay.releases.log.chain import (
    MAX_RACES,
    append,
    cut_off,
    doubtful,
    head,
    heads,
    names,
    read,
)
from assay.releases.log.check import Fault, check, models
from assay.releases.log.decisions import (
    Revocation,
    lift,
    overrides,
    revocation,
    revocations,
    unproven,
)
from assay.releases.log.entry import ANYBODY, REVOCATIONS, WRITERS, Entry, Event, tips_chain
from assay.releases.log.history import clock, current, intents, missing, was_released
from assay.releases.log.retention import KEPT_RELEASES, get_release, live, put_release
from assay.releases.log.scope import (
    Scoped,
    configured,
    known_repository,
    repository_of,
    seen_repository,
)

__all__ = [
    "ANYBODY",
    "KEPT_RELEASES",
    "MAX_RACES",
    "REVOCATIONS",
    "WRITERS",
    "Blocking",
    "Entry",
    "Event",
    "Fault",
    "Revocation",
    "Scoped",
    "append",
    "blocking",
    "check",
    "clear",
    "clock",
    "configured",
    "current",
    "cut_off",
    "doubtful",
    "get_release",
    "head",
    "heads",
    "intents",
    "known_repository",
    "lift",
    "live",
    "missing",
    "models",
    "names",
    "overrides",
    "put_release",
    "read",
    "repository_of",
    "revocation",
    "revocations",
    "seen_repository",
    "tips_chain",
    "unproven",
    "was_released",
]
