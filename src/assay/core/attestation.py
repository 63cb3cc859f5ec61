"""Attestations of executions: an in-toto Statement v1 with a SLSA provenance v1 predicate.

Subjects are the outputs; resolved dependencies are inputs, sources, code, image and Git commit;
external parameters are the arguments of the caller. https://in-toto.io/Statement/v1 and
https://slsa.dev/provenance/v1 are the specifications; docs/format.md has the fields.

Times and the run id occur in the run details only; no key and no other field depends on them. An
attestation is found through the referrers in the store. These are hints, which are trusted only
after `load` has verified the attestation.
"""

import base64
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from assay import __version__
from assay.core.code_identity import PARTS, CodeIdentity, Commit, Scope
from assay.core.digest import (
    PREFIX,
    canonical_json,
    hex_of,
    is_digest,
    of_bytes,
    parse_canonical_json,
)
from assay.core.signing import PAYLOAD_TYPE, Key, Role, Signer, Verifier, open_unverified
from assay.core.store import Store
from assay.errors import RUN_AGAIN, AssayError, AttestationError, IntegrityError, NotFoundError

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPES: Final = {1: "urn:assay:step:v1", 2: "urn:assay:step:v2"}
"""By version of the code identity, which the step key depends on."""
ADMISSION_TYPE: Final = "urn:assay:admission:v1"
ENVELOPE_MEDIA_TYPE: Final = "application/vnd.dsse.envelope.v1+json"
MAX_ATTESTATION_BYTES: Final = 4 << 20
_PARSED: Final = 256
"""Number of attestations that a process keeps in parsed form."""

