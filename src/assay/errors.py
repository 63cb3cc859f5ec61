"""Every error that Assay raises on purpose: one line, the remedy in it, an exit code.

```
AssayError                      exit 1
├── UsageError                  exit 2   what the user gave is wrong: parameters, files, columns
│   ├── PolicyError                      a policy that does not parse, with line and column
│   └── DataError                        a data source that cannot be read as a table
├── RunHalted                            a verdict turned the run red
│   ├── RunRejected             exit 3   the data did not pass validation
│   ├── RunBlocked              exit 4   the gate's policy was not met
│   └── RunInconclusive         exit 5   too little data to tell
├── IntegrityError              exit 6   bytes are not what their name says; nothing was kept
│   ├── ManifestError                    a manifest that must not be followed
│   └── AttestationError                 an attestation missing, unsigned, wrongly signed
│       └── UnknownKeyError              signed by a key that is not configured
├── StoreError                  exit 7   the store refused or could not be reached
│   ├── NotFoundError                    nothing under that digest
│   ├── StoreAccessError                 credentials or rights
│   └── StoreUnavailableError            transient faults outlived every retry
├── ServiceError                exit 8   another service (MLflow, Git, a webhook) failed
│   └── ReleaseConflictError             somebody else changed the same release first
└── StepError                   exit 9   a step broke its own contract: a bug in the step
```

An error has what was wrong, where, and the remedy as fields, and every problem where there are
several. `str(error)` is always one line, made of the fields: `where: what; remedy`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from assay.printable import without_secrets
from assay.text import one_line

MAX_MESSAGE_CHARS: Final = 16_000
"""Of a message; it goes to terminals, logs and reports, and may quote what others wrote."""
RUN_AGAIN: Final = "run the pipeline again (on KFP with: assay submit --no-cache)"
"""The remedy where something has to be made anew: Assay's own cache looks at what it answers with,
KFP's does not."""


def _line(text: str) -> str:
    # A message may quote what somebody else wrote.
    return _bounded(without_secrets(one_line(text)))


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}… (cut short)"


class AssayError(Exception):
    """Root of all errors that Assay raises on purpose."""

    exit_code = 1
    meaning = "Something else failed, or a check found problems."
    """Of the exit code, for people."""
    verdict = "failed"
    """Of a run that ends by the error."""

    def __init__(
        self, what: str, *, where: str = "", remedy: str = "", problems: Iterable[str] = ()
    ) -> None:
        """An error of which every text is one line without secrets.

        Args:
            what: What is wrong; the whole message where the other fields are not given.
            where: The file, parameter or service.
            remedy: What to do.
            problems: Every problem with its remedy, where `what` joins several.
        """
        self.what, self.where, self.remedy = _line(what), _line(where), _line(remedy)
        line = f"{self.where}: {self.what}" if where else self.what
        line = _bounded(f"{line}; {self.remedy}" if remedy else line)
        self.problems = tuple(map(_line, problems)) or (line,)
        """Each on its own; the whole message where there is one."""
        super().__init__(line)

    @classmethod
    def all_of(cls, problems: "Iterable[str | AssayError]", *, where: str = "") -> Self:
        """One error that names every problem, so that a user mends them in one go.

        Args:
            problems: Texts, and errors with their own problems.
            where: What all of them are about.
        """
        texts = [
            text
            for problem in problems
            for text in (problem.problems if isinstance(problem, AssayError) else (problem,))
        ]
        placed = [f"{where}: {text}" for text in texts] if where else texts
        return cls("; ".join(texts), where=where, problems=placed)

    @property
    def fields(self) -> dict[str, Any]:
        """What the same error can be made from again, as a JSON value."""
        return {
            "what": self.what,
            "where": self.where,
            "remedy": self.remedy,
            "problems": list(self.problems),
        }

    @property
    def lines(self) -> tuple[str, ...]:
        """The message in parts that each fit a line: its problems, or its remedy apart."""
        if len(self.problems) > 1:
            return self.problems
        if not self.remedy:
            return (str(self),)
        return str(self).removesuffix(f"; {self.remedy}"), self.remedy


class UsageError(AssayError):
    """What the user gave is wrong; the message names all offenders and the remedy."""

    exit_code = 2
    meaning = "Wrong usage: parameters, settings, files, columns."


class PolicyError(UsageError):
    """A policy that does not parse."""


class DataError(UsageError):
    """A data source that cannot be read as a table."""


class RunHalted(AssayError):  # noqa: N818 - a verdict, not a fault
    """A verdict turned the run red."""


class RunRejected(RunHalted):
    """The data did not pass validation."""

    exit_code = 3
    meaning = "The data was rejected."
    verdict = "rejected"


class RunBlocked(RunHalted):
    """The gate's policy was not met."""

    exit_code = 4
    meaning = "Blocked by the gate."
    verdict = "blocked"


class RunInconclusive(RunHalted):
    """Too little data to tell; never promotes."""

    exit_code = 5
    meaning = "Inconclusive: too little data to tell."
    verdict = "inconclusive"


class IntegrityError(AssayError):
    """Bytes are not what their name says. Nothing was kept of them."""

    exit_code = 6
    meaning = "Bytes, signatures or attestations are not what they should be."


class ManifestError(IntegrityError):
    """A manifest that must not be followed: hostile, malformed or not canonical."""


class AttestationError(IntegrityError):
    """An attestation that is missing, unsigned, wrongly signed or about something else."""


class UnknownKeyError(AttestationError):
    """Signed by no configured key; another configuration could tell."""


class StoreError(AssayError):
    """The store refused, or could not be reached."""

    exit_code = 7
    meaning = "The store refused, or does not answer."


class NotFoundError(StoreError):
    """Nothing lies under that digest or pointer."""


class StoreAccessError(StoreError):
    """The store refused the credentials, or they lack a right."""


class StoreUnavailableError(StoreError):
    """Transient faults outlived every retry."""


class ServiceError(AssayError):
    """A service other than the store (MLflow, a webhook receiver) failed."""

    exit_code = 8
    meaning = "Another service failed: MLflow, Git, a forge, KFP."


class ReleaseConflictError(ServiceError):
    """Somebody else changed the same release in the deployment repository first."""


class StepError(AssayError):
    """A step broke its own contract, which is a bug in the step and not the user's mistake."""

    exit_code = 9
    meaning = "A step broke its contract: a bug in the step."


INTERRUPTED: Final = 130
"""Exit code of a command that Ctrl-C ended."""
VERDICTS: Final[Mapping[int, str]] = {
    0: "passed",
    **{kind.exit_code: kind.verdict for kind in (RunRejected, RunBlocked, RunInconclusive)},
}
"""Of a run, by exit code; every other one is `failed`."""
EXIT_CODES: Final[Mapping[int, str]] = {
    0: "Done; of a run: registered.",
    **{
        kind.exit_code: kind.meaning
        for kind in (
            AssayError, UsageError, RunRejected, RunBlocked, RunInconclusive, IntegrityError,
            StoreError, ServiceError, StepError,
        )
    },
    INTERRUPTED: "Interrupted (Ctrl-C).",
}  # fmt: skip
"""Of every command and task, with the meaning for people; `assay --help` and docs/exit-codes.md
are made from it."""
