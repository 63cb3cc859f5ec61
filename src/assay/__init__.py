"""Assay: Kubeflow Pipelines components that take data to production with proof.

Every artifact has one name, the digest of its bytes; every step is a function of digests. See
docs/ for the on-store format and the reasons behind the design.
"""

__version__ = "0.1.0"
