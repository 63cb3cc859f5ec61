"""Checks of the cluster: KFP's API, the Secrets and images of the pods."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from assay.cluster.client import health
from assay.cluster.doctor.checks import Finding, Ground, Status, WantedSecret
from assay.core.settings import DOCKER_CONFIG, KUBECONFIG
from assay.runtime.images import is_pinned

OLDEST_KFP: Final = (2, 15)
NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SECONDS: Final = (5, 10)
_MANIFESTS: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
_REQUEUE: Final = "DEFAULT_REQUEUE_TIME"
_CONTROLLER: Final = "workflow-controller"
_KUBEFLOW: Final = "kubeflow"
_GO_TIME: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
_GO_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_GO_SECONDS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_REQUEUE_SECONDS: Final = 2.0
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_LOCAL: Final = frozenset({"localhost", "127.0.0.1"})
_NOT_FOUND, _FORBIDDEN, _UNAUTHORIZED, _GOOD = 404, 403, 401, 200


def check_kfp(ground: Ground) -> Sequence[Finding]:
    """Check that KFP's API answers and has a supported version."""
    if ground.endpoint is None:
        return [Finding("KFP", Status.SKIPPED, "no endpoint: give --endpoint or set KFP_ENDPOINT")]
    server = health(ground.endpoint)
    numbers = re.match(r"v?(\d+)\.(\d+)", server.version)
    text = f"{ground.endpoint.url} answers, version {server.version or 'unknown'}"
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST_KFP:
        oldest = ".".join(str(number) for number in OLDEST_KFP)
        return [Finding("KFP", Status.WARNING, text, f"install {oldest} or later")]
    if server.multi_user and not ground.endpoint.namespace:
        return [Finding("KFP", Status.WARNING, f"{text}, multi-user", "set KFP_NAMESPACE")]
    return [Finding("KFP", Status.OK, text)]


def check_secrets(ground: Ground) -> Sequence[Finding]:
    """Check that every Secret of the pods exists with its keys; values are not read."""
    from kubernetes import client
    from kubernetes.config import ConfigException

    try:
        api, default = _kubernetes()
    except ConfigException:
        text = "neither in a cluster nor a kubeconfig"
        return [Finding("secrets", Status.SKIPPED, text)]
    namespace = ground.namespace or default
    core = client.CoreV1Api(api)
    return [_secret(core, namespace, secret) for secret in ground.secrets]


def _kubernetes() -> tuple[Any, str]:
    """A client for this cluster, or for the one in the kubeconfig, and the namespace."""
    from kubernetes import client, config

    configuration = client.Configuration()
    # Without the three retries of the library, which would wait for a missing cluster.
    configuration.retries = False
    try:
        config.load_incluster_config(client_configuration=configuration)
        namespace = NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except config.ConfigException:
        # Passed explicitly, because the library reads the variable only when it is imported.
        path = KUBECONFIG.get()
        config.load_kube_config(path, client_configuration=configuration)
        _, active = config.list_kube_config_contexts(path)
        namespace = active["context"].get("namespace", "default")
    return client.ApiClient(configuration), namespace


def _secret(core: Any, namespace: str, wanted: WantedSecret) -> Finding:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    check = f"secret {wanted.name}"
    create = f"kubectl -n {namespace} create secret generic {wanted.name} " + " ".join(
        f"--from-file={key}" for key in wanted.keys
    )
    try:
        secret = core.read_namespaced_secret(wanted.name, namespace, _request_timeout=_SECONDS)
    except ApiException as error:
        if error.status == _NOT_FOUND:
            # A pod starts without an optional Secret; without a required key its task then fails.
            if wanted.optional and not wanted.required_keys:
                return Finding(check, Status.OK, f"not in {namespace}, and optional")
            return Finding(check, Status.FAILED, f"not in {namespace}", create)
        text = f"cannot be read (HTTP {error.status})"
        if error.status in {_FORBIDDEN, _UNAUTHORIZED}:
            return Finding(check, Status.SKIPPED, f"{text}: no permission to get Secrets")
        return Finding(check, Status.FAILED, text, "check that the cluster's API runs")
    except HTTPError as error:
        text = f"the cluster's API does not answer ({type(error).__name__})"
        return Finding(check, Status.FAILED, text, "check the kubeconfig")
    missing = sorted(set(wanted.keys) - set(secret.data or {}))
    text = f"in {namespace}, " + (f"without {', '.join(missing)}" if missing else "with its keys")
    may_be_missing = wanted.optional and not set(missing) & set(wanted.required_keys)
    status = Status.WARNING if may_be_missing else Status.FAILED
    return Finding(check, status if missing else Status.OK, text, create if missing else "")


def check_requeue_time(ground: Ground) -> Sequence[Finding]:
    """Check how long Argo waits before it checks a workflow again, which delays each task."""
    from kubernetes import client
    from kubernetes.client import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    name = "requeue time"
    # Given also if it cannot be checked, because it halves the time of a run.
    remedy = f"kubectl -n {_KUBEFLOW} set env deployment/{_CONTROLLER} {_REQUEUE}=1s"
    try:
        api, default = _kubernetes()
    except ConfigException:
        text = "neither in a cluster nor a kubeconfig"
        return [Finding(name, Status.SKIPPED, text, remedy)]
    apps = client.AppsV1Api(api)
    reason = ""
    # In the namespace of KFP, which is that of the runs only if KFP serves one team.
    for namespace in dict.fromkeys((_KUBEFLOW, ground.namespace or default)):
        try:
            deployment = apps.read_namespaced_deployment(
                _CONTROLLER, namespace, _request_timeout=_SECONDS
            )
        except ApiException as error:
            reason = f"{_CONTROLLER} cannot be read (HTTP {error.status})"
            continue
        except HTTPError as error:
            reason = f"the cluster's API does not answer ({type(error).__name__})"
            break
        return [judge_requeue_time(_environment(deployment).get(_REQUEUE), remedy)]
    return [Finding(name, Status.SKIPPED, reason, remedy)]


