"""Checks of MLflow and of the signing key."""

import os
import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

from assay.doctor import Finding, Ground, Status
from assay.errors import AttestationError
from assay.signing import Role, signer_from_env, verifier_from_env


def check_mlflow(_ground: Ground) -> Sequence[Finding]:
    """The registry answers, and takes a registered model, which is removed again."""
    from assay.mlflow_calls import calling, public_uri
    from assay.registry import Registry

    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    Registry(uri or None).ping()
    answers = Finding("MLflow", Status.OK, f"{public_uri(uri)} answers")
    if urlsplit(uri).scheme not in {"http", "https"}:
        text = "no server: a file that is made when it is needed"
        return [answers, Finding("MLflow writable", Status.SKIPPED, text)]
    from mlflow.tracking import MlflowClient

    name = f"assay-doctor-{uuid.uuid4().hex}"
    with calling("create and delete a registered model", uri):
        client = MlflowClient(uri, uri)
        client.create_registered_model(name)
        client.delete_registered_model(name)
    text = "a registered model was made and removed"
    return [answers, Finding("MLflow writable", Status.OK, text)]


def check_signing(_ground: Ground) -> Sequence[Finding]:
    """The key signs, and what it signs is believed."""
    signer, verifier = signer_from_env(), verifier_from_env()
    if signer is None and verifier is not None:
        return [
            Finding(
                "signing",
                Status.FAILED,
                "ASSAY_VERIFY_KEYS is set and ASSAY_SIGNING_KEY is not: a run would not accept "
                "its own attestations",
                "set both, or none",
            )
        ]
    if signer is None:
        text = "no key: attestations are unsigned; whoever can write to the store can forge them"
        remedy = "openssl genpkey -algorithm ed25519 -out signing.pem; set ASSAY_SIGNING_KEY"
        return [Finding("signing", Status.WARNING, text, remedy)]
    import json

    payload = b'{"assay":"doctor"}'
    envelope = json.loads(signer.sign(payload))
    if verifier is None:
        text = f"key {signer.key_id[:12]} signs; signatures are not asked for"
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
                f"no key in ASSAY_VERIFY_KEYS confirms what key {signer.key_id[:12]} signs",
                "add its public half: openssl pkey -in signing.pem -pubout",
            )
        ]
    if key is not None and (key.retired or Role.RUNNER not in key.roles):
        state = "retired" if key.retired else "not that of a runner"
        text = f"{key} is {state}: it cannot sign what a run attests"
        return [Finding("signing", Status.WARNING, text, "give runs a key with the role runner")]
    return [Finding("signing", Status.OK, f"key {signer.key_id[:12]} signs and is believed")]
