"""Pipelines on a cluster: what their pods need, and how they get there.

`profile` reads what a cluster asks for and knows no KFP; `apply` writes it into a pipeline through
kfp-kubernetes; `client` speaks to KFP's API; `submit` uploads, starts and follows.
"""
