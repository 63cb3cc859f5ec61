"""Where releases are in the deployment repository: environments, paths, branches."""

from typing import Final
from urllib.parse import quote

from assay.core.digest import hex_of
from assay.errors import UsageError

ENVIRONMENTS: Final = ("dev", "staging", "production")
"""In the order in which a model goes through them; none is skipped."""
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
"""What a release is made of. Other files of its folder, such as how a cluster is to use it, are
people's: no promotion and no rollback changes them."""
ROOT: Final = "models"
BRANCHES: Final = "assay"
"""Proposals lie on branches below it."""
BRANCH_DIGITS: Final = 12
ROLLBACK_SUFFIX: Final = "-rollback"


def require_environment(text: str) -> str:
    """`text` when it names an environment.

    Raises:
        UsageError: It does not; lists those that there are.
    """
    if text not in ENVIRONMENTS:
        raise UsageError(f"no environment {text!r}; there are: {', '.join(ENVIRONMENTS)}")
    return text


def below(environment: str) -> str | None:
    """The environment that a model must have been in before; None for the first."""
    place = ENVIRONMENTS.index(require_environment(environment))
    return ENVIRONMENTS[place - 1] if place else None


def folder(model: str, environment: str) -> str:
    """The release's folder in the deployment repository."""
    return f"{ROOT}/{model}/{environment}"


def path(model: str, environment: str) -> str:
    """The path of `release.yaml` in the deployment repository."""
    return f"{folder(model, environment)}/{FILE_NAME}"


def branch(model: str, environment: str, digest: str) -> str:
    """The branch that proposes a model: the same model, the same branch."""
    # Percent-encoded, because a branch may hold no space, and no dots where Git has a meaning.
    name = quote(model, safe="")
    if ".." in name or name.endswith((".", ".lock")):
        name = name.replace(".", "%2E")
    return f"{BRANCHES}/{name}/{environment}/{hex_of(digest)[:BRANCH_DIGITS]}"