_ENTRY_POINT: Final = re.compile(r"[\w.]{1,300}:\w{1,200}")
COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""A full commit id."""

Inputs = Mapping[str, str | list[str]]
"""By input name: a digest, a list of digests, or "" for an absent optional input."""


@dataclass(frozen=True, slots=True)
class OutputReference:
    """An output in an attestation."""

    digest: str
    artifact_type: str
    reproducible: bool


@dataclass(frozen=True, slots=True)
class SourceReference:
    """External data in an attestation."""

    digest: str
    uri: str


@dataclass(frozen=True, slots=True)
class RunDetails:
    """Times and run id, the only fields that differ between two attestations of the same work."""

    started: str
    """RFC 3339, UTC."""
    finished: str
    invocation: str = ""


@dataclass(frozen=True, slots=True)
class Attestation:
    """The attestation of one execution."""

    step: str
    entry_point: str
    code: CodeIdentity
    parameters: Mapping[str, Any]
    inputs: Inputs
    sources: Mapping[str, SourceReference]
    outputs: Mapping[str, OutputReference]
    values: Mapping[str, Any]
    side_effects: bool
    details: RunDetails
    image: str = ""
    git: Commit | None = None
    digest: str = field(default="", compare=False)
    """Digest of the stored attestation; empty until it is stored."""
    signed_by: str = field(default="", compare=False)
    """Key id; empty if unsigned."""
    admitted_by: str = field(default="", compare=False)
    """Owner of the approver's key that admitted it; empty if it needs no admission."""

    @property
    def code_digest(self) -> str:
        """Digest of the code identity."""
        return self.code.digest

    @property
    def git_commit(self) -> str:
        """The commit of the code, or ""."""
        return self.git.commit if self.git else ""

    @property
    def step_key(self) -> str:
        """The step key, computed from the other fields."""
        sources = {name: source.digest for name, source in self.sources.items()}
        return step_key(self.step, self.code_digest, self.parameters, self.inputs, sources)

    def input_digests(self) -> list[str]:
        """The distinct digests of all inputs, in the order of the input names."""
        digests: dict[str, None] = {}
        # Sorted, because canonical JSON does not preserve the order of the arguments.
        for _, value in sorted(self.inputs.items()):
            digests.update(dict.fromkeys(value if isinstance(value, list) else [value]))
        return [digest for digest in digests if digest]

    def statement(self) -> dict[str, Any]:
        """The in-toto Statement, as JSON."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [
                {
                    "name": name,
                    "digest": {"sha256": hex_of(output.digest)},
                    "annotations": {
                        "artifactType": output.artifact_type,
                        "reproducible": output.reproducible,
                    },
                }
                for name, output in sorted(self.outputs.items())
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPES[self.code.version],
                    "externalParameters": {"step": self.step, "parameters": dict(self.parameters)},
                    "internalParameters": {
                        "entryPoint": self.entry_point,
                        "stepKey": self.step_key,
                        "sideEffects": self.side_effects,
                        "inputs": {
                            name: value if isinstance(value, str) else list(value)
                            for name, value in self.inputs.items()
                        },
                    },
                    "resolvedDependencies": self._dependencies(),
                },
                "runDetails": {
                    "builder": {
                        "id": f"pkg:pypi/kfp-assay@{__version__}",
                        "version": {"kfp-assay": __version__},
                    },
                    "metadata": {
                        "invocationId": self.details.invocation,
                        "startedOn": self.details.started,
                        "finishedOn": self.details.finished,
                    },
                    "byproducts": [
                        {
                            "name": "values",
                            "mediaType": "application/json",
                            "content": base64.b64encode(canonical_json(dict(self.values))).decode(),
                        }
                    ],
                },
            },
        }

    def _dependencies(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = [
            {"name": "input", "digest": {"sha256": hex_of(digest)}}
            for digest in self.input_digests()
        ]
        entries += [
            {
                "name": f"source/{name}",
                "uri": source.uri,
                "digest": {"sha256": hex_of(source.digest)},
            }
            for name, source in sorted(self.sources.items())
        ]
        scope = {"modules": {"annotations": {"scope": self.code.scope.value}}}
        entries += [
            {"name": f"code/{name}", "digest": {"sha256": hex_of(digest)}, **scope.get(name, {})}
            for name, digest in sorted(self.code.parts.items())
        ]
        if self.image:
            entries.append({"name": "image", "uri": self.image, **_image_digest(self.image)})
        if self.git:
            entries.append(
                {
                    "name": "git",
                    "uri": self.git.repository,
                    "digest": {"gitCommit": self.git.commit},
                    "annotations": {"dirty": self.git.dirty},
                }
            )
        return entries


def step_key(
    step: str,
    code_digest: str,
    parameters: Mapping[str, Any],
    inputs: Inputs,
    sources: Mapping[str, str],
) -> str:
    """The key of an execution in the step cache.

    Executions with equal keys have equal reproducible outputs.

    Args:
        step: Name of the step.
        code_digest: Digest of the code identity.
        parameters: Parameters by name, without secrets.
        inputs: Inputs by name.
        sources: Digests of the external data, by name.

    Returns:
        A digest of all arguments.
    """
    return of_bytes(
        canonical_json(
            {
                "step": step,
                "code": code_digest,
                "parameters": dict(parameters),
                "inputs": dict(inputs),
                "sources": dict(sources),
            }
        )
    )


def save(attestation: Attestation, store: Store, signer: Signer | None) -> str:
    """Store an attestation and add it to the referrers of its outputs and inputs.

    Everything that the attestation refers to must be in the store already.

    Args:
        attestation: The attestation.
        store: Where to store it.
        signer: Signs it; None stores it unsigned.

    Returns:
        The digest of the stored attestation.

    Raises:
        AttestationError: The statement does not conform to the in-toto and SLSA types.
        StoreError: The store failed.
    """
    statement = attestation.statement()
    _check_types(statement)
    data = canonical_json(statement)
    media_type = PAYLOAD_TYPE
    if signer is not None:
        data, media_type = signer.sign(data), ENVELOPE_MEDIA_TYPE
    digest = store.put_bytes(data, media_type).digest
    for pointer in pointers(attestation, digest):
        store.write_pointer(pointer, digest.encode())
    return digest


def pointers(attestation: Attestation, digest: str) -> list[str]:
    """Names of the pointers to an attestation: one for each output and one for each input."""
    outputs = sorted({output.digest for output in attestation.outputs.values()})
    return [
        *(f"referrers/{hex_of(subject)}/{hex_of(digest)}" for subject in outputs),
        *(f"dependents/{hex_of(used)}/{hex_of(digest)}" for used in attestation.input_digests()),
    ]


def load(store: Store, digest: str, verifier: Verifier | None) -> Attestation:
    """Read an attestation and verify it, without reading the artifacts that it refers to.

    Args:
        store: The store that has it.
        digest: Its digest.
        verifier: The configured keys; None accepts unsigned attestations.

    Returns:
        The attestation.

    Raises:
        AttestationError: A verification key is configured, and the attestation is unsigned or not
            signed by a key with the role `runner`; or it is not an attestation of an execution.
        IntegrityError: The bytes do not match the digest.
        NotFoundError: The attestation does not exist.
    """
    what = f"attestation {digest}"
    payload = store.get_bytes(digest, MAX_ATTESTATION_BYTES)
    raw = _read(payload, what)
    if not isinstance(raw, dict):
        raise AttestationError(f"{what}: not a statement")
    signed_by, key, admitted_by = "", None, ""
    if "payloadType" in raw:
        payload, signed_by, key = _open(raw, what, verifier)
    if verifier is not None and (key is None or key.stolen):
        admitted_by = _admitted_by(store, digest, verifier)
        if key is None and not admitted_by:
            raise AttestationError(
                f"{what}: unsigned, and ASSAY_VERIFY_KEYS requires a signature; {RUN_AGAIN} "
                "with ASSAY_SIGNING_KEY set, or have an approver admit it: assay store sign "
                "DIGEST --why REASON"
            )
    attestation = replace(_stated(payload, digest, signed_by), admitted_by=admitted_by)
    if key is not None and not admitted_by:
        _require_in_use(key, attestation, what)
    return attestation


def _require_in_use(key: Key, attestation: Attestation, what: str) -> None:
    """Refuse an attestation that was signed after its key was retired or stolen."""
    try:
        key.require_in_use(attestation.details.finished, what)
    except AttestationError as error:
        if key.stolen is None:
            raise
        raise AttestationError(
            f"{error}; {RUN_AGAIN}, or have an approver admit it: assay store sign DIGEST "
            "--why REASON"
        ) from error


# Bytes that were parsed once in a process are not parsed again. They are read and compared with
# their digest, and a signature is verified, each time. Few, because a store has many attestations.
@functools.lru_cache(maxsize=_PARSED)
def _read(data: bytes, what: str) -> Any:
    return parse_canonical_json(data, what)


@functools.lru_cache(maxsize=_PARSED)
def _stated(payload: bytes, digest: str, signed_by: str) -> Attestation:
    return parse(_read(payload, f"attestation {digest}"), digest, signed_by)


def _admitted_by(store: Store, digest: str, verifier: Verifier) -> str:
    """The owner of the approver's key that admits an attestation by its digest, or ""."""
    for pointer in store.list_pointers(f"statements/{hex_of(digest)}/"):
        name = PREFIX + pointer.rsplit("/", 1)[-1]
        what = f"statement {name}"
        try:
            raw = parse_canonical_json(store.get_bytes(name, MAX_ATTESTATION_BYTES), what)
            payload, key = verifier.open(raw, what, Role.APPROVER)
            stated = parse_canonical_json(payload, what)
            predicate = stated["predicate"]
            admitted = predicate["attestations"]
            if stated["predicateType"] != ADMISSION_TYPE or digest not in admitted:
                continue
            key.require_in_use(predicate["at"], what)
        except (IntegrityError, NotFoundError, KeyError, TypeError):
            continue  # not a valid admission; anyone can add a pointer
        if predicate["by"] == key.owner:
            return key.owner
    return ""


