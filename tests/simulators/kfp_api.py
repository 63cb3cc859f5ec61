"""KFP's API server as its client sees it: the REST protocol, over HTTP, in memory.

The real server needs a cluster. This one speaks the same requests and answers as strictly: unknown
paths, references, names and parameters are refused with the same codes. What a run does is
scripted, one state per look, or really done by `executor` in a thread.

Of the older protocol, v1beta1, it has the one answer that v2beta1 has nothing for: the Argo
workflow of a run, in which alone stands why a pod failed or waits.
"""

import base64
import contextlib
import gzip
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

STARTED = "2026-01-01T00:00:00Z"
ENDED = "2026-01-01T00:00:07Z"
RED_LOGIN = b"<html><body>Please log in</body></html>"
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13, 503: 14}
"""gRPC's codes of the statuses, as the gateway writes them."""

Look = Mapping[str, Any]


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Faults:
    """What goes wrong; each entry of `answers` is used up by one request."""

    answers: list[int | str] = field(default_factory=list)
    """Statuses to answer with, or `drop` (close the connection), or `page` (a login page)."""
    only: str = ""
    """Method and path, as a regular expression, of the requests that go wrong."""
    delay: float = 0.0


@dataclass
class KfpApi:
    """The server's state, and how it behaves."""

    multi_user: bool = False
    token: str = ""
    cookies: str = ""
    version: str = "2.17.0"
    script: list[Look] = field(default_factory=lambda: [look("RUNNING"), look("SUCCEEDED")])
    """The run as each look finds it; the last one stays."""
    executor: Callable[[dict[str, Any], dict[str, Any]], None] | None = None
    """Does a run's work: gets the run and its compiled pipeline, and changes the run."""
    faults: Faults = field(default_factory=Faults)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recurring: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    """Method and path of every request."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Any:
        """What the API answers.

        Raises:
            RefusedError: As the API would refuse.
        """
        for pattern, handler in _ROUTES:
            wanted, _, template = pattern.partition(" ")
            if wanted == method and (match := re.fullmatch(template, path)):
                with self.lock:
                    return handler(self, match.groups(), query, body)
        raise RefusedError(404, "Not Found")

    # Health, experiments.

    def healthz(self, _ids: tuple[str, ...], _query: Mapping[str, str], _body: bytes) -> Any:
        return {"multi_user": self.multi_user, "tag_name": self.version}

    def list_experiments(
        self, _ids: tuple[str, ...], query: Mapping[str, str], _body: bytes
    ) -> Any:
        return _listed("experiments", self._visible(self.experiments, query), query)

    def create_experiment(
        self, _ids: tuple[str, ...], _query: Mapping[str, str], body: bytes
    ) -> Any:
        return self._create(self.experiments, "experiment_id", json.loads(body))

    # Pipelines.

    def list_pipelines(self, _ids: tuple[str, ...], query: Mapping[str, str], _body: bytes) -> Any:
        return _listed("pipelines", self._visible(self.pipelines, query), query)

    def create_pipeline(self, _ids: tuple[str, ...], _query: Mapping[str, str], body: bytes) -> Any:
        return self._create(self.pipelines, "pipeline_id", json.loads(body))

    def list_versions(self, ids: tuple[str, ...], query: Mapping[str, str], _body: bytes) -> Any:
        _known(self.pipelines, ids[0], "pipeline")
        mine = [item for item in self.versions.values() if item["pipeline_id"] == ids[0]]
        return _listed("pipeline_versions", mine, query)

    def get_version(self, ids: tuple[str, ...], _query: Mapping[str, str], _body: bytes) -> Any:
        return _known(self.versions, ids[1], "pipeline version")

    def upload_version(self, _ids: tuple[str, ...], query: Mapping[str, str], body: bytes) -> Any:
        _known(self.pipelines, query.get("pipelineid", ""), "pipeline")
        try:
            documents = list(yaml.safe_load_all(body))
        except yaml.YAMLError as error:
            raise RefusedError(400, f"not a pipeline: {error}") from error
        if not documents or "root" not in (documents[0] or {}):
            raise RefusedError(400, "InvalidInputError: unknown template format")
        spec = documents[0]
        if len(documents) > 1:
            spec = {"pipeline_spec": documents[0], "platform_spec": documents[1]}
        mine = {
            key: item
            for key, item in self.versions.items()
            if item["pipeline_id"] == query["pipelineid"]
        }
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", query["name"]):
            # So it is where KFP keeps its pipelines in Kubernetes.
            raise RefusedError(400, f"InvalidInputError: {query['name']} is no name")
        made = self._create(
            mine,
            "pipeline_version_id",
            {
                "display_name": query.get("display_name") or query["name"],
                "name": query["name"],
                "description": query.get("description", ""),
                "pipeline_id": query["pipelineid"],
                "pipeline_spec": spec,
            },
        )
        self.versions[made["pipeline_version_id"]] = made
        return made

    # Runs.

    def create_run(self, _ids: tuple[str, ...], _query: Mapping[str, str], body: bytes) -> Any:
        run = json.loads(body)
        spec = self._check_start(run)
        run |= {
            "run_id": str(uuid.uuid4()),
            "state": "PENDING",
            "created_at": STARTED,
            "state_history": [],
            "looks": list(self.script),
        }
        self.runs[run["run_id"]] = run
        if self.executor is not None:
            run["looks"] = []
            threading.Thread(target=self.executor, args=(run, spec), daemon=True).start()
        return _public(run)

    def _check_start(self, run: Mapping[str, Any]) -> dict[str, Any]:
        _known(self.experiments, run.get("experiment_id", ""), "experiment")
        spec: dict[str, Any] = run.get("pipeline_spec") or {}
        if not spec:
            reference = run.get("pipeline_version_reference") or {}
            version = _known(
                self.versions, reference.get("pipeline_version_id", ""), "pipeline version"
            )
            spec = version["pipeline_spec"]
        spec = spec.get("pipeline_spec", spec)
        declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        given = (run.get("runtime_config") or {}).get("parameters") or {}
        if unknown := sorted(set(given) - set(declared)):
            raise RefusedError(400, f"InvalidInputError: parameters not in the pipeline: {unknown}")
        if missing := sorted(
            name
            for name, item in declared.items()
            if not item.get("isOptional") and name not in given
        ):
            raise RefusedError(400, f"InvalidInputError: parameters missing: {missing}")
        for name, item in declared.items():
            choice = item.get("literals")
            if choice and name in given and given[name] not in choice:
                raise RefusedError(400, f"InvalidInputError: {name}: not one of {choice}")
        return spec

    def get_run(self, ids: tuple[str, ...], _query: Mapping[str, str], _body: bytes) -> Any:
        run = _known(self.runs, ids[0], "run")
        looks = run["looks"]
        if looks:
            run |= looks.pop(0) if len(looks) > 1 else looks[0]
        history = run["state_history"]
        if not history or history[-1]["state"] != run["state"]:
            history.append({"update_time": STARTED, "state": run["state"], "error": None})
        return _public(run)

    def get_run_v1(self, ids: tuple[str, ...], _query: Mapping[str, str], _body: bytes) -> Any:
        """As the run was at the last look; no look of its own."""
        run = _known(self.runs, ids[0], "run")
        workflow = run.get("workflow")
        return {
            "run": {"id": ids[0], "name": run["display_name"], "status": run["state"].title()},
            "pipeline_runtime": {"workflow_manifest": json.dumps(workflow)} if workflow else {},
        }

    def terminate_run(self, ids: tuple[str, ...], _query: Mapping[str, str], _body: bytes) -> Any:
        run = _known(self.runs, ids[0], "run")
        run["looks"] = [look("CANCELING"), look("FAILED")]
        return {}

    def list_recurring(self, _ids: tuple[str, ...], query: Mapping[str, str], _body: bytes) -> Any:
        mine = [
            item
            for item in self.recurring.values()
            if item["experiment_id"] == query.get("experiment_id")
        ]
        return _listed("recurringRuns", mine, query)

    def create_recurring(
        self, _ids: tuple[str, ...], _query: Mapping[str, str], body: bytes
    ) -> Any:
        wanted = json.loads(body)
        self._check_start(wanted)
        made = {**wanted, "recurring_run_id": str(uuid.uuid4())}
        self.recurring[made["recurring_run_id"]] = made
        return made

    # What they share.

    def _visible(
        self, items: Mapping[str, dict[str, Any]], query: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        namespace = query.get("namespace", "")
        if namespace and not self.multi_user:
            raise RefusedError(
                400, "InvalidInputError: in single-user mode, namespace must be empty"
            )
        return [item for item in items.values() if (item.get("namespace") or "") == namespace]

    def _create(
        self, items: dict[str, dict[str, Any]], key: str, wanted: dict[str, Any]
    ) -> dict[str, Any]:
        name = wanted.get("display_name") or ""
        if not name:
            raise RefusedError(400, "InvalidInputError: the name is empty")
        if any(item["display_name"] == name for item in items.values()):
            raise RefusedError(409, f"AlreadyExistError: {name} already exists")
        made = {**wanted, key: str(uuid.uuid4()), "created_at": STARTED}
        items[made[key]] = made
        return made


_BASE = "/apis/v2beta1"
_ROUTES: list[tuple[str, Callable[..., Any]]] = [
    (f"GET {_BASE}/healthz", KfpApi.healthz),
    (f"GET {_BASE}/experiments", KfpApi.list_experiments),
    (f"POST {_BASE}/experiments", KfpApi.create_experiment),
    (f"GET {_BASE}/pipelines", KfpApi.list_pipelines),
    (f"POST {_BASE}/pipelines", KfpApi.create_pipeline),
    (f"POST {_BASE}/pipelines/upload_version", KfpApi.upload_version),
    (f"GET {_BASE}/pipelines/([^/]+)/versions", KfpApi.list_versions),
    (f"GET {_BASE}/pipelines/([^/]+)/versions/([^/]+)", KfpApi.get_version),
    (f"POST {_BASE}/runs", KfpApi.create_run),
    (f"GET {_BASE}/runs/([^/:]+)", KfpApi.get_run),
    ("GET /apis/v1beta1/runs/([^/:]+)", KfpApi.get_run_v1),
    (f"POST {_BASE}/runs/([^/:]+):terminate", KfpApi.terminate_run),
    (f"GET {_BASE}/recurringruns", KfpApi.list_recurring),
    (f"POST {_BASE}/recurringruns", KfpApi.create_recurring),
]


def look(state: str, *tasks: dict[str, Any], error: str = "") -> Look:
    """A run as one look finds it."""
    found: dict[str, Any] = {"state": state, "run_details": {"task_details": list(tasks)}}
    if error:
        found["error"] = {"code": 13, "message": error}
    return found


def task(name: str, state: str = "SUCCEEDED", error: str = "") -> dict[str, Any]:
    """A task's detail; what has not ended ends at the epoch, as the server writes it.

    The server of 2.17 gives no error for a failed task; others may.
    """
    ended = state in {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"}
    return {
        "task_id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "display_name": name,
        "state": state,
        "create_time": STARTED,
        "start_time": STARTED,
        "end_time": ENDED if ended else "1970-01-01T00:00:00Z",
        "error": {"code": 13, "message": error} if error else None,
    }


@dataclass(frozen=True)
class Pod:
    """A pod of a run, as the kubelet and Argo see it."""

    task: str
    """A task, whose work the pod does; or a driver, by its own name."""
    phase: str = "Succeeded"
    message: str = ""
    attempts: tuple[str, ...] = ()
    """Messages of attempts before this one."""


def seen(state: str, *pods: Pod, packed: bool = False) -> Look:
    """A run as one look finds it, through both protocols: what KFP tells of it, and the workflow.

    Args:
        state: KFP's, of the run.
        pods: Those of tasks and of drivers. Each task has a driver that succeeded, unless it is
            given.
        packed: As Argo has it above a size.
    """
    nodes = _nodes(pods)
    details = [task(node["displayName"], _STATES[node["phase"]]) for node in nodes.values()]
    status: dict[str, Any] = {"phase": _ENDS.get(state, "Running"), "nodes": nodes}
    if packed:
        data = gzip.compress(json.dumps(status.pop("nodes")).encode())
        status["compressedNodes"] = base64.b64encode(data).decode()
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": _WORKFLOW},
        "status": status,
    }
    return {**look(state, *details), "workflow": workflow}


_WORKFLOW = "train-and-register-x7k2p"
_ENDS = {"SUCCEEDED": "Succeeded", "FAILED": "Failed"}
_STATES = {
    "Succeeded": "SUCCEEDED",
    "Failed": "FAILED",
    "Error": "FAILED",
    "Running": "RUNNING",
    # What waits for its image or a secret is said to run.
    "Pending": "RUNNING",
    "Omitted": "SKIPPED",
}


def _nodes(pods: tuple[Pod, ...]) -> dict[str, dict[str, Any]]:
    """Argo's nodes of a flat pipeline in an exit handler, as KFP compiles it."""
    found: dict[str, dict[str, Any]] = {}

    def add(path: str, kind: str, phase: str, message: str = "", within: str = "") -> str:
        key = f"{_WORKFLOW}-{len(found) + 1:010d}"
        found[key] = {
            "id": key,
            "name": f"{_WORKFLOW}.{path}",
            "displayName": path.rpartition(".")[2],
            "type": kind,
            "phase": phase,
            "boundaryID": within,
            "startedAt": STARTED,
            "finishedAt": ENDED if phase in {"Succeeded", "Failed", "Error"} else None,
            **({"message": message} if message else {}),
        }
        return key

    red = any(pod.phase in {"Failed", "Error"} for pod in pods)
    whole = "Failed" if red else "Running"
    root = add("root", "DAG", whole)
    add("root-driver", "Pod", "Succeeded")
    box = add("root.exit-handler-1", "DAG", whole, within=root)
    given = {pod.task for pod in pods}
    for pod in pods:
        path = f"root.exit-handler-1.{pod.task}"
        if pod.task.endswith("-driver"):
            add(path, "Pod", pod.phase, pod.message, box)
            continue
        if f"{pod.task}-driver" not in given:
            add(f"{path}-driver", "Pod", "Succeeded", within=box)
        group = add(path, "DAG", pod.phase.replace("Pending", "Running"), within=box)
        if not pod.attempts:
            add(f"{path}.executor", "Pod", pod.phase, pod.message, group)
            continue
        every = [*(("Failed", text) for text in pod.attempts), (pod.phase, pod.message)]
        retry = add(f"{path}.executor", "Retry", pod.phase, within=group)
        found[retry]["children"] = [
            add(f"{path}.executor({place})", "Pod", phase, message, group)
            for place, (phase, message) in enumerate(every)
        ]
    return found


