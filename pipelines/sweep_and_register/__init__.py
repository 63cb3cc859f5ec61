"""The best of several candidates, with proof."""
