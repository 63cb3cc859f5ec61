"""`assay release`: the commands of this group."""

from typing import Final

from assay.cli.groups import LazyGroup

command: Final = LazyGroup(
    "release",
    {
        "promote": ("assay.cli.release.promote", "Propose a model for an environment."),
        "approve": ("assay.cli.release.approve", "Merge a proposal, without a forge."),
        "sync": ("assay.cli.release.sync", "Record merges, and move aliases."),
        "list": ("assay.cli.release.list", "Show releases: when, by whom and why."),
        "rollback": ("assay.cli.release.rollback", "Restore an earlier release."),
        "reconcile": (
            "assay.cli.release.reconcile",
            "Commit rollbacks made while Git was down.",
        ),
        "clear": ("assay.cli.release.clear", "Remove pointers that block the release log."),
        "drill": ("assay.cli.release.drill", "Rehearse a rollback, and measure it."),
        "lint": ("assay.cli.release.lint", "Check every release in a checkout."),
        "override": (
            "assay.cli.release.override",
            "Override the policy for a model, for a time.",
        ),
        "revoke": ("assay.cli.release.revoke", "State that a model must never be released."),
    },
    help="Releases in the deployment repository.",
)
