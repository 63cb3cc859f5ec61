"""doctor against real stores and a real MLflow, and against what goes wrong with them."""

import base64
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from minio.commonconfig import ENABLED, Filter
from minio.credentials import StaticProvider
from minio.lifecycleconfig import Expiration, LifecycleConfig, NoncurrentVersionExpiration, Rule
from minio.minioadmin import MinioAdmin
from minio.versioningconfig import VersioningConfig

from assay.cli import main
from assay.cluster.client import Endpoint
from assay.cluster.doctor.checks import Finding, Ground, Status, exit_code, run_checks
from assay.cluster.doctor.cluster import check_images, check_kfp, check_requeue_time, check_secrets
from assay.cluster.doctor.ground import ground
from assay.cluster.doctor.services import (
    check_mlflow,
    check_releases,
    check_settings,
    check_signing,
)
from assay.cluster.doctor.store import check_clock, check_store, judge_clock
from assay.cluster.profile import parse_profile
from assay.core.execution import Context, execute
from assay.core.store import open_store
from assay.core.store.client import client_for
from assay.errors import (
    ServiceError,
    StoreAccessError,
    StoreError,
    StoreUnavailableError,
)

from simulators import json_server, kfp_api

DIGEST = "sha256:" + "a" * 64
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = Ground()


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster, login or endpoint of the developer's own."""
    for name in list(os.environ):
        if name.startswith(("KFP_", "KF_PIPELINES_", "KUBERNETES_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


def by_check(findings: Any) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def statuses(findings: Any) -> dict[str, str]:
    return {finding.check: finding.status.value for finding in findings}


# The settings.


def test_every_setting_that_cannot_be_used_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
    monkeypatch.setenv("ASSAY_MAX_COLUMNS", "many")
    monkeypatch.setenv("ASSAY_CACHE", "sometimes")
    found = run_checks([("settings", check_settings), ("store", check_store)], NOTHING, 30)
    assert statuses(found) == {"settings": "failed", "store": "ok"}
    output = f"{found[0].detail}; {found[0].remedy}"
    assert "ASSAY_CACHE: 'sometimes' is not one of read-write, off, refresh" in output
    assert "ASSAY_MAX_COLUMNS: 'many' is not a whole number" in output
    assert exit_code(found) == 2


def test_a_misspelt_setting_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STOER", "file:///store")
    (finding,) = check_settings(NOTHING)
    assert finding.status is Status.WARNING
    assert (finding.detail, finding.remedy) == (
        "ASSAY_STOER is not a setting",
        "did you mean ASSAY_STORE?",
    )
    monkeypatch.delenv("ASSAY_STOER")
    assert statuses(check_settings(NOTHING)) == {"settings": "ok"}


# The store.


@pytest.fixture
def bucket(minio_endpoint: str, credentials: None) -> str:
    """URL of a store in a bucket of its own."""
    url = f"s3://doctor-{uuid.uuid4().hex[:12]}/assay?endpoint={minio_endpoint}"
    client_for(url).make_bucket(urlsplit(url).netloc)
    return url


def objects(url: str) -> list[str]:
    found = client_for(url).list_objects(urlsplit(url).netloc, recursive=True, include_version=True)
    return [item.object_name for item in found]


@pytest.mark.minio
@pytest.mark.parametrize("versions", [True, False])
def test_a_good_minio(bucket: str, monkeypatch: pytest.MonkeyPatch, versions: bool) -> None:
    monkeypatch.setenv("ASSAY_STORE", bucket)
    if versions:
        client_for(bucket).set_bucket_versioning(urlsplit(bucket).netloc, VersioningConfig(ENABLED))
    found = check_store(NOTHING)
    assert statuses(found) == {
        "store": "ok",
        "store writable": "ok",
        "store create-only": "ok",
        "store digests": "ok",
        "store versioning": "ok" if versions else "warning",
        "store life cycle": "ok",
    }
    assert objects(bucket) == [], "no version of the throw-away object stays"
    assert exit_code(found) == 0


def test_seaweedfs_does_not_check_digests(
    seaweedfs_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORE", seaweedfs_url)
    found = by_check(check_store(NOTHING))
    assert found["store digests"].status is Status.WARNING
    assert "it stored a wrong body" in found["store digests"].detail
    assert found["store writable"].status is Status.OK
    assert found["store create-only"].status is Status.OK
    assert not list(open_store(seaweedfs_url)._list("doctor/")), "the wrong body was removed"


@pytest.mark.minio
def test_rules_that_would_remove_blobs(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STORE", bucket)
    rules = [
        Rule(ENABLED, Filter(prefix=""), "sweep", expiration=Expiration(days=30)),
        Rule(ENABLED, Filter(prefix="assay/blobs/"), "old", expiration=Expiration(days=7)),
        Rule(ENABLED, Filter(prefix="kfp/"), "kfp-runs", expiration=Expiration(days=1)),
        Rule("Disabled", Filter(prefix="assay/"), "off", expiration=Expiration(days=1)),
        Rule(
            ENABLED,
            Filter(prefix="assay/"),
            "versions",
            noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=90),
        ),
    ]
    client_for(bucket).set_bucket_lifecycle(urlsplit(bucket).netloc, LifecycleConfig(rules))
    found = by_check(check_store(NOTHING))["store life cycle"]
    assert found.status is Status.WARNING
    assert found.detail == (
        "blobs will expire: rule sweep below / after 30 days; "
        "rule old below assay/blobs/ after 7 days"
    )


@pytest.mark.minio
def test_a_user_who_may_only_read(
    bucket: str, minio_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORE", bucket)
    host = urlsplit(minio_endpoint).netloc
    admin = MinioAdmin(
        endpoint=host,
        credentials=StaticProvider("assay-test", "assay-test-secret"),
        secure=False,
    )
    user = f"reader-{uuid.uuid4().hex[:8]}"
    admin.user_add(user, "reader-secret")
    statement = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::*"],
    }
    admin.policy_add(user, policy={"Version": "2012-10-17", "Statement": [statement]})
    admin.policy_set(user, user=user)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "reader-secret")
    found = by_check(check_store(NOTHING))
    assert found["store"].status is Status.OK
    assert found["store writable"].status is Status.FAILED
    assert "s3:PutObject" in found["store writable"].remedy
    assert "store create-only" not in found, "nothing to try it with"
    assert found["store versioning"].status is Status.SKIPPED
    assert found["store life cycle"].status is Status.SKIPPED
    assert exit_code(list(found.values())) == 7


@pytest.mark.minio
def test_a_user_who_may_not_delete(
    bucket: str, minio_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORE", bucket)
    admin = MinioAdmin(
        endpoint=urlsplit(minio_endpoint).netloc,
        credentials=StaticProvider("assay-test", "assay-test-secret"),
        secure=False,
    )
    user = f"writer-{uuid.uuid4().hex[:8]}"
    admin.user_add(user, "writer-secret")
    statement = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::*"],
    }
    admin.policy_add(user, policy={"Version": "2012-10-17", "Statement": [statement]})
    admin.policy_set(user, user=user)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "writer-secret")
    found = by_check(check_store(NOTHING))
    assert found["store writable"].status is Status.OK
    assert found["store clean-up"].status is Status.WARNING
    assert "remove the objects below assay/doctor/" in found["store clean-up"].remedy
    assert exit_code(list(found.values())) == 0


@pytest.mark.minio
def test_stores_that_cannot_be_used(
    minio_endpoint: str, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORE", f"s3://not-there/x?endpoint={minio_endpoint}")
    with pytest.raises(StoreError, match="mc mb ALIAS/not-there"):
        check_store(NOTHING)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(StoreAccessError) as error:
        check_store(NOTHING)
    assert "wrong-secret" not in str(error.value)
    monkeypatch.setenv("ASSAY_STORE", f"s3://b/x?endpoint={minio_endpoint}")
    with pytest.raises(StoreError, match="InvalidBucketName"):
        check_store(NOTHING)
    monkeypatch.setenv("ASSAY_STORE", "s3://bucket/x?endpoint=http://127.0.0.1:9")
    with pytest.raises(StoreUnavailableError):
        check_store(NOTHING)
    with pytest.raises(StoreUnavailableError, match="check ASSAY_STORE"):
        check_clock(NOTHING)


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
    assert statuses(check_store(NOTHING)) == {"store": "ok"}
    before = sorted((tmp_path / "store").rglob("*"))
    check_store(NOTHING)
    assert sorted((tmp_path / "store").rglob("*")) == before
    assert statuses(check_clock(NOTHING)) == {"clock": "skipped"}


@pytest.mark.minio
def test_the_clock_of_a_real_server(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STORE", bucket)
    assert statuses(check_clock(NOTHING)) == {"clock": "ok"}


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, "ok"), (61, "ok"), (63, "warning"), (-62, "warning"), (899, "warning"), (-902, "failed")],
)
def test_how_far_the_clock_is_off(seconds: int, status: str) -> None:
    date = format_datetime(NOW - timedelta(seconds=seconds), usegmt=True)
    assert judge_clock(date, NOW, NOW).status.value == status


