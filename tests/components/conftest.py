"""Models and tables that the tests of stages share."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assay import data as dataset
from assay.components.train.step import train
from assay.core.step import Dataset, Model, Out

ROWS = 2000

Fit = Callable[..., Model]
TRAINED_ON: dict[Path, Dataset] = {}
"""What each model of these tests was trained on, by its folder."""
Write = Callable[[pa.Table], Dataset]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Makes a dataset of a table."""

    def write(table: pa.Table) -> Dataset:
        folder = tmp_path_factory.mktemp("written")
        dataset.write(table.to_batches(), table.schema, folder)
        return Dataset(folder, "sha256:" + "0" * 64)

    return write


@pytest.fixture(scope="session")
def few_rows(adult: Dataset, written: Write) -> Dataset:
    """The first rows of Adult, so that fits are quick."""
    return written(pa.Table.from_batches([next(dataset.iter_batches(adult.path)).slice(0, ROWS)]))


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """Trains a model; takes the step's parameters."""

    def fit(data: Dataset, **parameters: Any) -> Model:
        folder = tmp_path_factory.mktemp("model")
        train(data=data, model=Out(folder), **train.bind_parameters(parameters))
        TRAINED_ON[folder] = data
        # By content, so that no page depends on how many models were fitted before.
        files = [(folder / name).read_bytes() for name in ("assay-model.json", "model.skops")]
        return Model(folder, "sha256:" + sha256(b"".join(files)).hexdigest())

    return fit


@pytest.fixture(scope="session")
def income(few_rows: Dataset, fitted: Fit) -> Model:
    """A quick model of Adult's income."""
    return fitted(few_rows, target="income", hyperparameters={"max_iter": 15})
