"""Provenance: the executions that an artifact depends on, and their verification.

`passport` returns the executions behind an artifact; `verify` verifies all of their files.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from assay.core import code_identity, plain_copies
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

LOADED_BY_NAME: Final = ()
"""For the code identity: a step that is loaded to run again has a code identity of its own."""
STEP_MODULES: Final = ("assay.components",)
"""Import prefixes of the steps in attestations; those of users are allowed by an option."""

Progress = Callable[[str], None]
Trust = Callable[[Attestation], bool]
"""Whether the step of an attestation counts."""


def from_library(attestation: Attestation) -> bool:
    """Whether a step of the library made it, with the code of this installation."""
    if not _is_within(attestation.entry_point, STEP_MODULES):
        return False
    try:
        known = code_identity.identity_of(attestation.entry_point)
    except StepError:
        return False
    return attestation.code.has_sources_of(known)


def best(attestations: Sequence[Attestation], trusted: Trust = from_library) -> Attestation | None:
    """Of the attestations of one artifact, the one to follow and to show.

    Anybody who can run steps can write an attestation of an artifact that others made, with an
    earlier time, other parameters and other inputs. So the step that made it decides first, and
    the time last.

    Args:
        attestations: Of one artifact, oldest first.
        trusted: Which steps count.

    Returns:
        The first in this order: of a step that counts; of a step of the library in another
        version; with inputs, because an import names none; the oldest. None without attestations.
    """
    if len(attestations) < 2:  # noqa: PLR2004 - no choice, and no code to compare
        return next(iter(attestations), None)
    return min(
        attestations,
        key=lambda item: (
            not trusted(item),
            not _is_within(item.entry_point, STEP_MODULES),
            not item.input_digests(),
        ),
    )


def _is_within(entry_point: str, prefixes: Iterable[str]) -> bool:
    module = entry_point.partition(":")[0]
    return any(f"{module}.".startswith(f"{prefix}.") for prefix in prefixes)


@dataclass(slots=True)
class Node:
    """An artifact and the execution that made it."""

    digest: str
    artifact_type: str
    attestation: Attestation | None
    """None if the artifact has no attestation: its provenance is unknown."""
    other_attestations: int = 0
    """Number of further executions with the same output."""
    inputs: list[tuple[str, "Node"]] = field(default_factory=list)


def passport(
    store: Store, digest: str, verifier: Verifier | None, trusted: Trust = from_library
) -> Node:
    """The graph of executions behind an artifact; an artifact that is used twice is one node.

    If several executions have the same output, `best` selects one.

    Args:
        store: The store of the artifact.
        digest: Its digest.
        verifier: The configured keys; None accepts unsigned attestations.
        trusted: Which steps count, for `best`.

    Returns:
        The node of the artifact.

    Raises:
        AttestationError: An attestation is not valid.
        NotFoundError: The artifact does not exist.
    """
    known: dict[str, Node] = {}

    def walk(current: str) -> Node:
        if current in known:
            return known[current]
        manifest = get_manifest(store, current)
        attestations = about(store, current, verifier)
        chosen = best(attestations, trusted)
        node = Node(current, manifest.artifact_type, chosen, len(attestations[1:]))
        known[current] = node
        if chosen is not None:
            for name, value in chosen.inputs.items():
                values = value if isinstance(value, list) else [value]
                node.inputs += [(name, walk(item)) for item in values if item]
        return node

    return walk(digest)


def nodes(root: Node) -> Iterator[Node]:
    """Every node once, inputs before outputs."""
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
    """The number of objects of a successful verification."""

    artifacts: int
    attestations: int
    blobs: int
    size: int
    """Bytes."""


def verify(
    store: Store,
    digest: str,
    verifier: Verifier | None,
    progress: Progress | None = None,
    trusted: Trust = from_library,
) -> Verified:
    """Verify an artifact and everything that it depends on.

    1. Each artifact has a valid attestation: the bytes match the digest, the fields are consistent,
       and it is signed by a configured key if there are configured keys.
    2. The type of each artifact is that in its attestation.
    3. The size and digest of each file of each artifact match its manifest.
    4. The same holds for all inputs, recursively.

    This does not prove that the code is correct; `assay reproduce` repeats the executions.

    Args:
        store: The store of the artifact.
        digest: Its digest.
        verifier: The configured keys; None accepts unsigned attestations.
        progress: Called with the digest of each verified blob.
        trusted: Which steps count, where an artifact has several attestations.

    Returns:
        The number of verified objects.

    Raises:
        AttestationError: An attestation is missing or not valid.
        IntegrityError: Blobs do not match their digests; the message lists all of them.
        NotFoundError: A blob is not in the store.
    """
    chain = list(nodes(passport(store, digest, verifier, trusted)))
    problems: list[str] = []
    manifests: list[Manifest] = []
    for node in chain:
        if node.attestation is None:
            problems.append(f"no attestation of how {node.digest} ({node.artifact_type}) was made")
            continue
        manifest = get_manifest(store, node.digest)
        types = {out.digest: out.artifact_type for out in node.attestation.outputs.values()}
        if types[node.digest] != manifest.artifact_type:
            problems.append(f"the type of {node.digest} differs from that in its attestation")
        manifests.append(manifest)
    if problems:
        raise AttestationError.all_of(problems)
    blobs = verify_trees(store, manifests, progress)
    return Verified(len(chain), len(chain), len(blobs), sum(blob.size for blob in blobs))


def verify_store(
    store: Store, verifier: Verifier | None, progress: Progress | None = None
) -> Verified:
    """Verify everything in a store: blobs, attestations, cache entries, pointers and plain copies.

    Args:
        store: The store.
        verifier: The configured keys; None accepts unsigned attestations.
        progress: Called with the digest of each verified blob.

    Returns:
        The number of verified objects.

    Raises:
        IntegrityError: Something is damaged; the message lists all problems.
    """
    return _StoreVerification(store, verifier, progress).run()


class _StoreVerification:
    """Verifies a store and collects all problems."""

    def __init__(self, store: Store, verifier: Verifier | None, progress: Progress | None) -> None:
        self._store = store
        self._verifier = verifier
        self._progress = progress
        self._problems: list[str] = []
        self._attestations: dict[str, Attestation] = {}
        self._manifests: dict[str, Manifest] = {}

    def run(self) -> Verified:
        sizes = dict(self._store.iter_blobs())
        for digest in sizes:
            self._try(partial(self._verify_blob, digest))
            if self._progress is not None:
                self._progress(digest)
        self._verify_pointers()
        self._verify_artifacts()
        for digest in plain_copies.listed(self._store):
            self._try(partial(self._verify_plain_copy, digest))
        if self._problems:
            raise IntegrityError.all_of(dict.fromkeys(self._problems))
        return Verified(
            len(self._manifests), len(self._attestations), len(sizes), sum(sizes.values())
        )

    def _verify_pointers(self) -> None:
        for prefix in ("referrers/", "dependents/"):
            for pointer in self._store.list_pointers(prefix):
                self._try(partial(self._verify_hint, pointer), pointer)
        for pointer in self._store.list_pointers("cache/"):
            self._try(partial(self._verify_cache_entry, pointer), pointer)

    def _verify_artifacts(self) -> None:
        for attestation in self._attestations.values():
            self._try(partial(require_outputs, self._store, attestation))
            for output in attestation.outputs.values():
                self._try(partial(self._read_manifest, output.digest))
        for manifest in self._manifests.values():
            if manifest.packed:
                # The packs match their digests; the files in them must match the manifest too.
                self._try(partial(verify_trees, self._store, [manifest]))

    def _try(self, check: Callable[[], object], pointer: str = "") -> None:
        try:
            check()
        except AssayError as error:
            # A concurrent garbage collection removes pointers before their targets.
            if not pointer or self._store.read_pointer(pointer) is not None:
                self._problems.append(str(error))

    def _verify_blob(self, digest: str) -> None:
        try:
            self._store.verify(digest)
        except NotFoundError:
            # Removed since it was listed. Remaining references to it are reported.
            if self._store.has(digest):
                raise

    def _read_manifest(self, digest: str) -> None:
        self._manifests[digest] = get_manifest(self._store, digest)

    def _verify_plain_copy(self, digest: str) -> None:
        plain_copies.verify(self._store, get_manifest(self._store, digest))

    def _load(self, digest: str) -> Attestation:
        if digest not in self._attestations:
            self._attestations[digest] = load(self._store, digest, self._verifier)
        return self._attestations[digest]

    def _verify_hint(self, pointer: str) -> None:
        digest = PREFIX + pointer.rsplit("/", 1)[-1]
        if not is_digest(digest) or self._store.read_pointer(pointer) != digest.encode():
            raise IntegrityError(f"{pointer}: does not contain the digest in its name")
        if pointer not in pointers(self._load(digest), digest):
            raise IntegrityError(f"{pointer}: refers to an attestation of something else")

    def _verify_cache_entry(self, pointer: str) -> None:
        content = self._store.read_pointer(pointer) or b""
        try:
            digest = read_cache_pointer(content)
        except IntegrityError as error:
            raise IntegrityError(f"{pointer}: {error}") from error
        attestation = self._attestations.get(digest) or load(self._store, digest, self._verifier)
        if pointer != f"cache/{hex_of(attestation.step_key)}":
            raise IntegrityError(
                f"{pointer}: refers to an attestation with the step key {attestation.step_key}"
            )


def find_attestation(store: Store, digest: str, verifier: Verifier | None) -> Attestation:
    """The attestation with a digest, or the best attestation of the artifact with that digest.

    Args:
        store: The store of the attestation.
        digest: Digest of the attestation or of an artifact.
        verifier: The configured keys; None accepts unsigned attestations.

    Returns:
        The attestation.

    Raises:
        AttestationError: The artifact has no valid attestation.
        NotFoundError: The blob does not exist.
    """
    if (chosen := best(about(store, digest, verifier))) is not None:
        return chosen
    try:
        return load(store, digest, verifier)
    except (AttestationError, IntegrityError) as error:
        if isinstance(error, AttestationError) and _is_artifact(store, digest):
            raise AttestationError(f"{digest}: no attestation of how it was made") from error
        raise


def _is_artifact(store: Store, digest: str) -> bool:
    try:
        get_manifest(store, digest)
    except IntegrityError:
        return False
    return True


def find_step(entry_point: str, allowed: tuple[str, ...] = ()) -> Step:
    """Import the step of an attestation, if its module is on the allow-list.

    Args:
        entry_point: `module:name`.
        allowed: Import prefixes in addition to the components of the library.

    Raises:
        UsageError: The module is not allowed.
        StepError: The module does not have the step.
    """
    module_name, _, name = entry_point.partition(":")
    if not _is_within(entry_point, (*STEP_MODULES, *allowed)):
        raise UsageError(
            f"the step {entry_point!r} of the attestation is outside of assay.components; "
            f"if you trust it, admit it with --allow-module {module_name}"
        )
    try:
        step = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise StepError(
            f"step {entry_point!r} is not in this version of the code; check out the commit in its "
            "attestation"
        ) from error
    if not isinstance(step, Step):
        raise StepError(f"{entry_point!r} is not a step")
    return step
