"""The logs of a store, and their faults."""

from dataclasses import dataclass

from assay.core.digest import PREFIX, hex_of
from assay.core.signing import Verifier
from assay.core.step import Services
from assay.core.store import Store
from assay.errors import AssayError, NotFoundError, UnknownKeyError
from assay.releases import statement
from assay.releases.log.blocking import blocking
from assay.releases.log.chain import CLEAR, read
from assay.releases.log.entry import REVOCATIONS, TIPS, Entry, Event, title
from assay.releases.log.scope import chains
from assay.releases.statement import Kind


def models(store: Store) -> list[str]:
    """The models that have a log."""
    return [c for c in chains(store) if c != REVOCATIONS and not c.startswith(TIPS)]


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem of the logs, or of the statements behind them."""

    what: str
    """A chain, an entry or a statement."""
    text: str
    broken: bool
    """Whether an entry was removed or altered; otherwise the fault is a note."""


def check(store: Store, verifier: Verifier | None) -> list[Fault]:
    """All faults of the release logs of a store and of the statements behind them."""
    result: list[Fault] = []
    logged: set[str] = set()
    services = Services(store, verifier)
    for model in chains(store):
        try:
            entries = read(services, model)
        except AssayError as error:
            result.append(Fault(title(model), str(error), broken=True))
            continue
        for entry in entries:
            what = f"{title(model)}, entry {entry.number}"
            logged.add(entry.statement)
            if entry.refused:
                result.append(Fault(what, f"does not count: {entry.refused}", broken=False))
            elif entry.statement and entry.event is not Event.CLEARED:
                result += _faults_of_statement(store, entry, what)
    result += [
        Fault(item.pointer, f"{item.why}; if nothing was lost there: {CLEAR}", broken=True)
        for item in blocking(services)
    ]
    for pointer in store.list_pointers("statements/"):
        digest = PREFIX + pointer.rpartition("/")[2]
        try:
            given = statement.load(services, digest)
        except AssayError as error:
            broken = isinstance(error, UnknownKeyError | NotFoundError)
            result.append(Fault(f"statement {digest}", str(error), broken=broken))
            continue
        if given.kind in {Kind.REVOCATION, Kind.OVERRIDE} and digest not in logged:
            text = f"this {given.kind} of {given.subject} is not in the log; run its command again"
            result.append(Fault(f"statement {digest}", text, broken=False))
    return result


def _faults_of_statement(store: Store, entry: Entry, what: str) -> list[Fault]:
    name = entry.statement
    if not store.has(name):
        text = f"the statement {name} behind it is not in the store"
        return [Fault(what, text, broken=True)]
    pointer = f"statements/{hex_of(entry.digest)}/{hex_of(name)}"
    if store.read_pointer(pointer) is None:
        return [Fault(what, f"the pointer {pointer} to its statement was removed", broken=True)]
    return []
