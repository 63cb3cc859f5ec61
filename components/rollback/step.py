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
    """Restore an earlier release; nothing is changed before every byte of it was verified.

    Raises:
        UsageError: No earlier release, or `to` was never released there.
        IntegrityError: The release cannot be restored; names the next that can be.
        RunBlocked: Its model is revoked.
        ServiceError: The repository refuses, or is down and `now` was not asked for.
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
        f"{state}: {environment} from `{done.left.digest}` to `{done.release.digest}`\n\n{phases}"
    )
    return values
