"""Execute a step: check its inputs, look up the cache, run it, and store its outputs.

The order matters:

1. Inputs are given by digest; their manifests are read, verified, and must have the declared kind.
2. Sources (external data) are fetched and hashed, so that they have a digest too.
3. The step key covers everything that the result depends on. If the cache has a valid attestation
   for the key, and all of its outputs are in the store, these are returned.
4. Otherwise inputs are extracted into a work folder, read-only and verified, and the step runs;
   files of `Lazy` inputs are extracted when it asks for them.
5. Outputs are stored, files before manifests; then the attestation; then the cache entry. A process
   that is killed at any point leaves nothing that looks like a completed execution.
"""

import contextlib
import errno
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final

from assay.core import code_identity as code
from assay.core import findings
from assay.core.attestation import (
    Attestation,
    OutputReference,
    RunDetails,
    SourceReference,
    load,
    save,
    step_key,
)
from assay.core.digest import canonical_json, hex_of, is_digest, parse_canonical_json
from assay.core.findings import Finding
from assay.core.manifest import Descriptor, Manifest
from assay.core.parallel import parallel
from assay.core.resolve import Named, is_short, moves, resolve
from assay.core.signing import Signer, Verifier
from assay.core.source import fetch
from assay.core.step import Artifact, Out, Port, Services, Source, Step
from assay.core.store import Store
from assay.core.store.removal import Watch
from assay.core.tree import claim, get_file, get_manifest, get_tree, put_tree
from assay.documents import some
from assay.errors import (
    AssayError,
    IntegrityError,
    NotFoundError,
    StepError,
    StoreError,
    UsageError,
)
from assay.printable import without_secrets

logger = logging.getLogger(__name__)

MAX_VALUE_BYTES: Final = 64 << 10
"""Limit for values, which are passed as KFP parameters."""


class CacheMode(StrEnum):
    """How an execution uses the step cache."""

    READ_WRITE = "read-write"
    """Read and write it."""
    OFF = "off"
    """Ignore it."""
    REFRESH = "refresh"
    """Execute the step again, and replace the entry."""


@dataclass(frozen=True, slots=True)
class Context:
    """The environment of executions."""

    store: Store
    cache: CacheMode = CacheMode.READ_WRITE
    signer: Signer | None = None
    verifier: Verifier | None = None
    image: str = ""
    """Reference of the running container image; empty outside of containers."""
    invocation: str = ""
    """The id of the run, which occurs in the run details of the attestation only."""
    work_root: Path | None = None
    """Parent of the work folders; the temporary folder of the system by default."""
    max_source_bytes: int | None = None
    """Maximum size of an external source in bytes; None for no limit."""
    named: Named | None = None
    """Resolves registered models; None if inputs are given by digest only."""


@dataclass(frozen=True, slots=True)
class Execution:
    """The result of an execution."""

    step: str
    outputs: Mapping[str, str]
    """Digest by output name; "" for an optional output that the step left empty."""
    values: Mapping[str, Any]
    attestation: str
    step_key: str
    cached: bool
    seconds: float = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Bound:
    """Arguments grouped by the annotations of the step."""

    inputs: Mapping[str, str | list[str]]
    manifests: Mapping[str, Manifest]
    """By digest."""
    locations: Mapping[str, str]
    parameters: Mapping[str, Any]
    recorded: Mapping[str, Any]
    """The parameters as stored in the attestation, with secrets removed from URLs."""

    @property
    def holds_secrets(self) -> bool:
        """Whether secrets were removed from the stored parameters."""
        return self.parameters != self.recorded


