"""Signed statements about a model: override, approval, revocation, drill.

An in-toto Statement v1 about the model's digest, in a DSSE envelope, found by the pointers
`statements/<model>/<statement>`. A statement is always signed: a name in a file does not prove who
wrote it. Once `ASSAY_VERIFY_KEYS` is set, a statement is valid only if a key with the required role
has signed it, and its author is the owner of the key.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any, Final

from assay.core.attestation import ENVELOPE_MEDIA_TYPE, MAX_ATTESTATION_BYTES, STATEMENT_TYPE
from assay.core.digest import PREFIX, canonical_json, hex_of, parse_canonical_json
from assay.core.git import Git, GitError, GitNotFoundError
from assay.core.settings import (
    GIT_AUTHOR_EMAIL,
    GIT_AUTHOR_NAME,
    GIT_COMMITTER_EMAIL,
    GIT_COMMITTER_NAME,
)
from assay.core.signing import (
    PAYLOAD_TYPE,
    Key,
    Role,
    Signer,
    Verifier,
    open_unverified,
)
from assay.core.step import Services
from assay.core.store import Store
from assay.errors import AttestationError, IntegrityError, UnknownKeyError, UsageError


class Kind(StrEnum):
    """The kind of a statement; the predicate type is `urn:assay:<kind>:v1`."""

    OVERRIDE = "override"
    APPROVAL = "approval"
    REVOCATION = "revocation"
    DRILL = "rollback-drill"
    ADMISSION = "admission"
    """Unsigned attestations are admitted; about the artifact that is based on them."""
    LOG = "release-log"
    """An entry of the release log, which is about a release and not a model."""


ROLES: Final[Mapping[Kind, frozenset[Role]]] = {
    Kind.OVERRIDE: frozenset({Role.APPROVER}),
    Kind.APPROVAL: frozenset({Role.APPROVER, Role.RECORDER}),
    Kind.REVOCATION: frozenset({Role.APPROVER}),
    Kind.DRILL: frozenset({Role.APPROVER, Role.RECORDER, Role.RUNNER}),
    Kind.ADMISSION: frozenset({Role.APPROVER}),
    Kind.LOG: frozenset(Role),
}
"""The roles that may sign each kind; the release log has further conditions for each event."""
_VERSIONS: Final[Mapping[Kind, int]] = {kind: 4 if kind is Kind.LOG else 1 for kind in Kind}
"""The version that is written. Earlier versions are read."""
_PREDICATE: Final = re.compile(r"urn:assay:([a-z-]+):v([1-9])")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that was read."""

    kind: Kind
    subject: str
    predicate: Mapping[str, Any]
    digest: str
    signed_by: str
    """Key id; empty when unsigned."""
    version: int = 1
    key: Key | None = field(default=None, compare=False, repr=False)
    """The configured key that signed it; None if none is configured."""

    @property
    def by(self) -> str:
        """The author: the owner of the key, or the person that a forge named to a recorder."""
        return self.text("by") if self.key is None or not self.personal else self.key.owner

    @property
    def personal(self) -> bool:
        """Whether the owner of the key is its author, and it does not report actions of others."""
        if self.kind is Kind.APPROVAL:
            recorder = self.key is None or Role.RECORDER in self.key.roles
            return not (recorder and self.text("url"))
        return self.kind in {Kind.OVERRIDE, Kind.REVOCATION, Kind.ADMISSION}

    def text(self, name: str) -> str:
        """A field of the predicate as text; "" if it is missing."""
        return str(self.predicate.get(name, ""))


def encode(
    kind: Kind, subject: str, predicate: Mapping[str, Any], signer: Signer | None
) -> tuple[bytes, str]:
    """Encode a statement.

    Args:
        kind: What is stated.
        subject: Digest of what it is about.
        predicate: The content.
        signer: The key that signs; None for an unsigned statement.

    Returns:
        The bytes and their media type.
    """
    payload = canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {
                    "name": "release" if kind is Kind.LOG else "model",
                    "digest": {"sha256": hex_of(subject)},
                }
            ],
            "predicateType": f"urn:assay:{kind}:v{_VERSIONS[kind]}",
            "predicate": dict(predicate),
        }
    )
    if signer is None:
        return payload, PAYLOAD_TYPE
    return signer.sign(payload), ENVELOPE_MEDIA_TYPE


