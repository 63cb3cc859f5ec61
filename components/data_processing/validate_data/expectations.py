"""Run a suite with Great Expectations, and judge its results.

GX gives what it observed; whether an expectation is met is decided here, and fails closed:

1. GX drops expectations that it cannot make, with a line in its log: each is made by itself, and
   one that cannot be made is an error of the suite.
2. GX gives a result if an expectation could not be computed: one that raised has failed.
3. GX reports success without values: an expectation that no value was checked for has failed.
4. What GX computes wrongly is computed here: see `exact`. Columns whose names differ in case only
   are renamed for it, because it takes the first of them.
5. GX gives results in an order of its own: each is matched to its position in the suite, and a
   position without exactly one result has failed.
"""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.components.validate_data.exact import is_wide, judge
from assay.components.validate_data.wording import observed, plain
from assay.core.environment import set_variables
from assay.data.suite import Suite
from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

MAX_EXAMPLES: Final = 20
"""Values that an expectation's result keeps of those that it did not expect."""
MAX_MESSAGE: Final = 200
"""Characters kept of an exception's message."""

_MEASURED: Final = re.compile("expect_(?:column_|table_)(?!values_|pair_)(.+?)_to_")
"""What an expectation is about, in its type, such as `mean` or `row_count`."""
_PLACE: Final = "assay_place"
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}", re.ASCII)
_COUNTS: Final = ("element_count", "missing_count", "unexpected_count")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one expectation."""

    kind: str
    kwargs: Mapping[str, Any]
    """As in the suite."""
    success: bool
    observed: str
    """The observed values, for people."""
    note: str = ""
    """The reason for the expectation, from its `meta.notes`."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """GX's numbers and examples, without what differs from run to run."""

    @property
    def subject(self) -> str:
        """The column or columns that it is about; empty if it is about the table."""
        return ", ".join(_columns(self.kind, self.kwargs))

    @property
    def text(self) -> str:
        """One line: the subject, what was observed, and the expectation."""
        measured = _MEASURED.match(self.kind) if self.observed.startswith("observed") else None
        about = [self.subject, measured[1].replace("_", " ") if measured else ""]
        on = ", ".join(text for text in about if text)
        return f"{on}: {self.observed} ({self.kind})" if on else f"{self.observed} ({self.kind})"


def run_suite(frame: "pd.DataFrame", suite: Suite, types: Mapping[str, str]) -> list[Outcome]:
    """Judge every expectation of a suite on a table; one outcome for each, in the suite's order.

    Args:
        frame: The table.
        suite: What is expected of it.
        types: The dataset type of each column; pandas has other types for missing values.

    Raises:
        UsageError: GX refuses the arguments of expectations; names all.
    """
    with _quiet():
        names = _Names(frame.columns)
        expectations = _make(suite, names)
        results: dict[Any, list[Mapping[str, Any]]] = {}
        left: dict[str, list[Any]] = {}
        for place, (item, made) in enumerate(zip(suite.expectations, expectations, strict=True)):
            kind, kwargs = str(item["type"]), item.get("kwargs", {})
            if _absent(kind, kwargs, names.names):
                continue
            if (found := _computed(kind, kwargs, frame, types)) is not None:
                results[place] = [found]
            else:
                left.setdefault(_table(kind), []).append(made)
        tables = _tables(frame, names)
        for table, some in left.items():
            for result in _validate(_batch(tables[table]()), some):
                results.setdefault(_place(result), []).append(result)
    return [
        _outcome(item, results.get(place, []), names)
        for place, item in enumerate(suite.expectations)
    ]


_ITSELF, _TYPES, _CONTENT = "itself", "types", "content"


def _table(kind: str) -> str:
    """Which form of the table an expectation is judged on."""
    if kind.startswith("expect_table_") or kind == "expect_column_to_exist":
        return _ITSELF
    return _TYPES if kind.endswith(("_type_to_be", "_be_of_type", "_in_type_list")) else _CONTENT


def _tables(frame: "pd.DataFrame", names: "_Names") -> Mapping[str, Callable[[], "pd.DataFrame"]]:
    """The table's forms: as it is; with plain types; with its values, exact."""

    def typed() -> "pd.DataFrame":
        wide = [name for name in frame.columns if is_wide(frame[name])]
        return frame.assign(**{name: frame[name].astype(float) for name in wide})

    return {
        _ITSELF: lambda: frame,
        _TYPES: lambda: names.coded(typed()),
        _CONTENT: lambda: names.coded(frame),
    }


class _Names:
    """Column names that GX can tell apart: it takes the first that differs in case only."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        clash = len({name.casefold() for name in self.names}) < len(self.names)
        # Digits have no case.
        self.codes = {n: f"column {i}" if clash else n for i, n in enumerate(self.names)}
        self._back = {code: name for name, code in self.codes.items()}

    def coded(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """The table under the codes."""
        return frame.rename(columns=self.codes)

    def arguments(self, kind: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """An expectation's arguments under the codes."""
        given = dict(kwargs)
        if _table(kind) != _ITSELF:
            for key in ("column", "column_A", "column_B"):
                if key in given:
                    given[key] = self.codes.get(given[key], given[key])
            if "column_list" in given:
                given["column_list"] = [self.codes.get(n, n) for n in given["column_list"]]
        return given

    def shown(self, value: Any) -> Any:
        """An example of several columns under their names."""
        if isinstance(value, dict):
            return {self._back.get(key, key): item for key, item in value.items()}
        return value


