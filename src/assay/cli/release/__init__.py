"""`assay release`: the commands of this group."""

from typing import Final

from assay.cli.groups import LazyGroup

command: Final = LazyGroup(
    "release",
    {
        "promote": ("assay.cli.release.promote", "Propose a model for an environment."),
        "approve": ("assay.cli.release.approve", "Merge a proposal where there is no forge."),
        "sync": ("assay.cli.release.sync", "Record what was merged, and move aliases."),
        "list": ("assay.cli.release.list", "Show what was released when, by whom and why."),
        "rollback": ("assay.cli.release.rollback", "Put an earlier release back."),
        "reconcile": (
            "assay.cli.release.reconcile",
            "Commit rollbacks made while Git was down.",
        ),
        "clear": ("assay.cli.release.clear", "Remove what stops the release log."),
        "drill": ("assay.cli.release.drill", "Rehearse a rollback: back, forth, and measure it."),
        "lint": ("assay.cli.release.lint", "Check every release in a checkout."),
        "override": (
            "assay.cli.release.override",
            "Decide against the policy, signed, for a time.",
        ),
        "revoke": ("assay.cli.release.revoke", "State that a model must never be released."),
    },
    help="Releases in the deployment repository.",
)
