"""Running a step: inputs checked and laid out, step key looked up, work done, outputs stored.

The order is the guarantee:

1. Inputs are named by digest; their manifests are read, checked, and must be of the right kind.
2. Sources (bytes of the outside world) are fetched and hashed, so that they have a name too.
3. The step key names everything the result is a function of. If the cache has an answer whose
   record can be believed and whose outputs are all in the store, that is the answer.
4. Otherwise inputs are laid out in a work folder, read-only and checked byte by byte, and the step
   runs.
5. Outputs are stored, files before manifests; then the record; then the cache's pointer. A process
   killed at any point leaves nothing that a reader could mistake for a finished execution.
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
from pathlib import Path
from typing import Any, Final

from assay.core import code_identity as code
from assay.core import findings
from assay.core.attestation import (
    Attestation,
    OutputRecord,
    RunDetails,
    SourceRecord,
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
from assay.core.tree import claim, get_manifest, get_tree, put_tree
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
"""Values travel as KFP parameters, which is no place for data."""


class CacheMode(StrEnum):
    """How an execution uses the step cache."""

    READ_WRITE = "read-write"
    """Answer from it, and add to it."""
    OFF = "off"
    """Neither ask it nor add to it."""
    REFRESH = "refresh"
    """Compute anew, and replace the answer."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where executions happen."""

    store: Store
    cache: CacheMode = CacheMode.READ_WRITE
    signer: Signer | None = None
    verifier: Verifier | None = None
    image: str = ""
    """Reference of the container image the process runs in; empty outside of containers."""
    invocation: str = ""
    """The run's id; stands in the record's run details and nowhere else."""
    work_root: Path | None = None
    """Where work folders are made; the system's temporary folder by default."""
    max_source_bytes: int | None = None
    """The most that is fetched from a location; no limit by default."""
    named: Named | None = None
    """Knows registered models; without it, inputs are named by digests only."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of it."""

    step: str
    outputs: Mapping[str, str]
    """Output name to digest; "" for an optional output that the step left empty."""
    values: Mapping[str, Any]
    attestation: str
    step_key: str
    cached: bool
    seconds: float = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Bound:
    """Arguments sorted by what they are."""

    inputs: Mapping[str, str | list[str]]
    manifests: Mapping[str, Manifest]
    """By digest."""
    locations: Mapping[str, str]
    parameters: Mapping[str, Any]
    recorded: Mapping[str, Any]
    """As the attestation keeps them: without the secrets of URLs."""

    @property
    def holds_secrets(self) -> bool:
        """Whether the attestation keeps less than the step gets."""
        return self.parameters != self.recorded


def execute(step: Step, arguments: Mapping[str, Any], context: Context) -> Execution:
    """Run `step`, or answer from the cache.

    Args:
        step: What to run.
        arguments: By name: digests for inputs ("" or None for an absent optional one), locations
            for sources, JSON values for parameters.
        context: Store, cache mode, keys.

    Raises:
        UsageError: Arguments that do not fit the step; names all of them.
        IntegrityError: An input that is not what its name says.
        NotFoundError: An input that is not in the store.
        StepError: The step broke its contract: a missing output, a changed input, a bad value.
    """
    begun, started = time.monotonic(), _now()
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
            # The key, which is as public as the attestation, does not tell two secrets apart.
            context = replace(context, cache=CacheMode.OFF)
        if identity.missing:
            # Nor does it know their code, which may be another one next time.
            context = replace(context, cache=CacheMode.OFF)
        watch = Watch(context.store)
        previous = _lookup(step, key, context)
        while previous is not None and context.cache is CacheMode.READ_WRITE:
            # Young, so that the collector sees that somebody goes on from these outputs; then a
            # look whether a collection that began before is about to remove them.
            if not context.store.is_young(_pointer_of(key)):
                _point(context.store, key, previous.record.digest)
            if not watch.touched(previous.names):
                seconds = time.monotonic() - begun
                return _execution(step, previous.record, cached=True, seconds=seconds)
            previous = _lookup(step, key, context)
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
        sources={name: SourceRecord(source.digest, source.uri) for name, source in sources.items()},
        outputs=outputs,
        values=values,
        side_effects=step.side_effects,
        details=RunDetails(started, _now(), context.invocation),
        image=context.image,
        git=code.commit(),
    )
    digest = save(attestation, context.store, context.signer)
    if previous is not None:
        _warn_if_irreproducible(step, previous.record, attestation)
    if not step.side_effects and context.cache is not CacheMode.OFF:
        _point(context.store, key, digest)
    return Execution(
        step=step.name,
        outputs=_all_outputs(step, outputs),
        values=values,
        attestation=digest,
        step_key=key,
        cached=False,
        seconds=time.monotonic() - begun,
    )


