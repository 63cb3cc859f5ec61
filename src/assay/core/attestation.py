"""The record of one execution: an in-toto Statement v1 with a SLSA provenance v1 predicate.

Subjects are the outputs; resolved dependencies are inputs, sources, code, image and Git commit;
external parameters are what the caller chose. Specifications: https://in-toto.io/Statement/v1 and
https://slsa.dev/provenance/v1. docs/format.md has the fields.

The clock and the run id stand only in the run details; no other record or key is derived from
them. An attestation is found again through the store's referrers, which are no more than hints:
what it says counts only after `load` has checked it.
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
"""By the version of the code identity; the step key depends on it."""
ADMISSION_TYPE: Final = "urn:assay:admission:v1"
ENVELOPE_MEDIA_TYPE: Final = "application/vnd.dsse.envelope.v1+json"
MAX_ATTESTATION_BYTES: Final = 4 << 20

COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""A commit's full name."""

Inputs = Mapping[str, str | list[str]]
"""Input name to digest, to "" where an optional one is absent, or to a list of digests."""


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """An output as its record names it."""

    digest: str
    artifact_type: str
    reproducible: bool


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """Bytes of the outside world as a record names them."""

    digest: str
    uri: str


@dataclass(frozen=True, slots=True)
class RunDetails:
    """When and where; the only part that may differ between two records of the same work."""

    started: str
    """RFC 3339, UTC."""
    finished: str
    invocation: str = ""


@dataclass(frozen=True, slots=True)
class Attestation:
    """What one execution was."""

    step: str
    entry_point: str
    code: CodeIdentity
    parameters: Mapping[str, Any]
    inputs: Inputs
    sources: Mapping[str, SourceRecord]
    outputs: Mapping[str, OutputRecord]
    values: Mapping[str, Any]
    side_effects: bool
    details: RunDetails
    image: str = ""
    git: Commit | None = None
    digest: str = field(default="", compare=False)
    """Name of the stored record; empty until it is stored."""
    signed_by: str = field(default="", compare=False)
    """Key id; empty when unsigned."""
    admitted_by: str = field(default="", compare=False)
    """Who admitted it without a signature; empty when it needs nobody to."""

    @property
    def code_digest(self) -> str:
        """Digest of all code that took part."""
        return self.code.digest

    @property
    def git_commit(self) -> str:
        """The commit of the code, or ""."""
        return self.git.commit if self.git else ""

    @property
    def step_key(self) -> str:
        """The key that this execution is cached under, computed from what the record says."""
        sources = {name: source.digest for name, source in self.sources.items()}
        return step_key(self.step, self.code_digest, self.parameters, self.inputs, sources)

    def input_digests(self) -> list[str]:
        """Every artifact this execution read, by input name, without repeats."""
        found: dict[str, None] = {}
        # By name, because canonical JSON does not keep the order in which they were given.
        for _, value in sorted(self.inputs.items()):
            found.update(dict.fromkeys(value if isinstance(value, list) else [value]))
        return [digest for digest in found if digest]

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
        found: list[dict[str, Any]] = [
            {"name": "input", "digest": {"sha256": hex_of(digest)}}
            for digest in self.input_digests()
        ]
        found += [
            {
                "name": f"source/{name}",
                "uri": source.uri,
                "digest": {"sha256": hex_of(source.digest)},
            }
            for name, source in sorted(self.sources.items())
        ]
        scope = {"modules": {"annotations": {"scope": self.code.scope.value}}}
        found += [
            {"name": f"code/{name}", "digest": {"sha256": hex_of(digest)}, **scope.get(name, {})}
            for name, digest in sorted(self.code.parts.items())
        ]
        if self.image:
            found.append({"name": "image", "uri": self.image, **_image_digest(self.image)})
        if self.git:
            found.append(
                {
                    "name": "git",
                    "uri": self.git.repository,
                    "digest": {"gitCommit": self.git.commit},
                    "annotations": {"dirty": self.git.dirty},
                }
            )
        return found


def step_key(
    step: str,
    code_digest: str,
    parameters: Mapping[str, Any],
    inputs: Inputs,
    sources: Mapping[str, str],
) -> str:
    """What an execution is a function of, as one digest.

    Two executions with one key give the same reproducible outputs; that is the step cache's law.
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
    """Store the record and make it findable from each output; returns its digest.

    Call it only when all that the record names is in the store: parents after children.
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
    """Where the record is found again: from each output it made, and from each input it used."""
    outputs = sorted({output.digest for output in attestation.outputs.values()})
    return [
        *(f"referrers/{hex_of(subject)}/{hex_of(digest)}" for subject in outputs),
        *(f"dependents/{hex_of(used)}/{hex_of(digest)}" for used in attestation.input_digests()),
    ]


def load(store: Store, digest: str, verifier: Verifier | None) -> Attestation:
    """Read an attestation and check all that can be checked of it by itself.

    Raises:
        AttestationError: Unsigned, or not signed by a key with the role `runner`, though a
            verification key is configured; or not an attestation of an execution.
        IntegrityError: The bytes are not what the name says.
        NotFoundError: No such attestation.
    """
    what = f"attestation {digest}"
    payload = store.get_bytes(digest, MAX_ATTESTATION_BYTES)
    raw = _read(payload, what)
    if not isinstance(raw, dict):
        raise AttestationError(f"{what}: not a statement")
    signed_by, key, admitted_by = "", None, ""
    if "payloadType" in raw:
        payload, signed_by, key = _open(raw, what, verifier)
        if key is not None and key.stolen and verifier is not None:
            admitted_by = _admitted_by(store, digest, verifier)
    elif verifier is not None:
        admitted_by = _admitted_by(store, digest, verifier)
        if not admitted_by:
            raise AttestationError(
                f"{what}: unsigned, and ASSAY_VERIFY_KEYS asks for a signature; {RUN_AGAIN} "
                "with ASSAY_SIGNING_KEY set, or have an approver admit it: assay store sign "
                "DIGEST --why REASON"
            )
    attestation = replace(_stated(payload, digest, signed_by), admitted_by=admitted_by)
    if key is not None and not admitted_by:
        try:
            key.require_in_use(attestation.details.finished, what)
        except AttestationError as error:
            if key.stolen is None:
                raise
            raise AttestationError(
                f"{error}; {RUN_AGAIN}, or have an approver admit it: assay store sign DIGEST "
                "--why REASON"
            ) from error
    return attestation


