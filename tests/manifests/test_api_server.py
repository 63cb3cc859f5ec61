"""Every overlay on a real Kubernetes API server: admission, defaults, quotas and rights included.

There are no nodes, so nothing runs; everything up to that is as on a cluster.
"""

import contextlib
import copy
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import manifest_checks as checks
import pytest
import urllib3

import servers

pytestmark = pytest.mark.slow

Object = Mapping[str, Any]
TOKEN = "for-tests-only"  # noqa: S105 - of a server that lives for a test
START_SECONDS = 120


class Cluster:
    """A client of the API server."""

    def __init__(self, url: str, certificate: Path) -> None:
        self._url = url
        self._http = urllib3.PoolManager(ca_certs=str(certificate), retries=False)
        self._places: dict[tuple[str, str], tuple[str, str, bool]] = {}

    def ask(self, method: str, path: str, body: object = None, kind: str = "json") -> Any:
        """The answer's status, its document and the server's warnings."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": f"application/{kind}"}
        data = json.dumps(body) if body is not None else None
        answer = self._http.request(method, self._url + path, body=data, headers=headers)
        warnings = answer.headers.getlist("Warning")
        typed = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(answer.data) if typed else {}, warnings

    def path(self, item: Object) -> str:
        """The path of the collection that an object belongs to."""
        version, kind = item["apiVersion"], item["kind"]
        if (version, kind) not in self._places:
            root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
            _, found, _ = self.ask("GET", root)
            for entry in found.get("resources", []):
                if "/" not in entry["name"]:
                    place = (root, entry["name"], entry["namespaced"])
                    self._places[version, entry["kind"]] = place
        root, plural, namespaced = self._places[version, kind]
        if namespaced:
            return f"{root}/namespaces/{item['metadata']['namespace']}/{plural}"
        return f"{root}/{plural}"

    def apply(self, item: Object) -> Any:
        """Server-side apply, refusing fields that the server does not know."""
        query = "fieldManager=tests&force=true&fieldValidation=Strict"
        path = f"{self.path(item)}/{item['metadata']['name']}?{query}"
        return self.ask("PATCH", path, item, "apply-patch+yaml")

    def create(self, item: Object) -> Any:
        """Create, refusing fields that the server does not know."""
        return self.ask("POST", f"{self.path(item)}?fieldValidation=Strict", item)

    def may(self, account: str, verb: str, resource: str, group: str = "", name: str = "") -> bool:
        """Whether a service account of the namespace of runs has a right there."""
        plural, _, part = resource.partition("/")
        spec = {
            "user": f"system:serviceaccount:kubeflow:{account}",
            "resourceAttributes": {
                "namespace": "kubeflow",
                "verb": verb,
                "group": group,
                "resource": plural,
                "subresource": part,
                "name": name,
            },
        }
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        _, answer, _ = self.ask("POST", path, {**review, "spec": spec})
        return bool(answer["status"]["allowed"])


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """An empty cluster with KFP's namespace and the custom resources that overlays use."""
    etcd = servers.require("etcd", "install Debian's etcd-server")
    program = servers.require("kube-apiserver", "run: make kube-apiserver")
    client, peer, port = servers.free_ports(3)
    store, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    certificate, key, accounts = (tmp_path / name for name in ("tls.crt", "tls.key", "sa.key"))
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
    )
    _openssl("genrsa", "-out", str(accounts), "2048")
    (tmp_path / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    database = [etcd, "--data-dir", str(tmp_path / "etcd"), "--listen-client-urls", store]
    database += ["--advertise-client-urls", store, "--listen-peer-urls", peers]
    database += ["--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"]
    command = [program, "--etcd-servers", store, "--secure-port", str(port)]
    command += ["--bind-address", "127.0.0.1", "--cert-dir", str(tmp_path / "certs")]
    command += ["--tls-cert-file", str(certificate), "--tls-private-key-file", str(key)]
    command += ["--token-auth-file", str(tmp_path / "tokens.csv"), "--authorization-mode", "RBAC"]
    command += ["--service-account-issuer", "https://kubernetes.default.svc"]
    command += ["--service-account-key-file", str(accounts)]
    command += ["--service-account-signing-key-file", str(accounts)]
    command += ["--service-cluster-ip-range", "10.96.0.0/16"]
    url = f"https://127.0.0.1:{port}"
    with (
        servers.serving(database, f"{store}/health", tmp_path / "etcd.log"),
        servers.serving(command, f"{url}/readyz", tmp_path / "api.log"),
    ):
        found = Cluster(url, certificate)
        _until(lambda: found.ask("GET", "/readyz")[0] == 200, found)
        _prepare(found)
        yield found


def _until(done: Callable[[], bool], cluster: Cluster) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(KeyError):  # a kind that is not served yet
            if done():
                return
        time.sleep(0.2)
    pytest.fail(f"the API server did not get ready: {cluster.ask('GET', '/readyz')}")


def _prepare(cluster: Cluster) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubeflow = {"name": "kubeflow", "labels": labels}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": kubeflow}
    # System priorities and the default service rights come after the server's first answer.
    _until(lambda: cluster.apply(namespace)[0] in {200, 201}, cluster)
    for vendored in checks.custom_resources().values():
        names = {"plural": vendored["plural"], "kind": vendored["kind"]}
        version = {
            "name": vendored["version"],
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": vendored["schema"]},
        }
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{vendored['plural']}.{vendored['group']}"},
            "spec": {
                "group": vendored["group"],
                "scope": "Namespaced",
                "names": names,
                "versions": [version],
            },
        }
        status, answer, _ = cluster.apply(definition)
        assert status == 201, answer
        root = f"/apis/{vendored['group']}/{vendored['version']}/{vendored['plural']}"
        _until(lambda root=root: cluster.ask("GET", root)[0] == 200, cluster)  # type: ignore[misc]