def test_a_slow_answer_is_no_skew() -> None:
    date = format_datetime(NOW, usegmt=True)
    assert judge_clock(date, NOW - timedelta(seconds=300), NOW + timedelta(seconds=300)).status == (
        Status.OK
    )


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_a_store_that_does_not_tell_the_time(date: str) -> None:
    assert judge_clock(date, NOW, NOW).status is Status.SKIPPED


# MLflow and the key.


@pytest.mark.slow
def test_a_real_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    from servers import free_ports, serving

    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    with serving([sys.executable, *words], f"{url}/health", tmp_path / "log"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        assert statuses(check_mlflow(NOTHING)) == {"MLflow": "ok", "MLflow writable": "ok"}
        assert list(MlflowClient(url, url).search_registered_models()) == []


def test_a_dead_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError) as error:
        check_mlflow(NOTHING)
    assert "secret" not in str(error.value)


def test_a_file_as_the_registry_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert statuses(check_mlflow(NOTHING)) == {"MLflow": "ok", "MLflow writable": "skipped"}
    assert not (tmp_path / "mlflow.db").exists()


def key() -> tuple[str, str]:
    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.fixture
def keys_yaml() -> Callable[..., str]:
    def listing(public: str, *roles: str) -> str:
        entry = {"owner": "Some Body <some@example.org>", "roles": [*roles], "key": public}
        return str(yaml.safe_dump([entry]))

    return listing


