"""Models: scikit-learn pipelines as folders that MLflow can load, with reproducible bytes.

```
build.py          create an estimator from an import path and JSON
preprocess.py     the preprocessing pipeline
threads.py        fixed number of threads
files.py          save and load
encoders.py       the categories of a fitted pipeline
inputs.py         check the columns and types of input tables
info.py           assay-model.json
mlflow_folder.py  MLmodel, environments, examples
canonical.py      canonical form of model.skops, and checks before reading
trust.py          the allow-list of types in model.skops
walk.py           traverse the objects of a fitted pipeline
```

docs/format-model.md specifies the folder. Pickle is not used. Importing this package imports
neither NumPy nor scikit-learn nor MLflow.
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
