"""check_monitoring: the work."""

from assay.core.step import Dataset, Model, Monitoring, MonitoringPlan, Out, Values, step


@step
def check_monitoring(
    *,
    model: Model,
    test_data: Dataset,
    plan: MonitoringPlan | None = None,
    starts: int = 20,
    seed: int = 0,
    threads: int = 1,
    monitoring: Out[Monitoring],
) -> Values:
    """Measure how soon a monitoring plan detects faults, by injecting them into held-out rows.

    Args:
        model: The model.
        test_data: The held-out rows.
        plan: The monitoring plan: how soon it detects faults is measured. Empty: none, and no
            evidence
            of one.
        starts: Repeats of each fault at each position, from 1 to 1000.
        seed: Seed of the order of rows, and of where faults begin.
        threads: Threads for predictions and numerics.
        monitoring: The evidence about the monitoring plan; reproducible.

    Returns:
        complete (bool): Whether the plan covers everything that a plan must.

    Raises:
        UsageError: A plan that does not parse or fit the model, or too few rows; names all.
    """
    from assay import data as dataset
    from assay.components.check_monitoring import views
    from assay.models import load, platform_classes
    from assay.monitoring import FILE_NAME, check_numbers, judge, parse_plan, replay
    from assay.monitoring.judge import evidence, no_plan

    check_numbers(starts, seed)
    subjects = {"model": model.digest, "data": test_data.digest}
    if plan is None:
        no_plan(subjects).write(monitoring.path)
        views.write_no_plan(monitoring.path)
        return {"complete": False}
    parsed = parse_plan((plan.path / FILE_NAME).read_bytes(), FILE_NAME)
    loaded = load(model.path, allowed_modules=sorted(platform_classes()))
    rows = dataset.read(test_data.path)
    replayed = replay(parsed, loaded, rows, starts=starts, seed=seed, threads=threads)
    judged = judge(parsed, loaded.info, replayed)
    document = evidence(judged, subjects)
    document.write(monitoring.path)
    views.write(parsed, judged, document, monitoring.path)
    return {"complete": judged.complete}