def test_the_signing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert statuses(check_signing(NOTHING)) == {"signing": "warning"}
    private, public = key()
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", public)
    (found,) = check_signing(NOTHING)
    assert found.status is Status.FAILED
    assert "would not accept its own attestations" in found.detail
    monkeypatch.setenv("ASSAY_SIGNING_KEY", private)
    assert statuses(check_signing(NOTHING)) == {"signing": "ok"}
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", key()[1])
    (found,) = check_signing(NOTHING)
    assert found.status is Status.FAILED
    assert "no key in ASSAY_VERIFY_KEYS confirms" in found.detail
    monkeypatch.delenv("ASSAY_VERIFY_KEYS")
    assert statuses(check_signing(NOTHING)) == {"signing": "warning"}


def test_a_key_for_releases(
    tmp_path: Path, keys_yaml: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORE", tmp_path.as_uri())
    assert statuses(check_releases(NOTHING)) == {"releases": "skipped"}
    # Who has a deployment repository releases: a person who approves, a drill that is recorded.
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", "https://git.example.org/ml/deployments.git")
    (found,) = check_releases(NOTHING)
    assert (found.check, found.status) == ("signing of releases", Status.FAILED)
    assert found.detail == (
        "no key: assay release approve, override and revoke, and the rollback drill refuse"
    )
    assert "openssl genpkey" in found.remedy
    assert "Secret assay-runner" in found.remedy
    # The same is a warning where runs are all there is.
    assert statuses(check_signing(NOTHING)) == {"signing": "warning"}

    private, public = key()
    monkeypatch.setenv("ASSAY_SIGNING_KEY", private)
    assert statuses(check_releases(NOTHING)) == {"signing of releases": "ok"}
    for role, output in (
        ("runner", "signs drills and rollbacks"),
        ("approver", "signs approvals, overrides, revocations"),
        ("recorder", "signs records of merges"),
    ):
        monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys_yaml(public, role))
        (found,) = check_releases(NOTHING)
        assert found.status is Status.OK
        assert found.detail.endswith(output)
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys_yaml(public, "trigger"))
    (found,) = check_releases(NOTHING)
    assert found.status is Status.FAILED
    assert "takes a key with the role approver or recorder or runner" in found.detail
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys_yaml(key()[1], "runner"))
    (found,) = check_releases(NOTHING)
    assert found.status is Status.FAILED
    assert "have it added to keys.yaml" in found.remedy


