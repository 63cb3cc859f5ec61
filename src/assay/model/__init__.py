"""Models: a scikit-learn pipeline as a folder that MLflow loads and that has one set of bytes.

`build` makes the pipeline, `save` and `load` turn it into a folder and back; see docs/format.md
for the files. Nothing is pickled.
"""

from assay.model.build import check_estimator, make_pipeline
from assay.model.files import INFO_FILE, LoadedModel, ModelInfo, load, save

__all__ = [
    "INFO_FILE",
    "LoadedModel",
    "ModelInfo",
    "check_estimator",
    "load",
    "make_pipeline",
    "save",
]
