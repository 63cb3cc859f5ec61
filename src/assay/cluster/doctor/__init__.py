"""Doctor: the ground that a run will stand on, looked at before anything costs time.

Each check tries what a run would do and removes what it made. A check that cannot be made is
skipped with the reason; it never passes. All run at once, each with a time limit, so that one
service that hangs holds up nothing.
"""

from assay.cluster.doctor.checks import LIMIT_SECONDS, Check, Finding, Ground, run_checks


def examine(ground: Ground, limit_seconds: float = LIMIT_SECONDS) -> list[Finding]:
    """Make every check; the findings in the order of the checks, never an error.

    Args:
        ground: What to look at.
        limit_seconds: How long a check may take.
    """
    # Here, because these import MLflow and clients.
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
