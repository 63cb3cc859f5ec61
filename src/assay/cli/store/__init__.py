"""`assay store`: the commands of this group."""

from typing import Final

from assay.cli.groups import LazyGroup

command: Final = LazyGroup(
    "store",
    {
        "verify": (
            "assay.cli.store.verify",
            "Verify attestations and bytes.",
        ),
        "fsck": ("assay.cli.store.fsck", "Check a whole store, and repair it from a copy."),
        "gc": ("assay.cli.store.gc", "Remove what is no longer needed."),
        "pin": ("assay.cli.store.pin", "Keep an artifact until it is unpinned."),
        "unpin": ("assay.cli.store.unpin", "Remove the pin of an artifact."),
        "sign": ("assay.cli.store.sign", "Admit attestations from before keys were configured."),
    },
    help="The store: blobs, attestations and pointers.",
)
