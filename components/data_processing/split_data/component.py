"""The KFP declaration of split_data."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("data")
def split_data(
    data: str,
    target: str = "",
    split_by: str = "hash",
    key_columns: list = [],  # noqa: B006
    drop_columns: list = [],  # noqa: B006
    time_column: str = "",
    test_fraction: float = 0.25,
    stratify: bool = False,
    salt: str = "",
    settings: dict = {},  # noqa: B006 - KFP reads the default, nobody changes it
    candidates: list = [],  # noqa: B006
    candidate_settings: dict = {},  # noqa: B006
    validation_fraction: float = 0.25,
) -> NamedTuple(
    "Outputs",
    [("train", str), ("test", str), ("train_rows", int), ("test_rows", int), ("candidates", list)],
):
    """Split rows into training and test sets; an entity never changes sides as data grows.

    Args:
        data: Digest of a dataset.
        target: Column to predict; needed with stratify.
        split_by: "hash" (of key_columns, or of the whole row) or "time".
        key_columns: Columns that name an entity; all its rows stand on one side.
        drop_columns: Columns that are not features, and so make no other row of an equal one.
        time_column: Column of dates, times or numbers; the latest rows are the test set.
        test_fraction: Share of rows held out, between 0 and 1.
        stratify: Give both sides the same share of each class.
        salt: Any text; another salt is another split.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text,
            only changes KFP's cache key.
        candidates: Of a sweep: what to try.
        candidate_settings: Of a sweep: more parameters of each try_candidate.
        validation_fraction: Of a sweep: share of the training rows to choose on, between 0 and 1.

    Returns:
        train: Digest of the training rows.
        test: Digest of the test rows.
        train_rows: Number of training rows.
        test_rows: Number of test rows.
        candidates: Of a sweep: each with the rows to train and to measure it on.
    """
    from assay.components.split_data.candidates import split

    return split(locals())