# Bytes that a process has parsed it need not parse again. They are read and compared with their
# name, and a signature is verified, each time.
@functools.lru_cache(maxsize=4096)
def _read(data: bytes, what: str) -> Any:
    return parse_canonical_json(data, what)


@functools.lru_cache(maxsize=4096)
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
            given = stated["predicate"]
            if stated["predicateType"] != ADMISSION_TYPE or digest not in given["attestations"]:
                continue
            key.require_in_use(given["at"], what)
        except (AttestationError, KeyError, TypeError):
            continue  # it admits nothing
        if given["by"] == key.owner:
            return key.owner
    return ""


def _open(raw: Any, what: str, verifier: Verifier | None) -> tuple[bytes, str, Key | None]:
    """The payload of an envelope, the id of the key that signed it, and the key if it is known."""
    if verifier is None:
        return *open_unverified(raw, what), None
    payload, key = verifier.open(raw, what, Role.RUNNER)
    return payload, key.key_id, key


def about(store: Store, subject: str, verifier: Verifier | None) -> list[Attestation]:
    """Every believable record that has `subject` among its outputs, oldest first.

    Raises:
        AttestationError: There are records, and none of them can be believed; says why.
        IntegrityError: All that there is, is damaged.
        NotFoundError: All that there is, is not in the store.
    """
    found, refused = _records(store, f"referrers/{hex_of(subject)}/", verifier)
    made = [r for r in found if any(out.digest == subject for out in r.outputs.values())]
    if refused and not made:
        raise refused[0]
    return made


def using(store: Store, artifact: str, verifier: Verifier | None) -> list[Attestation]:
    """Every believable record that has `artifact` among its inputs, oldest first."""
    found, _ = _records(store, f"dependents/{hex_of(artifact)}/", verifier)
    return [record for record in found if artifact in record.input_digests()]


def _records(
    store: Store, prefix: str, verifier: Verifier | None
) -> tuple[list[Attestation], list[AssayError]]:
    def read(pointer: str) -> Attestation | AssayError:
        try:
            return load(store, PREFIX + pointer.rsplit("/", 1)[-1], verifier)
        except (IntegrityError, NotFoundError) as error:
            # Pointers are hints, which whoever can write the store can add.
            return error

    # What is asked anew in each run has a record of each run.
    read_all = store.on_each(read, store.list_pointers(prefix))
    found = [item for item in read_all if isinstance(item, Attestation)]
    refused = [item for item in read_all if isinstance(item, AssayError)]
    return sorted(found, key=lambda record: (record.details.started, record.digest)), refused


def parse(raw: Any, digest: str, signed_by: str = "") -> Attestation:
    """An attestation from a statement's JSON.

    Raises:
        AttestationError: Fields are missing or malformed, or contradict each other.
    """
    what = f"attestation {digest}"
    try:
        attestation = _parse(raw, digest, signed_by)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise AttestationError(
            f"{what}: not a record of an execution ({error!r}); give the digest of an attestation"
        ) from error
    # Rebuilding the statement compares every derived field, above all the step key, with what the
    # record says, and refuses fields that nobody here reads.
    rebuilt = attestation.statement()
    rebuilt["predicate"]["runDetails"]["builder"] = raw["predicate"]["runDetails"]["builder"]
    if canonical_json(rebuilt) != canonical_json(raw):
        raise AttestationError(f"{what}: contradicts itself; it was altered or made by other means")
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
        step=definition["externalParameters"]["step"],
        entry_point=internal["entryPoint"],
        code=_code(definition["buildType"], dependencies),
        parameters=definition["externalParameters"]["parameters"],
        inputs={name: _input(value) for name, value in internal["inputs"].items()},
        sources={
            name.removeprefix("source/"): SourceRecord(
                PREFIX + entry["digest"]["sha256"], entry["uri"]
            )
            for name, entry in dependencies.items()
            if name.startswith("source/")
        },
        outputs={
            subject["name"]: OutputRecord(
                PREFIX + subject["digest"]["sha256"],
                subject["annotations"]["artifactType"],
                subject["annotations"]["reproducible"],
            )
            for subject in raw["subject"]
        },
        values=parse_canonical_json(
            base64.b64decode(values["content"], validate=True), "the values"
        ),
        side_effects=internal["sideEffects"],
        details=RunDetails(
            started=details["metadata"]["startedOn"],
            finished=details["metadata"]["finishedOn"],
            invocation=details["metadata"]["invocationId"],
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
    # Version 1 always covered everything.
    scope = Scope(entries[1]["annotations"]["scope"]) if version > 1 else Scope.LIBRARY
    return CodeIdentity(step, modules, distributions, scope, version)


def _commit(value: Any) -> str:
    # It ends up in commands and reports.
    if isinstance(value, str) and COMMIT.fullmatch(value):
        return value
    raise ValueError(f"gitCommit {str(value)[:80]!r} is not the name of a commit")


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
    """Hold the statement against the published types, so that other tools can read it.

    Raises:
        AttestationError: A field that the specification does not have, or of another type.
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
            f"the record of {statement['subject']} is invalid: {error}"
        ) from error
