"""Care for a store: `fsck` finds and mends what is damaged, `gc` removes what nothing rests on."""
