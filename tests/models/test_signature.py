"""The signature of a model comes from a few rows, and is that of all of them."""

import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.models import infer_signature

from assay.models.mlflow_folder import EXAMPLE_ROWS, _representative

TEXTS = st.sampled_from(["a", "b", ""])
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "text with None": st.one_of(st.none(), TEXTS),
    "text with both gaps": st.one_of(st.none(), st.just(float("nan")), TEXTS),
    "truth with None": st.one_of(st.none(), st.booleans()),
    "gaps only": st.one_of(st.none(), st.just(float("nan"))),
    "numbers as objects": st.one_of(st.none(), st.floats(width=32)),
    "mixed": st.one_of(TEXTS, st.booleans(), st.floats(width=32)),
    "integers as objects": st.one_of(st.none(), st.integers(-(2**70), 2**70)),
    "lists": st.lists(st.one_of(TEXTS, st.integers(0, 5)), max_size=2),
    "float64": st.floats(),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "datetime64[us]": st.one_of(st.none(), st.datetimes()),
}
DTYPES = ("float64", "int64", "bool", "datetime64[us]")


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 12))
    names = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4, unique=True))
    return pd.DataFrame(
        {
            name: pd.Series(
                draw(st.lists(CELLS[name], min_size=rows, max_size=rows)),
                dtype=name if name in DTYPES else object,
            )
            for name in names
        }
    )


def signature(frame: pd.DataFrame) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        found: dict[str, Any] = infer_signature(frame, np.array(["yes", "no"])).to_dict()
    return found


@settings(max_examples=300, deadline=None)
@given(tables())
def test_the_signature_of_the_chosen_rows_is_that_of_all_rows(frame: pd.DataFrame) -> None:
    assert signature(_representative(frame)) == signature(frame)


def test_a_gap_and_a_type_in_the_last_rows_are_found_and_few_rows_are_looked_at() -> None:
    rows = 10_000
    frame = pd.DataFrame(
        {
            "number": np.r_[np.zeros(rows - 1), np.nan],
            "text": np.array([*["a"] * (rows - 2), None, "a"], dtype=object),
            "full": np.arange(rows),
        }
    )
    chosen = _representative(frame)
    assert len(chosen) <= EXAMPLE_ROWS + 2 * frame.shape[1]
    assert signature(chosen) == signature(frame)
    assert signature(chosen) != signature(frame.head(rows - 2))
