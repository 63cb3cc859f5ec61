"""Estimate the size of a pipeline's workflow, and the pods of a run, from its compiled YAML.

Argo keeps a workflow, with the status of all its nodes, as one object of at most 1 MiB. Above that
it compresses the nodes, which KFP 2.17 does not read: the status in the UI no longer changes.

The figures come from runs on KFP 2.17.0 with Argo Workflows 4.0.5. A task has a driver pod and,
unless KFP's cache answers, a pod of its own; a group or nested pipeline has a driver pod, and each
round of a loop. A task's pod-spec patch is kept seven times: the launcher's arguments (component
and executor input among them), the container's command, its volumes and environment. Component,
container and Kubernetes options are stored once more. For a pipeline of 13 tasks that took 732 KB,
the estimate is 735 KB.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

MAX_WORKFLOW_BYTES: Final = 1 << 20
COPIES: Final = 7
"""Copies of a task's pod-spec patch."""
TASK_COPIES: Final = 3
"""Copies of a task's entry in the pipeline, with the sources of its inputs."""
LAUNCHER_BYTES: Final = 600
"""Bytes of a patch: the launcher's own arguments, ids and resources."""
NODE_BYTES: Final = 9_500
"""Bytes of a task's nodes otherwise: names, ids, times, conditions."""
GROUP_BYTES: Final = 14_000
"""Bytes of the nodes of a group, or of an iteration of a loop."""
WORKFLOW_BYTES: Final = 60_000
"""Bytes of a workflow without tasks: KFP's templates, metadata, the root's nodes."""
PARAMETER_COPIES: Final = 6
"""Copies of the run's parameters: in the arguments of the workflow, and in the nodes of the root.
With those in the task that reads them there are 14, as measured: a text of 14 KB added 200 KB."""
DIGEST_BYTES: Final = 71
SETTINGS_BYTES: Final = 150
"""Bytes of an output that is an object: the settings of a stage."""
_URI: Final = "minio://mlpipeline/v2/artifacts/" + "0" * 110
_ESCAPED: Final = 1.1
"""Factor for the executor input, which is JSON within JSON with escaped quotes."""


@dataclass(frozen=True, slots=True)
class Size:
    """Size and pods of a run of a pipeline."""

    workflow: int
    """Bytes."""
    tasks: Mapping[str, int]
    """Bytes of one run of each task."""
    pods: int
    """Pods of a first run."""
    cached_pods: int
    """Pods if KFP's cache answers all tasks that it may."""

    @property
    def share(self) -> float:
        """Share of Argo's limit; above 1 the status is no longer updated."""
        return self.workflow / MAX_WORKFLOW_BYTES


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    entry: Mapping[str, Any]
    component: Mapping[str, Any]
    times: int

    @property
    def is_group(self) -> bool:
        return "dag" in self.component

    @property
    def is_cached(self) -> bool:
        return bool((self.entry.get("cachingOptions") or {}).get("enableCache"))