def _environment(deployment: Any) -> dict[str, str]:
    """Variables of a Deployment's containers; empty if the value is defined elsewhere."""
    return {
        variable.name: variable.value or ""
        for container in deployment.spec.template.spec.containers
        for variable in container.env or ()
    }


def judge_requeue_time(value: str | None, remedy: str) -> Finding:
    """Judge whether runs wait for Argo longer than necessary.

    Args:
        value: Value of the variable, a duration in Go's format; None if it is not set.
        remedy: The command that sets it.

    Returns:
        The finding.
    """
    name = "requeue time"
    if value is None:
        text = "Argo checks a run every 10 s, its default: each task waits for it"
        return Finding(name, Status.WARNING, text, remedy)
    if not _GO_TIME.fullmatch(value):
        return Finding(name, Status.WARNING, f"{_REQUEUE}={value} is not a duration", remedy)
    seconds = sum(float(count) * _GO_SECONDS[unit] for count, unit in _GO_PART.findall(value))
    if seconds > LONGEST_REQUEUE_SECONDS:
        text = f"Argo checks a run every {value}: each task waits for it"
        return Finding(name, Status.WARNING, text, remedy)
    return Finding(name, Status.OK, f"Argo checks a run every {value}")


def check_images(ground: Ground) -> Sequence[Finding]:
    """Check that every image is in its registry under its digest."""
    if not ground.images:
        return [Finding("images", Status.SKIPPED, "no images given: --images")]
    return [_image(reference) for reference in sorted(set(ground.images))]


def _image(reference: str) -> Finding:
    import requests

    name, _, digest = reference.partition("@")
    registry, _, repository = name.partition("/")
    check = f"image {name.rpartition('/')[2]}"
    if not is_pinned(reference):
        return Finding(check, Status.SKIPPED, f"{reference} is a development tag, not a digest")
    if not repository or not ({".", ":"} & set(registry) or registry == "localhost"):
        return Finding(check, Status.SKIPPED, f"{reference} does not name a registry")
    repository = repository.partition(":")[0]
    scheme = "http" if urlsplit(f"//{registry}").hostname in _LOCAL else "https"
    try:
        status = _head(f"{scheme}://{registry}/v2/{repository}/manifests/{digest}", registry)
    except requests.RequestException as error:
        text = f"{registry} does not answer ({type(error).__name__})"
        return Finding(check, Status.FAILED, text, "check that the registry can be reached")
    if status == _GOOD:
        return Finding(check, Status.OK, f"{registry} has {digest[:19]}…")
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return Finding(
            check,
            Status.FAILED,
            f"{registry} refuses (HTTP {status})",
            f"docker login {registry}; and image_pull_secrets in the profile",
        )
    text = f"{registry} does not have {repository}@{digest} (HTTP {status})"
    return Finding(check, Status.FAILED, text, "push it: make push REGISTRY=…")


def _head(url: str, registry: str) -> int:
    """The HTTP status of a manifest, with docker's login if the registry requires one."""
    import requests

    login = _docker_login(registry)
    headers = {"Accept": _MANIFESTS}
    answer = requests.head(url, headers=headers, timeout=_SECONDS, allow_redirects=True)
    challenge = answer.headers.get("WWW-Authenticate", "")
    if answer.status_code == _UNAUTHORIZED and challenge.lower().startswith("bearer "):
        challenges = dict(_CHALLENGE.findall(challenge))
        realm = challenges.pop("realm", "")
        if not realm.startswith(("https://", "http://")):
            return _UNAUTHORIZED
        if not realm.startswith("https://") and urlsplit(realm).hostname not in _LOCAL:
            login = None  # do not send a password without TLS
        given = requests.get(realm, params=challenges, auth=login, timeout=_SECONDS)
        if given.status_code != _GOOD:
            return int(given.status_code)
        tokens: Mapping[str, str] = given.json()
        token = tokens.get("token") or tokens.get("access_token", "")
        headers["Authorization"] = f"Bearer {token}"
        answer = requests.head(url, headers=headers, timeout=_SECONDS)
    elif answer.status_code == _UNAUTHORIZED and login:
        answer = requests.head(url, headers=headers, auth=login, timeout=_SECONDS)
    return int(answer.status_code)


def _docker_login(registry: str) -> tuple[str, str] | None:
    """User and password from docker's configuration, if it has them."""
    from docker import auth
    from docker.errors import DockerException

    home = DOCKER_CONFIG.get()
    try:
        config = auth.load_config(str(Path(home) / "config.json") if home else None)
        login = config.resolve_authconfig(registry)
    except (DockerException, OSError, ValueError):
        # A missing credential helper, or an invalid file.
        return None
    if not login or not login.get("username"):
        return None
    return login["username"], login.get("password", "")
