"""A store with real models, a registry, real Git remotes and forges."""

import contextlib
import os
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assay.core.context import services_from_env
from assay.core.execution import Context, execute
from assay.core.signing import Signer, Verifier
from assay.core.step import Model, MonitoringPlan, Out, Policy, Services, Step, step
from assay.core.store import Store, open_store
from assay.core.store.base import blob_key
from assay.core.tree import get_manifest
from assay.governance.registry import Registry
from assay.releases import approval, log, promotion, rollback, sync
from assay.releases.deployment import Deployment
from assay.releases.settings import Settings, settings_from_env

import servers
from simulators.forge import git

ANN = "Ann Approver <ann@example.org>"
BOB = "Bob Boss <bob@example.org>"
MODEL = "churn"
ROWS = 400
GITEA_SOURCE = "code.gitea.io/gitea@v1.26.0"
GOOD = "gates: [{metric: accuracy > 0.6}]\n"


@step
def write_policy(*, text: str, policy: Out[Policy]) -> None:
    """A policy with a record, as preflight makes one."""
    (policy.path / "policy.yaml").write_text(text)


@step
def draft_plan(*, model: Model, plan: Out[MonitoringPlan]) -> None:
    """A monitoring plan with a record, as preflight makes one."""
    from assay.models import load
    from assay.monitoring import FILE_NAME, draft

    loaded = load(model.path)
    (plan.path / FILE_NAME).write_text(draft(loaded.info, 100, "on-call@example.org").to_yaml())


@dataclass(frozen=True)
class World:
    """A store, a registry and a deployment repository that a test may damage."""

    root: Path
    store: Store
    models: dict[str, str]
    """By name: `one`, `two`, `three` pass their policy, `bad` does not."""
    bare: Path

    @property
    def services(self) -> Services:
        return services_from_env()

    @property
    def settings(self) -> Settings:
        return settings_from_env()

    @property
    def deployment(self) -> Deployment:
        return Deployment.from_env()

    def signed_by(self, signer: Signer) -> Deployment:
        return replace(self.deployment, signer=signer)

    @property
    def without_registry(self) -> Deployment:
        return replace(self.deployment, registry=None)

    @property
    def signer(self) -> Signer:
        return self.deployment.require_signer()

    @property
    def registry(self) -> Registry:
        return Registry()

    def promote(self, model: str, environment: str, **changes: Any) -> promotion.Promotion:
        digest = self.models.get(model, model)
        return promotion.promote(self.deployment, MODEL, environment, digest=digest, **changes)

    def approve(self, environment: str, **changes: Any) -> str:
        return approval.approve(self.deployment, MODEL, environment, **{"by": ANN, **changes})

    def sync(self, **changes: Any) -> sync.Synced:
        return sync.sync(self.deployment, **changes)

    def release(self, model: str, *environments: str) -> None:
        """Through environments, each merged and recorded."""
        for environment in environments:
            self.promote(model, environment)
            self.approve(environment)
            assert self.sync().problems == []

    def roll_back(self, environment: str, **changes: Any) -> rollback.RolledBack:
        arguments: dict[str, Any] = {"by": ANN, "why": "wrong predictions", "now": True, **changes}
        deployment = arguments.pop("deployment", self.deployment)
        return rollback.rollback(deployment, MODEL, environment, **arguments)

    def blob(self, digest: str) -> Path:
        return self.root / "store" / blob_key(digest)

    def model_file(self, model: str, path: str = "model.skops") -> Path:
        manifest = get_manifest(self.store, self.models.get(model, model))
        return self.blob(next(e.blob.digest for e in manifest.files if e.path == path))

    def checkout(self) -> Path:
        """A person's clone of the deployment repository."""
        folder = self.root / f"clone-{secrets.token_hex(4)}"
        git(self.root, "clone", "-q", str(self.bare), str(folder))
        git(folder, "config", "user.name", "Some Body")
        git(folder, "config", "user.email", "some@example.org")
        return folder

    def entries(self) -> list[log.Entry]:
        """What happened, without what was only about to."""
        return [entry for entry in self.chain() if entry.event is not log.Event.INTENT]

    def chain(self) -> list[log.Entry]:
        return log.read(self.services, MODEL)

    def head(self, branch: str = "main") -> str:
        return git(self.bare, "rev-parse", f"refs/heads/{branch}")


def new_key() -> tuple[str, str]:
    """A private key, and its public half."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@dataclass(frozen=True)
class Keys:
    """Whose private keys there are, by name, and the `keys.yaml` that lists their public halves."""

    private: dict[str, str]
    public: dict[str, str]

    def signer(self, name: str) -> Signer:
        return Signer.from_pem(self.private[name].encode())

    def listing(self, **changes: dict[str, Any] | None) -> str:
        """The file; a change adds fields to a key's entry, None leaves it out."""
        listed = {
            "runs": {"owner": "Runs <runs@example.org>", "roles": ["runner"]},
            "ann": {"owner": ANN, "roles": ["approver"]},
            "bob": {"owner": BOB, "roles": ["approver"]},
            "recorder": {"owner": "Recorder <ci@example.org>", "roles": ["recorder"]},
        }
        return yaml.safe_dump(
            [
                {**entry, **(changes.get(name) or {}), "key": self.public[name]}
                for name, entry in listed.items()
                if changes.get(name, {}) is not None
            ]
        )


