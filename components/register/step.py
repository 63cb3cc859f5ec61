"""register: the work."""

from assay.step import (
    Decision,
    Evaluation,
    Measurements,
    Out,
    Record,
    Services,
    Values,
    step,
)


@step(side_effects=True)
def register(
    *,
    services: Services,
    model: str,
    decision: Decision,
    evaluation: Evaluation,
    measurements: Measurements | None = None,
    data: str = "",
    model_name: str,
    record: Out[Record],
) -> Values:
    """Make a version of a model whose decision is a pass; the same digest twice, the same version.

    Raises:
        RunBlocked: The decision is not a pass.
        IntegrityError: The decision is about another model, does not follow from its evidence, or
            something it rests on is missing, altered or without a believable record.
        ServiceError: The registry failed.
    """
    from assay.components.register.checks import check
    from assay.components.register.version import register_version

    from assay.digest import canonical_json, require_digest
    from assay.tree import get_manifest

    require_digest(model, "model")
    facts = check(services, model, decision)
    version, new = register_version(
        services, model, facts, evaluation, measurements, data, model_name
    )
    document = {
        "model": model,
        "model_name": model_name,
        "version": version.version,
        "source": version.source,
        "decision": decision.digest,
        "manifest_size": get_manifest(services.store, model).size,
    }
    (record.path / "record.json").write_bytes(canonical_json(document))
    uri = f"models:/{model_name}@candidate"
    (record.path / "summary.md").write_text(
        f"# {model_name} version {version.version}\n\n"
        f"{'Registered' if new else 'Was registered already'}. Load it with\n\n"
        f'```python\nmlflow.pyfunc.load_model("{uri}")\n```\n'
    )
    return {
        "version": version.version,
        "registered": "new" if new else "existing",
        "model_uri": uri,
    }
