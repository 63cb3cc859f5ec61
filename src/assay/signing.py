"""Signatures: DSSE envelopes around statements, by ed25519 or ECDSA keys.

Off by default. `ASSAY_SIGNING_KEY` holds a private key (PEM text, or the path of a PEM file);
`ASSAY_VERIFY_KEYS` holds public keys (PEM text with one or more keys, or paths joined by the
path separator). Once a verification key is configured, nothing unsigned is believed.

The envelope is DSSE v1 (https://github.com/secure-systems-lab/dsse), through securesystemslib.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assay.digest import canonical_json
from assay.documents import read_regular
from assay.errors import AttestationError, UsageError

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_BEGIN: Final = "-----BEGIN "
_MAX_KEY_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one private key."""

    _signer: Any

    @property
    def key_id(self) -> str:
        """The key's id: a digest of its public half, as securesystemslib computes it."""
        return str(self._signer.public_key.keyid)

    @classmethod
    def from_pem(cls, pem: bytes) -> "Signer":
        """Load a private key.

        Raises:
            UsageError: No unencrypted ed25519 or ECDSA private key in PEM form.
        """
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner

        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise UsageError(
                "ASSAY_SIGNING_KEY: not an unencrypted private key in PEM form; "
                "make one with: openssl genpkey -algorithm ed25519 -out signing.pem"
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
    """Believes what at least one of its public keys has signed."""

    _keys: Sequence[Any]

    @classmethod
    def from_pem(cls, pem: bytes) -> "Verifier":
        """Load one or more public keys.

        Raises:
            UsageError: No ed25519 or ECDSA public key in PEM form, or something besides.
        """
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer import SSlibKey

        blocks = [_BEGIN.encode() + block for block in pem.split(_BEGIN.encode())[1:]]
        try:
            keys = [SSlibKey.from_crypto(load_pem_public_key(block)) for block in blocks]
        except (ValueError, TypeError) as error:
            raise UsageError(
                "ASSAY_VERIFY_KEYS: not a public key in PEM form; "
                "make it with: openssl pkey -in signing.pem -pubout -out verify.pem"
            ) from error
        if not keys:
            raise UsageError("ASSAY_VERIFY_KEYS: no public key found; give a PEM file or its text")
        return cls(tuple(keys))

    def open(self, envelope: Mapping[str, Any], what: str) -> tuple[bytes, str]:
        """The payload of an envelope that a configured key has signed, and that key's id.

        Raises:
            AttestationError: No signature by a configured key holds for these bytes.
        """
        from securesystemslib.exceptions import VerificationError

        parsed = _envelope(envelope, what)
        try:
            accepted = parsed.verify(list(self._keys), 1)
        except VerificationError as error:
            signers = ", ".join(sorted(key[:12] for key in parsed.signatures)) or "nobody"
            raise AttestationError(
                f"{what}: signed by {signers}, which no key in ASSAY_VERIFY_KEYS confirms; "
                "do not use it, or add the signer's public key if you trust it"
            ) from error
        return bytes(parsed.payload), str(next(iter(accepted)))


def open_unverified(envelope: Mapping[str, Any], what: str) -> tuple[bytes, str]:
    """The payload and the claimed key ids of an envelope, where no verification key is set."""
    parsed = _envelope(envelope, what)
    return bytes(parsed.payload), ",".join(sorted(parsed.signatures))


def signer_from_env() -> Signer | None:
    """The signer that `ASSAY_SIGNING_KEY` configures, or None when it is unset."""
    value = os.environ.get("ASSAY_SIGNING_KEY", "").strip()
    return Signer.from_pem(_pem("ASSAY_SIGNING_KEY", value)) if value else None


def verifier_from_env() -> Verifier | None:
    """The verifier that `ASSAY_VERIFY_KEYS` configures, or None when it is unset."""
    value = os.environ.get("ASSAY_VERIFY_KEYS", "").strip()
    if not value:
        return None
    paths = [value] if _BEGIN in value else value.split(os.pathsep)
    return Verifier.from_pem(b"\n".join(_pem("ASSAY_VERIFY_KEYS", path) for path in paths))


def _pem(variable: str, value: str) -> bytes:
    if _BEGIN in value:
        return value.encode()
    return read_regular(Path(value), _MAX_KEY_BYTES, f"{variable}: a PEM file or its text")


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
