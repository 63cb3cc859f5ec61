"""Checks of rendered Kubernetes manifests: each takes the objects and returns a line per fault."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate

Object = Mapping[str, Any]

VERSIONS: Final = ("1.32", "1.37")
"""Kubernetes versions whose schemas the manifests must fit: the oldest supported, the newest."""
SCHEMAS: Final = Path(__file__).parent / "schemas"
CLUSTER_SCOPED: Final = frozenset(
    {"Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding"}
)
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_VERSION: Final = re.compile(r":[vV]?[A-Za-z.]*\d[\w.+-]*$")
_URL: Final = re.compile(
    r"(?:https?|postgresql\+psycopg2)://(?:[^\s/@,\"']*@)?[a-z0-9][^\s,\"'/?]*:\d+"
)


def name_of(item: Object) -> str:
    """How a message names an object."""
    metadata = item["metadata"]
    return f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def pod_template(item: Object) -> Object | None:
    """The pod template of a workload: metadata and spec; None for what makes no pods."""
    spec = item.get("spec", {})
    if item["kind"] == "Pod":
        return item
    if item["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template: Object | None = spec.get("template")
    if item["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"}:
        return template
    return None


def workloads(objects: Sequence[Object]) -> Iterator[tuple[Object, Object]]:
    """Each workload with its pod template."""
    for item in objects:
        template = pod_template(item)
        if template is not None:
            yield item, template


def containers(pod: Object) -> list[Object]:
    """All containers of a pod's spec, those that initialise too."""
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in pod.get(kind, [])]


@cache
def custom_resources() -> Mapping[tuple[str, str], Any]:
    """The vendored schemas of custom resources, by apiVersion and kind."""
    found = [json.loads(path.read_text()) for path in sorted(SCHEMAS.glob("*.json"))]
    return {(f"{item['group']}/{item['version']}", item["kind"]): item for item in found}


@cache
def _closed(version: str, kind: str) -> Any:
    """A custom resource's schema that refuses fields it does not name, as strict clients do."""
    found = custom_resources().get((version, kind))
    return _close(found["schema"]) if found else None


def _close(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: {name: _close(item) for name, item in value.items()}
        if key == "properties"
        else _close(value)
        for key, value in schema.items()
    }
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


def schema_faults(objects: Sequence[Object]) -> list[str]:
    """What the schemas of Kubernetes, or of a custom resource, refuse; unknown fields too."""
    return [fault for item in objects for fault in _schema_faults(json.dumps(item))]


@cache
def _schema_faults(text: str) -> tuple[str, ...]:
    item = json.loads(text)
    custom = _closed(item["apiVersion"], item["kind"])
    if custom is not None:
        errors = jsonschema.Draft202012Validator(custom).iter_errors(item)
        return tuple(f"{name_of(item)}: {e.json_path}: {e.message[:200]}" for e in errors)
    faults = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            faults.append(f"{name_of(item)}: Kubernetes {version}: {error.message[:200]}")
        except kubernetes_validate.SchemaNotFoundError:
            faults.append(f"{name_of(item)}: no schema for {item['apiVersion']} in {version}")
    return tuple(faults)


def image_faults(objects: Sequence[Object]) -> list[str]:
    """Images without a version, or with one that moves."""
    faults = []
    for item, template in workloads(objects):
        for container in containers(template["spec"]):
            image = container["image"]
            last = image.rpartition("/")[2]
            if not _DIGEST.search(image) and not _VERSION.search(last):
                faults.append(f"{name_of(item)}: {image}: no version and no digest")
            if "/" not in image or "." not in image.partition("/")[0]:
                faults.append(f"{name_of(item)}: {image}: from which registry?")
    return faults


def resource_faults(objects: Sequence[Object]) -> list[str]:
    """Containers without requests or limits, and volumes in memory or on a node without a bound."""
    faults = []
    for item, template in workloads(objects):
        for container in containers(template["spec"]):
            for kind in ("requests", "limits"):
                lacking = {"cpu", "memory"} - set(container.get("resources", {}).get(kind, {}))
                faults += [
                    f"{name_of(item)}: {container['name']}: no {kind}.{name}"
                    for name in sorted(lacking)
                ]
        faults += [
            f"{name_of(item)}: emptyDir {volume['name']} has no sizeLimit"
            for volume in template["spec"].get("volumes", [])
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {})
        ]
    return faults


