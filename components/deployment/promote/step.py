"""promote: the work."""

from assay.core.step import Digest, Out, Record, Services, Values, step


@step(side_effects=True)
def promote(
    *,
    services: Services,
    model_name: str,
    environment: str,
    model: Digest = "",
    monitoring: str = "",
    record: Out[Record],
) -> Values:
    """Propose a model for an environment by a pull request, after all checks.

    Running it again updates the same pull request.

    Args:
        services: The store, and the keys that attestations are verified with.
        model_name: Name in the MLflow registry.
        environment: dev, staging or production; none is skipped.
        model: Digest of the model. Empty: the registry's candidate.
        monitoring: Text of monitoring.yaml. Empty: the current plan, or that of the environment
            below.
        record: The promotion's record.

    Returns:
        outcome (str): opened, updated, unchanged, or released when the environment has it already.
        release (str): Digest of the release.yaml.
        branch (str): The branch that proposes it.
        url (str): The pull request; empty without a forge.

    Raises:
        UsageError: An invalid name or digest, or no candidate.
        RunBlocked: Not admitted: its policy, an expired override, a revocation, a skipped
            environment.
        IntegrityError: Something that the model rests on is altered, or has no valid attestation.
        ServiceError: Registry, repository or forge failed.
    """
    from assay.core.digest import canonical_json
    from assay.releases.deployment import Deployment
    from assay.releases.promotion import promote as propose

    done = propose(
        Deployment.from_env(services=services),
        model_name,
        environment,
        digest=model,
        plan=monitoring.encode() if monitoring else None,
    )
    values = {
        "outcome": done.outcome,
        "release": done.release.name,
        "branch": done.branch,
        "url": done.request.url if done.request else "",
    }
    document = {
        **values,
        "model_name": model_name,
        "environment": environment,
        "model": done.release.digest,
        "commit": done.commit,
    }
    (record.path / "record.json").write_bytes(canonical_json(document))
    where = values["url"] or f"branch `{done.branch}`; merge it with `assay release approve`"
    (record.path / "summary.md").write_text(
        f"{done.outcome}: {where}\n\n{done.changelog}", encoding="utf-8"
    )
    return values
