"""rollback: the work."""

from assay.core.step import Digest, Out, Record, Services, Values, step


@step(side_effects=True)
def rollback(
    *,
    services: Services,
    model_name: str,
    environment: str,
    by: str,
    why: str,
    to: Digest = "",
    now: bool = False,
    record: Out[Record],
) -> Values:
    """Restore an earlier release, after every byte of it was verified.

    Args:
        services: The store, and the keys that attestations are verified with.
        model_name: Name of the model.
        environment: dev, staging or production.
        by: Who asks for it: Name <mail>.
        why: A line for the commit and the release log.
        to: Digest of the model or release to restore. Empty: the one before.
        now: Push to the branch at once, without a pull request.
        record: The rollback's record.

    Returns:
        model (str): Digest of the model that is restored, or proposed.
        commit (str): The commit in the deployment repository; empty while Git is down.
        url (str): The pull request; empty when it was done at once or without a forge.

    Raises:
        UsageError: No earlier release, or `to` was never released in the environment.
        IntegrityError: The release cannot be restored; names the next that can be.
        RunBlocked: Its model is revoked.
        ServiceError: The repository refuses, or is down and `now` is false.
    """
    from assay.core.digest import canonical_json
    from assay.releases.deployment import Deployment
    from assay.releases.rollback import rollback as restore

    done = restore(
        # Works without a registry: a missing one is no reason to keep a bad model.
        Deployment.from_env(services=services),
        model_name,
        environment,
        by=by,
        why=why,
        to=to,
        now=now,
    )
    values = {
        "model": done.release.digest,
        "commit": done.commit,
        "url": done.request.url if done.request else "",
    }
    document = {
        **values,
        "model_name": model_name,
        "environment": environment,
        "by": by,
        "why": why,
        "from": done.left.digest,
        "release": done.release.name,
        "proposed": done.request is not None,
        "bytes": done.size,
        "seconds": {phase: round(seconds, 3) for phase, seconds in done.seconds.items()},
        "notes": done.notes,
    }
    (record.path / "record.json").write_bytes(canonical_json(document))
    phases = "".join(f"- {phase}: {taken:.2f} s\n" for phase, taken in done.seconds.items())
    state = "Proposed" if done.request else "Rolled back"
    (record.path / "summary.md").write_text(
        f"{state}: {environment} from `{done.left.digest}` to `{done.release.digest}`\n\n{phases}",
        encoding="utf-8",
    )
    return values
