"""`assay model`: the commands of this group."""

from typing import Final

from assay.cli.groups import LazyGroup

command: Final = LazyGroup(
    "model",
    {
        "list": ("assay.cli.model.list", "List registered models with their versions and aliases."),
        "show": ("assay.cli.model.show", "Show the versions of a registered model."),
        "diff": ("assay.cli.model.diff", "Compare two models or two datasets."),
        "export": ("assay.cli.model.export", "Write a model or dataset as plain files."),
        "production": ("assay.cli.model.production", "Show or set the production model."),
    },
    help="Registered models, and models and datasets by digest.",
)
