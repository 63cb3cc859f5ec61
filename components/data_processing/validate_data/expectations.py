"""Judge the expectations of a suite, and say what was seen.

Most expectations are judged here, column by column: see `rules`. Great Expectations (GX) judges the
others. Whether an expectation is met is decided here, and fails closed:

1. An expectation that raised has failed, although GX gives a result for it.
2. An expectation that no value was checked for has failed, although GX reports success.
3. An expectation without exactly one result has failed.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from assay import data as dataset
from assay.components.validate_data import gx, rows, rules, table
from assay.components.validate_data.results import MAX_EXAMPLES
from assay.components.validate_data.wording import observed, plain
from assay.data.columns import GROUP_CELLS, iter_columns, read_columns
from assay.data.exact_integers import read_exact
from assay.data.suite import Suite
from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from assay.data.columns import Column

MAX_MESSAGE: Final = 200
"""Characters kept of an exception's message."""

_MEASURED: Final = re.compile("expect_(?:column_|table_)(?!values_|pair_)(.+?)_to_")
"""What an expectation is about, in its type, such as `mean` or `row_count`."""
_ABOUT_TYPES: Final = ("_type_to_be", "_be_of_type", "_in_type_list")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}", re.ASCII)
_Subject = TypeVar("_Subject")
"""What a judge of expectations gets: the table, a column, or several columns."""
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


class SuiteCheck:
    """Judges the expectations of a suite on a table whose columns come one after the other.

    Args:
        folder: The dataset.
        suite: What is expected of it.
    """

    def __init__(self, folder: Path, suite: Suite) -> None:
        self._folder = folder
        self.suite = suite
        self._table = dataset.info(folder)
        self._names = gx.Names(self._table.names)
        self._results: dict[int, list[Mapping[str, Any]]] = {}
        self._by_column: dict[str, list[int]] = {}
        self._several: list[int] = []
        self._left: list[int] = []
        """The places of expectations about several columns, and for Great Expectations."""
        for place, item in enumerate(suite.expectations):
            kind, kwargs = _parts(item)
            if _absent(kind, kwargs, self._table.names):
                continue
            if not self._computed(place, table.judge, self._table):
                about = _columns(kind, kwargs)
                known = (
                    self._by_column.setdefault(about[0], []) if len(about) == 1 else self._several
                )
                known.append(place)

    def add(self, column: "Column") -> None:
        """Judge what is expected of a column; each column of the table is added once."""
        for place in self._by_column.get(column.name, ()):
            if not self._computed(place, rules.judge, column):
                self._left.append(place)

    def finish(self) -> list[Outcome]:
        """One outcome for each expectation, in the suite's order, after all columns were added.

        Raises:
            UsageError: GX refuses the arguments of expectations; names all.
        """
        for names, places in self._groups(self._several):
            columns = {c.name: c for c in read_columns(self._folder, names)}
            for place in places:
                about = [columns[name] for name in self._about(place)]
                if not self._computed(place, rows.judge, about):
                    self._left.append(place)
        if self._left:
            self._ask()
        return [
            _outcome(item, self._results.get(place, []), self._names)
            for place, item in enumerate(self.suite.expectations)
        ]

    def _about(self, place: int) -> list[str]:
        return _columns(*_parts(self.suite.expectations[place]))

    def _groups(self, some: Sequence[int]) -> Iterator[tuple[list[str], list[int]]]:
        """Expectations whose columns are read together: as many as have few cells."""
        most = max(1, GROUP_CELLS // max(1, self._table.rows))
        columns: dict[str, None] = {}
        places: list[int] = []
        for place in sorted(some, key=self._about):
            needed = dict.fromkeys(self._about(place))
            if places and len(columns | needed) > most:
                yield list(columns), places
                columns, places = {}, []
            columns |= needed
            places.append(place)
        if places:
            yield list(columns), places

    def _computed(
        self,
        place: int,
        judge: Callable[[str, Mapping[str, Any], _Subject], Mapping[str, Any] | None],
        about: _Subject,
    ) -> bool:
        """Whether an expectation about something is judged here; fails closed."""
        try:
            result = judge(*_parts(self.suite.expectations[place]), about)
        except (
            UsageError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError
        ) as error:  # fmt: skip
            info = {"raised_exception": True, "exception_message": gx.message(error)}
            result = {"success": False, "exception_info": info}
        if result is not None:
            self._results[place] = [result]
        return result is not None

    def _ask(self) -> None:
        """Have Great Expectations judge what is left."""
        placed = [(place, self.suite.expectations[place]) for place in sorted(self._left)]
        made = dict(zip(sorted(self._left), gx.make(placed, self._names), strict=True))
        for columns, places in self._groups(self._left):
            frame = read_exact(self._folder, columns)
            about_types = {
                p for p in places if str(self.suite.expectations[p]["type"]).endswith(_ABOUT_TYPES)
            }
            # Whole numbers that floats would change are held as objects; their type is float64.
            wide = [name for name in columns if self._is_object(frame, name)]
            typed = frame.assign(**{name: frame[name].astype(float) for name in wide})
            for seen, some in ((frame, {*places} - about_types), (typed, about_types)):
                if some:
                    asked = [made[place] for place in sorted(some)]
                    self._results |= gx.validate(seen, asked, self._names)

    def _is_object(self, frame: "pd.DataFrame", name: str) -> bool:
        return self._table.types[name] == "int64" and frame[name].dtype.kind == "O"


def run_suite(folder: Path, suite: Suite) -> list[Outcome]:
    """Judge every expectation of a suite on a dataset; one outcome each, in the suite's order.

    Args:
        folder: The dataset.
        suite: What is expected of it.

    Raises:
        UsageError: GX refuses the arguments of expectations; names all.
    """
    check = SuiteCheck(folder, suite)
    for column in iter_columns(folder):
        check.add(column)
    return check.finish()


def _parts(item: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The type of an expectation, and its arguments."""
    return str(item["type"]), item.get("kwargs", {})


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
    item: Mapping[str, Any], results: Sequence[Mapping[str, Any]], names: gx.Names
) -> Outcome:
    kind, kwargs = str(item["type"]), dict(item.get("kwargs", {}))
    meta = item.get("meta")
    note = meta.get("notes") if isinstance(meta, dict) else item.get("notes")
    why = note if isinstance(note, str) else ""
    if failure := _failure(kind, kwargs, results, names.codes):
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


def _kept(result: Mapping[str, Any], names: gx.Names) -> dict[str, Any]:
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
