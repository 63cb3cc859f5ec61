"""Keys with owners and roles: what `keys.yaml` may say, and who may sign what."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from assay.core.signing import Role, Signer, Verifier, person_of, verifier_from_env
from assay.errors import AttestationError, UnknownKeyError, UsageError

from stories import refused

ANN = "Ann Approver <ann@example.org>"


def pair() -> tuple[Signer, str]:
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    return Signer.from_pem(private), public.decode()


def listing(*entries: dict[str, object]) -> bytes:
    return yaml.safe_dump(list(entries)).encode()


def test_a_key_has_an_owner_and_roles() -> None:
    signer, public = pair()
    verifier = Verifier.from_yaml(listing({"owner": ANN, "roles": ["approver"], "key": public}))
    payload, key = verifier.open(json.loads(signer.sign(b"{}")), "it", Role.APPROVER)
    assert (payload, key.owner, key.key_id) == (b"{}", ANN, signer.key_id)
    refused(
        lambda: verifier.open(json.loads(signer.sign(b"{}")), "it", Role.RUNNER),
        AttestationError,
        f"key {signer.key_id[:12]} of {ANN} (roles: approver)",
        "takes a key with the role runner",
    )
    other, _ = pair()
    refused(
        lambda: verifier.open(json.loads(other.sign(b"{}")), "it"),
        UnknownKeyError,
        "no key in ASSAY_VERIFY_KEYS confirms",
        "retired",
    )


@pytest.mark.parametrize("both", [["runner", "approver"], ["trigger", "recorder"], list(Role)])
def test_a_key_that_runs_pipelines_cannot_approve(both: list[str]) -> None:
    _, public = pair()
    refused(
        lambda: Verifier.from_yaml(
            listing({"owner": ANN, "roles": [str(role) for role in both], "key": public})
        ),
        UsageError,
        "a pipeline could approve its own results",
        "use a separate key for each",
    )


def test_one_key_under_two_owners_is_refused() -> None:
    _, public = pair()
    refused(
        lambda: Verifier.from_yaml(
            listing(
                {"owner": ANN, "roles": ["approver"], "key": public},
                {"owner": "Runs <runs@example.org>", "roles": ["runner"], "key": public},
            )
        ),
        UsageError,
        "listed twice",
    )


def test_bare_pem_and_keys_yaml_that_share_a_key_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, public = pair()
    (tmp_path / "verify.pem").write_text(public)
    (tmp_path / "keys.yaml").write_bytes(
        listing({"owner": ANN, "roles": ["approver"], "key": public})
    )
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", f"{tmp_path}/verify.pem:{tmp_path}/keys.yaml")
    refused(verifier_from_env, UsageError, "listed twice")


def test_all_problems_of_a_keys_yaml_are_reported_together() -> None:
    _, public = pair()
    weak = rsa.generate_private_key(65537, 2048).public_key()
    pem = weak.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode()
    said = refused(
        lambda: Verifier.from_yaml(
            listing(
                {"owner": "nobody", "roles": ["approver"], "key": public},
                {"owner": ANN, "roles": ["aprover"], "key": public},
                {"owner": ANN, "roles": [], "key": public},
                {"owner": ANN, "roles": ["approver"], "key": "secret"},
                {"owner": ANN, "roles": ["approver"], "key": pem},
                {"owner": ANN, "roles": ["approver"], "key": public, "retired": "soon"},
                {"owner": ANN, "roles": ["approver"], "key": public, "until": "2026"},
                {"owner": ANN},
            )
        ),
        UsageError,
        *(f"key {number}" for number in range(1, 9)),
        "openssl pkey",
        "not rsa",
        "2026-01-31",
        "'until' is not a field",
        "there are: runner, approver, recorder, trigger",
    )
    assert "secret" not in said
    for data in (b"", b"{}", b"[]", b"- &a [*a]", b"[" * 9000, b"\xff", b"- 1"):
        refused(lambda data=data: Verifier.from_yaml(data), UsageError, "keys.yaml")


def test_a_list_of_keys_is_given_as_text_or_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, public = pair()
    text = listing({"owner": ANN, "roles": ["approver"], "key": public}).decode()
    (tmp_path / "keys.yaml").write_text(text)
    for value in (text, str(tmp_path / "keys.yaml")):
        monkeypatch.setenv("ASSAY_VERIFY_KEYS", value)
        verifier = verifier_from_env()
        assert verifier is not None
        assert [key.owner for key in verifier.keys] == [ANN]
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", public)
    verifier = verifier_from_env()
    assert verifier is not None
    assert [set(key.roles) for key in verifier.keys] == [{Role.RUNNER}]
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", str(tmp_path))
    refused(verifier_from_env, UsageError, "not a regular file")


def test_signatures_of_a_stolen_key_need_a_proof_of_their_time() -> None:
    signer, public = pair()
    entry = {"owner": ANN, "roles": ["approver"], "key": public, "stolen": date(2026, 1, 31)}
    verifier = Verifier.from_yaml(listing(entry))
    (key,) = verifier.keys
    key.require_in_use("2026-01-30T23:59:59Z", "it", proven=True)
    for at, proven in (("2026-01-30T23:59:59Z", False), ("2026-01-31T00:00:00Z", True)):
        refused(
            lambda at=at, proven=proven: key.require_in_use(at, "it", proven=proven),
            AttestationError,
            "was stolen on 2026-01-31",
        )
    refused(
        lambda: person_of(verifier, signer, Role.APPROVER, "x", "an override"),
        UsageError,
        "sign with another key",
    )


@pytest.mark.parametrize(("days", "signs"), [(-1, False), (0, True), (30, True)])
def test_a_key_signs_until_its_last_day_is_over(days: int, signs: bool) -> None:
    """So a rotation can be planned: the file is distributed before the day."""
    signer, public = pair()
    last = (datetime.now(UTC) + timedelta(days=days)).date()
    entry = {"owner": ANN, "roles": ["approver"], "key": public, "retired": last}
    verifier = Verifier.from_yaml(listing(entry))
    assert verifier.keys[0].out_of_use is not signs
    if signs:
        assert person_of(verifier, signer, Role.APPROVER, "x", "an override") == ANN
        return
    refused(
        lambda: person_of(verifier, signer, Role.APPROVER, "x", "an override"),
        UsageError,
        f"was retired on {last}",
    )


def test_signatures_before_the_retirement_of_a_key_are_valid() -> None:
    signer, public = pair()
    entry = {"owner": ANN, "roles": ["approver"], "key": public, "retired": date(2026, 1, 31)}
    verifier = Verifier.from_yaml(listing(entry))
    (key,) = verifier.keys
    key.require_in_use("2026-01-31T23:59:59Z", "it")
    for late in ("2026-02-01T00:00:00Z", "", "0", "soon"):
        refused(
            lambda late=late: key.require_in_use(late, "it"),
            AttestationError,
            "was retired on 2026-01-31",
        )
    refused(
        lambda: person_of(verifier, signer, Role.APPROVER, "x", "an override"),
        UsageError,
        "sign with another key",
    )
