"""gate: how its task runs the step."""

from assay.runtime.kfp import Task


def gate(
    task: Task,
    *,
    validation: str = "",
    evaluation: list[str] = [],  # noqa: B006 - read only
    comparison: str = "",
    outside: list[str] = [],  # noqa: B006
) -> None:
    """Judge all evidence that the component is given as one list.

    Args:
        task: The task.
        validation: Digest, as validate_data gives it.
        evaluation: Digests, as evaluate gives them in `evidence`.
        comparison: Digest, as compare gives it.
        outside: Digests, as resolve_production gives them in `evidence`.
    """
    (step,) = task.steps
    single = [digest for digest in (validation, comparison) if digest]
    evidence = [*task.arguments["evidence"], *single, *evaluation, *outside]
    task.run(step, {"evidence": evidence})
