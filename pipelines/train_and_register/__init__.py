"""From a dataset to a registered model with proof."""
