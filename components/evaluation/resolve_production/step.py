"""resolve_production: the work."""

from assay.core.step import Attempts, Digest, Out, Record, Services, Values, step


@step(side_effects=True, asks_registry=True)
def resolve_production(
    *,
    services: Services,
    model_name: str,
    override: Digest = "",
    model: Digest = "",
    test_data: Digest = "",
    record: Out[Record],
    attempts: Out[Attempts] | None,
) -> Values:
    """Ask the registry which model is in production, and count the models tried on the test rows.

    The release log in the store must agree with the registry.

    Args:
        services: The store, and the keys that attestations are verified with.
        model_name: Name in the MLflow registry.
        override: Digest of a model to compare with instead, for information only: register refuses
            such a decision. Empty: the one in production.
        model: Digest of the model that is judged.
        test_data: Digest of the rows it is tested on.
        record: The answer: `record.json`, `summary.md`.
        attempts: The evidence attempts_on_test_data.

    Returns:
        production (str): Digest of the model to compare with, or empty.
        production_data (str): Digest of the data it was made from, or empty.
        production_rows (str): Digest of the rows it was trained on, or empty when unknown.
        version (str): Its version in the registry, or empty.

    Raises:
        ServiceError: The registry does not answer, or contradicts its history or the release log;
            a missing answer is not "none".
        IntegrityError: The release log is broken.
        UsageError: The production version was not registered by Assay, `override` is not a digest,
            or
            only one of `model` and `test_data` is given.
    """
    from assay.core.digest import canonical_json, require_digest
    from assay.errors import UsageError
    from assay.governance.attempts import evidence as attempts_of
    from assay.governance.registry import DATA_TAG, Registry, name_problems
    from assay.releases.production import in_production

    if problems := name_problems(model_name):
        raise UsageError.all_of(problems)
    registry = Registry()
    if bool(model) != bool(test_data):
        raise UsageError(
            "give both model and test_data, or neither; attempts are counted for the pair"
        )
    if model and attempts is not None:
        attempts_of(
            services, require_digest(model, "model"), require_digest(test_data, "test_data")
        ).write(attempts.path)
    if override:
        require_digest(override, "override")
        version = registry.find(model_name, override)
    else:
        version = in_production(services, registry, model_name)
    # A version without a digest is refused here, by `ModelVersion.model`.
    rival = override or (version.model if version else "")
    found = {
        "production": rival,
        "production_rows": _trained_on(services, rival) if rival else "",
        "production_data": version.tags.get(DATA_TAG, "") if version else "",
        "version": version.version if version else "",
    }
    document = {"model_name": model_name, "override": override, **found}
    (record.path / "record.json").write_bytes(canonical_json(document))
    named = f"version {version.version}" if version else "no registered version"
    if override:
        text = f"To compare with, as `override` asks: `{rival}` ({named} of `{model_name}`)\n"
    elif version:
        text = f"In production: {named} of `{model_name}`, `{rival}`\n"
    else:
        text = f"No version of `{model_name}` is in production.\n"
    (record.path / "summary.md").write_text(text, encoding="utf-8")
    return found


def _trained_on(services: Services, model: str) -> str:
    """Digest of the rows that a model was trained on, from its attestation; empty if unknown.

    Where executions made the same model from different rows, it is unknown which rows it has seen:
    then it is "" too. What a step of a user says about a model that `train` made is left out.
    """
    from assay.core.attestation import about
    from assay.core.step import Dataset
    from assay.core.tree import get_manifest
    from assay.governance.makers import IMPORT, TRAINING

    made = about(services.store, model, services.verifier)
    trained = [one for one in made if one.entry_point in TRAINING and one.entry_point != IMPORT]
    found = {
        digest
        for attestation in trained or made
        for digest in attestation.input_digests()
        if get_manifest(services.store, digest).artifact_type == Dataset.type
    }
    return found.pop() if len(found) == 1 else ""
