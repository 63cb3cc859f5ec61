"""release_evidence: the work."""

from assay.core.step import Model, Out, Rehearsal, Services, Values, step


@step(side_effects=True)
def release_evidence(
    *, services: Services, model: Model, model_name: str, rehearsal: Out[Rehearsal]
) -> Values:
    """Count the days since the last successful rollback drill of a model's name, for the gate.

    Without a drill the value is null, which fails every rule about it.

    Args:
        services: The store, and the keys that attestations are verified with.
        model: The model to judge.
        model_name: Name under which it is released.
        rehearsal: The evidence rollback_drill_age_days.

    Raises:
        UsageError: An invalid model name.
        IntegrityError: The release log is broken.
    """
    from assay.errors import UsageError
    from assay.governance.registry import name_problems
    from assay.releases.drill_age import evidence

    if problems := name_problems(model_name):
        raise UsageError.all_of(problems)
    evidence(services, model_name, model.digest).write(rehearsal.path)
    return {}