def _with_missing(values: Mapping[str, Any], modules: tuple[str, ...]) -> dict[str, Any]:
    """A step's values with a finding on the modules that its code identity does not cover."""
    found = Finding(
        "code-not-found",
        f"the step imports {', '.join(some(modules, str, findings.MAX_NAMED))}, of which the code "
        "is not found, so its result is not kept in the cache; install the module, put it on "
        "Python's path, or remove the import",
    )
    return {**values, findings.VALUE: [*findings.lines(values), found.line]}


@contextlib.contextmanager
def _work_folder(parent: Path | None) -> Iterator[Path]:
    """A folder for one execution; that its disk is full is one line, whoever was writing.

    Raises:
        StoreError: It cannot be made, or there is no room in it.
    """
    parent = parent or Path(tempfile.gettempdir())
    remedy = "make room, or set ASSAY_WORK to a folder on another disk"
    try:
        work = tempfile.TemporaryDirectory(prefix="assay-", dir=parent)
    except OSError as error:
        raise StoreError(
            f"cannot make a work folder in {parent}: {error.strerror}; {remedy}"
        ) from error
    with work as name:
        try:
            yield Path(name).resolve()
        except Exception as error:
            if (number := _no_room(error)) is None:
                raise
            raise StoreError(
                f"no room in the work folder {parent}: {os.strerror(number)}; {remedy}"
            ) from error


def _no_room(error: Exception) -> int | None:
    """The error number of a full disk, if that is what `error` is, or was raised from.

    MLflow raises its own error from the disk's. `shutil.copytree` raises one without a number, with
    the texts of those that it collected.
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
    """Sort the arguments; report all that is wrong with them at once."""
    arguments, problems = _whole(step, arguments, context)
    inputs: dict[str, str | list[str]] = {}
    manifests: dict[str, Manifest] = {}
    for name, port in {**step.inputs, **step.list_inputs}.items():
        given = arguments.get(name) or ""
        if name in step.list_inputs:
            digests = _digests(given)
            inputs[name] = digests
        else:
            digests = [given] if given else []
            inputs[name] = given
        if not digests and not port.optional:
            problems.append(f"{step.name}: input {name!r} is missing; give an artifact's digest")
        for digest in digests:
            if not is_digest(digest):
                continue  # said already
            manifests[digest] = get_manifest(context.store, digest)
            problems += _kind_problems(f"{step.name}: input {name!r}", port, manifests[digest])
    locations = {name: arguments.get(name) or "" for name in step.sources}
    problems += [
        f"{step.name}: source {name!r} is missing; give a path, an URL or a digest"
        for name, location in locations.items()
        if not location and not step.sources[name]
    ]
    known = {*inputs, *locations, *step.outputs, *step.services}
    given_parameters = {name: value for name, value in arguments.items() if name not in known}
    try:
        # Through JSON and back, because KFP hands 1 over as 1.0 inside of lists and objects: what
        # the step gets must follow from what the key holds.
        parameters = json.loads(canonical_json(step.bind_parameters(given_parameters)))
    except UsageError as error:
        problems.append(str(error))
        parameters = {}
    if problems:
        raise UsageError.all_of(problems)
    return _Bound(inputs, manifests, locations, parameters, without_secrets(parameters, given=True))


def _whole(
    step: Step, arguments: Mapping[str, Any], context: Context
) -> tuple[dict[str, Any], list[str]]:
    """The arguments with whole digests, and what is wrong with those that name nothing."""
    resolved, problems = dict(arguments), []

    def whole(given: Any, what: str) -> Any:
        if is_digest(given):
            return given
        if moves(given) and not step.side_effects:
            # KFP's cache knows the parameter only: it would answer for the alias of last week.
            problems.append(
                f"{what}: {given!r} may name another model tomorrow, and this step is cached; give "
                "the digest or MODEL/VERSION"
            )
            return given
        try:
            text = given if isinstance(given, str) else repr(given)
            return resolve(text, context.store, what, context.named)
        except (UsageError, NotFoundError) as error:
            problems.append(str(error))
            return given

    for name in (*step.inputs, *step.digests):
        if given := arguments.get(name):
            resolved[name] = whole(given, f"{step.name}: {name}")
    for name in step.list_inputs:
        digests = _digests(arguments.get(name) or "")
        resolved[name] = [
            whole(given, f"{step.name}: {name} {place}") for place, given in enumerate(digests, 1)
        ]
    for name in step.sources:
        if is_short(given := arguments.get(name)):
            resolved[name] = whole(given, f"{step.name}: {name}")
    return resolved, problems


def _digests(given: Any) -> list[str]:
    if isinstance(given, list):
        # An empty text among digests stays, and is refused: dropped in silence it would be
        # evidence that nobody misses.
        return given
    return [given] if given else []


def _kind_problems(what: str, port: Port, manifest: Manifest) -> list[str]:
    # A base kind such as Evidence has no type of its own and admits every artifact; the step says
    # what is wrong with one that lacks the file it reads.
    expected = port.kind.type
    if not expected or manifest.artifact_type == expected:
        return []
    found = f"expected an artifact of type {expected}, got {manifest.artifact_type}"
    return [f"{what}: {found}; see what it is with: assay show {manifest.digest}"]


def _fetch(name: str, location: str, root: Path, context: Context) -> Source:
    folder = root / "sources" / name
    folder.mkdir(parents=True)
    return fetch(location, folder, store=context.store, max_bytes=context.max_source_bytes)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the cache holds under a key."""

    record: Attestation
    names: list[str]
    """Digests of the blobs it consists of: the record, its outputs and their files."""