@pytest.fixture(scope="session")
def keys() -> Keys:
    made = {name: new_key() for name in ("runs", "ann", "bob", "recorder", "stranger")}
    return Keys(
        {name: pair[0] for name, pair in made.items()},
        {name: pair[1] for name, pair in made.items()},
    )


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> tuple[Path, dict[str, str]]:
    """Four models through the real steps, the three good ones registered, `three` with a plan."""
    from assay.components.check_monitoring.step import check_monitoring
    from assay.components.compare.step import compare
    from assay.components.evaluate.step import evaluate
    from assay.components.gate.step import gate
    from assay.components.register.step import register
    from assay.components.snapshot_data.step import snapshot_data
    from assay.components.split_data.step import split_data
    from assay.components.train.step import train

    root = tmp_path_factory.mktemp("releases")
    lines = ["a,b,label"]
    lines += [
        f"{i % 7},{(i * 37) % 11},{'yes' if (i % 7 > 3) != (i % 9 == 0) else 'no'}"
        for i in range(ROWS)
    ]
    (root / "data.csv").write_text("\n".join(lines) + "\n")
    (root / "store").mkdir()
    context = Context(
        open_store((root / "store").as_uri()),
        signer=keys.signer("runs"),
        verifier=Verifier.from_yaml(keys.listing().encode()),
        invocation="run-42",
    )

    def run(what: Step, **arguments: Any) -> Any:
        return execute(what, arguments, context).outputs

    data = run(snapshot_data, data=str(root / "data.csv"))["dataset"]
    parts = run(split_data, data=data, target="label", test_fraction=0.4)
    models = {}
    estimators: dict[str, tuple[str, dict[str, Any], str]] = {
        "one": ("tree.DecisionTreeClassifier", {"max_depth": 2}, GOOD),
        "two": ("tree.DecisionTreeClassifier", {"max_depth": 3}, GOOD),
        "three": ("tree.DecisionTreeClassifier", {"max_depth": 4}, f"{GOOD}# reviewed\n"),
        "bad": ("dummy.DummyClassifier", {}, GOOD),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        for name, (path, hyperparameters, text) in estimators.items():
            model = run(
                train,
                data=parts["train"],
                target="label",
                estimator=f"sklearn.{path}",
                hyperparameters=hyperparameters,
            )["model"]
            models[name] = model
            judged = run(
                evaluate, model=model, test_data=parts["test"], resamples=100, latency_rows=10
            )
            comparison = run(compare, candidate=model, test_data=parts["test"])["comparison"]
            watched = run(
                check_monitoring,
                model=model,
                test_data=parts["test"],
                plan=run(draft_plan, model=model)["plan"] if name == "three" else None,
                starts=2,
            )["monitoring"]
            decision = run(
                gate,
                model=model,
                policy=run(write_policy, text=text)["policy"],
                evidence=[judged["evaluation"], judged["measurements"], comparison, watched],
                test_data=parts["test"],
                data=data,
            )["decision"]
            if name != "bad":
                run(
                    register,
                    model=model,
                    decision=decision,
                    evaluation=judged["evaluation"],
                    measurements=judged["measurements"],
                    data=data,
                    model_name=MODEL,
                )
    return root, models


@pytest.fixture
def world(
    template: tuple[Path, dict[str, str]],
    keys: Keys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """A copy of it all, with an empty repository on a remote without a forge."""
    source, models = template
    root = tmp_path / "world"
    shutil.copytree(source, root, symlinks=True)
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as database, database:
        # The registry's versions lie where the copy of the store is.
        database.execute(
            "UPDATE model_versions SET source = replace(source, ?, ?)",
            (source.as_uri(), root.as_uri()),
        )
    bare = root / "team" / "deployments.git"
    bare.parent.mkdir()
    git(root, "init", "-q", "--bare", "-b", "main", str(bare))
    git(bare, "config", "http.receivepack", "true")
    monkeypatch.setenv("ASSAY_STORE", (root / "store").as_uri())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", str(bare))
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing())
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ann Approver")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ann@example.org")
    return World(root, open_store((root / "store").as_uri()), models, bare)


@dataclass
class GiteaServer:
    url: str
    admin: Callable[..., str]
    """Runs `gitea admin …`; what it printed."""


@pytest.fixture(scope="session")
def gitea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GiteaServer]:
    """A real Gitea server with SQLite. CI does without: building one takes it too long."""
    program = servers.find("gitea")
    if program is None:
        pytest.skip("gitea is not installed; run: make gitea")
    folder = tmp_path_factory.mktemp("gitea")
    (port,) = servers.free_ports(1)
    modules = subprocess.run(
        ["go", "env", "GOMODCACHE"], capture_output=True, text=True
    ).stdout.strip()
    # One that was built from source reads its templates from there; a packaged one has its own.
    source = Path(modules) / GITEA_SOURCE
    static = f"STATIC_ROOT_PATH = {source}" if source.is_dir() else ""
    settings = f"""
RUN_MODE = prod
WORK_PATH = {folder}
RUN_USER = {os.environ.get("USER") or "root"}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
DISABLE_SSH = true
OFFLINE_MODE = true
{static}
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
[repository]
ROOT = {folder}/repositories
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = {secrets.token_hex(16)}
[log]
LEVEL = Warn
"""
    (folder / "app.ini").write_text(settings)
    environment = {"HOME": str(folder), "GITEA_WORK_DIR": str(folder)}
    command = [program, "web", "-c", str(folder / "app.ini")]

    def admin(*words: str) -> str:
        done = subprocess.run(
            [program, "admin", *words, "-c", str(folder / "app.ini")],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    url = f"http://127.0.0.1:{port}"
    with servers.serving(command, f"{url}/api/v1/version", folder / "log", **environment):
        yield GiteaServer(url, admin)
