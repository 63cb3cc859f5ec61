"""rollback_drill: the work."""

from assay.core.step import Out, Record, Services, Values, step


@step(side_effects=True)
def rollback_drill(
    *,
    services: Services,
    model_name: str,
    environment: str = "staging",
    record: Out[Record],
) -> Values:
    """Roll an environment back and forth, and compare golden predictions after each.

    A drill that took longer than five minutes has the verdict `block`.

    Args:
        services: The store, and the keys that attestations are verified with.
        model_name: Name of the model.
        environment: The environment; not production.
        record: The drill's record, with its Prometheus metrics.

    Returns:
        verdict (str): pass or block.
        reason (str): One line; empty on a pass.
        seconds (float): Duration of the slower of the two rollbacks.

    Raises:
        UsageError: Production, no signing key, no earlier release, or no golden predictions; before
            anything was changed.
        IntegrityError: A release cannot be restored, or its predictions differ.
        ServiceError: The repository failed.
    """
    from assay.core.digest import canonical_json
    from assay.core.settings import PUSHGATEWAY
    from assay.errors import RunBlocked, UsageError
    from assay.releases import drill
    from assay.releases.deployment import Deployment

    if environment == "production":
        raise UsageError("a drill in production would be an outage; run it on staging")
    done = drill.drill(
        Deployment.from_env(services=services),
        model_name,
        environment,
        by="Assay rollback drill <assay@localhost>",
    )
    reason = ""
    try:
        drill.require_passed(done)
    except RunBlocked as error:
        reason = str(error)
    if gateway := PUSHGATEWAY.get():
        drill.push(done, gateway)
    document = {
        "model_name": model_name,
        "environment": environment,
        "back_to": done.back.release.digest,
        "forth_to": done.forth.release.digest,
        "golden_rows": done.rows,
        "seconds": round(done.seconds, 3),
        "phases": {
            name: {phase: round(taken, 3) for phase, taken in part.seconds.items()}
            for name, part in (("back", done.back), ("forth", done.forth))
        },
        "statement": done.statement.digest if done.statement else "",
    }
    (record.path / "record.json").write_bytes(canonical_json(document))
    (record.path / "metrics.prom").write_bytes(drill.metrics(done))
    lines = [
        f"| {name} | {phase} | {taken:.2f} |"
        for name, part in (("back", done.back), ("forth", done.forth))
        for phase, taken in part.seconds.items()
    ]
    (record.path / "summary.md").write_text(
        f"# Rollback drill of {model_name}: {done.seconds:.1f} s\n\n{reason}\n\n"
        "| way | phase | seconds |\n| --- | --- | --- |\n" + "\n".join(lines) + "\n",
        encoding="utf-8",
    )
    return {
        "verdict": "pass" if done.passed else "block",
        "reason": reason,
        "seconds": round(done.seconds, 3),
    }
