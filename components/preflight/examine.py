"""Looking at everything once, and telling all that is wrong together."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

from assay.dataset import column_problems, info
from assay.digest import is_digest
from assay.errors import AssayError, StoreError, UsageError
from assay.source import local_path, peek, public
from assay.step import Artifact, Checks, Dataset, Policy, Suite
from assay.store import Store
from assay.table import SAMPLE_BYTES, Options, read_header
from assay.tree import get_manifest

MAX_DOCUMENT_BYTES: Final = 4 << 20
_MODEL_NAME = re.compile(r"[^/:.%\"'\s][^/:%\"']{0,250}")


@dataclass(frozen=True)
class Plan:
    """The run's parameters, as they were given."""

    data: str
    target: str
    model_name: str
    policy: str
    suite: str
    checks: str
    estimator: str
    hyperparameters: Mapping[str, Any]
    columns: Mapping[str, Sequence[str]]
    """Parameter name to the columns that it names."""
    delimiter: str
    split_by: str
    time_column: str
    test_fraction: float
    slices: Sequence[str]
    primary_metric: str
    reference: str


@dataclass
class Examined:
    """What was found to be right."""

    policy: bytes = b""
    suite: bytes | None = None
    checks: bytes | None = None
    allowed_modules: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


def examine(plan: Plan, store: Store) -> Examined:
    """Look at all of it.

    Raises:
        UsageError: All that is wrong with what the user gave, and services that do not answer.
    """
    found = Examined()
    problems: list[str] = []
    first: list[AssayError] = []

    def look(work: Callable[[], None]) -> None:
        try:
            work()
        except AssayError as error:
            first.append(error)
            problems.append(str(error))

    header: list[str] = []
    look(lambda: header.extend(_header(plan, store) or []))
    look(lambda: _policy(plan, store, found))
    look(lambda: _suite(plan, store, found, header))
    look(lambda: _checks(plan, store, found, header))
    look(lambda: _estimator(plan, found))
    look(lambda: _columns(plan, header))
    look(lambda: _numbers(plan))
    look(lambda: _reference(plan, store))
    look(lambda: _reach_store(store, found))
    look(lambda: _reach_registry(found))
    if not problems:
        found.notes["data"] = f"{public(plan.data)}: {len(header) or 'unknown'} columns"
        return found
    if len(first) == 1:
        raise first[0]
    # Several: the user's own mistakes give the exit code, whatever else is down.
    raise UsageError.all_of(dict.fromkeys(problems))


def _header(plan: Plan, store: Store) -> list[str] | None:
    """Column names of the source, or None where only its end tells them."""
    if is_digest(plan.data):
        return _dataset_columns(plan.data, store)
    names = read_header(peek(plan.data, SAMPLE_BYTES), Options(plan.delimiter))
    local = local_path(plan.data)
    if names is None and local is not None:
        import pyarrow.parquet as pq

        names = list(pq.read_schema(local).names)
    return names


def _dataset_columns(digest: str, store: Store) -> list[str]:
    import tempfile
    from pathlib import Path

    manifest = get_manifest(store, digest)
    if manifest.artifact_type != Dataset.type:
        raise UsageError(f"data: {digest} is of type {manifest.artifact_type}, not a dataset")
    entry = next(entry for entry in manifest.files if entry.path == "schema.json")
    with tempfile.TemporaryDirectory() as folder:
        store.get_file(entry.blob, Path(folder) / "schema.json")
        return list(info(Path(folder)).names)


def _document(given: str, kind: type[Artifact], file: str, store: Store) -> bytes:
    """A document's bytes: given as text, as a location, or by the digest of an artifact."""
    name = file.partition(".")[0]
    if is_digest(given):
        manifest = get_manifest(store, given)
        if manifest.artifact_type != kind.type:
            raise UsageError(
                f"{name}: {given} is of type {manifest.artifact_type}, not {kind.type}"
            )
        entry = next(entry for entry in manifest.files if entry.path == file)
        return store.get_bytes(entry.blob.digest, MAX_DOCUMENT_BYTES)
    if "\n" in given or given.lstrip().startswith(("{", "gates:", "checks:")):
        return given.encode()
    try:
        data = peek(given, MAX_DOCUMENT_BYTES + 1)
    except AssayError as error:
        raise UsageError(f"{name}: {error}") from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise UsageError(f"{name}: {public(given)} is larger than {MAX_DOCUMENT_BYTES} bytes")
    return data


