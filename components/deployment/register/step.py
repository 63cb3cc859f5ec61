"""register: the work."""

from assay.core.step import (
    Decision,
    Digest,
    Evaluation,
    Measurements,
    Out,
    Record,
    Services,
    Values,
    step,
)


@step(side_effects=True, asks_registry=True)
def register(
    *,
    services: Services,
    model: Digest,
    decision: Decision,
    evaluation: Evaluation,
    measurements: Measurements | None = None,
    data: Digest = "",
    model_name: str,
    record: Out[Record],
) -> Values:
    """Make a registry version of a model whose decision is a pass for exactly this model.

    The same digest registered twice is the same version. Where `ASSAY_DEPLOYMENTS` names a
    repository with a policy that governs the model, this policy judges the evidence too. The model
    in production is resolved again: the decision must rest on a comparison with the current one.

    Args:
        services: The store, and the keys that attestations are verified with.
        model: Digest of the model.
        decision: The gate's decision about it.
        evaluation: Its evaluation.
        measurements: Its latency measurements.
        data: Digest of the whole dataset it was made from.
        model_name: Name in the MLflow registry.
        record: The registration's record.

    Returns:
        version (str): Version in the registry.
        registered (str): new or existing.
        model_uri (str): What mlflow.pyfunc.load_model loads.

    Raises:
        RunBlocked: The decision or the governing policy is a block, or the decision compares with
            another model than the one in production; or a stricter policy blocked on the same test
            data, and no policy governs the model.
        RunInconclusive: The decision or the governing policy is inconclusive.
        PolicyError: The governing policy does not parse.
        IntegrityError: The decision is about another model, does not follow from its evidence, or
            something it rests on is altered, unconnected or has no valid attestation.
        NotFoundError: Something it rests on is not in the store.
        UsageError: An invalid digest or model name.
        ServiceError: The deployment repository or the registry failed, or the registry contradicts
            its history or the release log.
    """
    from assay.components.register.stricter import require_stricter_passed
    from assay.components.register.version import register_version
    from assay.core.digest import canonical_json, require_digest
    from assay.errors import UsageError
    from assay.governance.admission import check, require_own_drill, require_same_production
    from assay.governance.registry import Registry, name_problems
    from assay.releases.governing import configured
    from assay.releases.production import in_production

    require_digest(model, "model")
    if data:
        require_digest(data, "data")
    if problems := name_problems(model_name):
        raise UsageError.all_of(problems)
    shown = [evaluation.digest, *([measurements.digest] if measurements else [])]
    assessment = check(services, model, decision, shown, data, governing=configured(model_name))
    require_own_drill(services, assessment.judgement, model_name)
    registry = Registry()
    require_same_production(
        assessment.judgement, in_production(services, registry, model_name), model_name
    )
    require_stricter_passed(services, assessment, model_name)
    version, new = register_version(
        registry, services, model, assessment, evaluation, measurements, model_name
    )
    uri = f"models:/{model_name}@candidate"
    document = {
        "data": assessment.data,
        "decision": decision.digest,
        "model": model,
        "model_name": model_name,
        "model_uri": uri,
        "registered": "new" if new else "existing",
        "source": version.source,
        "version": version.version,
    }
    (record.path / "record.json").write_bytes(canonical_json(document))
    (record.path / "summary.md").write_text(
        f"# {model_name} version {version.version}\n\n"
        f"{'Registered' if new else 'Was registered already'}: `{model}`. Load it with\n\n"
        f'```python\nmlflow.pyfunc.load_model("{uri}")\n```\n\n'
        f"Provenance: `assay passport {model}`\n",
        encoding="utf-8",
    )
    return {"version": version.version, "registered": document["registered"], "model_uri": uri}
