"""`assay store`: the commands of this group."""

from typing import Final

from assay.cli.groups import LazyGroup

command: Final = LazyGroup(
    "store",
    {
        "verify": (
            "assay.cli.store.verify",
            "Check that attestations and bytes are genuine.",
        ),
        "fsck": ("assay.cli.store.fsck", "Check a whole store, and repair it from a copy."),
        "gc": ("assay.cli.store.gc", "Remove what nothing needs any more."),
        "pin": ("assay.cli.store.pin", "Keep an artifact until it is unpinned."),
        "unpin": ("assay.cli.store.unpin", "Keep an artifact no longer for its own sake."),
        "sign": ("assay.cli.store.sign", "Admit what was made before keys were adopted."),
    },
    help="The store: blobs, attestations and pointers.",
)