def pods(objects: list[Object]) -> Iterator[Object]:
    """The pods that controllers would make of the workloads, all replicas."""
    for item, template in checks.workloads(objects):
        spec = copy.deepcopy(dict(template["spec"]))
        for claim in item["spec"].get("volumeClaimTemplates", []):
            name = claim["metadata"]["name"]
            volume = {"name": name, "persistentVolumeClaim": {"claimName": name}}
            spec.setdefault("volumes", []).append(volume)
        for number in range(item["spec"].get("replicas", 1)):
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{item['metadata']['name']}-{number}",
                    "namespace": item["metadata"]["namespace"],
                    "labels": template["metadata"]["labels"],
                },
                "spec": spec,
            }


def count_from_zero(cluster: Cluster, quota: Object) -> None:
    """What the quota controller, which does not run here, does with a new quota."""
    hard = quota["spec"]["hard"]
    status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    path = f"{cluster.path(quota)}/{quota['metadata']['name']}/status"
    assert cluster.ask("PATCH", path, {"status": status}, "merge-patch+json")[0] == 200


def install(cluster: Cluster, objects: list[Object]) -> None:
    for item in objects:
        status, answer, warnings = cluster.apply(item)
        assert status in {200, 201}, (checks.name_of(item), answer["message"])
        # The server warns of pods that a namespace's standard will refuse, and of old versions.
        assert not warnings, (checks.name_of(item), warnings)
        if item["kind"] == "ResourceQuota":
            count_from_zero(cluster, item)


def test_a_cluster_takes_an_overlay_and_admits_its_pods(
    cluster: Cluster,
    overlay: str,
    build: Callable[[Path], list[Object]],
    manifests: Path,
    foreign: list[Object],
) -> None:
    objects = build(manifests / "overlays" / overlay)
    install(cluster, objects)

    made = list(pods(objects))
    made += [item for item in foreign if item["kind"] == "Pod"]
    assert len(made) > 3
    for pod in made:
        status, answer, warnings = cluster.create(pod)
        assert (status, warnings) == (201, []), (checks.name_of(pod), answer.get("message"))
        assert answer["spec"]["priorityClassName"].startswith("assay-")

    before = [cluster.ask("GET", f"{cluster.path(o)}/{o['metadata']['name']}")[1] for o in objects]
    again = [cluster.apply(item)[1] for item in objects]
    kept = [
        old["metadata"]["resourceVersion"] == new["metadata"]["resourceVersion"]
        for old, new in zip(before, again, strict=True)
    ]
    changed = [checks.name_of(o) for o, same in zip(objects, kept, strict=True) if not same]
    # Write-only fields (`stringData`) and the quota's count are written again each time.
    assert not [name for name in changed if not name.startswith(("Secret", "ResourceQuota"))]


