"""release_evidence: the work."""

from assay.core.step import Model, Out, Rehearsal, Services, Values, step


@step(side_effects=True)
def release_evidence(
    *, services: Services, model: Model, model_name: str, rehearsal: Out[Rehearsal]
) -> Values:
    """Say how many days ago a rollback of this model's name was last rehearsed with success.

    Without any such rehearsal the value is null, which fails every rule that asks for it.

    Raises:
        UsageError: A name that no model can have.
        IntegrityError: The release log is broken.
    """
    from assay.errors import UsageError
    from assay.governance.registry import name_problems
    from assay.releases.drill_age import evidence

    if problems := name_problems(model_name):
        raise UsageError.all_of(problems)
    evidence(services, model_name, model.digest).write(rehearsal.path)
    return {}
