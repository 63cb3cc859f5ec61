"""select_parts: the work."""

from assay.core.step import Dataset, Lazy, Out, step


@step
def select_parts(*, data: Lazy[Dataset], parts: str, selected: Out[Dataset]) -> None:
    """Make a dataset of some parts of another one; no other part is fetched.

    Its digest depends on these rows only: when rows are appended to the table, work on the earlier
    parts is answered from the cache.

    Args:
        data: The dataset.
        parts: The numbers of the first and the last part, as "FIRST-LAST", from 0.
        selected: The dataset of these parts.

    Raises:
        UsageError: Not two numbers, or the dataset does not have these parts.
    """
    from assay.data.parts import numbers, select

    select(data, numbers(parts), selected.path)
