"""Check everything once, and report all problems together."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import resources
from typing import Any, Final

from assay.components.preflight import fits, requirements
from assay.components.preflight.candidates import read_candidates
from assay.components.preflight.documents import read_document
from assay.components.preflight.header import column_names, dataset_columns
from assay.core.digest import is_digest
from assay.core.step import Checks, MonitoringPlan, Policy, Suite
from assay.core.store import Store
from assay.data import column_problems
from assay.data.csv_source import Options
from assay.errors import AssayError, IntegrityError, UsageError
from assay.governance.policy import KNOWN_METRICS, parse_policy, terms
from assay.governance.policy import Policy as ParsedPolicy
from assay.models.allowed import module_problems
from assay.models.behaviour import Check
from assay.printable import public

PROBE: Final = b"assay preflight"
MAX_THREADS: Final = 1024
DEFAULT_MARGIN: Final = 0.01
"""Of `max_regression`, which applies if the policy has no rule on regression_delta."""


@dataclass(frozen=True)
class Plan:
    """The run's parameters, as they were given."""

    data: str
    target: str
    model_name: str
    policy: str
    suite: str
    checks: str
    monitoring: str
    estimator: str
    hyperparameters: Mapping[str, Any]
    columns: Mapping[str, Sequence[str]]
    """Parameter name to the columns that it names."""
    delimiter: str
    missing_values: Sequence[Any]
    encoding: str
    decimal: str
    split_by: str
    time_column: str
    slices: Sequence[str]
    primary_metric: str
    reference: str
    shares: Mapping[str, float]
    """Parameters that must lie between 0 and 1, by name."""
    drift_share: float
    max_regression: float
    threads: int
    candidates: Sequence[Any] | None
    """Of a sweep; None where one estimator is trained."""


@dataclass
class Examined:
    """What passed the checks."""

    policy: bytes = b""
    primary_metric: str = ""
    """The policy's, else the run's; may be empty."""
    max_regression: float = 0.0
    """The policy's, else the run's."""
    suite: bytes | None = None
    checks: bytes | None = None
    monitoring: bytes | None = None
    allowed_modules: tuple[str, ...] = ()
    candidates: list[Any] = field(default_factory=list)
    """Each with its estimator and hyperparameters."""
    notes: dict[str, str] = field(default_factory=dict)
    """What was checked, and the result; for people."""