def _computed(
    kind: str, kwargs: Mapping[str, Any], frame: "pd.DataFrame", types: Mapping[str, str]
) -> Mapping[str, Any] | None:
    """The result of what is computed here, fails closed; None for what is left to GX."""
    try:
        return judge(kind, kwargs, frame, types)
    except (UsageError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        info = {"raised_exception": True, "exception_message": _message(error)}
        return {"success": False, "exception_info": info}


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


def _make(suite: Suite, names: _Names) -> list[Any]:
    """GX's own objects, each with its place in the suite."""
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    found, problems = [], []
    for place, item in enumerate(suite.expectations):
        try:
            found.append(
                ExpectationConfiguration(
                    type=item["type"],
                    kwargs=names.arguments(str(item["type"]), item.get("kwargs", {})),
                    meta={_PLACE: place},
                ).to_domain_obj()
            )
        # pydantic's errors are ValueErrors; GX's own have a root of their own.
        except (ValueError, TypeError, gx.exceptions.GreatExpectationsError) as error:
            problems.append(f"expectation {place + 1} ({item['type']}): {_message(error)}")
    if problems:
        raise UsageError.all_of(
            f"suite.json: Great Expectations refuses {problem}" for problem in problems
        )
    return found


def _validate(batch: Any, expectations: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Results as JSON; one by one when something is raised that GX does not catch."""
    import great_expectations as gx

    def validate(some: Sequence[Any]) -> list[Mapping[str, Any]]:
        suite = gx.ExpectationSuite(name="suite", expectations=some)
        found: list[Mapping[str, Any]] = batch.validate(suite).to_json_dict()["results"]
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
        return validate(expectations)
    results: list[Mapping[str, Any]] = []
    for expectation in expectations:
        try:
            results += validate([expectation])
        except raised as error:
            info = {"raised_exception": True, "exception_message": _message(error)}
            meta = {"meta": dict(expectation.meta)}
            results.append({"success": False, "expectation_config": meta, "exception_info": info})
    return results


def _message(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _place(result: Mapping[str, Any]) -> Any:
    config = result.get("expectation_config") or {}
    return (config.get("meta") or {}).get(_PLACE)


def _columns(kind: str, kwargs: Mapping[str, Any]) -> list[str]:
    """The columns that an expectation looks into."""
    if kind.startswith("expect_table_"):
        return []
    named = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    return [str(name) for name in [*named, *kwargs.get("column_list", [])]]


def _absent(kind: str, kwargs: Mapping[str, Any], columns: Collection[str]) -> list[str]:
    """The columns that an expectation needs and the table lacks."""
    if kind == "expect_column_to_exist":
        return []
    return [name for name in _columns(kind, kwargs) if name not in columns]


def _outcome(
    item: Mapping[str, Any], results: Sequence[Mapping[str, Any]], names: _Names
) -> Outcome:
    kind, kwargs = str(item["type"]), dict(item.get("kwargs", {}))
    meta = item.get("meta")
    note = meta.get("notes") if isinstance(meta, dict) else item.get("notes")
    why = note if isinstance(note, str) else ""
    if failure := _failure(kind, kwargs, results, names.names):
        text = f"could not be judged: {failure}"
        return Outcome(kind, kwargs, False, text, why, {"exception": failure})
    # Success must be a truth value: neither 1 nor a text. GX gives some as NumPy's.
    said = results[0].get("success")
    success = isinstance(said, bool | np.bool_) and bool(said)
    kept = _kept(results[0].get("result") or {}, names)
    return Outcome(kind, kwargs, success, observed(kind, kwargs, kept, success=success), why, kept)


def _failure(
    kind: str,
    kwargs: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    columns: Collection[str],
) -> str:
    """Why an expectation could not be judged; empty when it was."""
    if absent := _absent(kind, kwargs, columns):
        return f"there is no column {', '.join(map(repr, absent))}"
    if len(results) != 1:
        return f"{len(results)} results instead of 1"
    exception = _exception(results[0].get("exception_info") or {})
    return exception or _nothing_seen(kind, results[0].get("result") or {})


def _exception(info: Mapping[str, Any]) -> str:
    """The exception that was raised; GX has one, or one for each metric."""
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [
        " ".join(str(entry.get("exception_message") or "an exception").split())
        for entry in entries
        if isinstance(entry, dict) and entry.get("raised_exception")
    ]
    if not messages:
        return ""
    # Addresses differ from process to process.
    text = _ADDRESS.sub("0x…", min(messages))
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def _nothing_seen(kind: str, result: Mapping[str, Any]) -> str:
    """Whether GX reports success without any value."""
    if "unexpected_count" not in result or "element_count" not in result:
        return ""
    missing = 0 if kind.endswith("_be_null") else result.get("missing_count") or 0
    return "" if (result["element_count"] or 0) - missing > 0 else "there was no value to look at"


def _kept(result: Mapping[str, Any], names: _Names) -> dict[str, Any]:
    """Of GX's result what is about the data, as canonical JSON has it."""
    kept = {name: result[name] for name in _COUNTS if result.get(name) is not None}
    if result.get("observed_value") is not None:
        kept["observed_value"] = plain(result["observed_value"])
    for name in ("partial_unexpected_list", "partial_missing_list"):
        values = [plain(names.shown(v)) for v in result.get(name) or [] if v is not None]
        if values:
            kept[name] = values[:MAX_EXAMPLES]
    if places := result.get("partial_unexpected_index_list"):
        # Row 1 is the header.
        kept["rows"] = [int(place) + 2 for place in places[:MAX_EXAMPLES]]
    if mismatched := (result.get("details") or {}).get("mismatched"):
        kept["mismatched"] = plain(mismatched)
    return kept
