"""Maintenance of a store: `fsck` checks and repairs it, `gc` removes unused blobs."""
