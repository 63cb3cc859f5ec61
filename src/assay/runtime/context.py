"""The context of a task: from the environment, with a registry for names of models."""

from dataclasses import replace

from assay.core.context import context_from_env
from assay.core.execution import Context
from assay.governance.model_names import registered


def task_context() -> Context:
    """Everything an execution needs, from the environment.

    Raises:
        UsageError: A variable is missing or invalid; the message names it.
    """
    return replace(context_from_env(), named=registered)
