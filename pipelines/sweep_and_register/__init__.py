"""Train several candidates and register the best one, with proof."""