def _known(items: Mapping[str, dict[str, Any]], key: str, what: str) -> dict[str, Any]:
    if key not in items:
        raise RefusedError(404, f"ResourceNotFoundError: {what} {key} not found")
    return items[key]


def _listed(name: str, items: list[dict[str, Any]], query: Mapping[str, str]) -> Any:
    for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
        if predicate["operation"] not in {"EQUALS", 1} or "stringValue" not in predicate:
            raise RefusedError(400, f"InvalidInputError: filter {predicate}")
        items = [item for item in items if item.get(predicate["key"]) == predicate["stringValue"]]
    # As the gateway does it, an empty list is left out.
    return {name: items, "total_size": len(items)} if items else {}


def _public(run: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key not in {"looks", "workflow"}}


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        # Whoever asked may have gone.
        with contextlib.suppress(ConnectionError):
            self._serve()

    def do_POST(self) -> None:
        with contextlib.suppress(ConnectionError):
            self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        api, where = self.server.api, f"{self.command} {parts.path}"
        with api.lock:
            api.seen.append(where)
            faults = api.faults
            matches = re.search(faults.only, where) is not None
            fault = faults.answers.pop(0) if faults.answers and matches else None
        if matches:
            time.sleep(faults.delay)
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "page":
            self._send(200, RED_LOGIN, "text/html")
        elif isinstance(fault, int):
            self._error(fault, f"injected {fault}")
        elif api.token and self.headers.get("authorization") != f"Bearer {api.token}":
            self._error(401, "Unauthenticated: no valid token")
        elif api.cookies and self.headers.get("cookie") != api.cookies:
            self._send(302, RED_LOGIN, "text/html")
        else:
            self._answer(parts.path, parts.query, body)

    def _answer(self, path: str, query: str, body: bytes) -> None:
        given = {name: values[-1] for name, values in parse_qs(query).items()}
        kind = self.headers.get("content-type") or ""
        try:
            if kind.startswith("multipart/"):
                body = _part(kind, body, "uploadfile")
            found = self.server.api.answer(self.command, path, given, body)
        except RefusedError as error:
            self._error(error.status, str(error))
        else:
            self._send(200, json.dumps(found).encode(), "application/json")

    def _error(self, status: int, message: str) -> None:
        body = {"error": message, "code": CODES.get(status, 2), "message": message}
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _part(kind: str, body: bytes, name: str) -> bytes:
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body
    )
    for part in message.iter_parts():
        assert isinstance(part, EmailMessage)
        if part.get_param("name", header="content-disposition") == name:
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            return content
    raise RefusedError(400, f"InvalidInputError: no file in the field {name}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], api: KfpApi) -> None:
        super().__init__(address, _Handler)
        self.api = api


@contextlib.contextmanager
def serving(api: KfpApi, port: int = 0) -> Iterator[str]:
    """The API's URL while the block lasts."""
    server = _Server(("127.0.0.1", port), api)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