def execute(step: Step, arguments: Mapping[str, Any], context: Context) -> Execution:
    """Run a step, or return its result from the cache.

    Args:
        step: The step.
        arguments: By name: digests for inputs ("" or None for an absent optional one), locations
            for sources, JSON values for parameters.
        context: Store, cache mode, keys.

    Returns:
        The result.

    Raises:
        UsageError: Arguments do not fit the step; the message lists all of them.
        IntegrityError: An input does not match its digest.
        NotFoundError: An input is not in the store.
        StepError: The step violated its contract: a missing output, a changed input, an invalid
            value.
    """
    begin, started = time.monotonic(), _now()
    bound = _bind(step, arguments, context)
    with _work_folder(context.work_root) as root:
        sources = {
            name: _fetch(name, location, root, context)
            for name, location in bound.locations.items()
            if location
        }
        identity = code.identity(step)
        key = step_key(
            step.name,
            identity.digest,
            bound.recorded,
            bound.inputs,
            {name: source.digest for name, source in sources.items()},
        )
        if bound.holds_secrets and not step.side_effects:
            # The key does not contain secrets, so two different secrets would share a cache entry.
            context = replace(context, cache=CacheMode.OFF)
        if identity.missing:
            # Nor does it know their code, which may be another one next time.
            context = replace(context, cache=CacheMode.OFF)
        watch = Watch(context.store)
        previous, current = _cached(step, key, context, watch)
        if previous is not None and current:
            seconds = time.monotonic() - begin
            return _execution(step, previous.attestation, cached=True, seconds=seconds)
        claim(context.store, bound.manifests.values(), watch)
        outputs, values = _run(step, bound, sources, root, context, context.store, watch)
        if identity.missing and not step.side_effects:
            values = _with_missing(values, identity.missing)
    attestation = Attestation(
        step=step.name,
        entry_point=step.entry_point,
        code=identity,
        parameters=bound.recorded,
        inputs=bound.inputs,
        sources={
            name: SourceReference(source.digest, source.uri) for name, source in sources.items()
        },
        outputs=outputs,
        values=values,
        side_effects=step.side_effects,
        details=RunDetails(started, _now(), context.invocation),
        image=context.image,
        git=code.commit(),
    )
    digest = save(attestation, context.store, context.signer)
    if previous is not None:
        _warn_if_irreproducible(step, previous.attestation, attestation)
    if not step.side_effects and context.cache is not CacheMode.OFF:
        _point(context.store, key, digest)
    return Execution(
        step=step.name,
        outputs=_all_outputs(step, outputs),
        values=values,
        attestation=digest,
        step_key=key,
        cached=False,
        seconds=time.monotonic() - begin,
    )


def _with_missing(values: Mapping[str, Any], modules: tuple[str, ...]) -> dict[str, Any]:
    """A step's values with a finding on the modules that its code identity does not cover."""
    finding = Finding(
        "code-not-found",
        f"the step imports {', '.join(some(modules, str, findings.MAX_NAMED))}, of which the code "
        "is not found, so its result is not kept in the cache; install the module, put it on "
        "Python's path, or remove the import",
    )
    return {**values, findings.VALUE: [*findings.lines(values), finding.line]}


def _cached(step: Step, key: str, context: Context, watch: Watch) -> tuple["_Answer | None", bool]:
    """The cache entry of a key, and whether its outputs can be used."""
    answer = _lookup(step, key, context)
    while answer is not None and context.cache is CacheMode.READ_WRITE:
        # The entry is written again first, so that a later garbage collection keeps the outputs.
        # A collection that started earlier may be about to remove them.
        if not context.store.is_recent(_pointer_of(key)):
            _point(context.store, key, answer.attestation.digest)
        if not watch.touched(answer.names):
            return answer, True
        answer = _lookup(step, key, context)
    return answer, False


