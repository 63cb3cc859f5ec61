"""Signed statements about a model: override, approval, revocation, drill.

An in-toto Statement v1 about the model's digest, in a DSSE envelope, found again through the
pointers `statements/<model>/<statement>`. Nothing is stated without a signature: a name in a file
is no proof of who wrote it. Once `ASSAY_VERIFY_KEYS` is set, a statement counts only when a key
with the right role has signed it, and what a person states, the owner of the key has stated.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any, Final

from assay.core.attestation import ENVELOPE_MEDIA_TYPE, MAX_ATTESTATION_BYTES, STATEMENT_TYPE
from assay.core.digest import PREFIX, canonical_json, hex_of, parse_canonical_json
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
    signer_from_env,
)
from assay.core.store import Store
from assay.errors import AttestationError, UnknownKeyError, UsageError


class Kind(StrEnum):
    """What is stated; the predicate type is `urn:assay:<kind>:v1`."""

    OVERRIDE = "override"
    APPROVAL = "approval"
    REVOCATION = "revocation"
    DRILL = "rollback-drill"
    ADMISSION = "admission"
    """That attestations without a signature count; about the artifact that rests on them."""
    LOG = "release-log"
    """An entry of the release log, which is about a release and not a model."""


ROLES: Final[Mapping[Kind, frozenset[Role]]] = {
    Kind.OVERRIDE: frozenset({Role.APPROVER}),
    Kind.APPROVAL: frozenset({Role.APPROVER, Role.RECORDER}),
    Kind.REVOCATION: frozenset({Role.APPROVER}),
    Kind.DRILL: frozenset(Role),
    Kind.ADMISSION: frozenset({Role.APPROVER}),
    Kind.LOG: frozenset(Role),
}
"""Whose signature a kind of statement takes; the release log asks for more, event by event."""
_VERSIONS: Final[Mapping[Kind, int]] = {kind: 3 if kind is Kind.LOG else 1 for kind in Kind}
"""The version that is written. Those below it are read."""
_PREDICATE: Final = re.compile(r"urn:assay:([a-z-]+):v([1-9])")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it was read."""

    kind: Kind
    subject: str
    predicate: Mapping[str, Any]
    digest: str
    signed_by: str
    """Key id; empty when unsigned."""
    version: int = 1
    key: Key | None = field(default=None, compare=False, repr=False)
    """The configured key that signed it; None where none is configured."""

    @property
    def by(self) -> str:
        """Who stated it: the key's owner, or whom a forge named when a recorder asked it."""
        return self.text("by") if self.key is None or not self.personal else self.key.owner

    @property
    def personal(self) -> bool:
        """Whether the owner of the key states it, and not what others did or measured."""
        if self.kind is Kind.APPROVAL:
            recorder = self.key is None or Role.RECORDER in self.key.roles
            return not (recorder and self.text("url"))
        return self.kind in {Kind.OVERRIDE, Kind.REVOCATION, Kind.ADMISSION}

    def text(self, name: str) -> str:
        """A field of the predicate as text; "" when it is not there."""
        return str(self.predicate.get(name, ""))


def require_signer() -> Signer:
    """The signer that the environment configures.

    Raises:
        UsageError: None is.
    """
    signer = signer_from_env()
    if signer is None:
        raise UsageError(
            "ASSAY_SIGNING_KEY is not set, and a statement by a person is signed; make a key with: "
            "openssl genpkey -algorithm ed25519 -out signing.pem"
        )
    return signer


def encode(
    kind: Kind, subject: str, predicate: Mapping[str, Any], signer: Signer | None
) -> tuple[bytes, str]:
    """A statement's bytes and their media type; signed when there is a signer."""
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