# The cluster.


@pytest.mark.parametrize(
    ("version", "status"),
    [("2.17.0", "ok"), ("v2.15.1", "ok"), ("2.4.0", "warning"), ("", "ok"), ("nightly", "ok")],
)
def test_kfp(version: str, status: str) -> None:
    with kfp_api.serving(kfp_api.KfpApi(version=version)) as url:
        assert statuses(check_kfp(ground(endpoint=url))) == {"KFP": status}


def test_kfp_that_cannot_be_used() -> None:
    assert statuses(check_kfp(NOTHING)) == {"KFP": "skipped"}
    with pytest.raises(ServiceError, match="does not answer"):
        check_kfp(Ground(endpoint=Endpoint("http://127.0.0.1:9")))
    with (
        kfp_api.serving(kfp_api.KfpApi(token="t")) as url,
        pytest.raises(ServiceError, match="set KFP_TOKEN"),
    ):
        check_kfp(ground(endpoint=url))


SECRETS = {
    "assay-runner": ["access-key", "secret-key"],
    "assay-mlflow": ["username"],
    "assay-git": [],
}


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A cluster's API with `SECRETS` in the namespace `team`; yields the paths that were asked."""
    asked: list[str] = []

    def handler(_method: str, path: str, headers: Mapping[str, str]) -> json_server.Answer:
        asked.append(path)
        name = path.rpartition("/")[2]
        if headers.get("authorization") != "Bearer reader":
            return 403, {"kind": "Status", "code": 403}, {}
        if not path.startswith("/api/v1/namespaces/team/secrets/") or name not in SECRETS:
            return 404, {"kind": "Status", "code": 404}, {}
        data = {word: base64.b64encode(b"x").decode() for word in SECRETS[name]}
        return 200, {"kind": "Secret", "metadata": {"name": name}, "data": data}, {}

    with json_server.serving(handler) as host:
        write_kubeconfig(tmp_path / "kubeconfig", f"http://{host}", "reader")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield asked


def write_kubeconfig(path: Path, server: str, token: str) -> None:
    context = {"cluster": "c", "user": "u", "namespace": "team"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": context}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(document))


def test_secrets(kubernetes: list[str]) -> None:
    found = by_check(check_secrets(ground()))
    assert statuses(found.values()) == {
        "secret assay-runner": "warning",
        "secret assay-mlflow": "warning",
        "secret assay-notify": "ok",
        "secret assay-git": "warning",
    }
    assert found["secret assay-mlflow"].detail == "in team, without password"
    assert found["secret assay-runner"].detail == "in team, without private-key, public-key"
    assert found["secret assay-notify"].detail == "not in team, and optional"
    found = by_check(check_secrets(ground(namespace="other")))
    assert found["secret assay-runner"].status is Status.FAILED
    assert found["secret assay-runner"].remedy == (
        "kubectl -n other create secret generic assay-runner --from-file=access-key "
        "--from-file=secret-key --from-file=private-key --from-file=public-key"
    )


def test_a_secret_lacks_what_no_task_can_do_without(
    kubernetes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECRETS, "assay-runner", ["access-key", "private-key", "public-key"])
    found = by_check(check_secrets(ground()))["secret assay-runner"]
    assert (found.status, found.detail) == (Status.FAILED, "in team, without secret-key")


def test_unsigned_runs_are_refused_where_the_profile_demands_the_secret(
    kubernetes: list[str],
) -> None:
    profile = parse_profile(b"secrets: {runner: {optional: false}}")
    found = by_check(check_secrets(ground(profile=profile)))["secret assay-runner"]
    assert (found.status, found.detail) == (
        Status.FAILED, "in team, without private-key, public-key"
    )  # fmt: skip


def test_secrets_that_may_not_be_read(
    kubernetes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    server = config["clusters"][0]["cluster"]["server"]
    write_kubeconfig(tmp_path / "other", server, "nobody")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "other"))
    assert set(statuses(check_secrets(ground())).values()) == {"skipped"}
    write_kubeconfig(tmp_path / "dead", "http://127.0.0.1:9", "nobody")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "dead"))
    assert set(statuses(check_secrets(ground())).values()) == {"failed"}
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert statuses(check_secrets(ground())) == {"secrets": "skipped"}