@contextlib.contextmanager
def _work_folder(parent: Path | None) -> Iterator[Path]:
    """A temporary folder for one execution; a full disk is reported as one error.

    Raises:
        StoreError: The folder cannot be created, or its disk is full.
    """
    parent = parent or Path(tempfile.gettempdir())
    remedy = "make room, or set ASSAY_WORK to a folder on another disk"
    try:
        work = tempfile.TemporaryDirectory(prefix="assay-", dir=parent)
    except OSError as error:
        raise StoreError(
            f"cannot create a work folder in {parent}: {error.strerror}; {remedy}"
        ) from error
    with work as name:
        try:
            yield Path(name).resolve()
        except Exception as error:
            if (number := _disk_full(error)) is None:
                raise
            raise StoreError(
                f"no space left for the work folder {parent}: {os.strerror(number)}; {remedy}"
            ) from error


def _disk_full(error: Exception) -> int | None:
    """The error number if `error` or one of its causes reports a full disk.

    MLflow wraps the error of the disk in its own. `shutil.copytree` raises an error without a
    number, whose text contains those of the original errors.
    """
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, AssayError):
        if isinstance(cause, shutil.Error):
            texts = str(cause)
            return next((number for number in full if f"[Errno {number}]" in texts), None)
        if isinstance(cause, OSError) and cause.errno in full:
            return cause.errno
        cause = cause.__cause__
    return None


def _bind(step: Step, arguments: Mapping[str, Any], context: Context) -> _Bound:
    """Group the arguments; report all problems together."""
    arguments, problems = _resolved(step, arguments, context)
    inputs: dict[str, str | list[str]] = {name: arguments.get(name) or "" for name in step.inputs}
    inputs |= {name: _digests(arguments.get(name) or "") for name in step.list_inputs}
    manifests = _manifests(step, inputs, context, problems)
    locations = _locations(step, arguments, problems)
    known = {*inputs, *locations, *step.outputs, *step.services}
    others = {name: value for name, value in arguments.items() if name not in known}
    try:
        # Converted to JSON and back, because KFP passes 1 as 1.0 inside lists and objects: the
        # values that the step gets must be those that the key covers.
        parameters = json.loads(canonical_json(step.bind_parameters(others)))
    except UsageError as error:
        problems.append(str(error))
        parameters = {}
    if problems:
        raise UsageError.all_of(problems)
    return _Bound(inputs, manifests, locations, parameters, without_secrets(parameters, given=True))


