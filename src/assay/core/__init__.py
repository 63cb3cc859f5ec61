"""Digests, artifacts, steps and attestations. Knows no kind of artifact, no KFP and no MLflow."""
