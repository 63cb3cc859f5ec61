"""Signatures: DSSE envelopes of statements, by keys with owners and roles.

Disabled by default. `ASSAY_SIGNING_KEY` is a private key (PEM text, or the path of a PEM file).
`ASSAY_VERIFY_KEYS` are public keys: a `keys.yaml` with the owner and the roles of each key, or bare
PEM, whose keys have the role `runner` only. The value is the text itself, or paths joined by the
path separator. If a verification key is configured, unsigned statements are refused.

| role | signs |
|---|---|
| `runner` | attestations of executions, drills; rollbacks to releases approved before |
| `approver` | approvals, overrides, revocations, admissions, in the name of its owner |
| `recorder` | what a forge reports about a merge, and entries of the release log |
| `trigger` | decisions that start a pipeline |

A key that runs pipelines (`runner`, `trigger`) can be neither `approver` nor `recorder`, because
the user who starts a run could otherwise approve its results.

The envelope is DSSE v1 (https://github.com/secure-systems-lab/dsse), through securesystemslib.
"""

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from assay.core.digest import canonical_json
from assay.core.settings import SIGNING_KEY, VERIFY_KEYS
from assay.documents import Limits, read_regular, read_yaml
from assay.errors import AttestationError, UnknownKeyError, UsageError

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_BEGIN: Final = "-----BEGIN "
_MAX_KEY_BYTES: Final = 64 << 10
_MAX_KEYS: Final = 200
_OWNER: Final = re.compile(r"[^<>\s][^<>\x00-\x1f\x7f]{0,99} <[^<>\s]{3,200}>")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT")
_FIELDS: Final = frozenset({"owner", "roles", "key", "retired", "stolen", "formerly"})


_DAYS: Final = {
    "retired": "the last day on which it is valid",
    "stolen": "the first day on which it may have been stolen",
}


class Role(StrEnum):
    """What a key may sign."""

    RUNNER = "runner"
    APPROVER = "approver"
    RECORDER = "recorder"
    TRIGGER = "trigger"


_PIPELINES: Final = frozenset({Role.RUNNER, Role.TRIGGER})
_PEOPLE: Final = frozenset({Role.APPROVER, Role.RECORDER})


