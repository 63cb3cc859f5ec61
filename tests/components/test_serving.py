"""What evaluation takes, MLflow's loader takes too, and predicts the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from assay import data as dataset
from assay import models as model
from assay.core.step import Dataset, Model
from assay.errors import UsageError

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


COLUMNS = {
    "whole": (pa.int64(), [1, 2, 3]),
    "number": (pa.float64(), [0.5, 1.5, 2.5]),
    "flag": (pa.bool_(), [True, False]),
    "word": (pa.string(), ["a", "b", "c"]),
    "code": (pa.int64(), [1, 2, 3]),
    "size": (pa.float64(), [0.5, 1.5, 2.5]),
    "sure": (pa.bool_(), [True, False]),
}
"""Each type in each role, with its values."""
CATEGORICAL = ["code", "size", "sure"]
GAPS = {"NaN": float("nan"), "None": None, "pd.NA": pd.NA}
TYPES_WITH_NA = {"int64": "Int64", "double": "Float64", "bool": "boolean", "string": "string"}


def effects(with_gaps: bool) -> pa.Table:
    """Rows whose target is a sum of effects of all values, in which gaps have the largest."""
    random = np.random.default_rng(1)
    columns: dict[str, pa.Array] = {}
    target = np.zeros(ROWS)
    for place, (name, (kind, values)) in enumerate(COLUMNS.items()):
        drawn = random.integers(0, len(values), ROWS)
        gaps = (random.random(ROWS) < 0.2) & with_gaps
        cells = [None if gap else values[i] for i, gap in zip(drawn, gaps, strict=True)]
        columns[name] = pa.array(cells, kind)
        target += np.where(gaps, 10, drawn) * 1.37**place
    return pa.table({**columns, "y": target})


def requests(table: pa.Table, name: str) -> dict[str, pd.DataFrame]:
    """Tables with a missing value in a column, in every form, alone and between other values."""
    kind, values = COLUMNS[name]
    whole = table.drop_columns("y").drop_null().slice(0, 3).to_pandas()
    cells = [values[0], None, values[1]]
    found = {}
    for form, gap in GAPS.items():
        column = pd.Series([gap if cell is None else cell for cell in cells], dtype=object)
        found[form] = whole.assign(**{name: column})
        found[f"{form} alone"] = whole.assign(**{name: column})[1:2]
    nullable = whole.assign(**{name: pd.Series(cells, dtype=TYPES_WITH_NA[str(kind)])})
    numpys = whole.assign(**{name: float("nan")})
    return found | {"nullable": nullable, "nullable alone": nullable[1:2], "float NaN": numpys}


@pytest.mark.parametrize("trained_on_gaps", [False, True])
@pytest.mark.parametrize(
    "estimator", ["auto", "sklearn.linear_model.Ridge", "sklearn.ensemble.RandomForestRegressor"]
)
def test_a_gap_of_any_form_in_any_column_has_the_effect_that_was_measured(
    fitted: Callable[..., Model],
    written: Write,
    tmp_path: Path,
    estimator: str,
    trained_on_gaps: bool,
) -> None:
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    rows = effects(trained_on_gaps)
    few = {"n_estimators": 5} if "Forest" in estimator else {}
    subject = fitted(
        written(rows),
        target="y",
        estimator=estimator,
        hyperparameters=few,
        categorical_columns=CATEGORICAL,
    )
    served = mlflow.pyfunc.load_model(str(subject.path))
    loaded = model.load(subject.path)

    rows.to_pandas().to_csv(tmp_path / "rows.csv", index=False)
    from_csv = pd.read_csv(tmp_path / "rows.csv").drop(columns="y")
    measured = loaded.predict(dataset.read(written(rows).path))
    assert list(served.predict(from_csv)) == list(loaded.predict(from_csv)) == list(measured)

    unequal, refused = set(), set()
    for name in COLUMNS:
        for form, frame in requests(rows, name).items():
            try:
                predicted = list(served.predict(frame))
            except (MlflowException, TypeError, ValueError):
                refused.add((name, form))
                continue
            if predicted != list(loaded.predict(frame)):
                unequal.add((name, form))
    assert not unequal
    # Both refuse a table without the column.
    for each in (served, loaded):
        with pytest.raises((MlflowException, UsageError, ValueError), match="sure"):
            each.predict(from_csv.drop(columns="sure"))
    # MLflow may refuse pandas' own missing value, and a column of floats where it expects texts.
    # What pandas reads from CSV and JSON is served, but for a text column without any text.
    names = {name for name, form in refused if "NA" not in form and "nullable" not in form}
    assert names <= ({"word"} if trained_on_gaps else {"word", "flag", "sure"})
    assert not refused & {
        (name, form) for name in COLUMNS for form in ("NaN", "None", "None alone")
    }


@pytest.mark.parametrize("trees", [False, True])
def test_a_model_that_mlflow_serves_by_another_rule_is_reported_where_it_is_measured(
    fitted: Callable[..., Model], written: Write, trees: bool
) -> None:
    """Models of earlier versions have an encoder without steps before it."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    rows = written(effects(with_gaps=True))
    frame = dataset.read(rows.path)
    subject = model.load(
        fitted(
            rows,
            target="y",
            drop_columns=["number", "whole", "flag", "word"],
            categorical_columns=CATEGORICAL,
        ).path
    )
    assert "unequal-gaps" not in {finding.code for finding in subject.check_table(frame)}
    encoder = (
        OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1
        )
        if trees
        else OneHotEncoder(handle_unknown="ignore")
    )
    encode = ColumnTransformer([("codes", encoder, CATEGORICAL)])
    earlier = make_pipeline(encode, Ridge()).fit(frame[CATEGORICAL], frame["y"])
    findings = model.LoadedModel(earlier, subject.info).check_table(frame)
    reported = {finding.columns for finding in findings if finding.code == "unequal-gaps"}
    # Trees get the same code for a missing and an unseen number.
    assert reported == ({("sure",)} if trees else {("code",), ("size",), ("sure",)})


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