def _lookup(step: Step, key: str, context: Context) -> _Answer | None:
    """The believable record under `key` whose outputs are all there, if any."""
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
        # Not an error of this run: the answer does not count, and the step is computed.
        logger.warning("%s: cached answer not used: %s", step.name, error)
        return None
    return _Answer(attestation, [digest, *names])


def _point(store: Store, key: str, attestation: str) -> None:
    store.write_pointer(_pointer_of(key), canonical_json({"attestation": attestation}))


def _pointer_of(key: str) -> str:
    return f"cache/{hex_of(key)}"


def read_cache_pointer(pointer: bytes) -> str:
    """The attestation that a cache entry names.

    Raises:
        IntegrityError: The entry is not what docs/format.md says.
    """
    raw = parse_canonical_json(pointer, "cache entry")
    if isinstance(raw, dict) and list(raw) == ["attestation"] and is_digest(raw["attestation"]):
        return str(raw["attestation"])
    raise IntegrityError("cache entry: not an object that names an attestation; it was altered")


def require_outputs(store: Store, attestation: Attestation) -> list[str]:
    """Check that everything an answer names is in the store, with its size; the digests of it.

    Raises:
        NotFoundError: Names what is missing.
        IntegrityError: A manifest is damaged or of another type than the record says.
    """
    blobs: list[Descriptor] = []
    for name, output in attestation.outputs.items():
        manifest = get_manifest(store, output.digest)
        if manifest.artifact_type != output.artifact_type:
            raise IntegrityError(f"output {name!r} is of type {manifest.artifact_type}")
        blobs += manifest.blobs
    if missing := store.has_all(blobs):
        raise NotFoundError(
            f"{len(missing)} of {len(blobs)} files are missing or cut short, first {missing[0]}"
        )
    outputs = [output.digest for output in attestation.outputs.values()]
    return [*outputs, *(blob.digest for blob in blobs)]


def rerun(step: Step, record: Attestation, context: Context, scratch: Store) -> Attestation:
    """Do again what `record` says was done, and return the record of that.

    Inputs come from the context's store; outputs go to `scratch`, so that a step which is not
    reproducible leaves nothing behind.

    Raises:
        UsageError: A step with side effects (it would act again), or a source that is no longer
            what it was.
    """
    if step.side_effects:
        raise UsageError(
            f"step {step.name} asks or changes the outside world; running it again would act again"
        )
    locations = {name: source.uri for name, source in record.sources.items()}
    arguments = {**record.parameters, **record.inputs, **locations}
    bound = _bind(step, arguments, context)
    with _work_folder(context.work_root) as root:
        sources = {
            name: _fetch(name, location, root, context) for name, location in locations.items()
        }
        for name, source in sources.items():
            if source.digest != record.sources[name].digest:
                raise UsageError(
                    f"{source.uri} is no longer what it was: {source.digest}, recorded was "
                    f"{record.sources[name].digest}; put the recorded file back to reproduce"
                )
        outputs, values = _run(step, bound, sources, root, context, scratch)
    return replace(
        record, code=code.identity(step), outputs=outputs, values=values, digest="", signed_by=""
    )