def decode(data: bytes, digest: str, verifier: Verifier | None, *, signed: bool) -> Statement:
    """Read a statement.

    Args:
        data: Its bytes, which are `digest`'s.
        digest: Its name.
        verifier: Whose signatures count; None believes any.
        signed: Refuse one without a signature even then.

    Raises:
        UnknownKeyError: Signed by a key that is not configured.
        AttestationError: No statement, unsigned, or signed by a key that may not state this, or
            in the name of somebody else than its owner.
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
        raise AttestationError(f"{what}: unsigned; it counts for nothing")
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
        raise AttestationError(f"{what}: not a statement that assay knows ({error!r})") from error
    if key is not None:
        _require_entitled(statement, key)
    return statement


def _predicate_of(text: str) -> tuple[Kind, int]:
    """Kind and version of a predicate type; `ValueError` when it is not one that is read."""
    named = _PREDICATE.fullmatch(text)
    if named is None or int(named[2]) > _VERSIONS[Kind(named[1])]:
        raise ValueError(f"predicate {text!r}")
    return Kind(named[1]), int(named[2])


def _require_entitled(statement: Statement, key: Key) -> None:
    """Refuse what the key that signed it may not state.

    Raises:
        AttestationError: It lacks the role, was retired before, or names somebody else.
    """
    what = f"{statement.kind} {statement.digest}"
    roles = ROLES[statement.kind]
    if not key.may(roles):
        raise AttestationError(
            f"{what} does not count: signed by {key}, which takes a key with the role "
            f"{' or '.join(sorted(roles))}"
        )
    # The log looks at its entries itself; and no key's end takes a revocation back.
    if statement.kind not in {Kind.LOG, Kind.REVOCATION}:
        key.require_in_use(statement.text("at"), what)
    if not statement.personal:
        return
    if Role.APPROVER not in key.roles:
        raise AttestationError(
            f"{what} does not count: signed by {key}, and it names no pull request whose merge a "
            "forge could have told; it takes the approver's own key"
        )
    if statement.text("by") != key.owner:
        raise AttestationError(
            f"{what} does not count: in the name of {statement.text('by')!r}, signed by {key}"
        )


def save(
    store: Store,
    signer: Signer,
    kind: Kind,
    model: str,
    predicate: Mapping[str, Any],
    verifier: Verifier | None,
) -> Statement:
    """Sign and store a statement about a model, and make it findable.

    Raises:
        UsageError: The signer's key may not state this; nothing was written.
    """
    key = verifier.require(signer, ROLES[kind], f"a {kind}") if verifier else None
    data, media_type = encode(kind, model, predicate, signer)
    digest = store.put_bytes(data, media_type).digest
    point(store, model, digest)
    return Statement(kind, model, dict(predicate), digest, signer.key_id, key=key)


def point(store: Store, subject: str, digest: str) -> None:
    """Make a statement findable from something that it is about."""
    store.write_pointer(f"statements/{hex_of(subject)}/{hex_of(digest)}", digest.encode())


def load(store: Store, digest: str, verifier: Verifier | None) -> Statement:
    """Read a signed statement by its digest; errors as `decode` and `Store.get_bytes`."""
    return decode(store.get_bytes(digest, MAX_ATTESTATION_BYTES), digest, verifier, signed=True)


def about(
    store: Store, model: str, verifier: Verifier | None, kind: Kind | None = None
) -> list[Statement]:
    """Every believable statement about a model, oldest first; others count for nothing."""
    return _split(store, model, verifier, kind)[0]


def refused(store: Store, model: str, verifier: Verifier | None) -> list[AttestationError]:
    """Why each of the other statements about a model does not count."""
    return _split(store, model, verifier, None)[1]


def _split(
    store: Store, model: str, verifier: Verifier | None, kind: Kind | None
) -> tuple[list[Statement], list[AttestationError]]:
    found, errors = [], []
    for digest in _pointed(store, model):
        try:
            statement = load(store, digest, verifier)
        except AttestationError as error:
            errors.append(error)
            continue
        if statement.subject == model and kind in {None, statement.kind}:
            found.append(statement)
    return sorted(found, key=lambda item: (item.text("at"), item.digest)), errors


def unknown(
    store: Store, model: str, verifier: Verifier | None, kind: Kind
) -> list[UnknownKeyError]:
    """Statements of a kind about a model whose key is not configured, as the errors they are."""
    found: list[UnknownKeyError] = []
    for digest in _pointed(store, model):
        try:
            load(store, digest, verifier)
        except UnknownKeyError as error:
            # What it is, only its own text says; that is enough to be careful.
            claimed = load(store, digest, None)
            if (claimed.kind, claimed.subject) == (kind, model):
                found.append(error)
        except AttestationError:
            continue
    return found


def _pointed(store: Store, model: str) -> list[str]:
    pointers = store.list_pointers(f"statements/{hex_of(model)}/")
    return [PREFIX + pointer.rsplit("/", 1)[-1] for pointer in pointers]


def now() -> str:
    """The time, RFC 3339 in UTC, to the second."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """A moment as every document here writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str, what: str) -> datetime:
    """A day or moment that a person typed; a day means its end.

    Raises:
        UsageError: Neither.
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
    """Whether a time is past, or is none."""
    try:
        return moment(until, "until") <= datetime.now(UTC)
    except UsageError:
        return True


def person() -> str:
    """`Name <mail>` of whoever runs this, as Git knows them.

    Raises:
        UsageError: Git does not know.
    """
    from git import Git
    from git.exc import GitCommandError

    found = []
    for key, author, committer in (
        ("user.name", GIT_AUTHOR_NAME, GIT_COMMITTER_NAME),
        ("user.email", GIT_AUTHOR_EMAIL, GIT_COMMITTER_EMAIL),
    ):
        value = author.get() or committer.get()
        if not value:
            try:
                value = str(Git().config("--get", key))
            except GitCommandError:
                value = ""
        found.append(" ".join(value.split()))
    if not all(found):
        raise UsageError(
            "who is doing this? set it once: git config --global user.name '…'; "
            "git config --global user.email '…' (or GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL)"
        )
    return f"{found[0]} <{found[1]}>"
