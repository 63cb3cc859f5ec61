"""Models: a scikit-learn pipeline as a folder that MLflow loads and that has one set of bytes.

```
build.py          from an import path and a dict to an estimator
preprocess.py     the pipeline around it
threads.py        a thread count that is an input
files.py          save and load
encoders.py       the categories that a fitted pipeline knows
inputs.py         what a model may be given: its columns, with their types
info.py           assay-model.json
mlflow_folder.py  MLmodel, environments, examples
canonical.py      model.skops: one set of bytes, and bounds before reading
trust.py          the types that it may hold
walk.py           what lies within a fitted pipeline
```

docs/format-model.md specifies the folder. Nothing is pickled. Importing this package imports
neither scikit-learn nor MLflow.
"""

from assay.models.allowed import platform_classes
from assay.models.build import check_estimator
from assay.models.files import LoadedModel, audit, load, save
from assay.models.info import INFO_FILE, ModelInfo, read_info
from assay.models.preprocess import make_pipeline
from assay.models.threads import fixed_threads

__all__ = [
    "INFO_FILE",
    "LoadedModel",
    "ModelInfo",
    "audit",
    "check_estimator",
    "fixed_threads",
    "load",
    "make_pipeline",
    "platform_classes",
    "read_info",
    "save",
]
