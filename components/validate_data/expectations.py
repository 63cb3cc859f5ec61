"""Running a suite with Great Expectations, and judging its results ourselves.

GX returns a result where an expectation could not be computed; here that is a failure.
"""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.errors import UsageError
from assay.suite import Suite

if TYPE_CHECKING:
    import pandas as pd

MAX_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one expectation."""

    kind: str
    column: str
    expected: str
    observed: str
    success: bool

    @property
    def text(self) -> str:
        """One line: what was expected of what, and what was seen."""
        on = f"({self.column})" if self.column else ""
        return f"{self.kind}{on}: {self.observed}"


def run_suite(frame: "pd.DataFrame", suite: Suite) -> list[Outcome]:
    """Judge every expectation of a suite on a table.

    Raises:
        UsageError: GX refuses the suite's arguments; says which.
    """
    with _quiet():
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        batch = (
            context.data_sources.add_pandas("table")
            .add_dataframe_asset("table")
            .add_batch_definition_whole_dataframe("table")
            .get_batch({"dataframe": frame})
        )
        try:
            expectations = gx.ExpectationSuite(
                name=suite.name,
                expectations=[
                    {"type": item["type"], "kwargs": item.get("kwargs", {})}
                    for item in suite.expectations
                ],
            )
        # GX's own validation raises several kinds, among them pydantic's and its own.
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"suite.json: Great Expectations refuses it: {reason}") from error
        results = batch.validate(expectations).to_json_dict()["results"]
    return [_outcome(result) for result in sorted(results, key=_order)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No telemetry, no progress bars, no deprecation notes: none is about the data."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    os.environ["TQDM_DISABLE"] = "1"
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def _order(result: Mapping[str, Any]) -> tuple[str, str, str]:
    config = result["expectation_config"]
    return config["type"], _column(config["kwargs"]), str(sorted(config["kwargs"].items(), key=str))


def _column(kwargs: Mapping[str, Any]) -> str:
    if "column" in kwargs:
        return str(kwargs["column"])
    pair = [str(kwargs[key]) for key in ("column_A", "column_B") if key in kwargs]
    return ", ".join(pair or map(str, kwargs.get("column_list", [])))


def _outcome(result: Mapping[str, Any]) -> Outcome:
    config = result["expectation_config"]
    kwargs = {k: v for k, v in config["kwargs"].items() if k not in {"batch_id", "column"}}
    crashed = _exceptions(result.get("exception_info") or {})
    # Fail closed: success must be the word itself, and nothing may have been raised on the way.
    success = result.get("success") is True and not crashed
    if crashed:
        observed = f"could not be judged: {crashed}"
    else:
        observed = _observed(result.get("result") or {}, kwargs)
    expected = ", ".join(f"{name}={_short(value)}" for name, value in sorted(kwargs.items()))
    column = _column(config["kwargs"]) if "column_list" not in kwargs else ""
    return Outcome(config["type"], column, expected, observed, success)


def _exceptions(info: Mapping[str, Any]) -> str:
    entries = [info] if "raised_exception" in info else list(info.values())
    raised = [
        entry for entry in entries if isinstance(entry, dict) and entry.get("raised_exception")
    ]
    return " ".join(str(raised[0].get("exception_message")).split()) if raised else ""


def _observed(result: Mapping[str, Any], kwargs: Mapping[str, Any]) -> str:
    if result.get("unexpected_count") is not None:
        count, total = result["unexpected_count"], result.get("element_count")
        if not count:
            return f"all of {total} as expected"
        seen = [value for value in result.get("partial_unexpected_list") or [] if value is not None]
        examples = ", ".join(repr(value) for value in dict.fromkeys(map(_plain, seen)))
        shown = ", ".join(examples.split(", ")[:MAX_EXAMPLES])
        outside = f" outside of {_short(kwargs['value_set'])}" if "value_set" in kwargs else ""
        bounds = _bounds(kwargs)
        return f"{count} of {total} values{outside or bounds}" + (
            f", such as {shown}" if shown else ""
        )
    details = result.get("details") or {}
    mismatched = details.get("mismatched")
    text = f"found {_short(result.get('observed_value'))}"
    return f"{text}; mismatched {_short(mismatched)}" if mismatched else text


def _bounds(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None and high is None:
        return " not as expected"
    return f" outside of {'-∞' if low is None else low} to {'∞' if high is None else high}"


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _short(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(repr(item) for item in value[:8])
        return "{" + shown + (", …" if len(value) > 8 else "") + "}"  # noqa: PLR2004
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004
