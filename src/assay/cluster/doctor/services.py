"""Checks of the settings, MLflow, the signing key, and the requirements of releases."""

import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from assay.cluster.doctor.checks import Finding, Ground, Status, finding_of
from assay.core.context import services_from_env
from assay.core.settings import DEPLOYMENTS, MLFLOW_URI, SETTINGS, check, misspelt
from assay.core.signing import Role, signer_from_env, verifier_from_env
from assay.errors import AssayError, AttestationError, UsageError

if TYPE_CHECKING:
    from assay.core.step import Services

REHEARSED: Final = "staging"
"""The environment of drills."""
MAX_MODELS: Final = 20
"""Number of models whose logs are checked; each needs a few reads."""


def check_settings(_ground: Ground) -> Sequence[Finding]:
    """Check that every variable has a valid value, and none is misspelt."""
    findings = [
        Finding("settings", Status.WARNING, f"{name} is not a setting", f"did you mean {meant}?")
        for name, meant in misspelt()
    ]
    check(*SETTINGS)
    return findings or [Finding("settings", Status.OK, "every value is valid")]


def check_mlflow(_ground: Ground) -> Sequence[Finding]:
    """Check that the registry answers and can create a registered model, which is then deleted."""
    from assay.governance.mlflow_calls import calling, public_uri
    from assay.governance.registry import Registry

    uri = MLFLOW_URI.get()
    Registry(uri or None).ping()
    answers = Finding("MLflow", Status.OK, f"{public_uri(uri)} answers")
    if urlsplit(uri).scheme not in {"http", "https"}:
        text = "no server: a file that is created when needed"
        return [answers, Finding("MLflow writable", Status.SKIPPED, text)]
    from mlflow.tracking import MlflowClient

    name = f"assay-doctor-{uuid.uuid4().hex}"
    with calling("create and delete a registered model", uri):
        client = MlflowClient(uri, uri)
        client.create_registered_model(name)
        client.delete_registered_model(name)
    text = "a registered model was created and deleted"
    return [answers, Finding("MLflow writable", Status.OK, text)]


def check_signing(_ground: Ground) -> Sequence[Finding]:
    """Check that the key can sign, and that its signatures count."""
    signer, verifier = signer_from_env(), verifier_from_env()
    if signer is None and verifier is not None:
        return [
            Finding(
                "signing",
                Status.FAILED,
                "ASSAY_VERIFY_KEYS is set and ASSAY_SIGNING_KEY is not: a run would not accept "
                "its own attestations",
                "set both or neither",
            )
        ]
    if signer is None:
        text = "no key: attestations are unsigned; anyone who can write to the store can forge them"
        remedy = "openssl genpkey -algorithm ed25519 -out signing.pem; set ASSAY_SIGNING_KEY"
        return [Finding("signing", Status.WARNING, text, remedy)]
    import json

    payload = b'{"assay":"doctor"}'
    envelope = json.loads(signer.sign(payload))
    if verifier is None:
        text = f"key {signer.key_id[:12]} signs; signatures are not checked"
        return [Finding("signing", Status.WARNING, text, "set ASSAY_VERIFY_KEYS")]
    try:
        opened, key = verifier.open(envelope, "the probe")
    except AttestationError:
        opened, key = b"", None
    if opened != payload:
        return [
            Finding(
                "signing",
                Status.FAILED,
                f"no key in ASSAY_VERIFY_KEYS confirms the signatures of key {signer.key_id[:12]}",
                "add its public key: openssl pkey -in signing.pem -pubout",
            )
        ]
    if key is not None and (key.out_of_use or Role.RUNNER not in key.roles):
        unused = "stolen" if key.stolen else "retired" if key.out_of_use else ""
        state = unused or "not that of a runner"
        text = f"{key} is {state}: it cannot sign what a run attests"
        return [Finding("signing", Status.WARNING, text, "give runs a key with the role runner")]
    return [
        Finding("signing", Status.OK, f"key {signer.key_id[:12]} signs, and its signatures count")
    ]


def check_releases(_ground: Ground) -> Sequence[Finding]:
    """Check that there is a key for release statements, and that drills have releases to restore.

    Runs need neither, so the check is skipped if nothing was ever released.
    """
    from assay.releases import log

    services = services_from_env()
    models = log.models(services.store)
    if not models and not DEPLOYMENTS.get():
        text = "nothing was released from this store, and ASSAY_DEPLOYMENTS is not set"
        return [Finding("releases", Status.SKIPPED, text)]
    return [_release_key(services), *_drills(services, models)]


def _release_key(services: "Services") -> Finding:
    from assay.releases import log
    from assay.releases.drill_age import MAKE_KEY

    name = "signing of releases"
    signer = signer_from_env()
    if signer is None:
        text = "no key: assay release approve, override and revoke, and the rollback drill refuse"
        remedy = f"{MAKE_KEY}; set ASSAY_SIGNING_KEY, on a cluster by the Secret assay-runner"
        return Finding(name, Status.FAILED, text, remedy)
    if services.verifier is None:
        return Finding(
            name, Status.OK, f"key {signer.key_id[:12]} signs; signatures are not checked"
        )
    try:
        key = services.verifier.require(signer, log.WRITERS[log.Event.ROLLBACK], "a release")
    except UsageError as error:
        return finding_of(name, Status.FAILED, error)
    may = {
        Role.RUNNER: "drills and rollbacks",
        Role.APPROVER: "approvals, overrides, revocations",
        Role.RECORDER: "records of merges",
    }
    signs = ", ".join(text for role, text in may.items() if role in key.roles)
    return Finding(name, Status.OK, f"{key} signs {signs}")


def _drills(services: "Services", models: Sequence[str]) -> Iterator[Finding]:
    """Check whether a rollback of each model can be rehearsed."""
    from assay.releases import drill_age

    for model in models[:MAX_MODELS]:
        name = f"rollback drill {model}"
        try:
            problems: list[AssayError] = [*drill_age.missing_for_drill(services, model, REHEARSED)]
        except AssayError as error:
            problems = [error]
        if not problems:
            text = f"{REHEARSED} has an earlier release"
            yield Finding(name, Status.OK, text)
        for problem in problems:
            yield finding_of(name, Status.WARNING, problem)
    if (more := len(models) - MAX_MODELS) > 0:
        yield Finding("rollback drill", Status.SKIPPED, f"{more} more models not checked")
