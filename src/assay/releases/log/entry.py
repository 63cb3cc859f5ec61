"""An entry of the release log: its fields, who may write it, and its encoding."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from assay.core.attestation import MAX_ATTESTATION_BYTES
from assay.core.digest import hex_of, is_digest, of_bytes
from assay.core.signing import Key, Role, Verifier
from assay.core.store import Store
from assay.errors import AttestationError, IntegrityError, UnknownKeyError, UsageError
from assay.releases import layout, statement
from assay.releases.statement import Kind

REVOCATIONS: Final = ""
"""The chain of revocations. No model has this name."""
TIPS: Final = "/"
"""Begins the name of a chain of branch tips, and of no model."""
MAX_NAME_CHARS: Final = 2000
"""Of a chain's name: a model, or the URL and branch of a deployment repository."""
MAX_PERSON_CHARS: Final = 1000
MAX_TIME_CHARS: Final = 40
MAX_AHEAD: Final = timedelta(days=1)


class NotAnEntryError(AttestationError):
    """A blob at the position of an entry is not a valid entry."""


class Event(StrEnum):
    """The event that an entry records."""

    RELEASE = "release"
    PASSED = "passed"
    """A release that was merged and approved, and replaced before it was recorded."""
    ROLLBACK = "rollback"
    OVERRIDE = "override"
    RECONCILED = "reconciled"
    """The repository was brought to the state of the log, or the log repeats its entry of the
    branch's newest commit."""
    REVOCATION = "revocation"
    INTENT = "intent"
    """A commit is about to be pushed; once the branch has it, what `intends` says has happened."""
    SEEN = "seen"
    """A commit was the branch's tip."""
    CLEARED = "cleared"
    """Pointers that blocked a log, and that no configured key signed, were removed; or, with a
    `statement`, a revocation by a key out of use was set aside."""