_HOST_FIELDS: Final = ("hostNetwork", "hostPID", "hostIPC")
_VOLUMES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)


def security_faults(objects: Sequence[Object]) -> list[str]:
    """What the Pod Security Standard "restricted" refuses, and a root file system one can write."""
    faults = []
    for item, template in workloads(objects):
        pod = template["spec"]
        context = pod.get("securityContext", {})
        found = [f"{field} is set" for field in _HOST_FIELDS if pod.get(field)]
        if context.get("sysctls"):
            found.append("sysctls are set")
        found += [
            f"volume {volume['name']} is of a kind that is not allowed"
            for volume in pod.get("volumes", [])
            if not (set(volume) - {"name"}) <= _VOLUMES
        ]
        if pod.get("automountServiceAccountToken") is not False:
            found.append("automountServiceAccountToken is not false")
        for container in containers(pod):
            found += [
                f"{container['name']}: {text}" for text in _container_faults(container, context)
            ]
        faults += [f"{name_of(item)}: {text}" for text in found]
    return faults


def _container_faults(container: Object, pod: Object) -> list[str]:
    own = container.get("securityContext", {})

    def effective(field: str) -> Any:
        return own.get(field, pod.get(field))

    capabilities = own.get("capabilities", {})
    rules = {
        "runs privileged": bool(own.get("privileged")),
        "allowPrivilegeEscalation is not false": own.get("allowPrivilegeEscalation") is not False,
        "capabilities are not dropped": "ALL" not in capabilities.get("drop", []),
        "capabilities are added": bool(capabilities.get("add")),
        "runAsNonRoot is not true": effective("runAsNonRoot") is not True,
        "runs as root": effective("runAsUser") == 0,
        "no runAsUser": effective("runAsUser") is None,
        "no seccomp profile": (effective("seccompProfile") or {}).get("type")
        not in {"RuntimeDefault", "Localhost"},
        "its root file system can be written": own.get("readOnlyRootFilesystem") is not True,
        "a host port is taken": any(port.get("hostPort") for port in container.get("ports", [])),
        "its /proc is not masked": own.get("procMount", "Default") != "Default",
    }
    return [text for text, broken in rules.items() if broken]


def namespace_faults(objects: Sequence[Object], foreign: frozenset[str]) -> list[str]:
    """Objects without a namespace or in one that nobody makes; namespaces not restricted."""
    made = {item["metadata"]["name"] for item in objects if item["kind"] == "Namespace"}
    faults = []
    for item in objects:
        labels = item["metadata"].get("labels", {})
        if item["kind"] == "Namespace":
            level = labels.get("pod-security.kubernetes.io/enforce")
            if level != "restricted":
                faults.append(f"{name_of(item)}: enforces {level}, not restricted")
        elif item["kind"] not in CLUSTER_SCOPED:
            namespace = item["metadata"].get("namespace")
            if namespace not in made | foreign:
                faults.append(f"{name_of(item)}: namespace {namespace} is not made here")
    return faults


def service_faults(objects: Sequence[Object]) -> list[str]:
    """Services, budgets and workloads whose selector finds no pod, or whose port nobody opens."""
    faults = []
    for item in objects:
        spec = item.get("spec", {})
        if item["kind"] == "Service":
            selector = spec.get("selector", {})
        elif item["kind"] in {"PodDisruptionBudget", "Deployment", "StatefulSet"}:
            selector = spec["selector"]["matchLabels"]
        else:
            continue
        pods = [
            template["spec"]
            for other, template in workloads(objects)
            if other["metadata"].get("namespace") == item["metadata"].get("namespace")
            and selector
            and selector.items() <= template["metadata"].get("labels", {}).items()
        ]
        if not pods:
            faults.append(f"{name_of(item)}: selects nothing")
            continue
        opened = {
            value
            for pod in pods
            for container in containers(pod)
            for port in container.get("ports", [])
            for value in (port.get("name"), port["containerPort"])
        }
        faults += [
            f"{name_of(item)}: no container opens port {port.get('targetPort', port['port'])}"
            for port in (spec.get("ports", []) if item["kind"] == "Service" else [])
            if port.get("targetPort", port["port"]) not in opened
        ]
    return faults


