"""Every blob against its name, every reference against what it leads to; repairs from a copy.

1. Each blob is read and hashed.
2. Each manifest's files and each attestation's outputs and inputs must be there.
3. Each pointer must lead to an attestation that it belongs to, each pin to an artifact.
4. Each plain copy must hold the files of its artifact.
5. Nothing but files and folders may lie in the store.
6. Further checks, such as of the release log, are those that the caller gives.

Others may write and collect meanwhile. They write children before parents and remove parents
before children, so something is missing only if it is not there when it is looked for, and what
names it is still there when it is looked for after that.

With a second store, what is damaged or missing is fetched from there, checked against its name, and
put in its place; what a repaired manifest or attestation names is looked at in turn. Plain copies,
and pointers from artifacts to attestations, are derived from blobs, so they are repaired without a
second store; a cache entry that cannot be read is removed.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.core import plain_copies
from assay.core.attestation import load
from assay.core.attestation import pointers as pointers_of
from assay.core.digest import hex_of
from assay.core.maintenance.names import kind_of, names_of, target_of
from assay.core.manifest import Descriptor
from assay.core.parallel import parallel
from assay.core.signing import Verifier
from assay.core.store import Store
from assay.core.tree import get_manifest
from assay.errors import AssayError, IntegrityError, NotFoundError

MAX_TOLD = 20
Check = Callable[[Store, Verifier | None], Iterable["Finding"]]
"""Says what is broken beyond blobs and pointers; asked last."""
_HINTS = ("referrers/", "dependents/")
POINTER_KINDS = ("cache/", "referrers/", "dependents/", "pins/")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    what: str
    """A digest, a pointer's name, a key, or `plain copy DIGEST`."""
    problem: str
    """One line."""
    mended: bool
    note: bool = False
    """Odd, and no damage."""

    @property
    def state(self) -> str:
        """In a word."""
        return "note" if self.note else "repaired" if self.mended else "broken"

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "what": self.what,
            "problem": self.problem,
            "mended": self.mended,
            "state": self.state,
        }