def _open(raw: Any, what: str, verifier: Verifier | None) -> tuple[bytes, str, Key | None]:
    """The payload of an envelope, the id of its signing key, and the key if it is configured."""
    if verifier is None:
        return *open_unverified(raw, what), None
    payload, key = verifier.open(raw, what, Role.RUNNER)
    return payload, key.key_id, key


def about(store: Store, subject: str, verifier: Verifier | None) -> list[Attestation]:
    """The valid attestations that have an artifact among their outputs.

    Args:
        store: The store that has them.
        subject: Digest of the artifact.
        verifier: The configured keys; None accepts unsigned attestations.

    Returns:
        The attestations, oldest first; empty if there are none.

    Raises:
        AttestationError: There are attestations, and none of them is valid; gives the reason.
        IntegrityError: All of them are damaged.
        NotFoundError: None of them is in the store.
    """
    valid, errors = _load_all(store, f"referrers/{hex_of(subject)}/", verifier)
    made = [
        attestation
        for attestation in valid
        if any(output.digest == subject for output in attestation.outputs.values())
    ]
    if errors and not made:
        raise errors[0]
    return made


def using(store: Store, artifact: str, verifier: Verifier | None) -> list[Attestation]:
    """The valid attestations that have an artifact among their inputs.

    Args:
        store: The store that has them.
        artifact: Digest of the artifact.
        verifier: The configured keys; None accepts unsigned attestations.

    Returns:
        The attestations, oldest first.
    """
    valid, _ = _load_all(store, f"dependents/{hex_of(artifact)}/", verifier)
    return [attestation for attestation in valid if artifact in attestation.input_digests()]


