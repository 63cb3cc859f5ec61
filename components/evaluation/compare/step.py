"""compare: the work."""

from typing import TYPE_CHECKING

from assay.core.step import Comparison, Dataset, Model, Out, Values, step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.components.compare.difference import Rows
    from assay.core.findings import Finding
    from assay.models import LoadedModel


@step
def compare(
    *,
    candidate: Model,
    production: Model | None = None,
    test_data: Dataset,
    candidate_rows: Dataset | None = None,
    production_rows: Dataset | None = None,
    primary_metric: str = "",
    margin: float = 0.01,
    slices: list[str] = [],  # noqa: B006 - read only
    confidence: float = 0.95,
    resamples: int = 2000,
    min_slice_rows: int = 30,
    seed: int = 0,
    threads: int = 1,
    comparison: Out[Comparison],
) -> Values:
    """Compare a candidate with the production model on rows that neither was trained on.

    Test rows that are equal, in a model's features and target, to a row it was trained on are left
    out. Where the rows that a model was trained on are unknown, or the models cannot be compared,
    the verdict is inconclusive.

    Args:
        candidate: The candidate model.
        production: The production model. Empty: none, and the policy decides.
        test_data: The held-out rows.
        candidate_rows: The rows the candidate was trained on. Empty: inconclusive.
        production_rows: The rows the production model was trained on. Empty: inconclusive if there
            is
            one.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.
        margin: Largest acceptable regression, 0 or more, in units of the metric.
        slices: Columns (or "a&b") by whose values to compare too.
        confidence: Level of the intervals, between 0 and 1.
        resamples: Draws, for metrics whose interval is drawn, at least 100.
        min_slice_rows: With fewer rows, a slice, or all of the comparison, is inconclusive.
        seed: Seed of the draws.
        threads: Threads for predictions and numerics.
        comparison: The comparison.

    Returns:
        verdict (str): pass, block or inconclusive.
        reason (str): One line; empty on a pass.

    Raises:
        UsageError: Invalid columns, labels or numbers; names all.
    """
    from assay import data
    from assay.components.compare import difference, views
    from assay.components.compare.settings import Settings
    from assay.core import findings
    from assay.data.exact_integers import exact
    from assay.models import fixed_threads, load, platform_classes

    settings = Settings(
        primary_metric=primary_metric,
        margin=margin,
        slices=tuple(slices),
        confidence=confidence,
        resamples=resamples,
        min_slice_rows=min_slice_rows,
        seed=seed,
    )
    subjects = {"model": candidate.digest, "data": test_data.digest}
    said: list[Finding] = []
    if production is None:
        measured = difference.no_production(subjects)
    else:
        subjects["production"] = production.digest
        admitted = sorted(platform_classes())
        ours = load(candidate.path, allowed_modules=admitted)
        theirs = load(production.path, allowed_modules=admitted)
        frame = data.read(test_data.path)
        said, obstacle = difference.check(ours, theirs, frame, settings)
        trained_on = {"candidate": candidate_rows, "production": production_rows}
        subjects |= {f"{role}_rows": rows.digest for role, rows in trained_on.items() if rows}
        if obstacle:
            measured = difference.not_compared(
                ours,
                obstacle,
                settings,
                subjects,
                dict.fromkeys(("compared_rows", "left_out_rows")),
            )
        else:
            models = {"candidate": (ours, candidate_rows), "production": (theirs, production_rows)}
            rows = _rows(test_data, models)
            with fixed_threads(threads):
                groups = exact(frame, test_data.path)
                measured = difference.compare(ours, theirs, frame, groups, rows, settings, subjects)
    measured.evidence.write(comparison.path)
    views.write(measured, settings, comparison.path)
    comparison.annotations["verdict"] = str(measured.evidence.verdict)
    return {
        "verdict": str(measured.evidence.verdict),
        "reason": measured.evidence.reason,
        **findings.values(said),
    }


def _rows(test_data: Dataset, models: "Mapping[str, tuple[LoadedModel, Dataset | None]]") -> "Rows":
    """The test rows that neither model was trained on.

    A test row is left out if a training row of a model is equal to it, in the model's features and
    its target.

    Args:
        test_data: The test rows.
        models: By role, a model and the rows that it was trained on; None if these are unknown.
    """
    from itertools import chain

    import numpy as np

    from assay import data
    from assay.components.compare.difference import Rows
    from assay.data.overlap import contained_in

    # Models with the same columns share one pass over the test rows, and one over a dataset that
    # both were trained on.
    trained: dict[tuple[str, ...], dict[str, Dataset]] = {}
    unknown = []
    for role, (model, trained_on) in models.items():
        if trained_on is None:
            unknown.append(role)
            continue
        columns = tuple(sorted({*model.features, model.target}))
        trained.setdefault(columns, {})[trained_on.digest] = trained_on
    new = np.ones(data.info(test_data.path).rows, dtype=bool)
    for columns, datasets in trained.items():
        new &= ~contained_in(
            data.iter_batches(test_data.path, columns),
            chain.from_iterable(
                data.iter_batches(dataset.path, columns) for dataset in datasets.values()
            ),
            columns,
        )
    if not unknown:
        return Rows(new)
    named = " and of ".join(f"the {role} model" for role in unknown)
    given = " and ".join(f"{role}_rows" for role in unknown)
    return Rows(new, f"the training rows of {named} are not known; give {given}")