@dataclass(frozen=True, slots=True)
class Key:
    """A public key with its owner and roles."""

    key_id: str
    owner: str
    """`Name <mail>`; empty for a key from bare PEM."""
    roles: frozenset[Role]
    retired: date | None
    """Last day, in UTC, on which its signatures are valid; None while it is in use."""
    public: Any
    stolen: date | None = None
    """First day, in UTC, on which it may have been stolen; None if it was not."""
    formerly: frozenset[str] = frozenset()
    """Earlier names of the owner, in statements from before the name changed."""

    def __str__(self) -> str:
        roles = ", ".join(sorted(self.roles))
        return f"key {self.key_id[:12]} of {self.owner or 'nobody named'} (roles: {roles})"

    def may(self, roles: Collection[Role]) -> bool:
        """Whether it has one of these roles."""
        return not self.roles.isdisjoint(roles)

    @property
    def out_of_use(self) -> bool:
        """Whether it signs nothing more: its last day is over, or it was stolen."""
        return not self.was_in_use(datetime.now(UTC).isoformat()) or self.stolen is not None

    def was_in_use(self, at: str) -> bool:
        """Whether a time, RFC 3339 in UTC, is within the last day, and before the theft."""
        day = at[:10]
        return (
            bool(_MOMENT.match(at))
            and (self.retired is None or day <= self.retired.isoformat())
            and (self.stolen is None or day < self.stolen.isoformat())
        )

    def require_in_use(self, at: str, what: str, *, proven: bool = False) -> None:
        """Refuse a signature that was made after the key was retired, or may be forged.

        Args:
            at: Time of the signature according to the signed statement, RFC 3339 in UTC.
            what: Name of the statement, for the error.
            proven: Whether another key has signed, before the theft, that the statement existed.
                Only then a signature of a stolen key is valid, because the thief can sign any
                time.

        Raises:
            AttestationError: The signature was made later, or its time is not proven.
        """
        if self.stolen is not None and not (proven and at[:10] < self.stolen.isoformat()):
            raise AttestationError(
                f"{what}: signed at {at or 'an unknown time'} by {self}, which was stolen on "
                f"{self.stolen}, and no other key proves that it was signed before; do not use it"
            )
        if self.retired is None:
            return
        if not _MOMENT.match(at) or at[:10] > self.retired.isoformat():
            raise AttestationError(
                f"{what}: signed at {at or 'an unknown time'} by {self}, which was retired on "
                f"{self.retired}; do not use it"
            )


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one private key."""

    _signer: Any

    @property
    def key_id(self) -> str:
        """The id of the key: a digest of the public key, computed by securesystemslib."""
        return str(self._signer.public_key.keyid)

    @classmethod
    def from_pem(cls, pem: bytes) -> "Signer":
        """Load a private key.

        Raises:
            UsageError: Not an unencrypted ed25519 or ECDSA private key in PEM format.
        """
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner

        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise UsageError(
                "ASSAY_SIGNING_KEY: not an unencrypted private key in PEM format; "
                "create one with: openssl genpkey -algorithm ed25519 -out signing.pem"
            ) from error
        if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise UsageError("ASSAY_SIGNING_KEY: use an ed25519 or ECDSA key, not another kind")
        return cls(CryptoSigner(key))

    def sign(self, payload: bytes) -> bytes:
        """A DSSE envelope around `payload`, as canonical JSON."""
        from securesystemslib.dsse import Envelope

        envelope = Envelope(payload, PAYLOAD_TYPE, {})
        envelope.sign(self._signer)
        return canonical_json(envelope.to_dict())


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies signatures by configured keys and their roles."""

    keys: Sequence[Key]

    @classmethod
    def from_pem(cls, pem: bytes) -> "Verifier":
        """Load one or more public keys with the role `runner`.

        Raises:
            UsageError: The data is not ed25519 or ECDSA public keys in PEM format.
        """
        return cls(tuple(_bare_keys(pem)))

    @classmethod
    def from_yaml(cls, data: bytes, what: str = "keys.yaml") -> "Verifier":
        """Load a `keys.yaml`.

        Raises:
            UsageError: The file is not valid; the message lists all problems.
        """
        return cls.of(_listed_keys(data, what))

    @classmethod
    def of(cls, keys: Iterable[Key]) -> "Verifier":
        """A verifier with some keys.

        Raises:
            UsageError: A key is listed twice.
        """
        keys = tuple(keys)
        ids = [key.key_id for key in keys]
        if twice := sorted({key_id[:12] for key_id in ids if ids.count(key_id) > 1}):
            raise UsageError(
                f"ASSAY_VERIFY_KEYS: key {', '.join(twice)} is listed twice; list each key once, "
                "with all of its roles"
            )
        return cls(keys)

    def open(
        self,
        envelope: Mapping[str, Any],
        what: str,
        role: Role | Collection[Role] | None = None,
    ) -> tuple[bytes, Key]:
        """Verify an envelope.

        Args:
            envelope: The envelope.
            what: Its name, for errors.
            role: The required role of the key, or several roles of which it must have one; None
                accepts all roles.

        Returns:
            The payload, and the key that signed it.

        Raises:
            UnknownKeyError: The envelope has no valid signature by a configured key.
            AttestationError: The key does not have the required role.
        """
        from securesystemslib.exceptions import VerificationError

        roles = {role} if isinstance(role, Role) else set(role if role is not None else Role)
        parsed = _envelope(envelope, what)
        by_id = {key.key_id: key for key in self.keys}
        public = [key.public for key in self.keys]
        try:
            accepted = parsed.verify(public, 1)
        except VerificationError as error:
            signers = ", ".join(sorted(key[:12] for key in parsed.signatures)) or "nobody"
            raise UnknownKeyError(
                f"{what}: signed by {signers}, which no key in ASSAY_VERIFY_KEYS confirms; "
                "do not use it, or add the signer's public key if you trust it (one that is no "
                "longer in use with `retired: <its last day>`, one that was stolen with "
                "`stolen: <day>`)"
            ) from error
        keys = [by_id[str(key_id)] for key_id in accepted]
        allowed = [key for key in keys if key.may(roles)]
        if not allowed:
            raise AttestationError(
                f"{what}: signed by {keys[0]}, which takes a key with the role "
                f"{' or '.join(sorted(roles))}; {_remedy(roles)}"
            )
        return bytes(parsed.payload), allowed[0]

    def require(self, signer: Signer, role: Role | Collection[Role], what: str) -> Key:
        """Check that a signer may sign a statement.

        Args:
            signer: The signer.
            role: The required role, or several of which the key must have one.
            what: Name of the statement, for errors.

        Returns:
            The key of the signer.

        Raises:
            UsageError: The key is not configured, retired or stolen, or has another role.
        """
        roles = {role} if isinstance(role, Role) else set(role)
        needed = " or ".join(sorted(roles))
        key = next((key for key in self.keys if key.key_id == signer.key_id), None)
        if key is None:
            raise UsageError(
                f"{what} takes a key with the role {needed}, and ASSAY_VERIFY_KEYS does not list "
                f"key {signer.key_id[:12]} of ASSAY_SIGNING_KEY",
                remedy="have it added to keys.yaml",
            )
        if key.stolen is not None:
            raise UsageError(
                f"{key} was stolen on {key.stolen}", where=what, remedy="sign with another key"
            )
        if key.out_of_use:
            raise UsageError(
                f"{key} was retired on {key.retired}", where=what, remedy="sign with another key"
            )
        if not key.may(roles):
            raise UsageError(
                f"{what} takes a key with the role {needed}, and ASSAY_SIGNING_KEY is {key}",
                remedy=_remedy(roles),
            )
        return key


