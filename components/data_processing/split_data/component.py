# Generated from step.py, task.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of split_data."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("data")
def split_data(
    data: str,
    target: str = "",
    split_by: str = "hash",
    key_columns: list = [],
    drop_columns: list = [],
    time_column: str = "",
    test_fraction: float = 0.25,
    stratify: bool = False,
    salt: str = "",
    candidates: list = [],
    candidate_settings: dict = {},
    validation_fraction: float = 0.25,
    settings: dict = {},
) -> NamedTuple(
    "Outputs",
    [
        ("train", str),
        ("test", str),
        ("train_rows", int),
        ("test_rows", int),
        ("candidates", list),
    ],
):
    """Split rows into training and test sets; an entity never changes sides as data grows.

    By hash: the side of a row depends on its key only (`key_columns`, or the whole row without
    `drop_columns`), so it keeps its side whatever other rows are added or removed, and rows that a
    model cannot tell apart are never on both sides. The exception are rows that turn a column of
    fractions or times into text; a finding reports them. A row without any value in the key is an
    entity of its own, and a finding reports how many there are. With `stratify`, each class is held
    to `test_fraction` to within one entity, and each class of two entities or more is on both
    sides; a side then also depends on the rows before, so it is kept when rows are appended. By
    time: the latest rows are the test set, and rows of one time are on one side; the cut moves as
    data grows.

    Args:
        data: Digest of a dataset.
        target: Column to predict; needed with stratify.
        split_by: "hash" (of key_columns, or of the whole row) or "time".
        key_columns: Columns that name an entity; all its rows are on one side.
        drop_columns: Columns that are not features: rows that differ only in them are equal.
        time_column: Column of dates, times or numbers; the latest rows are the test set.
        test_fraction: Share of rows held out, between 0 and 1.
        stratify: Give both sides the same share of each class.
        salt: Any text; another salt is another split.
        candidates: Of a sweep: what to try.
        candidate_settings: Of a sweep: more parameters of each try_candidate.
        validation_fraction: Of a sweep: share of the training rows to choose on, between 0 and 1.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text, only
            changes KFP's cache key.

    Returns:
        train: Digest of the training rows.
        test: Digest of the test rows.
        train_rows: Number of training rows.
        test_rows: Number of test rows.
        candidates: Of a sweep: each with the rows to train and to measure it on.
    """
    from assay.components.split_data import step, task
    from assay.runtime.kfp import execute

    return execute(
        step.split_data,
        locals(),
        "train",
        "test",
        "train_rows",
        "test_rows",
        "candidates",
        by=task.split_data,
    )
