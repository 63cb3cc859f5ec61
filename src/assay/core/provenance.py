"""Walking the records: what an artifact rests on, and whether all of it is what it says.

`passport` draws the executions behind a digest; `verify` reads every byte of them again.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from assay.core import plain_copies
from assay.core.attestation import Attestation, about, load, pointers
from assay.core.digest import PREFIX, hex_of, is_digest
from assay.core.execution import read_cache_pointer, require_outputs
from assay.core.manifest import Manifest
from assay.core.signing import Verifier
from assay.core.step import Step
from assay.core.store import Store
from assay.core.tree import get_manifest, verify_trees
from assay.errors import (
    AssayError,
    AttestationError,
    IntegrityError,
    NotFoundError,
    StepError,
    UsageError,
)

STEP_MODULES: Final = ("assay.components",)
"""Import prefixes of the steps that a record may name; a user's own are admitted by option."""

Progress = Callable[[str], None]


@dataclass(slots=True)
class Node:
    """An artifact and the execution that made it."""

    digest: str
    artifact_type: str
    record: Attestation | None
    """None when no record can be found: the trail ends here."""
    other_records: int = 0
    """How many more executions gave the same bytes."""
    inputs: list[tuple[str, "Node"]] = field(default_factory=list)


def passport(store: Store, digest: str, verifier: Verifier | None) -> Node:
    """The tree of executions behind an artifact; a part used twice is the same node twice.

    Where several executions gave the same bytes, the first is shown.

    Raises:
        AttestationError: A record that cannot be believed.
        NotFoundError: No such artifact.
    """
    known: dict[str, Node] = {}

    def walk(current: str) -> Node:
        if current in known:
            return known[current]
        manifest = get_manifest(store, current)
        records = about(store, current, verifier)
        node = Node(
            current, manifest.artifact_type, records[0] if records else None, len(records[1:])
        )
        known[current] = node
        if node.record is not None:
            for name, value in node.record.inputs.items():
                values = value if isinstance(value, list) else [value]
                node.inputs += [(name, walk(item)) for item in values if item]
        return node

    return walk(digest)