@dataclass(frozen=True, order=True)
class Reference:
    """One object's need of another: of a whole one, or of one of its keys."""

    kind: str
    namespace: str
    name: str
    key: str = ""
    needed_by: str = ""


def references(objects: Sequence[Object]) -> Iterator[Reference]:
    """What must be there for the pods to start; optional references are left out."""
    for item, template in workloads(objects):
        namespace, pod, by = item["metadata"].get("namespace", ""), template["spec"], name_of(item)
        for kind, field in (
            ("ServiceAccount", "serviceAccountName"),
            ("PriorityClass", "priorityClassName"),
        ):
            if field in pod:
                place = "" if kind == "PriorityClass" else namespace
                yield Reference(kind, place, pod[field], needed_by=by)
        for kind, name, key in _pod_references(pod):
            yield Reference(kind, namespace, name, key, by)
    for item in objects:
        if item["kind"] in {"RoleBinding", "ClusterRoleBinding"}:
            role, namespace = item["roleRef"], item["metadata"].get("namespace", "")
            yield Reference(role["kind"], namespace, role["name"], needed_by=name_of(item))
            for subject in item["subjects"]:
                place = subject.get("namespace", namespace)
                yield Reference(subject["kind"], place, subject["name"], needed_by=name_of(item))
        if item["kind"] == "ExternalSecret":
            store = item["spec"]["secretStoreRef"]
            place = item["metadata"]["namespace"]
            yield Reference(store["kind"], place, store["name"], needed_by=name_of(item))
        if item["kind"] == "SecretStore":
            account = item["spec"]["provider"]["vault"]["auth"]["kubernetes"]["serviceAccountRef"]
            place = item["metadata"]["namespace"]
            yield Reference("ServiceAccount", place, account["name"], needed_by=name_of(item))


def _pod_references(pod: Object) -> Iterator[tuple[str, str, str]]:
    for container in containers(pod):
        yield from _variable_references(container)
    fields = (
        ("configMap", "ConfigMap", "name"),
        ("secret", "Secret", "secretName"),
        ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
    )
    for volume in pod.get("volumes", []):
        for field, kind, name in fields:
            if field in volume and not volume[field].get("optional"):
                yield kind, volume[field][name], ""
    for secret in pod.get("imagePullSecrets", []):
        yield "Secret", secret["name"], ""


def _variable_references(container: Object) -> Iterator[tuple[str, str, str]]:
    sources = [*container.get("envFrom", [])]
    sources += [variable.get("valueFrom", {}) for variable in container.get("env", [])]
    kinds = {
        "configMapRef": "ConfigMap",
        "configMapKeyRef": "ConfigMap",
        "secretRef": "Secret",
        "secretKeyRef": "Secret",
    }
    for source in sources:
        for field, kind in kinds.items():
            if field in source and not source[field].get("optional"):
                yield kind, source[field]["name"], source[field].get("key", "")


def provided(objects: Sequence[Object]) -> set[tuple[str, str, str, str]]:
    """Kind, namespace, name and key of all that there is; a key of "" is the object itself."""
    found = set()
    for item in objects:
        kind, name = item["kind"], item["metadata"]["name"]
        place = "" if kind in CLUSTER_SCOPED else item["metadata"].get("namespace", "")
        keys = {*item.get("data", {}), *item.get("stringData", {}), *item.get("binaryData", {})}
        if kind == "ExternalSecret":
            kind, name = "Secret", item["spec"]["target"]["name"]
            keys = {entry["secretKey"] for entry in item["spec"]["data"]}
        found |= {(kind, place, name, key) for key in {"", *keys}}
    return found


def reference_faults(
    objects: Sequence[Object], external: frozenset[tuple[str, str]] = frozenset()
) -> list[str]:
    """References that nothing here answers, and that are no documented external Secret.

    Args:
        objects: What was rendered.
        external: Name and key of Secrets that somebody else makes.
    """
    result = provided(objects)
    return [
        f"{need.needed_by}: {need.kind} {need.namespace}/{need.name}"
        f"{f' key {need.key}' if need.key else ''} is not there"
        for need in references(objects)
        if (need.kind, need.namespace, need.name, need.key) not in result
        and not (need.kind == "Secret" and (need.name, need.key) in external)
    ]


