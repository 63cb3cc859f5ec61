"""A rollback drill: roll an environment back and forth, and compare predictions after each.

Meant for staging, as a recurring run. It records its times as a signed statement about the model,
and as Prometheus metrics; a policy can require that the last drill is recent.
"""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assay.core.step import Services
from assay.errors import RunBlocked, ServiceError, UsageError
from assay.releases import drill_age, golden, log, restore, statement
from assay.releases.deployment import Deployment
from assay.releases.drill_age import DRILL_BACK, DRILL_FORTH
from assay.releases.rollback import RolledBack, announce_forth, rollback
from assay.releases.statement import Kind, Statement

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

MAX_SECONDS: Final = 300.0
SECONDS_METRIC: Final = "assay_rollback_drill_seconds"
SUCCESS_METRIC: Final = "assay_rollback_drill_last_success_timestamp_seconds"
JOB: Final = "assay_rollback_drill"
PUSH_SECONDS: Final = 10


@dataclass(slots=True)
class Drill:
    """The result of a drill."""

    model: str
    environment: str
    back: RolledBack
    forth: RolledBack
    rows: dict[str, int] = field(default_factory=dict)
    """The number of golden predictions that were equal, by model digest."""
    seconds: float = 0.0
    """Duration of the slower of the two rollbacks, as in an outage."""
    statement: Statement | None = None

    @property
    def passed(self) -> bool:
        """Whether it was fast enough; other failures are errors."""
        return self.seconds <= MAX_SECONDS


def require_ready(deployment: Deployment, model: str, environment: str) -> None:
    """Check the requirements of a drill before anything is read or moved.

    Args:
        deployment: The store and the signer.
        model: Name of the model.
        environment: Where.

    Raises:
        UsageError: No key may sign a drill, there is no earlier release, or a release has no golden
            predictions; names all of these.
    """
    problems: list[str | UsageError] = []
    signer, services = deployment.signer, deployment.services
    if signer is None:
        problems.append(
            "ASSAY_SIGNING_KEY is not set, and a drill is a signed statement; make a key with "
            f"{drill_age.MAKE_KEY}, and on a cluster put it into the Secret assay-runner"
        )
    elif services.verifier is not None:
        try:
            services.verifier.require(signer, log.WRITERS[log.Event.ROLLBACK], "a drill")
        except UsageError as error:
            problems.append(error)
    problems += drill_age.missing_for_drill(services, model, environment)
    if problems:
        raise UsageError.all_of(problems)


def drill(deployment: Deployment, model: str, environment: str, *, by: str) -> Drill:
    """Roll an environment back and forth.

    Args:
        deployment: The store, the repository, the registry and the signer.
        model: Name of the model.
        environment: Where.
        by: `Name <mail>`.

    Returns:
        The releases, the times, and the signed statement.

    Raises:
        RunBlocked: The current release's model is revoked, so that it could not be restored.
        UsageError: As `require_ready`; nothing was moved.
        IntegrityError: A release cannot be restored, or its predictions differ.
        ReleaseConflictError: Something else was released during the drill; it stays.
        ServiceError: The repository failed. `assay release list` shows what is released then.
    """
    require_ready(deployment, model, environment)
    services = deployment.services

    def roll(to: str, why: str, leaves: str = "") -> tuple[RolledBack, float]:
        started = time.monotonic()
        done = rollback(
            deployment, model, environment, by=by, why=why, to=to, now=True, leaves=leaves
        )
        return done, time.monotonic() - started

    # Before anything moves: the current release must be restorable too.
    now = log.current(log.read(log.configured(services), model), environment)
    if now is not None:
        restore.verify(services, log.get_release(services.store, now.release))
    # If this is interrupted, the next command restores the release.
    announce_forth(deployment, model, environment, by=by)
    back, first = roll("", DRILL_BACK)
    rows = {}
    try:
        rows[back.release.digest] = _golden(services, back.release.digest, back.release.golden)
    finally:
        # Whatever the result, restore the release of the environment.
        forth, second = roll(back.left.name, DRILL_FORTH, back.release.name)
    rows[forth.release.digest] = _golden(services, forth.release.digest, forth.release.golden)
    done = Drill(model, environment, back, forth, rows, max(first, second))
    predicate = {
        "model": model,
        "environment": environment,
        "by": by,
        "at": statement.now(),
        "passed": done.passed,
        "seconds": round(done.seconds, 3),
        "phases": {
            "back": {name: round(value, 3) for name, value in back.seconds.items()},
            "forth": {name: round(value, 3) for name, value in forth.seconds.items()},
        },
        "bytes": max(back.size, forth.size),
        "goldenRows": rows,
        "to": back.release.digest,
        "repository": forth.entry.repository if forth.entry is not None else "",
    }
    done.statement = deployment.state(Kind.DRILL, forth.release.digest, predicate)
    return done


def require_passed(done: Drill) -> None:
    """Fail the run if the drill was too slow.

    Raises:
        RunBlocked: It took longer than `MAX_SECONDS`.
    """
    if not done.passed:
        raise RunBlocked(
            f"rolling {done.model!r} back in {done.environment} took {done.seconds:.0f} s, the "
            f"limit is {MAX_SECONDS:.0f} s; seconds by phase: {done.back.seconds}"
        )


def metrics(done: Drill) -> bytes:
    """The result of the drill in the text format of Prometheus."""
    from prometheus_client import generate_latest

    return generate_latest(_collect(done))


def push(done: Drill, gateway: str) -> None:
    """Send the metrics to a Pushgateway.

    Raises:
        ServiceError: The gateway refuses them or cannot be reached.
    """
    from prometheus_client import pushadd_to_gateway

    grouping = {"model": done.model, "environment": done.environment}
    try:
        pushadd_to_gateway(
            gateway, JOB, _collect(done), grouping_key=grouping, timeout=PUSH_SECONDS
        )
    except (OSError, ValueError) as error:
        raise ServiceError(
            f"pushgateway: cannot send the drill's metrics ({type(error).__name__}); check "
            "ASSAY_PUSHGATEWAY"
        ) from error


def _collect(done: Drill) -> "CollectorRegistry":
    from prometheus_client import CollectorRegistry, Gauge

    collected = CollectorRegistry()
    labels = {"model": done.model, "environment": done.environment}
    taken = Gauge(
        SECONDS_METRIC,
        "Seconds that the slower rollback of the last drill took.",
        [*labels],
        registry=collected,
    )
    taken.labels(**labels).set(done.seconds)
    if done.passed and done.statement is not None:
        success = Gauge(
            SUCCESS_METRIC,
            "When a drill last passed, in seconds since the epoch.",
            [*labels],
            registry=collected,
        )
        at = statement.moment(done.statement.text("at"), "at")
        success.labels(**labels).set(at.timestamp())
    return collected


def _golden(services: Services, digest: str, held: str) -> int:
    if not held:
        raise drill_age.no_golden(digest)
    return golden.check(services, digest, held)