def nodes(root: Node) -> Iterator[Node]:
    """Every node once, what was made first first."""
    seen: set[str] = set()

    def walk(node: Node) -> Iterator[Node]:
        if node.digest in seen:
            return
        seen.add(node.digest)
        for _, child in node.inputs:
            yield from walk(child)
        yield node

    yield from walk(root)


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification looked at; nothing was wrong with any of it."""

    artifacts: int
    records: int
    blobs: int
    size: int
    """Bytes."""


def verify(
    store: Store, digest: str, verifier: Verifier | None, progress: Progress | None = None
) -> Verified:
    """Verify an artifact and all it rests on.

    1. Each artifact has a record, and each record can be believed: right bytes, consistent with
       itself, signed by a configured key if one is configured.
    2. Each artifact's manifest is of the type that its record says.
    3. Each file of each artifact, read again, has the size and digest that its manifest says.
    4. The same holds for everything the artifact was made from.

    What it does not show: that the code did what it should. `assay reproduce` shows that.

    Raises:
        AttestationError: A record is missing or cannot be believed.
        IntegrityError: Bytes that are not what their name says; names every offender.
        NotFoundError: Something is not in the store.
    """
    found = list(nodes(passport(store, digest, verifier)))
    problems: list[str] = []
    manifests: list[Manifest] = []
    for node in found:
        if node.record is None:
            problems.append(f"no record of how {node.digest} ({node.artifact_type}) was made")
            continue
        manifest = get_manifest(store, node.digest)
        recorded = {out.digest: out.artifact_type for out in node.record.outputs.values()}
        if recorded[node.digest] != manifest.artifact_type:
            problems.append(f"{node.digest} is of another type than its record says")
        manifests.append(manifest)
    if problems:
        raise AttestationError("; ".join(problems))
    blobs = verify_trees(store, manifests, progress)
    return Verified(len(found), len(found), len(blobs), sum(blob.size for blob in blobs))


def verify_store(  # noqa: C901 - a walk over every kind of entry
    store: Store, verifier: Verifier | None, progress: Progress | None = None
) -> Verified:
    """Verify everything in a store: blobs, records, cache, referrers and views.

    Raises:
        IntegrityError: Names every offender.
    """
    problems: list[str] = []

    def check(work: Callable[[], object], pointer: str = "") -> None:
        try:
            work()
        except AssayError as error:
            # What a garbage collection removes meanwhile goes before that which it leads to.
            if not pointer or store.read_pointer(pointer) is not None:
                problems.append(str(error))

    sizes: dict[str, int] = {}
    for digest, size in store.iter_blobs():
        sizes[digest] = size
        check(lambda digest=digest: _verify_if_there(store, digest))  # type: ignore[misc]
        if progress is not None:
            progress(digest)
    records: dict[str, Attestation] = {}
    for prefix in ("referrers/", "dependents/"):
        for pointer in store.list_pointers(prefix):
            check(lambda p=pointer: _check_hint(store, p, verifier, records), pointer)  # type: ignore[misc]
    for pointer in store.list_pointers("cache/"):
        check(lambda p=pointer: _check_cache(store, p, verifier, records), pointer)  # type: ignore[misc]
    artifacts: dict[str, Manifest] = {}
    for record in records.values():
        check(lambda record=record: require_outputs(store, record))  # type: ignore[misc]
        for output in record.outputs.values():
            check(
                lambda digest=output.digest: artifacts.update({digest: get_manifest(store, digest)})  # type: ignore[misc]
            )
    for manifest in artifacts.values():
        if manifest.packed:
            # The packs' own bytes are right; are they also the files that the manifest names?
            check(lambda manifest=manifest: _ignore(verify_trees(store, [manifest])))  # type: ignore[misc]
    for digest in plain_copies.listed(store):
        check(lambda d=digest: _ignore(plain_copies.verify(store, get_manifest(store, d))))  # type: ignore[misc]
    if problems:
        raise IntegrityError("; ".join(dict.fromkeys(problems)))
    return Verified(len(artifacts), len(records), len(sizes), sum(sizes.values()))


def _verify_if_there(store: Store, digest: str) -> None:
    try:
        store.verify(digest)
    except NotFoundError:
        # Removed since it was listed. What still names it says so.
        if store.has(digest):
            raise


def _ignore(_: object) -> None:
    """Make a call that is made for its errors return nothing."""


def _check_hint(
    store: Store, pointer: str, verifier: Verifier | None, records: dict[str, Attestation]
) -> None:
    named = PREFIX + pointer.rsplit("/", 1)[-1]
    if not is_digest(named) or store.read_pointer(pointer) != named.encode():
        raise IntegrityError(f"{pointer}: does not hold the digest it is named after")
    record = records.get(named) or load(store, named, verifier)
    records[named] = record
    if pointer not in pointers(record, named):
        raise IntegrityError(f"{pointer}: the record it names is about something else")


def _check_cache(
    store: Store, pointer: str, verifier: Verifier | None, records: dict[str, Attestation]
) -> None:
    content = store.read_pointer(pointer) or b""
    try:
        named = read_cache_pointer(content)
    except IntegrityError as error:
        raise IntegrityError(f"{pointer}: {error}") from error
    record = records.get(named) or load(store, named, verifier)
    if pointer != f"cache/{hex_of(record.step_key)}":
        raise IntegrityError(f"{pointer}: names the record of another step key, {record.step_key}")


def find_record(store: Store, digest: str, verifier: Verifier | None) -> Attestation:
    """The record that `digest` names, or the first one about the artifact that it names.

    Raises:
        AttestationError: The artifact has no record.
        NotFoundError: Nothing under that digest.
    """
    if records := about(store, digest, verifier):
        return records[0]
    try:
        return load(store, digest, verifier)
    except (AttestationError, IntegrityError) as error:
        if isinstance(error, AttestationError) and _is_artifact(store, digest):
            raise AttestationError(f"{digest}: no record of how it was made") from error
        raise


def _is_artifact(store: Store, digest: str) -> bool:
    try:
        get_manifest(store, digest)
    except IntegrityError:
        return False
    return True


def find_step(entry_point: str, allowed: tuple[str, ...] = ()) -> Step:
    """Import the step that a record names, if an allow-list admits its module.

    Args:
        entry_point: `module:name`.
        allowed: Import prefixes besides the library's components.

    Raises:
        UsageError: The module is not admitted.
        StepError: The module has no such step (any more).
    """
    module_name, _, name = entry_point.partition(":")
    admitted = (*STEP_MODULES, *allowed)
    if not any(f"{module_name}.".startswith(f"{prefix}.") for prefix in admitted):
        raise UsageError(
            f"the record names the step {entry_point!r}, which is outside of assay.components; "
            f"if you trust it, admit it with --allow-module {module_name}"
        )
    try:
        step = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise StepError(
            f"step {entry_point!r} is not in this version of the code; check out the commit that "
            "its record names"
        ) from error
    if not isinstance(step, Step):
        raise StepError(f"{entry_point!r} is not a step")
    return step
