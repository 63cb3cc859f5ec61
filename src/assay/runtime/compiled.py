"""Compiling pipelines and components: bind images, add choices, and remove unused parts.

Argo keeps the specification of a task about seven times in the status of a workflow, which has at
most 1 MiB; above that KFP no longer shows the run. So the specification of a task has only what the
launcher reads, without descriptions and unused inputs.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from assay.core.settings import IMAGE
from assay.runtime.declaration import MODULE, STANDS_FOR
from assay.runtime.images import bind

_OBJECT: Final = re.compile(r"(#    (?P<name>\w+): dict \[Default: )\{.*\}\]")


def compile_pipeline(
    pipeline: Any,
    images: Mapping[str, str],
    choices: Mapping[str, tuple[str, ...]] | None = None,
) -> str:
    """Compile a pipeline, of this library or your own, to upload or to submit.

    A component of this library has a placeholder as its image until this function compiles a
    pipeline with it. A pipeline that `kfp.compiler` compiles has placeholders, which no cluster can
    pull.

    Args:
        pipeline: A function decorated with `@dsl.pipeline`.
        images: Image by role, as `assay.runtime.images.read_images` returns it.
        choices: Admitted values of a parameter, by its name: a drop-down in the run form; KFP's API
            refuses others. The SDK does not support it.

    Returns:
        The YAML.

    Raises:
        UsageError: `images` lacks a role.
    """
    head, documents = _compile(pipeline)
    spec = documents[0]
    for container in containers(spec):
        container["image"] = bind(container["image"], images)
        _name_image(container)
    _leave_out(spec)
    for dag in dags(spec):
        _leave_out_dependencies(dag["tasks"])
    _leave_out_replaced(documents)
    _offer(spec, choices or {})
    return _dump(head, documents)


def compile_component(component: Any, images: Mapping[str, str]) -> str:
    """The YAML of a component, for `kfp.components.load_component_from_file`.

    It keeps its descriptions, because they are its documentation.

    Args:
        component: A function decorated with `assay.runtime.declaration.component`.
        images: As for `compile_pipeline`.

    Raises:
        UsageError: `images` lacks the role.
    """
    head, documents = _compile(component)
    for container in containers(documents[0]):
        container["image"] = bind(container["image"], images)
        if MODULE in container["command"]:
            # KFP's SDK (2.17) reads back the `env` list of a component's YAML as a map, and fails
            # when a pipeline with the component is compiled; so the command contains it.
            container["command"][3:3] = ["--image", container["image"]]
    return _dump(head, documents)


def _compile(function: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """The output of KFP's compiler: lines of comment, and documents."""
    from kfp import compiler

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "compiled.yaml"
        compiler.Compiler().compile(function, str(file))
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    head = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:head], list(yaml.safe_load_all("".join(lines[head:])))


def _dump(head: list[str], documents: list[dict[str, Any]]) -> str:
    return _head(head, documents[0]) + yaml.safe_dump_all(documents, sort_keys=True)


def _head(lines: list[str], spec: Mapping[str, Any]) -> str:
    """KFP's comments; it writes an object's keys in an order that changes from run to run."""
    given = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    return "".join(_OBJECT.sub(lambda match: _sorted(match, given), line) for line in lines)


def _sorted(match: re.Match[str], given: Mapping[str, Any]) -> str:
    default = given.get(match["name"], {}).get("defaultValue", {})
    return f"{match[1]}{json.dumps(default, sort_keys=True)}]"


