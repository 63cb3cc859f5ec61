"""MinIO as the manifests set it up: their script, by a real `mc`, against a real server.

The whole suite of the store then runs as the user that runs are, with that user's rights.
"""

import importlib.util
import inspect
import io
import os
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from minio import Minio, MinioAdmin
from minio.credentials import StaticProvider
from minio.error import MinioAdminException, S3Error

from assay.cluster.doctor.checks import Ground, exit_code
from assay.cluster.doctor.store import check_store
from assay.core.digest import of_bytes
from assay.core.store import Store, blob_key, open_store
from assay.errors import StoreAccessError

import servers

pytestmark = pytest.mark.minio

ROOT = Path(__file__).resolve().parents[2]
RUNS = ("runs", "the runs' p@ss/word")
MLFLOW = ("mlflow", "mlflow's $ecret")
KFP = ("kfp", 'kfp "quoted"')


@dataclass(frozen=True)
class Ready:
    """A MinIO server after its set-up."""

    endpoint: str
    root: tuple[str, str]
    setup: Callable[..., "subprocess.CompletedProcess[str]"]

    def client(self, user: tuple[str, str]) -> Minio:
        access, secret = user
        host = self.endpoint.removeprefix("http://")
        return Minio(host, access_key=access, secret_key=secret, secure=False, region="us-east-1")

    def admin(self, user: tuple[str, str]) -> MinioAdmin:
        host = self.endpoint.removeprefix("http://")
        return MinioAdmin(endpoint=host, credentials=StaticProvider(*user), secure=False)