def _locations(step: Step, arguments: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    """The locations of the sources; adds missing ones to `problems`."""
    locations = {name: arguments.get(name) or "" for name in step.sources}
    problems += [
        f"{step.name}: source {name!r} is missing; give a path, a URL or a digest"
        for name, location in locations.items()
        if not location and not step.sources[name]
    ]
    return locations


def _manifests(
    step: Step,
    inputs: Mapping[str, str | list[str]],
    context: Context,
    problems: list[str],
) -> dict[str, Manifest]:
    """The manifests of the inputs by digest; adds missing inputs and other kinds to `problems`."""
    manifests: dict[str, Manifest] = {}
    for name, port in {**step.inputs, **step.list_inputs}.items():
        digests = _digests(inputs[name])
        if not digests and not port.optional:
            problems.append(f"{step.name}: input {name!r} is missing; give an artifact's digest")
        for digest in filter(is_digest, digests):  # others are reported already
            manifests[digest] = get_manifest(context.store, digest)
            problems += _kind_problems(f"{step.name}: input {name!r}", port, manifests[digest])
    return manifests


def _resolved(
    step: Step, arguments: Mapping[str, Any], context: Context
) -> tuple[dict[str, Any], list[str]]:
    """The arguments with full digests, and the problems of those that cannot be resolved."""
    resolved, problems = dict(arguments), []

    def full(value: Any, what: str) -> Any:
        if is_digest(value):
            return value
        if moves(value) and not step.side_effects:
            # KFP's cache key contains the parameter only, and the alias may have moved since.
            problems.append(
                f"{what}: {value!r} may name another model tomorrow, and this step is cached; give "
                "the digest or MODEL/VERSION"
            )
            return value
        try:
            text = value if isinstance(value, str) else repr(value)
            return resolve(text, context.store, what, context.named)
        except (UsageError, NotFoundError) as error:
            problems.append(str(error))
            return value

    for name in (*step.inputs, *step.digests):
        if value := arguments.get(name):
            resolved[name] = full(value, f"{step.name}: {name}")
    for name in step.list_inputs:
        digests = _digests(arguments.get(name) or "")
        resolved[name] = [
            full(value, f"{step.name}: {name} {number}") for number, value in enumerate(digests, 1)
        ]
    for name in step.sources:
        if is_short(value := arguments.get(name)):
            resolved[name] = full(value, f"{step.name}: {name}")
    return resolved, problems


def _digests(value: Any) -> list[str]:
    if isinstance(value, list):
        # An empty item is kept, so that it is refused; dropping it would silently omit evidence.
        return value
    return [value] if value else []


def _kind_problems(what: str, port: Port, manifest: Manifest) -> list[str]:
    # A base kind such as Evidence has no type and accepts every artifact; the step reports
    # artifacts without the file that it reads.
    expected = port.kind.type
    if not expected or manifest.artifact_type == expected:
        return []
    problem = f"expected an artifact of type {expected}, got {manifest.artifact_type}"
    return [f"{what}: {problem}; inspect it with: assay show {manifest.digest}"]


def _fetch(name: str, location: str, root: Path, context: Context) -> Source:
    folder = root / "sources" / name
    folder.mkdir(parents=True)
    return fetch(location, folder, store=context.store, max_bytes=context.max_source_bytes)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A usable cache entry."""

    attestation: Attestation
    names: list[str]
    """Digests of the attestation, its outputs and their files."""


def _lookup(step: Step, key: str, context: Context) -> _Answer | None:
    """The valid attestation of `key` whose outputs are all in the store, if there is one."""
    if step.side_effects or context.cache is CacheMode.OFF:
        return None
    pointer = context.store.read_pointer(_pointer_of(key))
    if pointer is None:
        return None
    try:
        digest = read_cache_pointer(pointer)
        attestation = load(context.store, digest, context.verifier)
        if attestation.step_key != key:
            raise IntegrityError(f"attestation {digest} is about another step key")  # noqa: TRY301
        names = require_outputs(context.store, attestation)
    except (IntegrityError, NotFoundError) as error:
        # Not an error of this run: the entry is ignored, and the step is executed.
        logger.warning("%s: cached answer not used: %s", step.name, error)
        return None
    return _Answer(attestation, [digest, *names])


def _point(store: Store, key: str, attestation: str) -> None:
    store.write_pointer(_pointer_of(key), canonical_json({"attestation": attestation}))


def _pointer_of(key: str) -> str:
    return f"cache/{hex_of(key)}"


def read_cache_pointer(pointer: bytes) -> str:
    """The digest of the attestation in a cache entry.

    Raises:
        IntegrityError: The entry does not have the format in docs/format.md.
    """
    raw = parse_canonical_json(pointer, "cache entry")
    if isinstance(raw, dict) and list(raw) == ["attestation"] and is_digest(raw["attestation"]):
        return str(raw["attestation"])
    raise IntegrityError("cache entry: not an object that names an attestation; it was altered")


def require_outputs(store: Store, attestation: Attestation) -> list[str]:
    """Check that all outputs of an attestation are in the store, and return their blobs' digests.

    Raises:
        NotFoundError: Blobs are missing or have another size.
        IntegrityError: A manifest is damaged, or its type differs from that in the attestation.
    """
    blobs: list[Descriptor] = []
    for name, output in attestation.outputs.items():
        manifest = get_manifest(store, output.digest)
        if manifest.artifact_type != output.artifact_type:
            raise IntegrityError(f"output {name!r} is of type {manifest.artifact_type}")
        blobs += manifest.blobs
    if missing := store.missing(blobs):
        raise NotFoundError(
            f"{len(missing)} of {len(blobs)} files are missing or cut short, first {missing[0]}"
        )
    outputs = [output.digest for output in attestation.outputs.values()]
    return [*outputs, *(blob.digest for blob in blobs)]


def rerun(step: Step, attestation: Attestation, context: Context, scratch: Store) -> Attestation:
    """Repeat an execution.

    Args:
        step: The step of the attestation.
        attestation: The execution to repeat.
        context: The environment; its store has the inputs.
        scratch: Gets the outputs, so that those of an irreproducible step do not remain.

    Returns:
        The attestation of the repeated execution, which is not stored.

    Raises:
        UsageError: The step has side effects, which would be repeated, or a source has changed.
    """
    if step.side_effects:
        raise UsageError(f"step {step.name} has side effects, which running it again would repeat")
    locations = {name: source.uri for name, source in attestation.sources.items()}
    arguments = {**attestation.parameters, **attestation.inputs, **locations}
    bound = _bind(step, arguments, context)
    with _work_folder(context.work_root) as root:
        sources = {
            name: _fetch(name, location, root, context) for name, location in locations.items()
        }
        for name, source in sources.items():
            expected = attestation.sources[name].digest
            if source.digest != expected:
                raise UsageError(
                    f"{source.uri} has changed: expected {expected}, got {source.digest}; restore "
                    "the original file to reproduce"
                )
        outputs, values = _run(step, bound, sources, root, context, scratch)
    return replace(
        attestation,
        code=code.identity(step),
        outputs=outputs,
        values=values,
        digest="",
        signed_by="",
    )


def _run(
    step: Step,
    bound: _Bound,
    sources: Mapping[str, Source],
    root: Path,
    context: Context,
    target: Store,
    watch: Watch | None = None,
) -> tuple[dict[str, OutputReference], dict[str, Any]]:
    """Extract the inputs, run the step, and store the outputs in `target`."""
    whole = _whole(step, bound)
    folders = {
        digest: _extract(manifest, root / "inputs" / hex_of(digest), context.store)
        for digest, manifest in bound.manifests.items()
        if digest in whole
    }
    before = _stamp(root / "inputs")
    outs: dict[str, Out[Any]] = {}
    for name in step.outputs:
        path = root / "outputs" / name
        path.mkdir(parents=True)
        outs[name] = Out(path)
    services = Services(context.store, context.verifier)
    returned = step(
        **_artifacts(step, bound, folders, root / "lazy", context.store),
        **{name: sources.get(name) for name in step.sources},
        **bound.parameters,
        **outs,
        **dict.fromkeys(step.services, services),
    )
    if _stamp(root / "inputs") != before:
        raise StepError(f"step {step.name} changed its inputs; inputs are read-only")
    values = _checked_values(step, returned)
    outputs = {}
    for name, out in outs.items():
        reference = _store_output(step, name, out, target, watch)
        if reference is not None and context.cache is not CacheMode.READ_WRITE:
            # Storing looks only at the size of a blob that exists; it may be damaged.
            if _remove_damaged(step, [reference.digest], target):
                _store_output(step, name, out, target, watch)
            blobs = get_manifest(target, reference.digest).blobs
            if _remove_damaged(step, (blob.digest for blob in blobs), target):
                _store_output(step, name, out, target, watch)
        if reference is not None:
            outputs[name] = reference
    if not outputs:
        raise StepError(f"step {step.name} wrote no output")
    return outputs, values


def _extract(manifest: Manifest, target: Path, store: Store) -> Path:
    target.parent.mkdir(exist_ok=True)
    get_tree(store, manifest, target)
    return target


def _whole(step: Step, bound: _Bound) -> set[str]:
    """The digests of the inputs that are extracted before the step runs."""
    names = [name for name, port in step.inputs.items() if not port.lazy]
    return {
        digest for name in (*names, *step.list_inputs) for digest in _digests(bound.inputs[name])
    }


def _artifacts(
    step: Step, bound: _Bound, folders: Mapping[str, Path], lazy: Path, store: Store
) -> dict[str, Any]:
    def artifact(port: Port, digest: str) -> Artifact | None:
        if not digest:
            return None
        manifest = bound.manifests[digest]
        if digest in folders:
            return port.kind(folders[digest], digest, manifest.annotations)
        folder = lazy / hex_of(digest)
        fetch = partial(get_file, store, manifest, target=folder)
        return port.kind(folder, digest, manifest.annotations, fetch)

    arguments: dict[str, Any] = {
        name: artifact(port, str(bound.inputs[name])) for name, port in step.inputs.items()
    }
    for name, port in step.list_inputs.items():
        arguments[name] = [artifact(port, digest) for digest in bound.inputs[name]]
    return arguments


def _stamp(folder: Path) -> list[tuple[str, int, int]]:
    # Permissions do not apply to root, so sizes and times are compared as well.
    entries = []
    for parent, _, names in os.walk(folder):
        for name in names:
            info = os.stat(os.path.join(parent, name))  # noqa: PTH116, PTH118 - once per input file
            entries.append((f"{parent}/{name}", info.st_size, info.st_mtime_ns))
    return sorted(entries)


def _checked_values(step: Step, returned: Any) -> dict[str, Any]:
    values = dict(returned or {})
    for name, value in values.items():
        if not isinstance(value, str | int | float | bool | list):
            raise StepError(f"step {step.name}: value {name!r} is a {type(value).__name__}")
    if len(canonical_json(values)) > MAX_VALUE_BYTES:
        raise StepError(f"step {step.name}: values larger than {MAX_VALUE_BYTES} bytes")
    return values


def _store_output(
    step: Step, name: str, out: Out[Any], store: Store, watch: Watch | None
) -> OutputReference | None:
    port = step.outputs[name]
    if not any(out.path.iterdir()):
        if port.optional:
            return None
        raise StepError(f"step {step.name} wrote nothing into its output {name!r}")
    annotations = dict(out.annotations)
    if not port.kind.reproducible:
        annotations["reproducible"] = "false"
    manifest = put_tree(store, out.path, port.kind.type, annotations, watch)
    return OutputReference(manifest.digest, port.kind.type, port.kind.reproducible)


def _remove_damaged(step: Step, blobs: Iterable[str], store: Store) -> bool:
    """Remove blobs that are not what their names say, so that they are written again.

    Of a blob that is there, storing looks at the size only.
    """

    def remove(blob: str) -> bool:
        try:
            store.verify(blob)
        except IntegrityError as error:
            logger.warning("%s: damaged, and written again: %s", step.name, error)
            store.remove_blob(blob)
            return True
        return False

    return any(parallel(remove, sorted(set(blobs))))


def _warn_if_irreproducible(step: Step, previous: Attestation, now: Attestation) -> None:
    changed = irreproducible_outputs(previous, now)
    if changed:
        logger.warning(
            "%s: not reproducible: two executions with equal keys differ in %s",
            step.name,
            ", ".join(changed),
        )


def irreproducible_outputs(first: Attestation, second: Attestation) -> list[str]:
    """Names of reproducible outputs that differ between two attestations with equal step keys."""
    names = sorted(set(first.outputs) | set(second.outputs))
    return [
        name
        for name in names
        if (a := first.outputs.get(name)) != (b := second.outputs.get(name))
        and (a is None or b is None or a.reproducible or b.reproducible)
    ]


def _all_outputs(step: Step, outputs: Mapping[str, OutputReference]) -> dict[str, str]:
    return {name: outputs[name].digest if name in outputs else "" for name in step.outputs}


def _execution(step: Step, attestation: Attestation, *, cached: bool, seconds: float) -> Execution:
    return Execution(
        step=step.name,
        outputs=_all_outputs(step, attestation.outputs),
        values=attestation.values,
        attestation=attestation.digest,
        step_key=attestation.step_key,
        cached=cached,
        seconds=seconds,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
