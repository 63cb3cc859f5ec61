"""What is sent to a cluster: every parameter, and documents as digests.

A run's parameters are kept several times in its workflow, which Kubernetes bounds, and a file of
this machine is nothing that a pod can read. So texts and local files of policy, suite, checks and
monitoring plan are stored, as preflight would store them, and travel as digests.
"""

import inspect
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from assay.core.digest import is_digest
from assay.core.resolve import is_short
from assay.core.source import local_path
from assay.core.step import Artifact, Checks, MonitoringPlan, Policy, Suite
from assay.core.store import Store
from assay.core.tree import put_tree
from assay.errors import AssayError, UsageError
from assay.governance.model_names import resolve_arguments

DOCUMENTS: Final[Mapping[str, type[Artifact]]] = {
    "policy": Policy,
    "suite": Suite,
    "checks": Checks,
    "monitoring": MonitoringPlan,
}
"""By parameter."""
OPTIONS: Final = "options"
"""The parameter that holds others."""
MAX_TEXT_BYTES: Final = 16 << 10
_REMEDY: Final = (
    "set ASSAY_STORE to the cluster's store, so that it is stored there and its digest is sent; or "
    "give a location that the cluster can read, such as s3://bucket/key?endpoint=…"
)


def complete(function: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline's arguments with its defaults.

    KFP's Clone and Compare know what was sent, and no default.
    """
    parameters = inspect.signature(function.pipeline_func).parameters
    defaults = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default not in (inspect.Parameter.empty, None)
    }
    return {**defaults, **arguments}


def sent(
    arguments: Mapping[str, Any],
    store: Store | None,
    tell: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Arguments as they travel: digests whole, documents as digests.

    Args:
        arguments: A run's.
        store: The cluster's; None where this machine does not see it, and the run's own tasks
            find out what a digest's beginning means.
        tell: Called with a line for each document that was stored.

    Raises:
        UsageError: A text that is too long to travel, or a file of this machine, and no store;
            all of them.
        AssayError: One document that cannot be read or stored, or one digest that names nothing.
    """
    found = dict(arguments)
    errors: list[AssayError] = []
    if store is not None:
        found = resolve_arguments(found, store)
    if isinstance(options := found.get(OPTIONS), Mapping):
        if store is not None:
            options = resolve_arguments(options, store)
        found[OPTIONS] = _documents(options, store, tell, errors)
    found = _documents(found, store, tell, errors)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise UsageError.all_of(str(error) for error in errors)
    return found


def _documents(
    arguments: Mapping[str, Any],
    store: Store | None,
    tell: Callable[[str], None],
    errors: list[AssayError],
) -> dict[str, Any]:
    found = dict(arguments)
    for name in (name for name in DOCUMENTS if name in found):
        try:
            found[name] = _document(name, arguments[name], store)
        except AssayError as error:
            errors.append(error)
        else:
            if found[name] != arguments[name]:
                tell(f"{name}: stored as {found[name]}")
    return found


def _document(name: str, given: Any, store: Store | None) -> Any:
    from assay.components.preflight.documents import is_text, read_document

    text = json.dumps(given) if isinstance(given, dict) and given else given
    if not isinstance(text, str) or not text or is_digest(text) or is_short(text):
        return given
    if not is_text(text):
        path = local_path(text)
        # A path from the root that is not here may be one of a volume that pods mount.
        if path is None or (path.is_absolute() and not path.exists()):
            return given
        if store is None:
            raise UsageError(f"{name}: the cluster cannot read {text[:200]} of here; {_REMEDY}")
    elif store is None:
        if (size := len(text.encode(errors="replace"))) > MAX_TEXT_BYTES:
            raise UsageError(
                f"{name}: a text of {size:,} bytes, more than the {MAX_TEXT_BYTES:,} that a run's "
                f"parameters may carry; {_REMEDY}"
            )
        return given
    return _stored(read_document(text, DOCUMENTS[name], store), DOCUMENTS[name], store)


def _stored(data: bytes, kind: type[Artifact], store: Store) -> str:
    from assay.components.preflight.documents import FILES

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILES[kind]).write_bytes(data)
        return put_tree(store, Path(folder), kind.type, {}).digest
