"""The policy that governs a model: a file of the deployment repository, reviewed like code.

`models/<model>/<environment>/policy.yaml`, else `models/<model>/policy.yaml`, else `policy.yaml` at
the root. It is read from the protected branch as it was before a release was merged, never from
the branch that proposes the release, and no merge may change it together with a release: the
author of a proposal must not choose the rules that it is judged by.
"""

from typing import Final

from assay.core.settings import DEPLOYMENTS
from assay.governance.admission import Governing
from assay.releases import layout
from assay.releases.repository import Repository
from assay.releases.settings import settings_from_env

FILE: Final = "policy.yaml"


def policy_paths(model: str, environment: str) -> tuple[str, ...]:
    """The paths of the governing policy, the most specific first."""
    return (
        f"{layout.folder(model, environment)}/{FILE}",
        f"{layout.ROOT}/{model}/{FILE}",
        FILE,
    )


def governing(
    repository: Repository, model: str, environment: str, commit: str = ""
) -> Governing | None:
    """The governing policy at a commit of the protected branch.

    Args:
        repository: The deployment repository.
        model: Name of the model.
        environment: Where it is to be released.
        commit: By default the branch's own.

    Returns:
        The policy; None without one.

    Raises:
        IntegrityError: It is not a regular file, or too large.
    """
    if not (commit or repository.head):
        return None
    for path in policy_paths(model, environment):
        content = repository.read(path, commit)
        if content is not None:
            return Governing(path, content)
    return None


def configured(model: str) -> Governing | None:
    """The policy that governs a model in its first environment; None where none is configured.

    Raises:
        UsageError: A variable that names the deployment repository cannot be used.
        ServiceError: The repository cannot be reached.
        IntegrityError: The policy is not a regular file, or too large.
    """
    if not DEPLOYMENTS.get():
        return None
    with Repository.open(settings_from_env()) as repository:
        return governing(repository, model, layout.ENVIRONMENTS[0])


def changed_with(model: str, environment: str, changed: list[str]) -> list[str]:
    """Refuse a change that holds a release together with anything but the release's own files.

    Args:
        model: Name of the model.
        environment: Where it is released.
        changed: Paths of the changed files.

    Returns:
        A problem for each other path.
    """
    folder = layout.folder(model, environment)
    own = {f"{folder}/{name}" for name in layout.OWN_FILES}
    policies = policy_paths(model, environment)
    return [
        f"{path} governs the release and is changed together with it; merge the policy by a pull "
        "request of its own first"
        if path in policies
        else f"{path} is changed too, but a release may change only its own files"
        for path in changed
        if path not in own
    ]