def _run(
    step: Step,
    bound: _Bound,
    sources: Mapping[str, Source],
    root: Path,
    context: Context,
    target: Store,
    watch: Watch | None = None,
) -> tuple[dict[str, OutputRecord], dict[str, Any]]:
    """Lay out, work, store the outputs in `target`."""
    laid_out = {
        digest: _lay_out(manifest, root / "inputs" / hex_of(digest), context.store)
        for digest, manifest in bound.manifests.items()
    }
    before = _stamp(root / "inputs")
    outs: dict[str, Out[Any]] = {}
    for name in step.outputs:
        path = root / "outputs" / name
        path.mkdir(parents=True)
        outs[name] = Out(path)
    services = Services(context.store, context.verifier)
    returned = step(
        **_artifacts(step, bound, laid_out),
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
        record = _store_output(step, name, out, target, watch)
        if record is not None and context.cache is not CacheMode.READ_WRITE:
            # Whoever asks for it to be computed anew may have been told that it is damaged.
            if _remove_damaged(step, [record.digest], target):
                _store_output(step, name, out, target, watch)
            blobs = get_manifest(target, record.digest).blobs
            if _remove_damaged(step, (blob.digest for blob in blobs), target):
                _store_output(step, name, out, target, watch)
        if record is not None:
            outputs[name] = record
    if not outputs:
        raise StepError(f"step {step.name} wrote no output at all")
    return outputs, values


def _lay_out(manifest: Manifest, target: Path, store: Store) -> Path:
    target.parent.mkdir(exist_ok=True)
    get_tree(store, manifest, target)
    return target


def _artifacts(step: Step, bound: _Bound, laid_out: Mapping[str, Path]) -> dict[str, Any]:
    def artifact(port: Port, digest: str) -> Artifact | None:
        if not digest:
            return None
        return port.kind(laid_out[digest], digest, bound.manifests[digest].annotations)

    arguments: dict[str, Any] = {
        name: artifact(port, str(bound.inputs[name])) for name, port in step.inputs.items()
    }
    for name, port in step.list_inputs.items():
        arguments[name] = [artifact(port, digest) for digest in bound.inputs[name]]
    return arguments


def _stamp(folder: Path) -> list[tuple[str, int, int]]:
    # Permissions do not stop root, so a look at sizes and times does.
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            info = os.stat(os.path.join(parent, name))  # noqa: PTH116, PTH118 - once per input file
            found.append((f"{parent}/{name}", info.st_size, info.st_mtime_ns))
    return sorted(found)


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
) -> OutputRecord | None:
    port = step.outputs[name]
    if not any(out.path.iterdir()):
        if port.optional:
            return None
        raise StepError(f"step {step.name} wrote nothing into its output {name!r}")
    annotations = dict(out.annotations)
    if not port.kind.reproducible:
        annotations["reproducible"] = "false"
    manifest = put_tree(store, out.path, port.kind.type, annotations, watch)
    return OutputRecord(manifest.digest, port.kind.type, port.kind.reproducible)


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
            "%s: computed twice under one key, and %s differ; the step is not reproducible",
            step.name,
            ", ".join(changed),
        )


def irreproducible_outputs(one: Attestation, other: Attestation) -> list[str]:
    """Names of outputs that should be equal in two records of one step key, and are not."""
    names = sorted(set(one.outputs) | set(other.outputs))
    return [
        name
        for name in names
        if (a := one.outputs.get(name)) != (b := other.outputs.get(name))
        and (a is None or b is None or a.reproducible or b.reproducible)
    ]


def _all_outputs(step: Step, outputs: Mapping[str, OutputRecord]) -> dict[str, str]:
    return {name: outputs[name].digest if name in outputs else "" for name in step.outputs}


def _execution(step: Step, record: Attestation, *, cached: bool, seconds: float) -> Execution:
    return Execution(
        step=step.name,
        outputs=_all_outputs(step, record.outputs),
        values=record.values,
        attestation=record.digest,
        step_key=record.step_key,
        cached=cached,
        seconds=seconds,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
