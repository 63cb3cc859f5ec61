"""Queries on the entries of a release log."""

from collections.abc import Iterable, Mapping, Sequence

from assay.releases.log.entry import Entry, Event


def current(entries: Sequence[Entry], environment: str, at: str = "") -> Entry | None:
    """The entry of the release in an environment at a time, or now.

    Args:
        entries: The log, oldest first.
        environment: Where.
        at: RFC 3339, UTC; "" for now.

    Returns:
        The entry; None if nothing was released to the environment.
    """
    result = None
    for entry in entries:
        if entry.moves and entry.environment == environment and (not at or entry.at <= at):
            result = entry
    return result


def clock(entries: Sequence[Entry]) -> str:
    """The latest time of the entries by a person or a recorder; "" without one."""
    return max((entry.at for entry in entries if entry.dated), default="")


def was_released(entries: Sequence[Entry], release: str, environment: str, model: str) -> bool:
    """Whether exactly this release was approved for an environment before.

    Args:
        entries: The log.
        release: Digest of the release.
        environment: Where.
        model: Digest of its model. What an entry states beside the release is not proved by it.

    Returns:
        True when an entry `release` of it counts.
    """
    return any(
        entry.event is Event.RELEASE
        and not entry.refused
        and (entry.release, entry.environment, entry.digest) == (release, environment, model)
        for entry in entries
    )


def intents(entries: Sequence[Entry]) -> list[Entry]:
    """Intents whose result the log does not record."""
    done = {(e.commit, e.environment, e.release) for e in entries if e.moves or e.passed}
    return [
        entry
        for entry in entries
        if entry.event is Event.INTENT
        and entry.commit  # an intent without a commit announces the second half of a drill
        and not entry.refused
        and (entry.commit, entry.environment, entry.release) not in done
    ]


def missing(entries: Iterable[Entry], environment: str, held: Mapping[str, str]) -> list[str]:
    """Commits of the deployment repository whose release no entry that counts records.

    Args:
        entries: Of the model's log.
        environment: Whose release the commits changed.
        held: By commit, the digest of its release; "" where it cannot be read.

    Returns:
        The commits that are not recorded.
    """
    known = {
        (e.commit, e.release)
        for e in entries
        if (e.moves or e.passed) and e.environment == environment
    }
    return [commit for commit, release in held.items() if (commit, release) not in known]
