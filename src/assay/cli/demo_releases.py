"""The demo's last two scenes: a release to production by merge, and a rollback."""

import shlex
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import yaml

from assay.cli.console import human_bytes, print_table, stdout
from assay.core.environment import set_variables
from assay.core.git import Git
from assay.core.signing import Signer
from assay.releases.deployment import Deployment
from assay.releases.layout import ENVIRONMENTS
from assay.text import short

KEY, APPROVER_KEY, KEYS = "signing.pem", "approver.pem", "keys.yaml"
REPOSITORY: Final = "deployments.git"
SETTINGS: Final = "env.sh"
PERSON: Final = ("Demo Approver", "demo@localhost")
RUNS: Final = "Demo runs <runs@localhost>"
SHORT_COMMIT: Final = 12
WHY: Final = "the second release of the demo is an intended mistake"


def prepare() -> None:
    """Create keys for runs and approver and an empty deployment repository, and use them.

    A settings file beside them lets the next commands in a shell use them too.
    """
    _write_keys()
    Git().run("init", "--quiet", "--bare", "--initial-branch=main", "--", REPOSITORY)
    name, mail = PERSON
    values = {
        "ASSAY_SIGNING_KEY": str(Path(KEY).absolute()),
        "ASSAY_VERIFY_KEYS": str(Path(KEYS).absolute()),
        "ASSAY_DEPLOYMENTS": str(Path(REPOSITORY).absolute()),
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": mail,
    }
    set_variables(values)
    Path(SETTINGS).write_text(
        "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()),
        encoding="utf-8",
    )


def release(model_name: str, digest: str) -> float:
    """Release through every environment, by a merge in each; return the seconds."""
    from assay.releases.approval import approve
    from assay.releases.promotion import promote
    from assay.releases.statement import person
    from assay.releases.sync import sync

    runs, approver = Deployment.from_env(), _approver()
    rows, total = [], 0.0
    for environment in ENVIRONMENTS:
        times = [time.monotonic()]
        done = promote(runs, model_name, environment, digest=digest)
        times.append(time.monotonic())
        commit = approve(approver, model_name, environment, by=person())
        times.append(time.monotonic())
        sync(approver)
        times.append(time.monotonic())
        phases = [f"{end - begin:.1f}" for begin, end in pairwise(times)]
        rows.append([environment, done.branch, commit[:SHORT_COMMIT], *phases])
        total += times[-1] - times[0]
    print_table(["environment", "branch", "merge", "propose s", "merge s", "record s"], rows)
    return total


def override(model_name: str, digest: str) -> None:
    """Override the decision of the gate for a day."""
    from assay.releases.override import override as decide
    from assay.releases.statement import person

    until = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    decide(_approver(), model_name, digest, by=person(), why=WHY, until=until)
    stdout.print(f"{short(digest)} overridden until {until} by {person()}")


def roll_back(model_name: str) -> tuple[str, float]:
    """Roll production back; return the digest that is in production now, and the seconds."""
    from assay.releases.rollback import rollback
    from assay.releases.statement import person

    done = rollback(_approver(), model_name, "production", by=person(), why=WHY, now=True)
    rows = [[phase, f"{seconds:.2f}"] for phase, seconds in done.seconds.items()]
    print_table([f"phase of the rollback ({human_bytes(done.size)})", "seconds"], rows)
    return done.release.digest, sum(done.seconds.values())


def _approver() -> Deployment:
    """The deployment with the approver's key, which runs do not have."""
    return replace(Deployment.from_env(), signer=Signer.from_pem(Path(APPROVER_KEY).read_bytes()))


def _write_keys() -> None:
    person = "{} <{}>".format(*PERSON)
    listed = [
        {"owner": RUNS, "roles": ["runner"], "key": _write_key(Path(KEY))},
        {"owner": person, "roles": ["approver"], "key": _write_key(Path(APPROVER_KEY))},
    ]
    Path(KEYS).write_text(yaml.safe_dump(listed, sort_keys=False), encoding="utf-8")


def _write_key(private: Path) -> str:
    """Create a private key; return the public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()