def examine(plan: Plan, store: Store) -> Examined:
    """Check all parameters and services.

    Raises:
        UsageError: Names everything that is wrong, services that do not answer included.
        AssayError: The service's own error, if only services are at fault.
    """
    examined = Examined()
    errors: list[AssayError] = []

    def attempt(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except AssayError as error:
            errors.append(error)
            return None

    header: list[str] = attempt(lambda: _header(plan, store)) or []
    policy: ParsedPolicy | None = attempt(lambda: _policy(plan, store, examined))
    attempt(lambda: _suite(plan, store, examined, header))
    checks: Sequence[Check] | None = attempt(lambda: _checks(plan, store, examined, header))
    attempt(lambda: _monitoring(plan, store, examined, header))
    attempt(lambda: _estimator(plan, examined))
    attempt(lambda: _refuse(_column_problems(plan, header)))
    attempt(lambda: _refuse(_number_problems(plan)))
    if policy is not None and checks is not None:
        attempt(lambda: _refuse(_requirement_problems(plan, policy, checks, header)))
        attempt(lambda: _refuse(_fit_problems(plan, policy, checks, examined)))
    attempt(lambda: _reference(plan, store))
    attempt(lambda: _reach_store(store, examined))
    attempt(lambda: _reach_registry(examined))
    if errors:
        raise _together(errors)
    counted = f"{len(header)} columns" if header else "columns not known before it is read"
    if plan.time_column:
        named = {*plan.columns["numeric_columns"], *plan.columns["categorical_columns"]}
        kept = plan.time_column in named
        examined.notes["time_column"] = f"{plan.time_column}: " + (
            "a feature, as asked" if kept else "left out of the features"
        )
    examined.notes = {"data": f"{public(plan.data)}: {counted}", **examined.notes}
    return examined


def _together(errors: Sequence[AssayError]) -> AssayError:
    """All errors as one; a mistake of the user decides the exit code, whatever service is down."""
    if len(errors) == 1:
        return errors[0]
    problems = dict.fromkeys(problem for error in errors for problem in error.problems)
    if any(isinstance(error, UsageError) for error in errors):
        return UsageError.all_of(problems)
    return type(errors[0]).all_of(problems)


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise UsageError.all_of(dict.fromkeys(problems))


def _header(plan: Plan, store: Store) -> list[str]:
    """The table's column names, read as it will be read."""
    options = Options.given(plan.delimiter, plan.missing_values, plan.encoding, 1, plan.decimal)
    return column_names(plan.data, options, store)


def _policy(plan: Plan, store: Store, examined: Examined) -> ParsedPolicy:
    if plan.policy:
        examined.policy = read_document(plan.policy, Policy, store)
    else:
        default = resources.files("assay.components.preflight").joinpath("default_policy.yaml")
        examined.policy = default.read_bytes()
    policy = parse_policy(examined.policy)
    examined.primary_metric = plan.primary_metric or policy.primary_metric
    if policy.primary_metric not in {"", examined.primary_metric}:
        raise UsageError(
            f"primary_metric is {plan.primary_metric!r}, and the policy says "
            f"{policy.primary_metric!r}; leave the parameter empty, or have the policy changed"
        )
    margin = terms.margin(policy)
    examined.max_regression = plan.max_regression if margin is None else margin
    if plan.max_regression not in {DEFAULT_MARGIN, examined.max_regression}:
        raise UsageError(
            f"max_regression is {plan.max_regression:g}, and the policy's rule on regression_delta "
            f"says {examined.max_regression:g}, which counts; leave the parameter out, or have the "
            "policy changed"
        )
    _refuse([f"policy: {problem}" for problem in module_problems(policy.allowed_modules)])
    examined.allowed_modules = policy.allowed_modules
    origin = "" if plan.policy else " (none was given: the default, which forbids a regression)"
    examined.notes["policy"] = f"{len(policy.rules)} rules{origin}"
    return policy


def _suite(plan: Plan, store: Store, examined: Examined, header: list[str]) -> None:
    from assay.data.suite import parse_suite

    if not plan.suite:
        examined.notes["suite"] = "none was given: structural checks only"
        return
    examined.suite = read_document(plan.suite, Suite, store)
    suite = parse_suite(examined.suite, header or None)
    examined.notes["suite"] = f"{len(suite.expectations)} expectations"


def _checks(plan: Plan, store: Store, examined: Examined, header: list[str]) -> Sequence[Check]:
    from assay.models.behaviour import column_names as names_in
    from assay.models.behaviour import parse_checks

    if not plan.checks:
        examined.notes["checks"] = "none were given: there will be no safety_violations"
        return ()
    examined.checks = read_document(plan.checks, Checks, store)
    parsed = parse_checks(examined.checks)
    if header:
        _refuse(column_problems(names_in(parsed), header, "checks"))
    examined.notes["checks"] = f"{len(parsed)} checks"
    return parsed


def _monitoring(plan: Plan, store: Store, examined: Examined, header: list[str]) -> None:
    from assay.monitoring import parse_plan

    if not plan.monitoring:
        return
    examined.monitoring = read_document(plan.monitoring, MonitoringPlan, store)
    parsed = parse_plan(examined.monitoring)
    if header:
        features = [name for name in header if name != plan.target]
        _refuse(
            [
                problem
                for one in parsed.detectors
                for problem in column_problems(
                    one.columns or (), features, f"monitoring: detector {one.name!r}"
                )
            ]
        )
    examined.notes["monitoring"] = f"{len(parsed.detectors)} detectors"


def _estimator(plan: Plan, examined: Examined) -> None:
    from assay.models import check_estimator

    if plan.candidates is not None:
        examined.candidates = read_candidates(plan.candidates, examined.allowed_modules)
        examined.notes["candidates"] = str(len(examined.candidates))
        return

    _refuse(check_estimator(plan.estimator, plan.hyperparameters, examined.allowed_modules))
    examined.notes["estimator"] = plan.estimator


def _column_problems(plan: Plan, header: list[str]) -> list[str]:
    from assay.models.statistics.slices import check_slices

    given = plan.columns
    problems = [
        f"{name}: {plan.target!r} is the target"
        for name in ("drop_columns", "numeric_columns", "categorical_columns")
        if plan.target in given[name]
    ]
    both = sorted(set(given["numeric_columns"]) & set(given["categorical_columns"]))
    problems += [f"column {name!r} is given as numeric and as categorical" for name in both]
    if len(header) == 1:
        # Its only line is not quoted: it could be a secret.
        problems.append(
            "data: a single column, so there is nothing to predict from; give a table, and its "
            "delimiter if it has another one"
        )
    elif header:
        problems += column_problems([plan.target], header, "target")
        for parameter, names in given.items():
            problems += column_problems([str(name) for name in names], header, parameter)
        problems += check_slices([str(item) for item in plan.slices], header, plan.target)
        named = {*given["numeric_columns"], *given["categorical_columns"]}
        dropped = {plan.target, *given["drop_columns"], *(set(given["time_column"]) - named)}
        if not problems and dropped >= set(header):
            problems.append("no feature columns are left; drop fewer")
    return problems


def _number_problems(plan: Plan) -> list[str]:
    from assay.governance.registry import name_problems

    problems = name_problems(plan.model_name)
    problems += [
        f"{name} is {value}; give a number between 0 and 1"
        for name, value in plan.shares.items()
        if not 0 < value < 1
    ]
    if not 0 < plan.drift_share <= 1:
        problems.append(f"drift_share is {plan.drift_share}; give a share above 0, at most 1")
    if not (math.isfinite(plan.max_regression) and plan.max_regression >= 0):
        problems.append(f"max_regression is {plan.max_regression}; give a number of at least 0")
    if not 1 <= plan.threads <= MAX_THREADS:
        problems.append(f"threads is {plan.threads}; give a number from 1 to {MAX_THREADS}")
    if plan.split_by not in {"hash", "time"}:
        problems.append(f"split_by is {plan.split_by!r}; use 'hash' or 'time'")
    if plan.split_by == "time" and not plan.time_column:
        problems.append("time_column is missing; split_by time needs it")
    known = KNOWN_METRICS["evaluate"]
    if plan.primary_metric and plan.primary_metric not in known:
        close = get_close_matches(plan.primary_metric, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
        problems.append(f"primary_metric: no metric {plan.primary_metric!r}; {hint}")
    return problems


def _requirement_problems(
    plan: Plan, policy: ParsedPolicy, checks: Sequence[Check], header: list[str]
) -> list[str]:
    return requirements.problems(
        policy,
        [str(item) for item in plan.slices],
        checks,
        header,
        suite=bool(plan.suite),
        reference=bool(plan.reference),
        monitoring=bool(plan.monitoring),
    )


def _fit_problems(
    plan: Plan, policy: ParsedPolicy, checks: Sequence[Check], examined: Examined
) -> list[str]:
    if plan.candidates is None:
        given = [("", plan.estimator, plan.hyperparameters)]
    else:
        given = [
            (f"candidate {place}, ", item["estimator"], item["hyperparameters"])
            for place, item in enumerate(examined.candidates, 1)
        ]
    wants_little = not (plan.primary_metric or policy.primary_metric or checks) and all(
        fits.base_of(rule.expression.metric) not in fits.CLASSES | fits.NUMBERS
        for rule in policy.rules
        if rule.when is None
    )
    # To inspect an estimator takes the import of scikit-learn: seconds that most runs can save.
    abilities = (
        [] if wants_little else [fits.ability(*item, policy.allowed_modules) for item in given]
    )
    return [
        *fits.level_problems(policy, plan.shares["confidence"]),
        *fits.problems(abilities, policy, checks, plan.primary_metric),
    ]


def _reference(plan: Plan, store: Store) -> None:
    if plan.reference and not is_digest(plan.reference):
        raise UsageError(
            f"reference: {plan.reference!r} is not a digest; give the digest of a dataset, such as "
            "an earlier run's"
        )
    if plan.reference:
        dataset_columns(plan.reference, store, "reference")


def _reach_store(store: Store, examined: Examined) -> None:
    """Write to the store and read back; if it has the probe, this step's record tests writing."""
    blob = store.put_bytes(PROBE)
    if store.get_bytes(blob.digest, len(PROBE)) != PROBE:
        raise IntegrityError(f"store {store.url} does not give back what was written")
    examined.notes["store"] = "reached, and written to"


def _reach_registry(examined: Examined) -> None:
    from assay.governance.registry import Registry

    Registry().ping()
    examined.notes["registry"] = "reached"