REQUEUE_REMEDY = (
    "kubectl -n kubeflow set env deployment/workflow-controller DEFAULT_REQUEUE_TIME=1s"
)


def controller(value: Any, place: str) -> Iterator[str]:
    """A cluster whose workflow controller is in one namespace, with one variable."""

    def handler(_method: str, path: str, _headers: Mapping[str, str]) -> json_server.Answer:
        if path != f"/apis/apps/v1/namespaces/{place}/deployments/workflow-controller":
            code = 404 if "/kubeflow/" in path or "/team/" in path else 403
            return code, {"kind": "Status", "code": code}, {}
        own = [] if value is None else [{"name": "DEFAULT_REQUEUE_TIME", **value}]
        container = {
            "name": "workflow-controller",
            "env": [{"name": "ARGO_EXECUTOR_PLUGINS", "value": "true"}, *own],
        }
        template = {"spec": {"containers": [container]}}
        spec = {"selector": {}, "template": template}
        return 200, {"kind": "Deployment", "metadata": {}, "spec": spec}, {}

    with json_server.serving(handler) as host:
        yield f"http://{host}"


@pytest.mark.parametrize("place", ["kubeflow", "team"])
@pytest.mark.parametrize(
    ("value", "status", "said"),
    [
        ({"value": "1s"}, "ok", "every 1s"),
        ({"value": "500ms"}, "ok", "every 500ms"),
        ({"value": "6s"}, "warning", "every 6s: each task waits for it"),
        ({"value": "1m0.5s"}, "warning", "every 1m0.5s"),
        ({"value": "soon"}, "warning", "is not a duration"),
        (
            {"valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}},
            "warning",
            "is not a duration",
        ),
        (None, "warning", "every 10 s, its default"),
    ],
)
def test_how_long_each_task_waits_for_argo(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    value: Any,
    status: str,
    said: str,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    for url in controller(value, place):
        write_kubeconfig(tmp_path / "kubeconfig", url, "reader")
        (found,) = check_requeue_time(NOTHING)
        assert (found.check, found.status.value) == ("requeue time", status)
        assert said in found.detail
        assert found.remedy == ("" if status == "ok" else REQUEUE_REMEDY)


def test_who_may_not_look_is_reported_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`assay-runner`, and people without the right, have no Deployments to read."""

    def hint() -> Finding:
        (found,) = check_requeue_time(NOTHING)
        assert (found.status, found.remedy) == (Status.SKIPPED, REQUEUE_REMEDY)
        return found

    assert hint().detail == "neither in a cluster nor a kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    for url in controller(None, "elsewhere"):
        write_kubeconfig(tmp_path / "kubeconfig", url, "nobody")
        assert hint().detail == "workflow-controller cannot be read (HTTP 404)"
    write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:9", "nobody")
    assert "the cluster's API does not answer" in hint().detail


def registry(method: str, path: str, headers: Mapping[str, str]) -> json_server.Answer:
    """A registry with public and private images, whose tokens come from `/token`."""
    host = headers["host"]
    if path.startswith("/token"):
        scope = parse_qs(urlsplit(path).query)["scope"][0]
        login = "Basic " + base64.b64encode(b"robot:pass").decode()
        private = "private" in scope
        if private and headers.get("authorization") != login:
            return 401, {}, {}
        return 200, {"token": scope}, {}
    repository = path.removeprefix("/v2/").partition("/manifests/")[0]
    scope = f"repository:{repository}:pull"
    if headers.get("authorization") != f"Bearer {scope}":
        challenge = f'Bearer realm="http://{host}/token",service="r",scope="{scope}"'
        return 401, {}, {"WWW-Authenticate": challenge}
    assert method == "HEAD"
    known = path.endswith(f"/manifests/{DIGEST}") and "oci.image" in headers["accept"]
    return (200, {}, {}) if known else (404, {}, {})


def test_images(tmp_path: Path) -> None:
    with json_server.serving(registry) as host:

        def look(name: str) -> Finding:
            (finding,) = check_images(Ground(images=(name,)))
            return finding

        assert look(f"{host}/assay/public@{DIGEST}").status is Status.OK
        assert look(f"{host}/assay/public:1.0@{DIGEST}").status is Status.OK
        missing = look(f"{host}/assay/public@sha256:{'b' * 64}")
        assert missing.status is Status.FAILED
        assert "does not have assay/public@" in missing.detail
        refused = look(f"{host}/assay/private@{DIGEST}")
        assert refused.status is Status.FAILED
        assert f"docker login {host}" in refused.remedy
        login = base64.b64encode(b"robot:pass").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))
        assert look(f"{host}/assay/private@{DIGEST}").status is Status.OK
    dead = look(f"127.0.0.1:9/assay/public@{DIGEST}")
    assert dead.status is Status.FAILED
    assert "does not answer" in dead.detail
    assert look("assay-python-data:0.1.0").status is Status.SKIPPED
    assert look(f"library/python@{DIGEST}").status is Status.SKIPPED
    assert statuses(check_images(NOTHING)) == {"images": "skipped"}


# All of it.


def test_a_check_that_hangs_or_breaks_has_failed() -> None:
    never = threading.Event()

    def hang(_ground: Ground) -> list[Finding]:
        never.wait()
        return []

    def crash(_ground: Ground) -> list[Finding]:
        raise KeyError("surprise")

    def fine(_ground: Ground) -> list[Finding]:
        return [Finding("fine", Status.OK, "")]

    checks = [("hang", hang), ("crash", crash), ("fine", fine)]
    found = run_checks(checks, NOTHING, limit_seconds=0.5)
    never.set()
    assert statuses(found) == {"hang": "failed", "crash": "failed", "fine": "ok"}
    assert by_check(found)["hang"].detail == "gave no answer in 0.5 s"
    assert "KeyError" in by_check(found)["crash"].detail
    assert exit_code(found) == 8


def run_doctor(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *words])
    return int(stop.value.code or 0)


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_doctor("--json") == 0
    found = {item["check"]: item for item in json.loads(capsys.readouterr().out)}
    assert found["store"]["status"] == "ok"
    assert found["signing"]["remedy"]
    assert found["requeue time"]["status"] == "skipped"
    assert found["requeue time"]["remedy"] == REQUEUE_REMEDY
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", key()[1])
    assert run_doctor() == 8
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "check\tstatus\tfound\tremedy"
    assert any(line.startswith("signing\tfailed\t") for line in lines)
    assert any(line.startswith("requeue time\t") and REQUEUE_REMEDY in line for line in lines)
    monkeypatch.setenv("ASSAY_STORE", "s3://bucket/x?endpoint=http://127.0.0.1:9")
    assert run_doctor() == 7
    with pytest.raises(SystemExit) as stop:
        main(["doctor", "--endpoint", "nowhere"])
    assert stop.value.code == 2


@pytest.mark.slow
def test_a_server_that_never_answers_does_not_hold_it_up(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "assay.cli", "doctor", "--limit", "2", "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            env={
                **os.environ,
                "ASSAY_STORE": f"s3://bucket/x?endpoint={url}",
                "MLFLOW_TRACKING_URI": url,
                "KFP_ENDPOINT": url,
            },
        )
    assert done.returncode == 7, done.stderr
    found = {item["check"]: item["status"] for item in json.loads(done.stdout)}
    assert [found[name] for name in ("store", "clock", "MLflow", "KFP")] == ["failed"] * 4


def test_the_step_leaves_a_record_and_a_report(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.components.doctor.step import doctor
    from assay.core.tree import get_manifest

    monkeypatch.setenv("ASSAY_STORE", context.store.url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////tmp/none/mlflow.db")
    done = execute(doctor, {}, context)
    assert done.values == {"verdict": "pass", "reason": ""}
    files = {entry.path for entry in get_manifest(context.store, done.outputs["record"]).files}
    assert files == {"record.json", "report.html", "summary.md"}
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", key()[1])
    done = execute(doctor, {}, context)
    assert done.values["verdict"] == "block"
    assert str(done.values["reason"]).startswith("signing: ASSAY_VERIFY_KEYS is set")
    assert not execute(doctor, {}, context).cached, "it asks the world each time"


@pytest.mark.slow
@pytest.mark.parametrize(("keys", "code"), [(False, 0), (True, 4)])
def test_the_pipeline(tmp_path: Path, keys: bool, code: int) -> None:
    environment = {**os.environ}
    if keys:
        environment["ASSAY_VERIFY_KEYS"] = key()[1]
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", "run", "doctor", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == code, done.stdout + done.stderr
