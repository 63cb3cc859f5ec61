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
    """Choose the model with the best primary metric; of equal ones, the one listed first.

    Models are given by name, because choosing needs no more of them. What they were evaluated on
    must be the same rows, and no others are looked at.

    A candidate without a model (an empty name) is named with the reason that its evaluation gives,
    and the others are chosen among.

    Raises:
        UsageError: No candidates, evaluations that are not one for each model or not on the same
            rows, or no value of the metric for any; names all.
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