def containers(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The containers of a compiled pipeline."""
    for executor in spec["deploymentSpec"]["executors"].values():
        if "container" in executor:
            yield executor["container"]


def _name_image(container: dict[str, Any]) -> None:
    """Give the container the reference of the image that it runs in.

    The attestations of its tasks name it, but an image cannot contain its own digest, and
    Kubernetes does not give it to a container. Only compiled files have it: a task of `kfp.local`
    is a process without an image. A component of another package, whose command has no such option,
    gets the variable `ASSAY_IMAGE`.
    """
    command: list[str] = container["command"]
    if MODULE in command:
        command[3:3] = ["--image", container["image"]]
        # Only `kfp.local` needs it, and does not run compiled pipelines.
        command.remove(STANDS_FOR)
    else:
        variables = [item for item in container.get("env", ()) if item["name"] != IMAGE.name]
        container["env"] = [*variables, {"name": IMAGE.name, "value": container["image"]}]


def _leave_out(spec: dict[str, Any]) -> None:
    given: dict[str, list[set[str]]] = {}
    for dag in dags(spec):
        for task in dag["tasks"].values():
            names = (task.get("inputs") or {}).get("parameters") or {}
            given.setdefault(task["componentRef"]["name"], []).append(set(names))
    taken = _taken(spec)
    for name, component in spec.get("components", {}).items():
        _leave_out_words(component)
        if "executorLabel" in component:
            _leave_out_inputs(component.get("inputDefinitions", {}), given[name])
            # `assay.runtime.task` returns only the declared outputs.
            _keep(component.get("outputDefinitions", {}), taken.get(name, set()))
        for ports in ("inputDefinitions", "outputDefinitions"):
            if not component.get(ports, True):
                del component[ports]


def _leave_out_dependencies(tasks: Mapping[str, dict[str, Any]]) -> None:
    """Remove dependencies of a task that are implied by another dependency."""
    direct = {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()}

    def behind(name: str) -> set[str]:
        return direct[name].union(*(behind(other) for other in direct[name]))

    for name, task in tasks.items():
        implied = set[str]().union(*(behind(other) for other in direct[name]))
        if direct[name] & implied:
            task["dependentTasks"] = sorted(direct[name] - implied)


def _leave_out_replaced(documents: Sequence[dict[str, Any]]) -> None:
    """Remove fields for older servers that KFP's SDK writes beside the new ones."""
    spec, *platform = documents
    for container in containers(spec):
        resources = container.get("resources", {})
        for name in ("cpuLimit", "cpuRequest", "memoryLimit", "memoryRequest"):
            if f"resource{name[0].upper()}{name[1:]}" in resources:
                resources.pop(name, None)
    for document in platform:
        for executor in document["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            for own in ("secret", "configMap"):
                for volume in executor.get(f"{own}AsVolume", ()):
                    if f"{own}NameParameter" in volume:
                        volume.pop(f"{own}Name", None)


def _leave_out_words(component: dict[str, Any]) -> None:
    component.pop("description", None)
    for ports in ("inputDefinitions", "outputDefinitions"):
        for kind in component.get(ports, {}).values():
            for port in kind.values():
                port.pop("description", None)
                # KFP's launcher and executor use the title.
                port.get("artifactType", {}).pop("schemaVersion", None)


def _leave_out_inputs(inputs: dict[str, Any], given: list[set[str]]) -> None:
    """Remove inputs that are not given; the function has the same defaults."""
    some, every = set.union(*given), set.intersection(*given)
    declared = inputs.get("parameters", {})
    _keep(inputs, some | {key for key, port in declared.items() if not port.get("isOptional")})
    for key in every & set(declared):
        # KFP adds the final status itself.
        if declared[key]["parameterType"] != "TASK_FINAL_STATUS":
            declared[key].pop("defaultValue", None)
            declared[key].pop("isOptional", None)


def _keep(ports: dict[str, Any], names: set[str]) -> None:
    kept = {key: port for key, port in ports.get("parameters", {}).items() if key in names}
    ports.pop("parameters", None)
    if kept:
        ports["parameters"] = kept


def _taken(spec: Mapping[str, Any]) -> dict[str, set[str]]:
    """For each component, the output parameters that are used."""
    taken: dict[str, set[str]] = {}

    def read(dag: Mapping[str, Any], producer: str, key: str) -> None:
        taken.setdefault(dag["tasks"][producer]["componentRef"]["name"], set()).add(key)

    for dag in dags(spec):
        for task in dag["tasks"].values():
            for source in ((task.get("inputs") or {}).get("parameters") or {}).values():
                if output := source.get("taskOutputParameter"):
                    read(dag, output["producerTask"], output["outputParameterKey"])
        for output in (dag.get("outputs") or {}).get("parameters", {}).values():
            source = output["valueFromParameter"]
            read(dag, source["producerSubtask"], source["outputParameterKey"])
    return taken


def dags(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The DAGs of the pipeline, its groups and nested pipelines."""
    for component in (spec["root"], *spec.get("components", {}).values()):
        if "dag" in component:
            yield component["dag"]


def _offer(spec: dict[str, Any], choices: Mapping[str, tuple[str, ...]]) -> None:
    parameters = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, values in choices.items():
        if name in parameters:
            parameters[name]["literals"] = list(values)


def uncached(package: str) -> dict[str, Any]:
    """A pipeline for KFP's API whose tasks are not answered from KFP's cache.

    The `enable_caching` of kfp's client does not help in 2.17: it is ignored for an uploaded
    version, and affects only tasks at the root, which is the exit handler in our pipelines. So the
    run gets the compiled pipeline itself, with the cache disabled in each task. An uploaded version
    of it would become the newest one, which the UI offers first.

    Args:
        package: The compiled YAML.
    """
    spec, *platform = yaml.safe_load_all(package)
    for dag in dags(spec):
        for task in dag["tasks"].values():
            task["cachingOptions"] = {}
    return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec
