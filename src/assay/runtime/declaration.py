"""Declaration of the library's components for KFP.

A component of the library is in its image, so the compiled pipeline has only a short command
instead of its source. Argo keeps a task's command about seven times in the workflow, which has at
most 1 MiB. A component of your own, whose source is not in an image, is declared with
`dsl.component`.
"""

from collections.abc import Callable
from typing import Any, Final

from assay.runtime.images import placeholder

MODULE: Final = "assay.runtime.task"
"""The module that runs a component in its pod."""
STANDS_FOR: Final = "kfp.dsl.executor_main"
"""KFP's module for that. `kfp.local` runs a command as a process only if the command names it."""


def component(role: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a component that runs in the image of a role.

    Args:
        role: One of `assay.runtime.images.ROLES`. The image is bound when a pipeline is compiled.

    Returns:
        A decorator. In a pod, where KFP cannot declare components, it returns the function
        unchanged.
    """
    # Imported here, because reading a command must not import kfp.
    from kfp import dsl

    def declare(function: Callable[..., Any]) -> Any:
        if not hasattr(dsl, "component"):
            return function
        made = dsl.component(base_image=placeholder(role), install_kfp_package=False)(function)
        container = made.component_spec.implementation.container
        container.command = command(function.__name__)
        container.args = []
        return made

    return declare


def command(name: str) -> list[str]:
    """The command of a component's container."""
    return ["python3", "-m", MODULE, STANDS_FOR, name, "{{$}}"]


def named_in(command: list[str]) -> str:
    """The component that a command runs; empty for commands that are not of the library."""
    return command[-2] if command[1:3] == ["-m", MODULE] else ""