def _load_all(
    store: Store, prefix: str, verifier: Verifier | None
) -> tuple[list[Attestation], list[AssayError]]:
    def read(pointer: str) -> Attestation | AssayError:
        try:
            return load(store, PREFIX + pointer.rsplit("/", 1)[-1], verifier)
        except (IntegrityError, NotFoundError) as error:
            # Pointers are hints: anyone who can write to the store can add them.
            return error

    # In parallel, because steps with side effects have an attestation for each run.
    results = store.on_each(read, store.list_pointers(prefix))
    valid = [item for item in results if isinstance(item, Attestation)]
    errors = [item for item in results if isinstance(item, AssayError)]
    return sorted(valid, key=lambda item: (item.details.started, item.digest)), errors


def parse(raw: Any, digest: str, signed_by: str = "") -> Attestation:
    """Convert the JSON of a statement to an attestation.

    Args:
        raw: The statement.
        digest: Digest of the stored attestation.
        signed_by: Id of the key that signed it; empty if unsigned.

    Returns:
        The attestation.

    Raises:
        AttestationError: Fields are missing, malformed or inconsistent.
    """
    what = f"attestation {digest}"
    try:
        attestation = _parse(raw, digest, signed_by)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise AttestationError(
            f"{what}: not the attestation of an execution ({error!r}); give the digest of one"
        ) from error
    # Rebuilding the statement compares every derived field with the given one, in particular the
    # step key, and refuses unknown fields.
    rebuilt = attestation.statement()
    rebuilt["predicate"]["runDetails"]["builder"] = raw["predicate"]["runDetails"]["builder"]
    if canonical_json(rebuilt) != canonical_json(raw):
        raise AttestationError(f"{what}: inconsistent; it was altered or not made by Assay")
    return attestation


