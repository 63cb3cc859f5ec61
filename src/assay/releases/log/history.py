"""What the entries of a release log say, without reading anything else."""

from collections.abc import Iterable, Mapping, Sequence

from assay.releases.log.entry import Entry, Event


def current(entries: Sequence[Entry], environment: str, at: str = "") -> Entry | None:
    """What was in an environment at a time (RFC 3339, UTC), or is now."""
    found = None
    for entry in entries:
        if entry.moves and entry.environment == environment and (not at or entry.at <= at):
            found = entry
    return found


def clock(entries: Sequence[Entry]) -> str:
    """The latest time that a person or a recorder wrote; "" when there is none."""
    return max((entry.at for entry in entries if entry.dated), default="")


def was_released(entries: Sequence[Entry], release: str, environment: str) -> bool:
    """Whether exactly this release was approved for an environment before."""
    return any(
        entry.event is Event.RELEASE
        and not entry.refused
        and (entry.release, entry.environment) == (release, environment)
        for entry in entries
    )


def intents(entries: Sequence[Entry]) -> list[Entry]:
    """Intents that nothing in the log has completed."""
    done = {(e.commit, e.environment, e.release) for e in entries if e.moves or e.passed}
    return [
        entry
        for entry in entries
        if entry.event is Event.INTENT
        and entry.commit  # one without says what a drill is going to do
        and not entry.refused
        and (entry.commit, entry.environment, entry.release) not in done
    ]


def missing(entries: Iterable[Entry], environment: str, held: Mapping[str, str]) -> list[str]:
    """Commits of the deployment repository that no entry that counts names with what they hold.

    Args:
        entries: Of the model's log.
        environment: Whose release the commits changed.
        held: By commit, the release's name there; "" where there is none that can be read.
    """
    known = {
        (e.commit, e.release)
        for e in entries
        if (e.moves or e.passed) and e.environment == environment
    }
    return [commit for commit, release in held.items() if (commit, release) not in known]
