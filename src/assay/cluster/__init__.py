"""Pipelines on a cluster: configuration of their pods, upload, start and follow-up.

`profile` reads the configuration and does not depend on KFP; `apply` writes it into a pipeline with
kfp-kubernetes; `client` calls KFP's API; `follow` and `runs` follow a run.
"""