def test_argos_helpers_in_a_tasks_pod_get_a_small_request_and_no_limit(
    cluster: Cluster,
    build: Callable[[Path], list[Object]],
    manifests: Path,
    foreign: list[Object],
) -> None:
    install(cluster, build(manifests / "overlays" / "kind"))
    (task,) = (item for item in foreign if item["kind"] == "Pod")
    status, made, _ = cluster.create(task)
    assert status == 201, made
    (init,) = made["spec"]["initContainers"]
    wait, main = made["spec"]["containers"]
    small = {"requests": {"cpu": "50m", "memory": "64Mi"}}
    assert [init["resources"], wait["resources"]] == [small, small]
    assert main["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    quota = "/api/v1/namespaces/kubeflow/resourcequotas/assay-training"
    _, counted, _ = cluster.ask("GET", quota)
    assert counted["status"]["used"] == {
        "pods": "1",
        "requests.cpu": "150m",
        "requests.memory": "320Mi",
    }
    # KFP's own database asks for 800 MiB and says no limit: a default below that would refuse it.
    database = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "mysql", "namespace": "kubeflow"},
        "spec": {
            "serviceAccountName": "assay-runner",
            "securityContext": task["spec"]["securityContext"],
            "containers": [
                {
                    "name": "mysql",
                    "image": "docker.io/library/mysql:8.4",
                    "resources": {"requests": {"cpu": "100m", "memory": "800Mi"}},
                    "securityContext": main["securityContext"],
                }
            ],
        },
    }
    status, made, _ = cluster.create(database)
    assert status == 201, made
    assert "limits" not in made["spec"]["containers"][0]["resources"]


def test_a_cluster_refuses_what_the_manifests_forbid(
    cluster: Cluster, build: Callable[[Path], list[Object]], manifests: Path
) -> None:
    objects = build(manifests / "overlays" / "kind")
    install(cluster, objects)
    good = next(pod for pod in pods(objects) if pod["metadata"]["name"] == "postgres-0")

    def refused(change: Callable[[Any], object]) -> str:
        pod = copy.deepcopy(dict(good))
        pod["metadata"] = {**pod["metadata"], "name": "changed"}
        change(pod["spec"])
        status, answer, _ = cluster.create(pod)
        assert status in {400, 403, 422}, answer
        return str(answer["message"])

    container = "containers"
    assert 'violates PodSecurity "restricted' in refused(
        lambda spec: spec[container][0].pop("securityContext")
    )
    assert "runAsNonRoot" in refused(lambda spec: spec.update(securityContext={}))
    assert "maximum cpu usage" in refused(
        lambda spec: spec[container][0]["resources"]["limits"].update(cpu="64")
    )
    assert "unknown field" in refused(lambda spec: spec.update(automountServiceToken=False))
    assert "service account" in refused(lambda spec: spec.update(serviceAccountName="nobody"))
    assert "PriorityClass" in refused(lambda spec: spec.update(priorityClassName="none"))


def test_runs_have_the_rights_they_need_and_no_others(
    cluster: Cluster, build: Callable[[Path], list[Object]], manifests: Path
) -> None:
    install(cluster, build(manifests / "overlays" / "kind"))

    def runner(verb: str, resource: str, **more: str) -> bool:
        return cluster.may("assay-runner", verb, resource, **more)

    assert runner("create", "workflowtaskresults", group="argoproj.io")
    assert runner("get", "configmaps", name="kfp-launcher")
    assert runner("get", "secrets", name="mlpipeline-minio-artifact")
    assert runner("get", "pods")

    assert not runner("get", "secrets", name="assay-runner")
    assert not runner("list", "secrets")
    assert not runner("create", "pods")
    assert not runner("create", "pods/exec")
    assert not runner("delete", "pods")
    assert not runner("create", "workflows", group="argoproj.io")
    assert not runner("create", "serviceaccounts/token")


def test_a_cluster_takes_the_applications_of_a_deployment_repository(
    cluster: Cluster, build: Callable[[Path], list[Object]], manifests: Path
) -> None:
    argocd = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}
    install(cluster, [argocd, *build(manifests / "deployments-template" / "argocd")])