def size(
    compiled: str, parameters: Mapping[str, Any] | None = None, *, iterations: int = 1
) -> Size:
    """Estimate the size of a run of a compiled pipeline.

    Args:
        compiled: The YAML, with the options of a profile.
        parameters: Arguments of the run; others have their defaults.
        iterations: Iterations of each loop.

    Returns:
        The estimate.
    """
    spec, *platform = yaml.safe_load_all(compiled)
    options: Mapping[str, Any] = {}
    if platform:
        options = platform[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {name: parameter.get("defaultValue", "") for name, parameter in declared.items()}
    values |= dict(parameters or {})
    total = WORKFLOW_BYTES + PARAMETER_COPIES * _bytes(values)
    pods = cached_pods = 1  # the root's driver
    tasks: dict[str, int] = {}
    for task in _tasks(spec, "root", iterations):
        if task.is_group:
            total += task.times * (GROUP_BYTES + TASK_COPIES * _bytes(task.entry))
            pods += task.times
            cached_pods += task.times
            continue
        label = task.component["executorLabel"]
        container = spec["deploymentSpec"]["executors"][label]["container"]
        tasks[task.name] = _task(task, container, options.get(label, {}), values)
        total += task.times * tasks[task.name]
        pods += task.times * 2
        cached_pods += task.times * (1 if task.is_cached else 2)
    return Size(total, tasks, pods, cached_pods)


def _task(
    task: _Task,
    container: Mapping[str, Any],
    kubernetes: Mapping[str, Any],
    values: Mapping[str, Any],
) -> int:
    command = {name: value for name, value in container.items() if name != "resources"}
    patch = (
        LAUNCHER_BYTES
        + _bytes(json.dumps(task.component, separators=(",", ":")))
        + round(_ESCAPED * _executor_input(task, values))
        + _bytes(command)
        + _bytes(_pod(kubernetes))
    )
    once = _bytes(task.component) + _bytes(container) + _bytes(kubernetes)
    return COPIES * patch + once + TASK_COPIES * _bytes(task.entry) + NODE_BYTES


def _tasks(spec: Mapping[str, Any], name: str, iterations: int, times: int = 1) -> Iterator[_Task]:
    component = spec["root"] if name == "root" else spec["components"][name]
    for key, entry in component["dag"]["tasks"].items():
        reference = entry["componentRef"]["name"]
        inner = spec["components"][reference]
        rounds = times
        if "parameterIterator" in entry or "artifactIterator" in entry:
            # The loop has a driver besides those of its iterations.
            yield _Task(key, entry, inner, times)
            rounds = times * iterations
        yield _Task(key, entry, inner, rounds)
        if "dag" in inner:
            yield from _tasks(spec, reference, iterations, rounds)


def _executor_input(task: _Task, values: Mapping[str, Any]) -> int:
    """Bytes of the executor input, with values."""
    declared = task.component.get("inputDefinitions", {}).get("parameters", {})
    inputs = (task.entry.get("inputs") or {}).get("parameters") or {}
    outputs = task.component.get("outputDefinitions", {})
    given = {
        name: _value(source, declared.get(name, {}), values) for name, source in inputs.items()
    }
    places = {
        name: {"outputFile": f"/kfp/outputs/{name}"} for name in outputs.get("parameters", {})
    }
    artifacts = {
        name: {
            "artifacts": [{"metadata": {}, "type": artifact["artifactType"], "uri": _URI + name}]
        }
        for name, artifact in outputs.get("artifacts", {}).items()
    }
    return _bytes({"inputs": given, "outputs": {"parameters": places, "artifacts": artifacts}})


def _value(
    source: Mapping[str, Any], declared: Mapping[str, Any], values: Mapping[str, Any]
) -> Any:
    name = source.get("componentInputParameter", "").removeprefix("pipelinechannel--")
    if name in values:
        return values[name]
    if "runtimeValue" in source:
        return source["runtimeValue"].get("constant", "")
    kind = declared.get("parameterType")
    if kind == "LIST":
        return ["x" * DIGEST_BYTES] * 3
    return "x" * (SETTINGS_BYTES if kind == "STRUCT" else DIGEST_BYTES)


def _pod(kubernetes: Mapping[str, Any]) -> list[Any]:
    """The Kubernetes options in the form of a pod specification."""
    pod: list[Any] = [kubernetes.get("securityContext"), kubernetes.get("tolerations")]
    for kind in ("secretAs", "configMapAs"):
        own = kind.removesuffix("As")
        for mount in kubernetes.get(f"{kind}Volume", ()):
            name = mount[f"{own}NameParameter"]["runtimeValue"]["constant"]
            volume = {"name": name, own: {f"{own}Name": name}}
            pod.append({**volume, "optional": True, "mountPath": mount["mountPath"]})
        for mount in kubernetes.get(f"{kind}Env", ()):
            for key in mount["keyToEnv"]:
                reference = {"name": mount[f"{own}Name"], "key": key[f"{own}Key"], "optional": True}
                value = {f"{own}KeyRef": reference}
                pod.append({"name": key["envVar"], "valueFrom": value})
    for mount in kubernetes.get("fieldPathAsEnv", ()):
        field = {"fieldRef": {"fieldPath": mount["fieldPath"]}}
        pod += [{"name": mount["name"], "valueFrom": field}]
    return pod


def _bytes(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))