def person_of(verifier: Verifier | None, signer: Signer, role: Role, by: str, what: str) -> str:
    """The author of a statement: the owner of the signing key, regardless of `by`.

    Args:
        verifier: The configured keys; None in a sandbox without keys, where `by` is used.
        signer: The signer.
        role: The required role of the key.
        by: `Name <mail>` according to the caller.
        what: Name of the statement, for errors.

    Returns:
        `Name <mail>`.

    Raises:
        UsageError: The key does not have the role, or has no owner.
    """
    if verifier is None:
        return by
    key = verifier.require(signer, role, what)
    if not key.owner:
        raise UsageError(f"{what}: {key} has no owner; list it in keys.yaml with one")
    return key.owner


def _remedy(roles: Collection[Role]) -> str:
    if Role.APPROVER in roles:
        return (
            "sign with the approver's own key, whose public key keys.yaml lists with "
            "`roles: [approver]`"
        )
    return f"list the right key in keys.yaml with `roles: [{', '.join(sorted(roles))}]`"


def open_unverified(envelope: Mapping[str, Any], what: str) -> tuple[bytes, str]:
    """The payload and the claimed key ids of an envelope, without verification."""
    parsed = _envelope(envelope, what)
    return bytes(parsed.payload), ",".join(sorted(parsed.signatures))


def signer_from_env() -> Signer | None:
    """The signer of `ASSAY_SIGNING_KEY`; None if it is unset."""
    value = SIGNING_KEY.get()
    return Signer.from_pem(_pem("ASSAY_SIGNING_KEY", value)) if value else None


def verifier_from_env() -> Verifier | None:
    """The verifier of `ASSAY_VERIFY_KEYS`; None if it is unset."""
    value = VERIFY_KEYS.get()
    if not value:
        return None
    keys: list[Key] = []
    for text in [value] if _BEGIN in value else value.split(os.pathsep):
        data = _pem("ASSAY_VERIFY_KEYS", text)
        # A keys.yaml contains keys as values, so it does not begin with one.
        listed = _BEGIN.encode() in data and not data.lstrip().startswith(_BEGIN.encode())
        what = "ASSAY_VERIFY_KEYS" if _BEGIN in text else f"ASSAY_VERIFY_KEYS: {text}"
        keys += _listed_keys(data, what) if listed else _bare_keys(data)
    return Verifier.of(keys)


def _bare_keys(pem: bytes) -> list[Key]:
    blocks = [_BEGIN.encode() + block for block in pem.split(_BEGIN.encode())[1:]]
    if not blocks:
        raise UsageError(
            "ASSAY_VERIFY_KEYS: no public key found; give a keys.yaml, a PEM file, or its text"
        )
    return [
        _key(block, "", frozenset({Role.RUNNER}), None, "ASSAY_VERIFY_KEYS") for block in blocks
    ]


