"""select_best: the work."""

from typing import Any

from assay.core.step import Evaluation, Out, Selection, Values, step


@step
def select_best(
    *,
    models: list[str],
    evaluations: list[Evaluation],
    candidates: list[dict[str, Any]] = [],  # noqa: B006 - read only
    primary_metric: str = "",
    selection: Out[Selection],
) -> Values:
    """Choose the best of several models by their quality on validation rows.

    Of equal models, the one listed first is chosen. A candidate without a model (an empty digest)
    is reported with the reason in its evaluation, and the best of the others is chosen.

    Args:
        models: Digests of the candidates, such as dsl.Collected gives them.
        evaluations: The evaluation of each model, all on the same validation rows.
        candidates: What each was trained with, in the same order, for the report.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.
        selection: The choice and its reasons.

    Returns:
        model (str): Digest of the best.
        place (int): Its place in the list, from 1.
        reason (str): One line.
        value (float): Its value of the metric.

    Raises:
        UsageError: No candidates, not one evaluation for each model, evaluations on different rows,
            or no value of the metric for any; names all.
        IntegrityError: An evaluation is malformed.
    """
    from assay.components.select_best import choice, views
    from assay.evidence.format import EvidenceDocument

    documents = [EvidenceDocument.read(item.path) for item in evaluations]
    chosen = choice.choose(models, documents, candidates, primary_metric)
    chosen.evidence.write(selection.path)
    views.write(chosen, selection.path)
    return {
        "model": chosen.best.model,
        "place": chosen.best.place,
        "reason": chosen.evidence.reason,
        "value": chosen.best.value or 0.0,
    }