def _policy(plan: Plan, store: Store, found: Examined) -> None:
    from assay.policy import parse_policy

    if plan.policy:
        found.policy = _document(plan.policy, Policy, "policy.yaml", store)
    else:
        default = resources.files("assay.components.preflight").joinpath("default_policy.yaml")
        found.policy = default.read_bytes()
    policy = parse_policy(found.policy)
    found.allowed_modules = policy.allowed_modules
    origin = "" if plan.policy else " (none was given: the default)"
    found.notes["policy"] = f"{len(policy.rules)} rules{origin}"


def _suite(plan: Plan, store: Store, found: Examined, header: list[str]) -> None:
    from assay.suite import parse_suite

    if not plan.suite:
        found.notes["suite"] = "none was given: structural checks only"
        return
    found.suite = _document(plan.suite, Suite, "suite.json", store)
    suite = parse_suite(found.suite, header or None)
    found.notes["suite"] = f"{len(suite.expectations)} expectations"


def _checks(plan: Plan, store: Store, found: Examined, header: list[str]) -> None:
    from assay.checks import column_names, parse_checks

    if not plan.checks:
        found.notes["checks"] = "none were given: there will be no safety_violations"
        return
    found.checks = _document(plan.checks, Checks, "checks.yaml", store)
    parsed = parse_checks(found.checks)
    if header and (problems := column_problems(column_names(parsed), header, "checks")):
        raise UsageError.all_of(problems)
    found.notes["checks"] = f"{len(parsed)} checks"


def _estimator(plan: Plan, found: Examined) -> None:
    from assay.model.build import check_estimator

    problems = check_estimator(plan.estimator, plan.hyperparameters, found.allowed_modules)
    if problems:
        raise UsageError.all_of(problems)
    found.notes["estimator"] = plan.estimator


def _columns(plan: Plan, header: list[str]) -> None:
    from assay.statistics.slices import check_slices

    if not header:
        return
    problems = column_problems([plan.target], header, "target")
    for parameter, names in plan.columns.items():
        problems += column_problems([str(name) for name in names], header, parameter)
    problems += check_slices([str(item) for item in plan.slices], header, plan.target)
    if plan.target in plan.columns["drop_columns"]:
        problems.append(f"drop_columns: {plan.target!r} is the target")
    if problems:
        raise UsageError.all_of(problems)


def _numbers(plan: Plan) -> None:
    from difflib import get_close_matches

    from assay.policy import KNOWN_METRICS

    problems = []
    if not 0 < plan.test_fraction < 1:
        problems.append(f"test_fraction is {plan.test_fraction}; give a share between 0 and 1")
    if plan.split_by not in {"hash", "time"}:
        problems.append(f"split_by is {plan.split_by!r}; use 'hash' or 'time'")
    if plan.split_by == "time" and not plan.time_column:
        problems.append("time_column is missing; split_by time needs it")
    if not _MODEL_NAME.fullmatch(plan.model_name):
        problems.append(
            f"model_name {plan.model_name!r}: use no slash, colon, quote or percent sign"
        )
    known = KNOWN_METRICS["evaluate"]
    if plan.primary_metric and plan.primary_metric not in known:
        close = get_close_matches(plan.primary_metric, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
        problems.append(f"primary_metric: no metric {plan.primary_metric!r}; {hint}")
    if problems:
        raise UsageError.all_of(problems)


def _reference(plan: Plan, store: Store) -> None:
    if plan.reference:
        if not is_digest(plan.reference):
            raise UsageError(
                f"reference: {plan.reference!r} is not a digest; give a dataset's digest"
            )
        _dataset_columns(plan.reference, store)


def _reach_store(store: Store, found: Examined) -> None:
    probe = b"assay preflight"
    blob = store.put_bytes(probe)
    if store.get_bytes(blob.digest, len(probe)) != probe:
        raise StoreError(f"store {store.url} does not give back what was written")
    found.notes["store"] = "reached, and written to"


def _reach_registry(found: Examined) -> None:
    from assay.registry import Registry

    Registry().ping()
    found.notes["registry"] = "reached"
