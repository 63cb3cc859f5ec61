"""Arguments of a run on a cluster: every parameter, and documents as digests.

A workflow contains several copies of the run's parameters and has a limited size, and a pod cannot
read the files of this machine. So texts and local files of policy, suite, checks and monitoring
plan are stored, as preflight would store them, and sent as digests.
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
"""Kinds of the documents, by parameter."""
OPTIONS: Final = "options"
"""The parameter that contains the options."""
MAX_TEXT_BYTES: Final = 16 << 10
_REMEDY: Final = (
    "set ASSAY_STORE to the cluster's store, to store it there and send its digest; or give a "
    "location that the cluster can read, such as s3://bucket/key?endpoint=…"
)


def with_defaults(function: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a pipeline, completed with its defaults.

    KFP's Clone and Compare use only what was sent, not the defaults.
    """
    parameters = inspect.signature(function.pipeline_func).parameters
    defaults = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default not in (inspect.Parameter.empty, None)
    }
    return {**defaults, **arguments}


def as_digests(
    arguments: Mapping[str, Any],
    store: Store | None,
    notify: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Arguments to send to a cluster: with full digests, and with documents as digests.

    Args:
        arguments: Arguments of the run.
        store: The cluster's store; None if this machine has no access. The tasks of the run then
            resolve prefixes of digests.
        notify: Called with a line for each stored document.

    Returns:
        The arguments to send.

    Raises:
        UsageError: Without a store, a text that is too long or a local file; lists all of them.
        AssayError: A document cannot be read or stored, or a digest does not exist.
    """
    prepared = dict(arguments)
    errors: list[AssayError] = []
    if store is not None:
        prepared = resolve_arguments(prepared, store)
    if isinstance(options := prepared.get(OPTIONS), Mapping):
        if store is not None:
            options = resolve_arguments(options, store)
        prepared[OPTIONS] = _documents(options, store, notify, errors)
    prepared = _documents(prepared, store, notify, errors)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise UsageError.all_of(str(error) for error in errors)
    return prepared


def _documents(
    arguments: Mapping[str, Any],
    store: Store | None,
    notify: Callable[[str], None],
    errors: list[AssayError],
) -> dict[str, Any]:
    prepared = dict(arguments)
    for name in (name for name in DOCUMENTS if name in prepared):
        try:
            prepared[name] = _document(name, arguments[name], store)
        except AssayError as error:
            errors.append(error)
        else:
            if prepared[name] != arguments[name]:
                notify(f"{name}: stored as {prepared[name]}")
    return prepared


def _document(name: str, given: Any, store: Store | None) -> Any:
    from assay.components.preflight.documents import is_text, read_document

    text = json.dumps(given) if isinstance(given, dict) and given else given
    if not isinstance(text, str) or not text or is_digest(text) or is_short(text):
        return given
    if not is_text(text):
        path = local_path(text)
        # A missing absolute path may be on a volume that pods mount.
        if path is None or (path.is_absolute() and not path.exists()):
            return given
        if store is None:
            raise UsageError(
                f"{name}: the cluster cannot read the local file {text[:200]}; {_REMEDY}"
            )
    elif store is None:
        if (size := len(text.encode(errors="replace"))) > MAX_TEXT_BYTES:
            raise UsageError(
                f"{name}: a text of {size:,} bytes, but a parameter may have at most "
                f"{MAX_TEXT_BYTES:,}; {_REMEDY}"
            )
        return given
    return _stored(read_document(text, DOCUMENTS[name], store), DOCUMENTS[name], store)


def _stored(data: bytes, kind: type[Artifact], store: Store) -> str:
    from assay.components.preflight.documents import FILES

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILES[kind]).write_bytes(data)
        return put_tree(store, Path(folder), kind.type, {}).digest
