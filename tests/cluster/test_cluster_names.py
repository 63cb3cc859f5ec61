"""Names of runs in KFP's lists: they tell something, and are fit for any list."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.cluster.names import MAX_PART_CHARS, run_name

ANYTHING = st.one_of(st.none(), st.integers(), st.text(), st.just("s3://[x/y"), st.just("a/b.csv"))


@pytest.mark.parametrize(
    ("data", "stem"),
    [
        ("adult-train.csv", "adult-train"),
        ("/data/2026/adult-train.csv.gz", "adult-train"),
        ("file:///data/a%20b.csv", "a-20b"),
        ("https://u:secret@host/x/y.parquet?token=secret#z", "y"),
        ("s3://bucket/folder/?endpoint=https://h", "folder"),
        ("sha256:3f9a12", "3f9a12"),
        (".hidden", "hidden"),
        ("données.csv", "données"),
    ],
)
def test_a_table_is_called_by_its_files_name(data: str, stem: str) -> None:
    given = {"data": data, "model_name": "income", "estimator": "auto"}
    assert run_name("p", given, "-") == f"income · {stem} · auto"


def test_a_sweep_has_no_estimator() -> None:
    given = {"data": "d.csv", "model_name": "income", "candidates": [{}]}
    assert run_name("sweep-and-register", given, "-") == "income · d · sweep-and-register"


@given(
    arguments=st.fixed_dictionaries(
        {}, optional={"data": ANYTHING, "model_name": ANYTHING, "estimator": ANYTHING}
    )
)
def test_any_parameters_give_a_name(arguments: dict[str, Any]) -> None:
    name = run_name("pipeline", arguments, "otherwise")
    assert name == "otherwise" or name.count(" · ") == 2
    assert len(name) <= 3 * MAX_PART_CHARS + 6
    assert re.fullmatch(r"[\w.@+=· -]+", name)