def rights_faults(objects: Sequence[Object]) -> list[str]:
    """Roles that give more than named verbs on named resources, or Secrets without naming them."""
    faults = []
    for item in objects:
        if item["kind"] == "ClusterRoleBinding":
            faults.append(f"{name_of(item)}: rights in the whole cluster")
        for rule in item.get("rules", []) if item["kind"] in {"Role", "ClusterRole"} else []:
            wild = [f for f in ("apiGroups", "resources", "verbs") if "*" in rule.get(f, [])]
            faults += [f"{name_of(item)}: * in {field}" for field in wild]
            if "secrets" in rule.get("resources", []) and not rule.get("resourceNames"):
                faults.append(f"{name_of(item)}: every Secret of the namespace")
            risky = {"pods/exec", "pods/attach", "serviceaccounts/token"}
            faults += [
                f"{name_of(item)}: {resource}"
                for resource in sorted(risky & set(rule.get("resources", [])))
            ]
    return faults


# Network: who asks for which URL is read from the workloads themselves.


@dataclass(frozen=True)
class Pod:
    """A pod that a workload makes: what network policies look at."""

    namespace: str
    labels: Mapping[str, str]
    ports: Mapping[str, int]
    """Number by name."""
    what: str
    namespace_labels: Mapping[str, str]


def pods_of(objects: Sequence[Object]) -> list[tuple[Pod, Object, Object]]:
    """Each pod with the object that makes it and its template."""
    labels = {
        item["metadata"]["name"]: item["metadata"].get("labels", {})
        for item in objects
        if item["kind"] == "Namespace"
    }
    found = []
    for item, template in workloads(objects):
        namespace = item["metadata"].get("namespace", "")
        ports = {
            port.get("name", ""): port["containerPort"]
            for container in containers(template["spec"])
            for port in container.get("ports", [])
        }
        pod = Pod(
            namespace,
            template["metadata"].get("labels", {}),
            ports,
            name_of(item),
            {**labels.get(namespace, {}), "kubernetes.io/metadata.name": namespace},
        )
        found.append((pod, item, template))
    return found


def targets(item: Object, template: Object, objects: Sequence[Object]) -> set[str]:
    """`host:port` of every URL in a workload's arguments, variables and the ConfigMaps it takes."""
    place = item["metadata"].get("namespace", "")
    maps = {
        other["metadata"]["name"]: other.get("data", {})
        for other in objects
        if other["kind"] == "ConfigMap" and other["metadata"].get("namespace", "") == place
    }
    texts: list[str] = []
    for container in containers(template["spec"]):
        texts += [str(text) for text in (*container.get("command", []), *container.get("args", []))]
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {}).get("configMapKeyRef")
            if source:
                texts.append(maps.get(source["name"], {}).get(source["key"], ""))
            texts.append(str(variable.get("value", "")))
        for source in container.get("envFrom", []):
            reference = source.get("configMapRef", {}).get("name", "")
            texts += [v for k, v in maps.get(reference, {}).items() if not k.endswith("HOSTS")]
    found = {
        urlsplit(url).netloc.rpartition("@")[2] for text in texts for url in _URL.findall(text)
    }
    bare = re.compile(r"[a-z][a-z0-9.-]*:\d+")
    return found | {text for text in texts if bare.fullmatch(text)}


def network_faults(objects: Sequence[Object]) -> list[str]:
    """Servers that a workload's own configuration names and that no policy lets it reach."""
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    pods = pods_of(objects)
    faults = []
    for client, item, template in pods:
        if item["metadata"].get("annotations", {}).get("test/foreign"):
            continue
        asked = sorted(targets(item, template, objects))
        if asked and not _dns_allowed(client, policies):
            faults.append(f"{client.what}: may not ask for names (DNS)")
        for target in asked:
            host, _, port = target.rpartition(":")
            service = _service(host, client.namespace, objects)
            if service is None:
                faults.append(f"{client.what}: {target}: there is no such Service")
                continue
            servers, number = _behind(service, int(port), pods)
            if not servers:
                faults.append(f"{client.what}: {target}: the Service has no such port or no pods")
            for server in servers:
                if not _allowed(client, server, number, policies, "Egress"):
                    faults.append(f"{client.what}: may not call {server.what} on {number}")
                if not _allowed(server, client, number, policies, "Ingress"):
                    faults.append(f"{server.what}: does not let in {client.what} on {number}")
    return faults


