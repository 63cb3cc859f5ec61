"""plan_parts: the work."""

from typing import Final

from assay.core.step import Dataset, Lazy, Out, Parts, Values, step

MAX_TASKS: Final = 16
"""A task costs 33 KB of the 1 MiB that Argo keeps of a workflow (docs/adr/0014)."""


@step
def plan_parts(
    *,
    data: Lazy[Dataset],
    rows_per_task: int = 1_000_000,
    max_tasks: int = MAX_TASKS,
    plan: Out[Parts],
) -> Values:
    """Distribute the parts of a dataset over parallel tasks, the same number of parts to each.

    A small dataset gets one task. The rows themselves are not read.

    Args:
        data: The dataset.
        rows_per_task: Rows that one task should have at least, at least 1.
        max_tasks: Tasks at most, from 1 to 16; each then has more rows.
        plan: The parts of each task.

    Returns:
        parts (list): The parts of each task, as "FIRST-LAST", from 0.

    Raises:
        UsageError: A number is out of its range; names all.
    """
    from assay.core.digest import canonical_json
    from assay.data import parts
    from assay.errors import UsageError

    problems = []
    if rows_per_task < 1:
        problems.append(f"rows_per_task is {rows_per_task}; give at least 1")
    if not 1 <= max_tasks <= MAX_TASKS:
        problems.append(f"max_tasks is {max_tasks}; give 1 to {MAX_TASKS}")
    if problems:
        raise UsageError.all_of(problems)
    ranges = parts.plan(data, rows_per_task, max_tasks)
    (plan.path / "parts.json").write_bytes(canonical_json({"data": data.digest, "parts": ranges}))
    return {"parts": ranges}
