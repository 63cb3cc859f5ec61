"""Compiling pipelines and components: images bound, choices offered, everything unread left out.

Argo keeps the specification of a task about seven times in the status of a workflow, which has
1 MiB; above that KFP shows nothing of a run any more. So a task's part holds only what the
launcher reads: no descriptions, and no inputs that nobody gives.
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
    """The YAML of a pipeline, to upload or to submit; also of one that is not this library's.

    A component of this library has a placeholder as its image until the pipeline around it is
    compiled by this function. What `kfp.compiler` writes by itself has placeholders, and no cluster
    can pull them.

    Args:
        pipeline: What `@dsl.pipeline` made of a function.
        images: Image by role, as `assay.runtime.images.read_images` returns it.
        choices: Values that a parameter of the pipeline may have, by its name: a drop-down in the
            run form, and refused by KFP's API otherwise. The SDK has no word for it.

    Raises:
        UsageError: `images` has none for a role.
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

    It keeps all its descriptions: they are how others use it.

    Args:
        component: What `assay.runtime.declaration.component` made of a function.
        images: As for `compile_pipeline`.

    Raises:
        UsageError: `images` has none for the role.
    """
    head, documents = _compile(component)
    for container in containers(documents[0]):
        container["image"] = bind(container["image"], images)
        if MODULE in container["command"]:
            # KFP's SDK (2.17) reads back the `env` list of a component's YAML as a map, and fails
            # when a pipeline with the component is compiled; so here the command says it.
            container["command"][3:3] = ["--image", container["image"]]
    return _dump(head, documents)


def _compile(function: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """What KFP's compiler makes of a pipeline or component: lines of comment, and documents."""
    from kfp import compiler

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "compiled.yaml"
        compiler.Compiler().compile(function, str(file))
        lines = file.read_text().splitlines(keepends=True)
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

    An image cannot hold its own digest, and Kubernetes does not give it to a container; the
    attestations of what it computes name it. Only compiled files have it: a task that `kfp.local`
    runs as a plain process is in no image. A component of another package, whose command does not
    take the reference, gets the variable `ASSAY_IMAGE`.
    """
    command: list[str] = container["command"]
    if MODULE in command:
        command[3:3] = ["--image", container["image"]]
        # Only `kfp.local` looks for it, and that runs no compiled pipeline.
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
            # `assay.runtime.task` hands out what is declared.
            _keep(component.get("outputDefinitions", {}), taken.get(name, set()))
        for ports in ("inputDefinitions", "outputDefinitions"):
            if not component.get(ports, True):
                del component[ports]


def _leave_out_dependencies(tasks: Mapping[str, dict[str, Any]]) -> None:
    """Keep of each task's dependencies those that no other dependency of it waits for."""
    direct = {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()}

    def behind(name: str) -> set[str]:
        return direct[name].union(*(behind(other) for other in direct[name]))

    for name, task in tasks.items():
        implied = set[str]().union(*(behind(other) for other in direct[name]))
        if direct[name] & implied:
            task["dependentTasks"] = sorted(direct[name] - implied)


def _leave_out_replaced(documents: Sequence[dict[str, Any]]) -> None:
    """Leave out fields that KFP's SDK writes for older servers beside those that replace them."""
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
                # KFP's launcher and executor go by the title.
                port.get("artifactType", {}).pop("schemaVersion", None)


def _leave_out_inputs(inputs: dict[str, Any], given: list[set[str]]) -> None:
    """Where nobody gives an input, the function's own default is the same."""
    some, every = set.union(*given), set.intersection(*given)
    declared = inputs.get("parameters", {})
    _keep(inputs, some | {key for key, one in declared.items() if not one.get("isOptional")})
    for key in every & set(declared):
        # KFP fills the final status in, and declares it so.
        if declared[key]["parameterType"] != "TASK_FINAL_STATUS":
            declared[key].pop("defaultValue", None)
            declared[key].pop("isOptional", None)


def _keep(ports: dict[str, Any], names: set[str]) -> None:
    kept = {key: one for key, one in ports.get("parameters", {}).items() if key in names}
    ports.pop("parameters", None)
    if kept:
        ports["parameters"] = kept


def _taken(spec: Mapping[str, Any]) -> dict[str, set[str]]:
    """By component, the output parameters that something reads."""
    found: dict[str, set[str]] = {}

    def read(dag: Mapping[str, Any], producer: str, key: str) -> None:
        found.setdefault(dag["tasks"][producer]["componentRef"]["name"], set()).add(key)

    for dag in dags(spec):
        for task in dag["tasks"].values():
            for source in ((task.get("inputs") or {}).get("parameters") or {}).values():
                if output := source.get("taskOutputParameter"):
                    read(dag, output["producerTask"], output["outputParameterKey"])
        for output in (dag.get("outputs") or {}).get("parameters", {}).values():
            one = output["valueFromParameter"]
            read(dag, one["producerSubtask"], one["outputParameterKey"])
    return found


def dags(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The pipeline's layers: its own, those of groups and of nested pipelines."""
    for component in (spec["root"], *spec.get("components", {}).values()):
        if "dag" in component:
            yield component["dag"]


def _offer(spec: dict[str, Any], choices: Mapping[str, tuple[str, ...]]) -> None:
    parameters = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, values in choices.items():
        if name in parameters:
            parameters[name]["literals"] = list(values)


def uncached(package: str) -> dict[str, Any]:
    """A run's pipeline, as KFP's API takes it, that KFP answers nothing of from its cache.

    kfp's client has `enable_caching` for that, and in 2.17 it does not help: it is ignored for a
    version that was uploaded, and reaches only the tasks at the root, which for ours is the exit
    handler. So the run gets the compiled pipeline itself, with the cache switched off in each
    task; a version of that would be the newest one, which the UI offers first.

    Args:
        package: The compiled YAML.
    """
    spec, *platform = yaml.safe_load_all(package)
    for dag in dags(spec):
        for task in dag["tasks"].values():
            task["cachingOptions"] = {}
    return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec
