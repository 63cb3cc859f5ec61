"""What evaluation takes, MLflow's loader takes too, and predicts the same."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from assay import data as dataset
from assay import models as model
from assay.core.step import Dataset, Model

ROWS = 400
Write = Callable[[pa.Table], Dataset]


def columns() -> dict[str, Any]:
    random = np.random.default_rng(0)
    whole = random.integers(0, 50, ROWS)
    return {
        "whole": whole,
        "number": random.normal(size=ROWS),
        "flag": random.random(ROWS) < 0.5,
        "word": np.array(["a", "b", "c"])[random.integers(0, 3, ROWS)],
        "code": random.integers(1, 4, ROWS),
        "y": np.where(whole > 25, "yes", "no"),
    }


def with_gaps(table: pa.Table) -> pa.Table:
    for place, name in enumerate(table.column_names[:5]):
        cells = [None if row % 7 == place else v for row, v in enumerate(table[name].to_pylist())]
        table = table.set_column(place, name, pa.array(cells, table[name].type))
    return table


@pytest.mark.parametrize("trained_on_gaps", [False, True])
@pytest.mark.parametrize("estimator", ["auto", "sklearn.linear_model.LogisticRegression"])
def test_a_request_with_gaps_is_served_as_evaluation_measured_it(
    fitted: Callable[..., Model], written: Write, estimator: str, trained_on_gaps: bool
) -> None:
    import mlflow.pyfunc

    whole = pa.table(columns())
    gaps = with_gaps(whole)
    training = written(gaps if trained_on_gaps else whole)
    subject = fitted(training, target="y", estimator=estimator, categorical_columns=["code"])
    served = mlflow.pyfunc.load_model(str(subject.path))
    loaded = model.load(subject.path)
    for table in (whole, gaps, gaps.slice(0, 1), whole.slice(0, 2)):
        frame = dataset.read(written(table).path)
        assert list(served.predict(frame)) == list(loaded.predict(frame))
    # Numbers that happen to be whole, and whole numbers that happen to be floats.
    round_numbers = dataset.read(written(whole).path).assign(number=7)
    assert list(served.predict(round_numbers)) == list(loaded.predict(round_numbers))


def test_a_request_of_another_type_is_refused_by_both(
    fitted: Callable[..., Model], written: Write
) -> None:
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    subject = fitted(written(pa.table(columns())), target="y")
    frame = pd.DataFrame(columns()).assign(word=7)
    with pytest.raises(MlflowException, match="word"):
        mlflow.pyfunc.load_model(str(subject.path)).predict(frame)


def test_a_request_over_http_may_hold_gaps(fitted: Callable[..., Model], written: Write) -> None:
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server

    subject = fitted(written(pa.table(columns())), target="y")
    served = mlflow.pyfunc.load_model(str(subject.path))
    frame = dataset.read(written(with_gaps(pa.table(columns()))).path).head(20).drop(columns="y")
    body = '{"dataframe_split": ' + frame.to_json(orient="split", index=False) + "}"
    answer = scoring_server.invocations(
        body, "application/json", served, served.metadata.get_input_schema()
    )
    assert answer.status == 200, answer.response
    said = json.loads(answer.response)["predictions"]
    assert said == list(model.load(subject.path).predict(frame))
