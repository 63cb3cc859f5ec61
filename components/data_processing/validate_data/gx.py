"""Great Expectations, for the expectations that are not judged here.

1. GX drops expectations that it cannot make, with a line in its log: each is made by itself, and
   one that cannot be made is an error of the suite.
2. GX gives results in an order of its own: each is matched to its position in the suite.
3. GX takes the first of columns whose names differ in case only: they are renamed for it.

Importing GX takes seconds, so that it is imported only when it is needed.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from assay.core.environment import set_variables
from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

_PLACE: Final = "assay_place"

Result = Mapping[str, Any]
Placed = tuple[int, Mapping[str, Any]]
"""An expectation with its place in the suite, from 0."""


class Names:
    """Column names that GX can tell apart.

    Args:
        names: All columns of the table.
    """

    def __init__(self, names: Iterable[str]) -> None:
        known = list(names)
        clash = len({name.casefold() for name in known}) < len(known)
        # Digits have no case.
        self.codes = {n: f"column {i}" if clash else n for i, n in enumerate(known)}
        self._back = {code: name for name, code in self.codes.items()}

    def coded(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """The table under the codes."""
        return frame.rename(columns=self.codes)

    def arguments(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """An expectation's arguments under the codes."""
        given = dict(kwargs)
        for key in ("column", "column_A", "column_B"):
            if key in given:
                given[key] = self.codes.get(given[key], given[key])
        if "column_list" in given:
            given["column_list"] = [self.codes.get(name, name) for name in given["column_list"]]
        return given

    def shown(self, value: Any) -> Any:
        """An example of several columns under their names."""
        if isinstance(value, dict):
            return {self._back.get(key, key): item for key, item in value.items()}
        return value


def make(expectations: Sequence[Placed], names: Names) -> list[Any]:
    """GX's own objects, each with its place in the suite.

    Args:
        expectations: The expectations.
        names: The names of all columns of the table.

    Raises:
        UsageError: GX refuses the arguments of expectations; names all.
    """
    with _quiet():
        return _make(expectations, names)


def validate(frame: "pd.DataFrame", made: Sequence[Any], names: Names) -> dict[int, list[Result]]:
    """GX's results for some expectations.

    Args:
        frame: The columns that they look into.
        made: The expectations, from `make`.
        names: The names of all columns of the table.

    Returns:
        The results of each place, as JSON has them; usually one.
    """
    results: dict[int, list[Result]] = {}
    with _quiet():
        for result in _validate(_batch(names.coded(frame)), made):
            results.setdefault(_place(result), []).append(result)
    return results


def _batch(frame: "pd.DataFrame") -> Any:
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("table").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("table").get_batch({"dataframe": frame})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No telemetry, no progress bars, no deprecation notes: none is about the data."""
    set_variables({"GX_ANALYTICS_ENABLED": "false", "TQDM_DISABLE": "1"})
    logger = logging.getLogger("great_expectations")
    level = logger.level
    # What GX logs of a failed metric is in its result, too.
    logger.setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def _make(expectations: Sequence[Placed], names: Names) -> list[Any]:
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    found, problems = [], []
    for place, item in expectations:
        try:
            found.append(
                ExpectationConfiguration(
                    type=item["type"],
                    kwargs=names.arguments(item.get("kwargs", {})),
                    meta={_PLACE: place},
                ).to_domain_obj()
            )
        # pydantic's errors are ValueErrors; GX's own have a root of their own.
        except (ValueError, TypeError, gx.exceptions.GreatExpectationsError) as error:
            problems.append(f"expectation {place + 1} ({item['type']}): {message(error)}")
    if problems:
        raise UsageError.all_of(
            f"suite.json: Great Expectations refuses {problem}" for problem in problems
        )
    return found


def _validate(batch: Any, expectations: Sequence[Any]) -> list[Result]:
    """Results as JSON; one by one when something is raised that GX does not catch."""
    import great_expectations as gx

    def run(some: Sequence[Any]) -> list[Result]:
        suite = gx.ExpectationSuite(name="suite", expectations=some)
        found: list[Result] = batch.validate(suite).to_json_dict()["results"]
        return found

    raised = (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        gx.exceptions.GreatExpectationsError,
    )
    with contextlib.suppress(*raised):
        return run(expectations)
    results: list[Result] = []
    for expectation in expectations:
        try:
            results += run([expectation])
        except raised as error:
            info = {"raised_exception": True, "exception_message": message(error)}
            meta = {"meta": dict(expectation.meta)}
            results.append({"success": False, "expectation_config": meta, "exception_info": info})
    return results


def message(error: Exception) -> str:
    """An exception in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _place(result: Result) -> Any:
    config = result.get("expectation_config") or {}
    return (config.get("meta") or {}).get(_PLACE)