def _key(pem: bytes, owner: str, roles: frozenset[Role], retired: date | None, what: str) -> Key:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        public = SSlibKey.from_crypto(load_pem_public_key(pem))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{what}: not a public key in PEM format; "
            "create it with: openssl pkey -in signing.pem -pubout -out verify.pem"
        ) from error
    if public.keytype not in {"ed25519", "ecdsa"}:
        raise UsageError(f"{what}: use an ed25519 or ECDSA key, not {public.keytype}")
    return Key(str(public.keyid), owner, roles, retired, public)


def _listed_keys(data: bytes, what: str) -> list[Key]:
    raw = read_yaml(data, what, Limits(_MAX_KEY_BYTES, depth=8)).value
    if not isinstance(raw, list) or not 0 < len(raw) <= _MAX_KEYS:
        raise UsageError(
            f"{what}: not a list of 1 to {_MAX_KEYS} keys, each with owner, roles and key"
        )
    keys, problems = [], []
    for number, item in enumerate(raw, start=1):
        try:
            keys.append(_listed_key(item, f"{what}, key {number}"))
        except UsageError as error:
            problems.append(error)
    if problems:
        raise UsageError.all_of(problems)
    return keys


def _listed_key(item: Any, what: str) -> Key:
    if not isinstance(item, dict) or {"owner", "roles", "key"} - item.keys():
        raise UsageError(f"{what}: give owner, roles and key")
    problems = [f"{str(name)[:40]!r} is not a field" for name in item.keys() - _FIELDS]
    days = _days(item, problems)
    owner, formerly = item["owner"], item.get("formerly", [])
    names = [owner, *(formerly if isinstance(formerly, list) else [None])]
    if not all(isinstance(name, str) and _OWNER.fullmatch(name) for name in names):
        problems.append("owner, and each of the list formerly: write 'Name <mail>'")
    roles = _roles(item["roles"], problems)
    if not isinstance(item["key"], str):
        problems.append("key: give the public key in PEM format")
    if problems:
        raise UsageError.all_of(problems, where=what)
    key = _key(item["key"].encode(), owner, roles, days.get("retired"), what)
    return replace(key, stolen=days.get("stolen"), formerly=frozenset(formerly))


def _days(item: Mapping[str, Any], problems: list[str]) -> dict[str, date]:
    """The days of a listed key; adds malformed ones to `problems`."""
    days: dict[str, date] = {}
    for name, meaning in _DAYS.items():
        if (day := item.get(name)) is not None:
            try:
                days[name] = date.fromisoformat(day)
            except (ValueError, TypeError):
                problems.append(f"{name}: write {meaning}, such as 2026-01-31")
    return days


def _roles(value: Any, problems: list[str]) -> frozenset[Role]:
    """The roles of a listed key; adds unknown and incompatible ones to `problems`."""
    texts = value if isinstance(value, list) else [value]
    unknown = [str(text)[:40] for text in texts if text not in set(Role)]
    if unknown or not texts:
        problems.append(f"roles: {unknown or 'none'}; there are: {', '.join(Role)}")
    roles = frozenset(Role(text) for text in texts if text in set(Role))
    if roles & _PIPELINES and roles & _PEOPLE:
        problems.append(
            f"roles: {', '.join(sorted(roles))} on one key, so that a pipeline could approve its "
            "own results; use a separate key for each"
        )
    return roles


def _pem(variable: str, value: str) -> bytes:
    if _BEGIN in value:
        return value.encode()
    return read_regular(Path(value), _MAX_KEY_BYTES, f"{variable}: a file or its text")


def _envelope(raw: Mapping[str, Any], what: str) -> Any:
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError

    try:
        # A deep copy, because `from_dict` changes the signatures it is given.
        envelope = Envelope.from_dict(json.loads(json.dumps(raw)))
    except (FormatError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise AttestationError(f"{what}: not a DSSE envelope ({error!r})") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise AttestationError(
            f"{what}: payload type {envelope.payload_type!r}, expected {PAYLOAD_TYPE!r}"
        )
    return envelope
