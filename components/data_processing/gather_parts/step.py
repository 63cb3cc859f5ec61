"""gather_parts: the work."""

from assay.core.step import Dataset, Out, Values, step


@step
def gather_parts(*, parts: list[Dataset], gathered: Out[Dataset]) -> Values:
    """Join datasets, such as the results of parallel tasks, in the order in which they are given.

    Args:
        parts: The datasets; all with the same columns and types.
        gathered: The dataset of all their rows.

    Returns:
        rows (int): Number of rows.

    Raises:
        UsageError: No datasets, other columns or types, or an order that is not that of the rows;
            names all.
    """
    from assay.data.parts import join

    return {"rows": join(parts, gathered.path).rows}
