"""A script without Assay: read, split, fit, predict, compute the point metrics, pickle.

Arguments: the path of a CSV, the target, and the file for the model. Prints the processor seconds
of each lap, and the metrics.
"""

import json
import pickle  # noqa: TID251 - as such a script is written
import resource
import sys
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

path, target, out = sys.argv[1:]
laps: dict[str, float] = {}


def lap(name: str) -> None:
    """Note the processor seconds since the last lap."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    laps[name] = used.ru_utime + used.ru_stime - sum(laps.values())


lap("import")
frame = pd.read_csv(path)
lap("read")
truth = frame.pop(target)
texts = list(frame.select_dtypes(object))
numbers = [name for name in frame if name not in texts]
train, test, learn, truth = train_test_split(frame, truth, test_size=0.25, random_state=0)
lap("split")
with threadpool_limits(1):
    encode = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1
    )
    prepare = ColumnTransformer([("n", "passthrough", numbers), ("c", encode, texts)])
    categorical = list(range(len(numbers), len(numbers) + len(texts)))
    boost = HistGradientBoostingClassifier(random_state=0, categorical_features=categorical)
    model = make_pipeline(prepare, boost).fit(train, learn)
    lap("fit")
    chances = model.predict_proba(test)
    said = model.predict(test)
    lap("predict")
positive = model.classes_[1]
actual, score = (truth == positive).to_numpy(), chances[:, 1]
found: dict[str, Any] = {
    "accuracy": metrics.accuracy_score(truth, said),
    "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
    "matthews_corrcoef": metrics.matthews_corrcoef(truth, said),
    "precision_macro": metrics.precision_score(truth, said, average="macro"),
    "recall_macro": metrics.recall_score(truth, said, average="macro"),
    "f1_macro": metrics.f1_score(truth, said, average="macro"),
    "f1_weighted": metrics.f1_score(truth, said, average="weighted"),
    "precision": metrics.precision_score(truth, said, pos_label=positive),
    "recall": metrics.recall_score(truth, said, pos_label=positive),
    "f1": metrics.f1_score(truth, said, pos_label=positive),
    "log_loss": metrics.log_loss(truth, chances),
    "brier_score": metrics.brier_score_loss(actual, score),
    "roc_auc": metrics.roc_auc_score(actual, score),
    "average_precision": metrics.average_precision_score(actual, score),
}
bins = np.minimum((score * 10).astype(int), 9)
gaps = np.bincount(bins, score - actual, 10)
found["expected_calibration_error"] = float(np.abs(gaps).sum() / len(score))
lap("metrics")
with open(out, "wb") as stream:  # noqa: PTH123 - as such a script is written
    pickle.dump(model, stream)
lap("pickle")
print(json.dumps({"laps": laps, "metrics": {name: float(value) for name, value in found.items()}}))  # noqa: T201