def open_faults(objects: Sequence[Object]) -> list[str]:
    """Pods in a namespace made here that no policy closes for what is not allowed."""
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    made = {item["metadata"]["name"] for item in objects if item["kind"] == "Namespace"}
    return [
        f"{pod.what}: {direction} is open"
        for pod, _, _ in pods_of(objects)
        for direction in ("Ingress", "Egress")
        if pod.namespace in made
        and not any(_applies(policy, pod, direction) for policy in policies)
    ]


def _service(host: str, namespace: str, objects: Sequence[Object]) -> Object | None:
    name, *rest = re.sub(r"\{0\.\.\.\d+\}", "0", host).split(".")
    services = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item
        for item in objects
        if item["kind"] == "Service"
    }
    if rest and (found := services.get((rest[0], name))):
        return found
    # A pod's own name: pod.service.namespace.
    if len(rest) >= 2 and (found := services.get((rest[1], rest[0]))):
        return found
    return services.get((namespace, name)) if not rest else None


def _behind(
    service: Object, port: int, pods: Sequence[tuple[Pod, Object, Object]]
) -> tuple[list[Pod], int]:
    namespace, spec = service["metadata"]["namespace"], service["spec"]
    wanted = [entry for entry in spec["ports"] if entry["port"] == port]
    servers = [
        pod
        for pod, _, _ in pods
        if pod.namespace == namespace and spec["selector"].items() <= pod.labels.items()
    ]
    if not wanted or not servers:
        return [], 0
    target = wanted[0].get("targetPort", port)
    return servers, servers[0].ports[target] if isinstance(target, str) else int(target)


def _applies(policy: Object, pod: Pod, direction: str) -> bool:
    return (
        policy["metadata"].get("namespace") == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and _matches(policy["spec"]["podSelector"], pod.labels)
    )


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    for expression in selector.get("matchExpressions", []):
        key, operator = expression["key"], expression["operator"]
        holds = {
            "In": labels.get(key) in expression.get("values", []),
            "NotIn": labels.get(key) not in expression.get("values", []),
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[operator]
        if not holds:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def _allowed(pod: Pod, other: Pod, port: int, policies: Sequence[Object], direction: str) -> bool:
    """Whether the policies of `pod` allow traffic with `other`; `port` is the server's."""
    applying = [policy for policy in policies if _applies(policy, pod, direction)]
    if not applying:
        return True
    field, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    server = other if direction == "Egress" else pod
    return any(
        _peer_matches(rule.get(peers), other, policy["metadata"]["namespace"])
        and _port_matches(rule.get("ports"), server, port)
        for policy in applying
        for rule in policy["spec"].get(field, [])
    )


def _peer_matches(peers: Sequence[Mapping[str, Any]] | None, other: Pod, namespace: str) -> bool:
    if not peers:
        return True
    for peer in peers:
        if "ipBlock" in peer:
            continue  # pods have no address here, and no rule should lean on one
        place = peer.get("namespaceSelector")
        near = (
            other.namespace == namespace
            if place is None
            else _matches(place, other.namespace_labels)
        )
        if near and _matches(peer.get("podSelector", {}), other.labels):
            return True
    return False


def _port_matches(ports: Sequence[Mapping[str, Any]] | None, server: Pod, number: int) -> bool:
    if not ports:
        return True
    return any(
        port.get("protocol", "TCP") == "TCP"
        and (server.ports.get(port["port"]) if isinstance(port["port"], str) else port["port"])
        == number
        for port in ports
    )


def _dns_allowed(pod: Pod, policies: Sequence[Object]) -> bool:
    applying = [policy for policy in policies if _applies(policy, pod, "Egress")]
    opened = {
        port.get("protocol", "TCP")
        for policy in applying
        for rule in policy["spec"].get("egress", [])
        for port in rule.get("ports", [])
        if port.get("port") == 53
    }
    return not applying or {"TCP", "UDP"} <= opened
