"""Evidence about how a model is released, for a gate."""