MOVES: Final = frozenset({Event.RELEASE, Event.ROLLBACK, Event.RECONCILED})
"""Events that set the release of an environment."""
ANYBODY: Final = frozenset({Role.APPROVER, Role.RECORDER, Role.RUNNER})
WRITERS: Final[Mapping[Event, frozenset[Role]]] = {
    Event.RELEASE: frozenset({Role.APPROVER, Role.RECORDER}),
    Event.PASSED: frozenset({Role.APPROVER, Role.RECORDER}),
    Event.ROLLBACK: ANYBODY,
    Event.RECONCILED: ANYBODY,
    Event.OVERRIDE: frozenset({Role.APPROVER}),
    Event.REVOCATION: frozenset({Role.APPROVER}),
    Event.INTENT: ANYBODY,
    Event.SEEN: frozenset({Role.APPROVER, Role.RECORDER}),
    Event.CLEARED: frozenset({Role.APPROVER}),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry."""

    event: Event
    model: str
    environment: str
    """Empty for an override and a revocation, which are about a model in any environment."""
    digest: str
    """The model's digest."""
    release: str
    """Digest of the `release.yaml`; empty for an override and a revocation."""
    at: str
    by: str
    why: str = ""
    commit: str = ""
    """The commit in the deployment repository; empty when Git could not be reached."""
    statement: str = ""
    """The approval, override or revocation behind it."""
    intends: str = ""
    """Of an intent: the event that follows when the branch has the commit."""
    number: int = 0
    previous: str = ""
    """Digest of the entry before; empty for the first."""
    revocations: str = ""
    """The newest revocation's entry when this one was written; empty when there was none."""
    repository: str = ""
    """`<first commit> <branch>` of the deployment repository; see `assay.releases.log.scope`."""
    written: str = ""
    """The time at which it was added; `at` may be earlier. Empty in entries of earlier versions."""
    name: str = ""
    """The entry's own digest; empty until it is stored."""
    signed_by: str = ""
    refused: str = field(default="", compare=False)
    """Why the entry does not count; empty when it does."""
    unproven: bool = field(default=False, compare=False)
    """Of a revocation that counts: its key is out of use, and no other key proves that it was in
    use when it wrote the entry. Another approver may set it aside."""
    dated: bool = field(default=False, compare=False)
    """Whether later entries must not be dated before it; not for a runner's key, which could block
    the log by a time far ahead."""

    @property
    def moves(self) -> bool:
        """Whether it counts and sets what is in its environment."""
        return not self.refused and self.event in MOVES

    @property
    def existed(self) -> str:
        """A time at which the entry existed, by the clock of its writer; "" if it is not known.

        Without `written` it is `at`, except for a merge, whose record has the time of the merge.
        """
        merge = self.event in {Event.RELEASE, Event.PASSED} or (
            self.event is Event.ROLLBACK and self.statement
        )
        return self.written or ("" if merge else self.at)

    @property
    def passed(self) -> bool:
        """Whether it counts and records a release that was replaced before it was recorded."""
        return not self.refused and self.event is Event.PASSED

    def predicate(self) -> dict[str, Any]:
        """The entry as the predicate of its statement."""
        return {
            "event": self.event.value,
            "model": self.model,
            "environment": self.environment,
            "modelDigest": self.digest,
            "at": self.at,
            "by": self.by,
            "why": self.why,
            "commit": self.commit,
            "statement": self.statement,
            "intends": self.intends,
            "number": self.number,
            "previous": self.previous,
            "revocations": self.revocations,
            "release": self.release,
            "repository": self.repository,
            "written": self.written,
        }


def malformed(entry: Entry) -> str:
    """Why an entry does not count: fields with values that no writer gives them; "" when all fit.

    Every key writes some entry, so a value that a reader does not expect must not stop it.
    """
    fits = {
        "environment": entry.environment in {"", *layout.ENVIRONMENTS},
        "modelDigest": is_digest(entry.digest),
        "release": not entry.release or is_digest(entry.release),
        "statement": not entry.statement or is_digest(entry.statement),
        "commit": not entry.commit or re.fullmatch("[0-9a-f]{40,64}", entry.commit),
        "intends": entry.intends in ({"", *Event} if entry.event is Event.INTENT else {""}),
        "at": _is_time(entry.at),
        "written": not entry.written or _is_time(entry.written),
        "by": len(entry.by) <= MAX_PERSON_CHARS and min(entry.by, default=" ") >= " ",
    }
    wrong = ", ".join(name for name, fit in fits.items() if not fit)
    return f"its fields have no valid value: {wrong}" if wrong else ""


def _is_time(text: str) -> bool:
    try:
        return len(text) <= MAX_TIME_CHARS and bool(statement.moment(text, "time"))
    except UsageError:
        return False


def is_ahead(entry: Entry, key: Key | None) -> bool:
    """Whether an entry whose time binds later ones is dated more than `MAX_AHEAD` in the future.

    Later entries are not dated before it. When the writer's key is retired on a day before that
    date, all of them would cease to count.

    Args:
        entry: Which.
        key: The configured key that signed it; None where none is configured.
    """
    if malformed(entry) or (key is not None and not key.may(WRITERS[Event.RELEASE])):
        return False
    return statement.moment(entry.at, "at") > datetime.now(UTC) + MAX_AHEAD


def tips_chain(url: str, branch: str) -> str:
    """The name of the chain of the tips of a repository's branch."""
    return f"{TIPS}{url} {branch}"


def title(model: str) -> str:
    """The name of a chain in errors."""
    if model.startswith(TIPS):
        return f"log of the tips of {model.removeprefix(TIPS)}"
    return f"release log of {model!r}" if model else "log of revocations"


def read_entry(store: Store, name: str, verifier: Verifier | None) -> tuple[Entry, Key | None]:
    """Read one entry.

    Args:
        store: The store with it.
        name: Its digest.
        verifier: Whose signatures count; None: any.

    Returns:
        The entry, not yet compared with its chain, and the configured key that signed it.

    Raises:
        UnknownKeyError: It is signed by a key that is not configured.
        NotAnEntryError: It is not an entry, or is unsigned though keys are configured.
        IntegrityError: Its bytes do not match its digest.
        NotFoundError: It is not in the store.
    """
    data = store.get_bytes(name, MAX_ATTESTATION_BYTES)
    try:
        return _decode(data, name, verifier)
    except UnknownKeyError:
        raise
    except IntegrityError as error:
        raise NotAnEntryError(str(error)) from error


def _decode(data: bytes, name: str, verifier: Verifier | None) -> tuple[Entry, Key | None]:
    read_back = statement.decode(data, name, verifier, signed=False)
    raw = read_back.predicate
    try:
        entry = Entry(
            event=Event(raw["event"]),
            model=str(raw["model"]),
            environment=str(raw["environment"]),
            digest=str(raw["modelDigest"]),
            release=str(raw["release"]),
            at=str(raw["at"]),
            by=str(raw["by"]),
            why=str(raw["why"]),
            commit=str(raw["commit"]),
            statement=str(raw["statement"]),
            # Version 1 had neither.
            intends=str(raw["intends"]) if read_back.version > 1 else "",
            revocations=str(raw["revocations"]) if read_back.version > 1 else "",
            # Version 3 had none.
            repository=str(raw["repository"]) if read_back.version > 3 else "",  # noqa: PLR2004
            # Entries of earlier releases of version 4 had none.
            written=str(raw.get("written", "")),
            number=int(raw["number"]),
            previous=str(raw["previous"]),
            name=name,
            signed_by=read_back.signed_by,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise IntegrityError(f"{name}: not an entry of the release log ({error!r})") from error
    if read_back.kind is not Kind.LOG or read_back.subject != (entry.release or entry.digest):
        raise IntegrityError(f"{name}: not an entry of the release log; it was altered")
    return entry, read_back.key


def chain_id(model: str) -> str:
    """The digest of the name of a chain, in hexadecimal, as in its pointers."""
    return hex_of(of_bytes(model.encode()))


def prefix(model: str) -> str:
    """The prefix of the pointers of a chain."""
    return f"releases/{chain_id(model)}/"


def places(store: Store, hexed: str) -> list[str]:
    """The pointers to the entries of a chain, in order; the first number is 1.

    No writer creates number 0, so a pointer of that name proves no loss, and is left out.

    Args:
        store: The store with the chain.
        hexed: Digest of the chain's name, as in its pointers.
    """
    return [name for name in store.list_pointers(f"releases/{hexed}/") if name != zero(hexed)]


def zero(hexed: str) -> str:
    """The pointer before the first one of a chain, which only a person can have added."""
    return f"releases/{hexed}/{0:06d}"


def logs(store: Store) -> set[str]:
    """The digests of the names of all chains, as pointers hold them."""
    return {name.split("/")[1] for name in store.list_pointers("releases/")}


def pointer(model: str, number: int) -> str:
    """The pointer that says which blob is an entry of a chain."""
    return f"{prefix(model)}{number:06d}"