@dataclass(slots=True)
class Checked:
    """What a check looked at, and what it found."""

    blobs: int = 0
    size: int = 0
    """Bytes of all blobs."""
    references: int = 0
    """Names in manifests and attestations, pointers, pins and plain copies."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def broken(self) -> list[Finding]:
        """What is left broken."""
        return [finding for finding in self.findings if finding.state == "broken"]


def fsck(
    store: Store,
    verifier: Verifier | None,
    source: Store | None = None,
    progress: Callable[[str], None] = lambda _: None,
    *,
    repair: bool = False,
    checks: Sequence[Check] = (),
) -> Checked:
    """Check a whole store.

    Args:
        store: Which store.
        verifier: Whose signatures count; None asks for none.
        source: A copy of the store from which to repair what is damaged or missing.
        progress: Told each blob's digest.
        repair: Make damaged plain copies and pointers again from the store's blobs; implied by
            `source`.
        checks: Further ones.

    Raises:
        StoreError: The store itself failed; what is found in it is in the result instead.
    """
    found = _Check(store, verifier, source, progress, repair=repair or source is not None).run()
    for check in checks:
        found.findings += check(store, verifier)
    return found


class _Check:
    def __init__(
        self,
        store: Store,
        verifier: Verifier | None,
        source: Store | None,
        progress: Callable[[str], None],
        *,
        repair: bool,
    ) -> None:
        self._store = store
        self._verifier = verifier
        self._source = source
        self._progress = progress
        self._repair = repair
        self._checked = Checked()
        self._good: dict[str, int] = {}
        """Size in bytes of each blob that is what its name says."""
        self._bad: set[str] = set()
        """Damaged or missing, and told."""
        self._gone: set[str] = set()
        """Listed, and removed before they were read."""

    def run(self) -> Checked:
        listed = dict(self._store.iter_blobs())
        self._checked.blobs, self._checked.size = len(listed), sum(listed.values())
        problems = dict(zip(listed, parallel(self._problem_of, list(listed)), strict=True))
        self._good = {
            digest: size
            for digest, size in listed.items()
            if not problems[digest] and digest not in self._gone
        }
        for digest, problem in problems.items():
            if problem:
                self._require(Descriptor(digest, -1), problem, lambda d=digest: self._store.has(d))  # type: ignore[misc]
        for digest in list(self._good):
            self._follow(digest)
        for prefix in POINTER_KINDS:
            for pointer in self._store.list_pointers(prefix):
                self._checked.references += 1
                self._check_pointer(pointer)
        for digest in sorted(plain_copies.listed(self._store)):
            self._checked.references += 1
            self._check_plain_copy(digest)
        for key, what in self._store.special_files():
            problem = f"is {what} and not a file; see who put it there, and remove it"
            self._checked.findings.append(Finding(key, problem, mended=False))
        return self._checked

    def _problem_of(self, digest: str) -> str:
        problem = ""
        try:
            self._store.verify(digest)
        except NotFoundError:
            # Removed since it was listed. What still names it says so.
            self._gone.add(digest)
        except IntegrityError as error:
            problem = str(error)
        self._progress(digest)
        return problem

    def _appeared(self, digest: str) -> bool:
        """Whether a blob is there that was not when all were listed; and is good."""
        try:
            self._good[digest] = self._store.verify(digest)
        except (IntegrityError, NotFoundError):
            return False
        self._follow(digest)
        return True

    def _require(self, blob: Descriptor, problem: str, still: Callable[[], bool]) -> None:
        """A blob must be good; one that is not is reported once, and repaired if that is possible.

        Args:
            blob: Its size is -1 where nothing says it.
            problem: What to tell.
            still: Whether what names the blob is there, asked after the blob was not.
        """
        if blob.digest in self._bad:
            return
        size = self._good.get(blob.digest)
        if size is None and self._appeared(blob.digest):
            size = self._good[blob.digest]
        if size is not None and blob.size in {-1, size}:
            return
        if not still():
            return
        if size is not None:
            problem = f"{problem}, with {blob.size} bytes, and it has {size}"
            self._checked.findings.append(Finding(blob.digest, problem, mended=False))
            return
        mended = self._mend(blob.digest)
        self._checked.findings.append(Finding(blob.digest, problem, mended=mended))
        if mended:
            self._follow(blob.digest)
        else:
            self._bad.add(blob.digest)

    def _mend(self, digest: str) -> bool:
        if self._source is None:
            return False
        with tempfile.TemporaryDirectory(prefix="assay-") as folder:
            copy = Path(folder) / "blob"
            try:
                size = self._source.size_of(digest)
                if size is None:
                    return False
                self._source.get_file(Descriptor(digest, size), copy)
            except (IntegrityError, NotFoundError):
                return False
            self._store.replace_blob(Descriptor(digest, size), copy)
        self._good[digest] = size
        return True

    def _follow(self, digest: str) -> None:
        """Look at what a good blob names."""
        try:
            kind = kind_of(self._store, digest, self._good[digest])
            names = names_of(self._store, digest, kind, self._verifier)
        except NotFoundError:
            return  # removed since it was read; what still names it says so
        except IntegrityError as error:
            self._checked.findings.append(Finding(digest, str(error), mended=False))
            return
        for blob in (*names.files, *(Descriptor(artifact, -1) for artifact in names.artifacts)):
            self._checked.references += 1
            self._require(
                blob,
                f"missing: the {kind} {digest} names it",
                lambda: self._store.has(digest),
            )

    def _check_pointer(self, pointer: str) -> None:
        while True:
            before = self._store.read_pointer(pointer)
            if before is None:
                return  # removed since it was listed
            try:
                self._require_pointer(pointer)
            except AssayError as error:
                # Replaced or removed while it was followed, it leads elsewhere or nowhere.
                if self._store.read_pointer(pointer) != before:
                    continue
                mended = self._mend_pointer(pointer) or (
                    self._repair and self._renew_pointer(pointer, before)
                )
                self._checked.findings.append(Finding(pointer, str(error), mended=mended))
            return

    def _require_pointer(self, pointer: str) -> None:
        content = self._store.read_pointer(pointer)
        target = target_of(self._store, pointer)
        before = len(self._checked.findings)
        self._require(
            Descriptor(target, -1),
            f"missing: {pointer} leads to it",
            lambda: self._store.read_pointer(pointer) == content,
        )
        if target in self._bad or len(self._checked.findings) > before:
            self._drop_hint(pointer, target, content)
            return  # reported already, or repaired just now
        if pointer.startswith("pins/"):
            get_manifest(self._store, target)
            return
        attestation = load(self._store, target, self._verifier)
        if pointer.startswith("cache/"):
            belongs = pointer == f"cache/{hex_of(attestation.step_key)}"
        else:
            belongs = pointer in pointers_of(attestation, target)
            if self._store.read_pointer(pointer) != target.encode():
                raise IntegrityError(f"{pointer}: does not hold the digest it is named after")
        if not belongs:
            raise IntegrityError(f"{pointer}: the attestation it leads to is about something else")

    def _drop_hint(self, pointer: str, target: str, content: bytes | None) -> None:
        """With `repair`, remove a hint that leads to nothing, which nothing is lost with."""
        if not (self._repair and pointer.startswith(_HINTS)) or self._store.has(target):
            return
        if content is not None and self._store.read_pointer(pointer) == content:
            self._store.remove_pointer(pointer)
            self._checked.findings.append(
                Finding(pointer, f"leads to {target}, which is not in the store", mended=True)
            )

    def _mend_pointer(self, pointer: str) -> bool:
        if self._source is None:
            return False
        content = self._source.read_pointer(pointer)
        if content is None:
            return False
        before = self._store.read_pointer(pointer)
        self._store.write_pointer(pointer, content)
        try:
            self._require_pointer(pointer)
        except AssayError:
            self._store.write_pointer(pointer, before or b"")
            return False
        return True

    def _renew_pointer(self, pointer: str, before: bytes) -> bool:
        """Write a pointer again as its name says, or remove a cache entry that cannot be read."""
        try:
            target = target_of(self._store, pointer)
        except IntegrityError:
            # A cache entry is a hint, without which the step is computed.
            if not pointer.startswith("cache/") or self._store.read_pointer(pointer) != before:
                return False
            self._store.remove_pointer(pointer)
            return True
        try:
            if pointer not in pointers_of(load(self._store, target, self._verifier), target):
                return False
        except AssayError:
            return False
        self._store.write_pointer(pointer, target.encode())
        return True

    def _check_plain_copy(self, digest: str) -> None:
        what = f"plain copy {digest}"
        try:
            try:
                notes = plain_copies.verify(self._store, get_manifest(self._store, digest))
            except (IntegrityError, NotFoundError):
                if digest not in plain_copies.listed(self._store):
                    return  # removed since it was listed
                # Again, because it may have been made or removed while it was listed.
                notes = plain_copies.verify(self._store, get_manifest(self._store, digest))
        except (IntegrityError, NotFoundError) as error:
            mended = self._repair and self._remake(digest)
            self._checked.findings.append(Finding(what, str(error), mended=mended))
            return
        for note in notes:
            self._checked.findings.append(Finding(what, note, mended=False, note=True))

    def _remake(self, digest: str) -> bool:
        """Make a plain copy again from the artifact's blobs."""
        try:
            manifest = get_manifest(self._store, digest)
            if any(self._good.get(blob.digest) != blob.size for blob in manifest.blobs):
                return False
            plain_copies.remove(self._store, digest)
            plain_copies.make(self._store, manifest)
        except (IntegrityError, NotFoundError):
            return False
        return True


def require_whole(checked: Checked) -> None:
    """Raise for what is left broken.

    Raises:
        IntegrityError: Names the first offenders, and counts the others.
    """
    if broken := checked.broken:
        told = [f"{finding.what}: {finding.problem}" for finding in broken[:MAX_TOLD]]
        if more := len(broken) - len(told):
            told.append(f"and {more} more (all of them: assay store fsck --json)")
        raise IntegrityError(
            f"{len(broken)} of {len(checked.findings)} findings are left broken; repair plain "
            "copies and pointers with --repair, and the rest from a copy of the store with "
            "--from URL: " + "; ".join(told)
        )
