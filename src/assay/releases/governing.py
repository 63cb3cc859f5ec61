"""The policy that governs a model: a file of the deployment repository, reviewed like code.

`models/<model>/<environment>/policy.yaml`, else `models/<model>/policy.yaml`, else `policy.yaml` at
the root. It is read from the protected branch as it was before a release was merged, never from
the branch that proposes the release, and no merge may change it together with a release: who
proposes a model must not choose the rules that it is judged by.
"""

from typing import Final

from assay.core.settings import DEPLOYMENTS
from assay.governance.admission import Governing
from assay.releases import document
from assay.releases.repository import Repository
from assay.releases.settings import settings_from_env

FILE: Final = "policy.yaml"


def places(model: str, environment: str) -> tuple[str, ...]:
    """Where the governing policy may lie, the most specific first."""
    return (
        f"{document.folder(model, environment)}/{FILE}",
        f"{document.ROOT}/{model}/{FILE}",
        FILE,
    )


def governing(
    repository: Repository, model: str, environment: str, commit: str = ""
) -> Governing | None:
    """The governing policy at a commit of the protected branch, or None when there is none.

    Args:
        repository: The deployment repository.
        model: Name of the model.
        environment: Where it is to be released.
        commit: By default the branch's own.

    Raises:
        IntegrityError: It is no plain file, or too large.
    """
    if not (commit or repository.head):
        return None
    for place in places(model, environment):
        content = repository.read(place, commit)
        if content is not None:
            return Governing(place, content)
    return None


def configured(model: str) -> Governing | None:
    """The policy that governs a model in its first environment; None where none is configured.

    Raises:
        UsageError: A variable that names the deployment repository cannot be used.
        ServiceError: The repository cannot be reached.
        IntegrityError: The policy is no plain file, or too large.
    """
    if not DEPLOYMENTS.get():
        return None
    with Repository.open(settings_from_env()) as repository:
        return governing(repository, model, document.ENVIRONMENTS[0])


def changed_with(model: str, environment: str, changed: list[str]) -> list[str]:
    """What is wrong with a change of files that holds a release: policies that govern it."""
    return [
        f"{place} governs the release and is changed together with it; merge the policy by a pull "
        "request of its own first"
        for place in places(model, environment)
        if place in changed
    ]