def decode(
    data: bytes, digest: str, verifier: Verifier | None, *, signed: bool, proven: bool = False
) -> Statement:
    """Read a statement.

    Args:
        data: Its bytes, which match the digest.
        digest: Its digest.
        verifier: Whose signatures count; None: any.
        signed: Whether it must be signed even without a verifier.
        proven: Whether the log proves the time that it states.

    Returns:
        The statement.

    Raises:
        UnknownKeyError: Signed by a key that is not configured.
        AttestationError: Not a statement, unsigned, signed by a key that may not state this, or
            in another name than the key owner's.
        IntegrityError: Not in canonical form.
    """
    what = f"statement {digest}"
    raw = parse_canonical_json(data, what)
    signed_by, key = "", None
    if isinstance(raw, dict) and "payloadType" in raw:
        if verifier is None:
            payload, signed_by = open_unverified(raw, what)
        else:
            payload, key = verifier.open(raw, what)
            signed_by = key.key_id
        raw = parse_canonical_json(payload, what)
    elif signed or verifier is not None:
        raise AttestationError(f"{what}: unsigned, so it does not count")
    try:
        (subject,) = raw["subject"]
        kind, version = _predicate_of(raw["predicateType"])
        statement = Statement(
            kind=kind,
            subject=PREFIX + subject["digest"]["sha256"],
            predicate=dict(raw["predicate"]),
            digest=digest,
            signed_by=signed_by,
            version=version,
            key=key,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AttestationError(
            f"{what}: not a statement that assay supports ({error!r})"
        ) from error
    if key is not None:
        _require_entitled(statement, key, proven=proven)
    return statement


def _predicate_of(text: str) -> tuple[Kind, int]:
    """Kind and version of a predicate type; `ValueError` when it is not one that is read."""
    named = _PREDICATE.fullmatch(text)
    if named is None or int(named[2]) > _VERSIONS[Kind(named[1])]:
        raise ValueError(f"predicate {text!r}")
    return Kind(named[1]), int(named[2])


def _require_entitled(statement: Statement, key: Key, *, proven: bool) -> None:
    """Refuse a statement that its key may not sign.

    Raises:
        AttestationError: The key lacks the role, was retired before, or belongs to another person.
    """
    what = f"{statement.kind} {statement.digest}"
    roles = ROLES[statement.kind]
    if not key.may(roles):
        raise AttestationError(
            f"{what} does not count: signed by {key}, but it requires a key with the role "
            f"{' or '.join(sorted(roles))}"
        )
    # The log checks its entries itself; and a revocation outlives its key.
    if statement.kind not in {Kind.LOG, Kind.REVOCATION}:
        key.require_in_use(statement.text("at"), what, proven=proven)
    if not statement.personal:
        return
    if Role.APPROVER not in key.roles:
        raise AttestationError(
            f"{what} does not count: signed by {key}, and it names no pull request whose merge a "
            "forge could have reported; it requires the approver's own key"
        )
    if statement.text("by") not in {key.owner, *key.formerly}:
        raise AttestationError(
            f"{what} does not count: in the name of {statement.text('by')!r}, signed by {key}; if "
            "its owner had that name, list it in keys.yaml under formerly"
        )


def save(
    services: Services, signer: Signer, kind: Kind, model: str, predicate: Mapping[str, Any]
) -> Statement:
    """Sign and store a statement about a model, with its pointer.

    Args:
        services: The store, and whose signatures count.
        signer: The key that signs.
        kind: Kind of the statement.
        model: Digest of the subject.
        predicate: The content.

    Returns:
        The stored statement.

    Raises:
        UsageError: The signer's key may not sign this; nothing was written.
    """
    verifier = services.verifier
    key = verifier.require(signer, ROLES[kind], f"a {kind}") if verifier else None
    data, media_type = encode(kind, model, predicate, signer)
    digest = services.store.put_bytes(data, media_type).digest
    point(services.store, model, digest)
    return Statement(kind, model, dict(predicate), digest, signer.key_id, key=key)


def point(store: Store, subject: str, digest: str) -> None:
    """Store the pointer by which a statement is found from its subject.

    Args:
        store: The store with the statement.
        subject: Digest of what it is about.
        digest: Of the statement.
    """
    store.write_pointer(f"statements/{hex_of(subject)}/{hex_of(digest)}", digest.encode())


def load(services: Services, digest: str, *, proven: bool = False) -> Statement:
    """Read a signed statement.

    Args:
        services: The store, and whose signatures count.
        digest: Digest of the statement.
        proven: As for `decode`.

    Returns:
        The statement.

    Raises:
        UnknownKeyError: As `decode`.
        AttestationError: As `decode`.
        IntegrityError: As `decode`, or the bytes do not match the digest.
        NotFoundError: It is not in the store.
    """
    data = services.store.get_bytes(digest, MAX_ATTESTATION_BYTES)
    return decode(data, digest, services.verifier, signed=True, proven=proven)


def about(services: Services, model: str, kind: Kind | None = None) -> list[Statement]:
    """The statements about a model that count, oldest first.

    Args:
        services: The store, and whose signatures count.
        model: Digest of the model.
        kind: Only statements of this kind; None for all.

    Returns:
        The statements that a configured key with the required role signed.
    """
    return _split(services, model, kind)[0]


def refused(services: Services, model: str) -> list[IntegrityError]:
    """Why each of the other statements about a model does not count."""
    return _split(services, model, None)[1]


def _split(
    services: Services, model: str, kind: Kind | None
) -> tuple[list[Statement], list[IntegrityError]]:
    result: list[Statement] = []
    errors: list[IntegrityError] = []
    for digest in _pointed(services.store, model):
        try:
            statement = load(services, digest)
        except IntegrityError as error:
            errors.append(error)
            continue
        if statement.subject == model and kind in {None, statement.kind}:
            result.append(statement)
    return sorted(result, key=lambda item: (item.text("at"), item.digest)), errors


def unknown(services: Services, model: str, kind: Kind) -> list[UnknownKeyError]:
    """The errors of the statements about a model whose key is not configured.

    Args:
        services: The store, and whose signatures count.
        model: Digest of the model.
        kind: Only statements of this kind.

    Returns:
        One error for each such statement.
    """
    result: list[UnknownKeyError] = []
    unverified = Services(services.store, None)
    for digest in _pointed(services.store, model):
        try:
            load(services, digest)
        except UnknownKeyError as error:
            # Its kind is only known from its own text, which suffices to be careful.
            with contextlib.suppress(IntegrityError):
                claimed = load(unverified, digest)
                if (claimed.kind, claimed.subject) == (kind, model):
                    result.append(error)
        except IntegrityError:
            continue
    return result


def _pointed(store: Store, model: str) -> list[str]:
    pointers = store.list_pointers(f"statements/{hex_of(model)}/")
    digests = [PREFIX + pointer.rsplit("/", 1)[-1] for pointer in pointers]
    # Anyone can write a pointer to a missing blob, so it means nothing.
    return [digest for digest in digests if store.has(digest)]


def now() -> str:
    """The time, RFC 3339 in UTC, to the second."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """A time in the format of all statements."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str, what: str) -> datetime:
    """Parse a day or time that a person typed; a day means its end.

    Raises:
        UsageError: It is neither a day nor a time.
    """
    try:
        parsed = datetime.fromisoformat(text)
        if len(text) <= len("2026-01-31"):
            parsed = datetime.combine(date.fromisoformat(text), time(23, 59, 59), UTC)
    except ValueError as error:
        raise UsageError(
            f"{what}: {text!r} is not a time; write 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def expired(until: str) -> bool:
    """Whether a time is in the past, or not a time."""
    try:
        return moment(until, "until") <= datetime.now(UTC)
    except UsageError:
        return True


def person() -> str:
    """`Name <mail>` of the user, from Git's configuration.

    Raises:
        UsageError: Git has no name or mail.
    """
    result = []
    for key, author, committer in (
        ("user.name", GIT_AUTHOR_NAME, GIT_COMMITTER_NAME),
        ("user.email", GIT_AUTHOR_EMAIL, GIT_COMMITTER_EMAIL),
    ):
        value = author.get() or committer.get()
        if not value:
            try:
                value = Git().text("config", "--get", key)
            except GitNotFoundError:
                raise
            except GitError:
                value = ""
        result.append(" ".join(value.split()))
    if not all(result):
        raise UsageError(
            "Git has no user.name and user.email; set them: git config --global user.name '…'; "
            "git config --global user.email '…' (or GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL)"
        )
    return f"{result[0]} <{result[1]}>"