@pytest.fixture(scope="session")
def ready(
    minio_endpoint: str,
    manifests: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ready:
    mc = servers.require("mc", "run: make cluster-tools")
    script = manifests / "base" / "minio" / "setup.sh"

    def setup(**changes: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": f"{Path(mc).parent}{os.pathsep}{os.environ['PATH']}",
            "MC_CONFIG": str(tmp_path_factory.mktemp("mc")),
            "MINIO_URL": minio_endpoint,
            "BUCKET": "assay",
            "TRIES": "1",
            "ROOT_USER": servers.USER,
            "ROOT_PASSWORD": servers.PASSWORD,
        }
        for name, (user, password) in (("PIPELINES", RUNS), ("MLFLOW", MLFLOW), ("KFP", KFP)):
            environment |= {f"{name}_USER": user, f"{name}_PASSWORD": password}
        return subprocess.run(
            ["/bin/sh", str(script)], capture_output=True, text=True, env=environment | changes
        )

    first = setup()
    assert first.returncode == 0, first.stdout + first.stderr
    assert "bucket assay is ready" in first.stdout
    return Ready(minio_endpoint, (servers.USER, servers.PASSWORD), setup)


@pytest.fixture
def store_url(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in the bucket, as the user that runs are."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", RUNS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", RUNS[1])
    return f"s3://assay/store/{uuid.uuid4().hex}?endpoint={ready.endpoint}"


@pytest.fixture
def store(store_url: str) -> Store:
    return open_store(store_url)


def _suite() -> ModuleType:
    path = ROOT / "tests" / "integration" / "test_store.py"
    spec = importlib.util.spec_from_file_location("store_suite", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_BY_AN_OPERATOR = {
    "test_names_with_odd_characters_are_listed_as_they_are",
    "test_the_error_of_a_damaged_blob_names_a_command_that_mends_it",
}
"""Tests that remove something, for which runs have no right."""

# Here `store` is opened with the rights of runs, so the suite's tests run once more with those.
_TESTS = {
    name.replace("test_", "test_with_the_rights_of_runs_", 1): pytest.mark.slow(test)
    for name, test in vars(_suite()).items()
    if name.startswith("test_")
    and name not in _BY_AN_OPERATOR
    and {"store", "store_url"} & set(inspect.signature(test).parameters)
}
globals().update(_TESTS)


def test_the_suite_of_the_store_is_not_empty() -> None:
    assert len(_TESTS) > 10


def test_setting_up_again_changes_nothing(ready: Ready) -> None:
    again = ready.setup()
    assert again.returncode == 0, again.stderr
    root = ready.client(ready.root)
    assert root.get_bucket_versioning("assay").status == "Enabled"
    rules = root.get_bucket_lifecycle("assay").rules
    assert [rule.rule_id for rule in rules] == ["kfp-run-files"]


def test_a_new_password_in_the_secret_becomes_the_users(ready: Ready) -> None:
    another = "another-password"
    assert ready.setup(MLFLOW_PASSWORD=another).returncode == 0
    client = ready.client((MLFLOW[0], another))
    list(client.list_objects("assay", "mlflow/"))
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        list(ready.client(MLFLOW).list_objects("assay", "mlflow/"))
    assert ready.setup().returncode == 0
    list(ready.client(MLFLOW).list_objects("assay", "mlflow/"))


def test_no_password_is_printed(ready: Ready) -> None:
    done = ready.setup()
    for secret in (ready.root[1], RUNS[1], MLFLOW[1], KFP[1]):
        assert secret not in done.stdout + done.stderr


def test_a_root_user_that_is_refused_is_named(ready: Ready) -> None:
    done = ready.setup(ROOT_PASSWORD=RUNS[1])
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: http://")
    assert "assay-minio-root" in done.stderr


def test_only_kfps_own_files_expire(ready: Ready) -> None:
    rules = ready.client(ready.root).get_bucket_lifecycle("assay").rules
    assert {rule.rule_filter.prefix for rule in rules} == {"kfp/"}
    assert [(rule.status, rule.expiration.days) for rule in rules] == [("Enabled", 30)]


def test_a_run_cannot_lose_a_blob(ready: Ready, store: Store, store_url: str) -> None:
    blob = store.put_bytes(b"precious")
    key = f"{store_url.split('assay/', 1)[1].split('?', maxsplit=1)[0]}/{blob_key(blob.digest)}"
    runs, root = ready.client(RUNS), ready.client(ready.root)
    version = root.stat_object("assay", key).version_id

    for attempt in (
        lambda: runs.remove_object("assay", key),
        lambda: runs.remove_object("assay", key, version_id=version),
    ):
        with pytest.raises(S3Error, match="AccessDenied"):
            attempt()
    # A writer can put other bytes in a blob's place: a reader finds out, and nothing is gone.
    runs.put_object("assay", key, io.BytesIO(b"spoiled!"), 8)
    assert root.get_object("assay", key, version_id=version).read() == b"precious"
    assert of_bytes(b"precious") == blob.digest


def test_doctor_finds_nothing_to_fear_in_this_set_up(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORE", store_url)
    found = {finding.check: finding for finding in check_store(Ground())}
    assert {name: finding.status.value for name, finding in found.items()} == {
        "store": "ok",
        "store writable": "ok",
        "store create-only": "ok",
        "store digests": "ok",
        "store clean-up": "warning",  # a run may not delete, its throw-away objects neither
        "store versioning": "ok",
        "store life cycle": "ok",
    }
    assert exit_code(list(found.values())) == 0
    # Below another prefix the same user is refused, before anything is tried there.
    monkeypatch.setenv("ASSAY_STORE", store_url.replace("/store/", "/mlflow/"))
    with pytest.raises(StoreAccessError, match="AccessDenied"):
        check_store(Ground())


@pytest.mark.parametrize(
    "attempt",
    [
        lambda client: list(client.list_objects("assay", "mlflow/")),
        lambda client: list(client.list_objects("assay", "kfp/")),
        lambda client: list(client.list_objects("assay")),
        lambda client: client.get_object("assay", "mlflow/secret"),
        lambda client: client.put_object("assay", "kfp/x", io.BytesIO(b"x"), 1),
        lambda client: client.put_object("assay", "x", io.BytesIO(b"x"), 1),
        lambda client: client.make_bucket("mine"),
        lambda client: client.remove_bucket("assay"),
        lambda client: client.delete_bucket_lifecycle("assay"),
        lambda client: client.get_bucket_policy("assay"),
        lambda client: client.set_bucket_policy("assay", "{}"),
        lambda client: client.list_objects("other").__next__(),
    ],
)
def test_a_run_may_do_nothing_else(ready: Ready, attempt: Callable[[Minio], object]) -> None:
    root = ready.client(ready.root)
    root.put_object("assay", "mlflow/secret", io.BytesIO(b"x"), 1)
    if not root.bucket_exists("other"):
        root.make_bucket("other")
    with pytest.raises(S3Error, match="AccessDenied"):
        attempt(ready.client(RUNS))


def test_a_run_cannot_switch_versioning_off(ready: Ready) -> None:
    from minio.versioningconfig import SUSPENDED, VersioningConfig

    runs = ready.client(RUNS)
    assert runs.get_bucket_versioning("assay").status == "Enabled"
    with pytest.raises(S3Error, match="AccessDenied"):
        runs.set_bucket_versioning("assay", VersioningConfig(SUSPENDED))


@pytest.mark.parametrize("user", [RUNS, MLFLOW, KFP])
def test_nobody_makes_users_or_keys_of_their_own(ready: Ready, user: tuple[str, str]) -> None:
    admin = ready.admin(user)
    for attempt in (
        lambda: admin.user_add("intruder", "intruder-secret"),
        lambda: admin.policy_set("consoleAdmin", user=user[0]),
        lambda: admin.add_service_account(access_key="intruder", secret_key=user[1]),
    ):
        with pytest.raises(MinioAdminException, match="AccessDenied"):
            attempt()


@pytest.mark.parametrize(("user", "prefix"), [(MLFLOW, "mlflow"), (KFP, "kfp")])
def test_each_service_keeps_to_its_own_prefix(
    ready: Ready, user: tuple[str, str], prefix: str
) -> None:
    client = ready.client(user)
    client.put_object("assay", f"{prefix}/a/file", io.BytesIO(b"x"), 1)
    assert [item.object_name for item in client.list_objects("assay", f"{prefix}/a/")]
    client.remove_object("assay", f"{prefix}/a/file")
    for foreign in {"store", "mlflow", "kfp"} - {prefix}:
        with pytest.raises(S3Error, match="AccessDenied"):
            list(client.list_objects("assay", f"{foreign}/"))
        with pytest.raises(S3Error, match="AccessDenied"):
            client.put_object("assay", f"{foreign}/x", io.BytesIO(b"x"), 1)
