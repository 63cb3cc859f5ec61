"""Doctor: checks of everything that a run needs, before it costs time.

Each check tries what a run would do and removes what it wrote. A check that cannot be made is
skipped with the reason; it does not pass. All run at the same time, with a time limit, so a service
that hangs does not delay the others.
"""

from assay.cluster.doctor.checks import LIMIT_SECONDS, Check, Finding, Ground, run_checks


def examine(ground: Ground, limit_seconds: float = LIMIT_SECONDS) -> list[Finding]:
    """Make every check. Errors are returned as findings, not raised.

    Args:
        ground: What to check.
        limit_seconds: How long a check may take.

    Returns:
        The findings, in the order of the checks.
    """
    # Imported here, because these import MLflow and clients.
    from assay.cluster.doctor import cluster, services, store

    checks: list[tuple[str, Check]] = [
        ("settings", services.check_settings),
        ("store", store.check_store),
        ("clock", store.check_clock),
        ("MLflow", services.check_mlflow),
        ("signing", services.check_signing),
        ("releases", services.check_releases),
        ("KFP", cluster.check_kfp),
        ("secrets", cluster.check_secrets),
        ("images", cluster.check_images),
        ("requeue time", cluster.check_requeue_time),
    ]
    return run_checks(checks, ground, limit_seconds)
