"""Where releases are in the deployment repository: environments, paths, branches."""

from typing import Final
from urllib.parse import quote

from assay.core.digest import hex_of
from assay.errors import UsageError

ENVIRONMENTS: Final = ("dev", "staging", "production")
"""In the order of promotion; none is skipped."""
FILE_NAME: Final = "release.yaml"
PLAN_FILE: Final = "monitoring.yaml"
CHANGELOG_FILE: Final = "changelog.md"
EVALUATION_FILE: Final = "evaluation.md"
METRICS_FIGURE: Final = "metrics.svg"
ROC_FIGURE: Final = "roc.svg"
CONFUSION_FIGURE: Final = "confusion.svg"
SLICES_FIGURE: Final = "slices.svg"
REGRESSION_FIGURE: Final = "regression.svg"
OWN_FILES: Final = frozenset(
    {
        FILE_NAME, PLAN_FILE, CHANGELOG_FILE, EVALUATION_FILE,
        METRICS_FIGURE, ROC_FIGURE, CONFUSION_FIGURE, SLICES_FIGURE, REGRESSION_FIGURE,
    }
)  # fmt: skip
"""The files of a release. Other files of its folder, such as how a cluster uses it, belong to
people: no promotion and no rollback changes them."""
ROOT: Final = "models"
BRANCHES: Final = "assay"
"""The prefix of the branches of proposals."""
BRANCH_DIGITS: Final = 12
ROLLBACK_SUFFIX: Final = "-rollback"


def require_environment(text: str) -> str:
    """Check the name of an environment.

    Raises:
        UsageError: Not an environment; lists them.
    """
    if text not in ENVIRONMENTS:
        raise UsageError(f"no environment {text!r}; use one of {', '.join(ENVIRONMENTS)}")
    return text


def below(environment: str) -> str | None:
    """The environment before one in the order of promotion; None for the first."""
    place = ENVIRONMENTS.index(require_environment(environment))
    return ENVIRONMENTS[place - 1] if place else None


def folder(model: str, environment: str) -> str:
    """The release's folder in the deployment repository."""
    return f"{ROOT}/{model}/{environment}"


def path(model: str, environment: str) -> str:
    """The path of `release.yaml` in the deployment repository."""
    return f"{folder(model, environment)}/{FILE_NAME}"


def branch(model: str, environment: str, digest: str) -> str:
    """The branch that proposes a model; the same model has the same branch.

    Args:
        model: Name of the model.
        environment: Where it is proposed for.
        digest: Of the model.

    Returns:
        The branch's name.
    """
    # Percent-encoded, because a branch has no spaces, and no dots that mean something to Git.
    name = quote(model, safe="")
    if ".." in name or name.endswith((".", ".lock")):
        name = name.replace(".", "%2E")
    return f"{BRANCHES}/{name}/{environment}/{hex_of(digest)[:BRANCH_DIGITS]}"
