"""Writing a profile into a pipeline, with kfp-kubernetes.

A pipeline function is traced when it is decorated. So it is wrapped in a function that sets the
options of every task after the tasks are created, and decorated again.
"""

import functools
from types import FunctionType
from typing import Any, Final

from assay.cluster.profile import Profile, TaskOptions
from assay.core.settings import RUN
from assay.errors import UsageError
from assay.runtime.mounted import CONFIG_FOLDER, FOLDER

RUN_LABEL: Final = "metadata.labels['pipeline/runid']"
"""KFP's label of every pod of a run; a task takes the run's id for its attestation from it."""


def with_profile(pipeline: Any, profile: Profile) -> Any:
    """The pipeline with the profile applied to every task, also those of nested pipelines.

    Args:
        pipeline: A function decorated with `@dsl.pipeline`.
        profile: A checked profile.

    Raises:
        UsageError: A nested pipeline cannot be changed.
    """
    return _profiled(pipeline, pipeline.name, profile)


def _profiled(pipeline: Any, outermost: str, profile: Profile) -> Any:
    from kfp import dsl
    from kfp.dsl import graph_component, pipeline_context

    original = pipeline.pipeline_func
    # A nested pipeline was compiled when its module was imported, so it must be created again to
    # change its tasks. The function gets a copy of its globals with the new ones, so that the
    # module itself does not change.
    nested = {
        name: _profiled(value, outermost, profile)
        for name, value in original.__globals__.items()
        if isinstance(value, graph_component.GraphComponent) and name in original.__code__.co_names
    }
    function = FunctionType(
        original.__code__,
        original.__globals__ | nested,
        original.__name__,
        original.__defaults__,
        original.__closure__,
    )
    function.__kwdefaults__ = original.__kwdefaults__
    within = {value.name for value in nested.values()}

    @functools.wraps(original)
    def profiled(*arguments: Any, **named: Any) -> Any:
        outputs = function(*arguments, **named)
        for task in pipeline_context.Pipeline.get_default_pipeline().tasks.values():
            if task.pipeline_spec is None:
                _apply(task, outermost, profile)
            elif task.component_spec.name not in within:
                raise UsageError(
                    f"{outermost}: a profile does not reach into the nested pipeline "
                    f"{task.name!r}; call it by a name at the top of {original.__module__}"
                )
        return outputs

    spec = pipeline.component_spec
    return dsl.pipeline(name=spec.name, description=spec.description)(profiled)


def _apply(task: Any, pipeline: str, profile: Profile) -> None:
    component = task.component_spec.name.replace("-", "_")
    options = profile.task(component)
    _set_environment(task, profile, options)
    _set_resources(task, options)
    _set_pod(task, component, pipeline, profile, options)
    if options.retry is not None:
        task.set_retry(
            num_retries=options.retry.count,
            backoff_duration=f"{options.retry.backoff_seconds}s",
            backoff_factor=options.retry.factor,
            backoff_max_duration=f"{options.retry.max_seconds}s",
        )


def _set_environment(task: Any, profile: Profile, options: TaskOptions) -> None:
    """Mount the Secrets and the ConfigMap; `assay.runtime.mounted` turns them into variables."""
    from kfp import kubernetes

    if not options.needs:
        return
    config = profile.config
    kubernetes.use_config_map_as_volume(
        task, config.name, str(FOLDER / CONFIG_FOLDER), optional=config.optional
    )
    for kind in options.needs:
        secret = profile.secrets[kind]
        kubernetes.use_secret_as_volume(
            task, secret.name, str(FOLDER / kind), optional=secret.optional
        )
    kubernetes.use_field_path_as_env(task, RUN.name, RUN_LABEL)


def _set_resources(task: Any, options: TaskOptions) -> None:
    from kfp import kubernetes

    task.set_cpu_request(options.cpu_request)
    task.set_cpu_limit(options.cpu_limit)
    task.set_memory_request(options.memory_request)
    task.set_memory_limit(options.memory_limit)
    kubernetes.set_timeout(task, options.timeout_seconds)
    if options.scratch:
        kubernetes.empty_dir_mount(
            task,
            volume_name="scratch",
            mount_path="/tmp",  # noqa: S108 - in the pod, where steps work
            size_limit=options.scratch,
        )


def _set_pod(
    task: Any, component: str, pipeline: str, profile: Profile, options: TaskOptions
) -> None:
    from kfp import kubernetes

    kubernetes.set_image_pull_policy(task, profile.image_pull_policy)
    if profile.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(profile.image_pull_secrets))
    kubernetes.set_security_context(task, **profile.security)
    labels = {"assay-component": component, "assay-pipeline": pipeline, **profile.labels}
    for key, value in labels.items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in options.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for item in options.tolerations:
        kubernetes.add_toleration(
            task,
            key=item.key,
            operator=item.operator,
            value=item.value,
            effect=item.effect,
            toleration_seconds=item.seconds,
        )