def _parse(raw: Any, digest: str, signed_by: str) -> Attestation:
    if raw["_type"] != STATEMENT_TYPE or raw["predicateType"] != PREDICATE_TYPE:
        raise ValueError(f"type {raw['_type']!r} with predicate {raw['predicateType']!r}")
    definition, details = raw["predicate"]["buildDefinition"], raw["predicate"]["runDetails"]
    internal = definition["internalParameters"]
    dependencies = {entry["name"]: entry for entry in definition["resolvedDependencies"]}
    git = dependencies.get("git")
    (values,) = details["byproducts"]
    return Attestation(
        step=_text(definition["externalParameters"]["step"]),
        entry_point=_entry_point(internal["entryPoint"]),
        code=_code(definition["buildType"], dependencies),
        parameters=dict(definition["externalParameters"]["parameters"].items()),
        inputs={name: _input(value) for name, value in internal["inputs"].items()},
        sources={
            name.removeprefix("source/"): SourceReference(
                PREFIX + entry["digest"]["sha256"], entry["uri"]
            )
            for name, entry in dependencies.items()
            if name.startswith("source/")
        },
        outputs={
            subject["name"]: OutputReference(
                PREFIX + subject["digest"]["sha256"],
                _text(subject["annotations"]["artifactType"]),
                subject["annotations"]["reproducible"],
            )
            for subject in raw["subject"]
        },
        values=parse_canonical_json(
            base64.b64decode(values["content"], validate=True), "the values"
        ),
        side_effects=internal["sideEffects"],
        details=RunDetails(
            started=_text(details["metadata"]["startedOn"]),
            finished=_text(details["metadata"]["finishedOn"]),
            invocation=_text(details["metadata"]["invocationId"]),
        ),
        image=dependencies["image"]["uri"] if "image" in dependencies else "",
        git=Commit(git["uri"], _commit(git["digest"]["gitCommit"]), git["annotations"]["dirty"])
        if git
        else None,
        digest=digest,
        signed_by=signed_by,
    )


def _code(build_type: Any, dependencies: Mapping[str, Any]) -> CodeIdentity:
    (version,) = (number for number, known in BUILD_TYPES.items() if known == build_type)
    entries = [dependencies[f"code/{name}"] for name in PARTS[version]]
    step, modules, distributions = (PREFIX + entry["digest"]["sha256"] for entry in entries)
    # Version 1 always covered the whole library.
    scope = Scope(entries[1]["annotations"]["scope"]) if version > 1 else Scope.LIBRARY
    return CodeIdentity(step, modules, distributions, scope, version)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{str(value)[:80]!r} is not a text")


def _entry_point(value: Any) -> str:
    # Python looks for the module, one package after the other.
    if _ENTRY_POINT.fullmatch(_text(value)):
        return str(value)
    raise ValueError(f"entryPoint {str(value)[:80]!r} is not MODULE:NAME")


def _commit(value: Any) -> str:
    # It is used in commands and reports.
    if isinstance(value, str) and COMMIT.fullmatch(value):
        return value
    raise ValueError(f"gitCommit {str(value)[:80]!r} is not a commit id")


def _input(value: Any) -> str | list[str]:
    if value == "" or is_digest(value):
        return str(value)
    if isinstance(value, list) and all(is_digest(item) for item in value):
        return value
    raise ValueError(f"input {value!r} is not a digest")


def _image_digest(reference: str) -> dict[str, Any]:
    _, _, digest = reference.partition("@")
    return {"digest": {"sha256": hex_of(digest)}} if is_digest(digest) else {}


def _check_types(statement: dict[str, Any]) -> None:
    """Check a statement against the published types, so that other tools can read it.

    Raises:
        AttestationError: A field is not in the specification, or has another type.
    """
    from google.protobuf.json_format import ParseDict, ParseError
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

    try:
        ParseDict(statement["predicate"], Provenance())
        message = ParseDict(statement, StatementMessage())
        Statement.copy_from_pb(message).validate()
    except (ParseError, ValueError) as error:
        raise AttestationError(
            f"the attestation of {statement['subject']} is invalid: {error}"
        ) from error
