"""`assay new`: the commands of this group."""

from typing import Final

from assay.cli.groups import LazyGroup

command: Final = LazyGroup(
    "new",
    {
        "step": ("assay.cli.new.step", "Write a step with component and test."),
        "component": ("assay.cli.new.component", "Generate component.py from a step."),
    },
    help="First files of a step of your own, and its KFP component.",
)
