"""Check all blobs and references of a store, and repair them from a copy.

1. Each blob is read and hashed.
2. The files of each manifest, and the outputs and inputs of each attestation, must exist.
3. Each pointer must refer to an attestation that it belongs to, each pin to an artifact.
4. Each plain copy must have the files of its artifact.
5. The store must contain files and folders only.
6. The caller may add checks, such as of the release log.

The store may change during the check. Writers store children before parents, and the garbage
collector removes parents before children. Therefore a blob is reported as missing only if it does
not exist and the reference to it still exists when it is checked afterwards.

Damaged and missing blobs are fetched from a second store, if one is given, and verified; then the
references of a repaired manifest or attestation are checked. Plain copies, and pointers from
artifacts to attestations, are derived from blobs, so they are repaired without a second store. A
cache entry that cannot be read is removed.
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

MAX_NAMED = 20
"""Maximum number of findings in an error."""
Check = Callable[[Store, Verifier | None], Iterable["Finding"]]
"""An additional check, called after those of blobs and pointers."""
_HINTS = ("referrers/", "dependents/")
POINTER_KINDS = ("cache/", "referrers/", "dependents/", "pins/")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a store."""

    what: str
    """A digest, the name of a pointer, a key, or `plain copy DIGEST`."""
    problem: str
    """One line."""
    mended: bool
    note: bool = False
    """Whether it is harmless."""

    @property
    def state(self) -> str:
        """`note`, `repaired` or `broken`."""
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
    """The result of a check."""

    blobs: int = 0
    size: int = 0
    """Bytes of all blobs."""
    references: int = 0
    """Number of references in manifests and attestations, pointers, pins and plain copies."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def broken(self) -> list[Finding]:
        """Findings that were not repaired."""
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
        store: The store.
        verifier: The configured keys; None accepts unsigned attestations.
        source: A copy of the store, to repair damaged and missing blobs from.
        progress: Called with the digest of each blob.
        repair: Create damaged plain copies and pointers again from the blobs of the store; implied
            by `source`.
        checks: Additional checks.

    Returns:
        The findings.

    Raises:
        StoreError: The store itself failed. Damage in it is reported in the result instead.
    """
    checked = _Check(store, verifier, source, progress, repair=repair or source is not None).run()
    for check in checks:
        checked.findings += check(store, verifier)
    return checked


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
        """Size in bytes of each blob that matches its digest."""
        self._bad: set[str] = set()
        """Damaged or missing blobs that are reported already."""
        self._removed: set[str] = set()
        """Blobs that were listed, and removed before they were read."""

    def run(self) -> Checked:
        listed = dict(self._store.iter_blobs())
        self._checked.blobs, self._checked.size = len(listed), sum(listed.values())
        problems = dict(zip(listed, parallel(self._problem_of, list(listed)), strict=True))
        self._good = {
            digest: size
            for digest, size in listed.items()
            if not problems[digest] and digest not in self._removed
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
            problem = f"is {what} and not a file; find out who created it, and remove it"
            self._checked.findings.append(Finding(key, problem, mended=False))
        return self._checked

    def _problem_of(self, digest: str) -> str:
        problem = ""
        try:
            self._store.verify(digest)
        except NotFoundError:
            # Removed since it was listed. Remaining references to it are reported.
            self._removed.add(digest)
        except IntegrityError as error:
            problem = str(error)
        self._progress(digest)
        return problem

    def _appeared(self, digest: str) -> bool:
        """Whether a valid blob was written after the listing."""
        try:
            self._good[digest] = self._store.verify(digest)
        except (IntegrityError, NotFoundError):
            return False
        self._follow(digest)
        return True

    def _require(self, blob: Descriptor, problem: str, still: Callable[[], bool]) -> None:
        """Report a damaged or missing blob once, and repair it if possible.

        Args:
            blob: The blob; its size is -1 if unknown.
            problem: Text of the finding.
            still: Whether the reference to the blob still exists; called if the blob does not.
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
        """Check the references of a valid blob."""
        try:
            kind = kind_of(self._store, digest, self._good[digest])
            names = names_of(self._store, digest, kind, self._verifier)
        except NotFoundError:
            return  # removed since it was read; remaining references to it are reported
        except IntegrityError as error:
            self._checked.findings.append(Finding(digest, str(error), mended=False))
            return
        for blob in (*names.files, *(Descriptor(artifact, -1) for artifact in names.artifacts)):
            self._checked.references += 1
            self._require(
                blob,
                f"missing: the {kind} {digest} refers to it",
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
                # If it was replaced or removed in the meantime, the error does not apply.
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
            f"missing: {pointer} refers to it",
            lambda: self._store.read_pointer(pointer) == content,
        )
        if target in self._bad or len(self._checked.findings) > before:
            self._drop_hint(pointer, target, content)
            return  # reported already, or just repaired
        if pointer.startswith("pins/"):
            get_manifest(self._store, target)
            return
        attestation = load(self._store, target, self._verifier)
        if pointer.startswith("cache/"):
            belongs = pointer == f"cache/{hex_of(attestation.step_key)}"
        else:
            belongs = pointer in pointers_of(attestation, target)
            if self._store.read_pointer(pointer) != target.encode():
                raise IntegrityError(f"{pointer}: does not contain the digest in its name")
        if not belongs:
            raise IntegrityError(f"{pointer}: refers to an attestation of something else")

    def _drop_hint(self, pointer: str, target: str, content: bytes | None) -> None:
        """With `repair`, remove a hint whose target does not exist."""
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
        """Restore a pointer from its name, or remove a cache entry that cannot be read."""
        try:
            target = target_of(self._store, pointer)
        except IntegrityError:
            # A cache entry is only a hint; without it the step is executed.
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
                # Repeated, because it may have been created or removed while it was listed.
                notes = plain_copies.verify(self._store, get_manifest(self._store, digest))
        except (IntegrityError, NotFoundError) as error:
            mended = self._repair and self._remake(digest)
            self._checked.findings.append(Finding(what, str(error), mended=mended))
            return
        for note in notes:
            self._checked.findings.append(Finding(what, note, mended=False, note=True))

    def _remake(self, digest: str) -> bool:
        """Create a plain copy again from the blobs of the artifact."""
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
    """Raise an error if findings were not repaired.

    Raises:
        IntegrityError: Lists the first findings, and gives the number of the others.
    """
    if broken := checked.broken:
        lines = [f"{finding.what}: {finding.problem}" for finding in broken[:MAX_NAMED]]
        if more := len(broken) - len(lines):
            lines.append(f"and {more} more (all of them: assay store fsck --json)")
        raise IntegrityError(
            f"{len(broken)} of {len(checked.findings)} findings are not repaired; repair plain "
            "copies and pointers with --repair, and the rest from a copy of the store with "
            "--from URL: " + "; ".join(lines)
        )
