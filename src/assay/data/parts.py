"""Select parts of a dataset, and join datasets, without decoding a row.

A dataset that consists of parts of another one has the same Parquet files, so a store keeps them
once. Its digest depends on these rows alone: when rows are appended to a table, work on the earlier
parts is answered from the cache.
"""

import json
import re
import shutil
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

from assay.core.step import Dataset
from assay.data.parquet import MAX_PARTS, describe
from assay.data.schema import SCHEMA_FILE, STATISTICS_FILE, DatasetInfo, Part, load, part_name
from assay.data.statistics import PartStatistics
from assay.errors import IntegrityError, UsageError

MAX_STATISTICS_BYTES: Final = 1 << 30


def plan(source: Dataset, rows: int, tasks: int) -> list[str]:
    """Distribute the parts of a dataset evenly, in order; reads its description only.

    Args:
        source: The dataset.
        rows: Rows of each group at least, at least 1, if the dataset has as many.
        tasks: Groups at most, at least 1.

    Returns:
        The parts of each group, as "FIRST-LAST".

    Raises:
        IntegrityError: Not a dataset.
    """
    table, parts = _load(source)
    groups = max(1, min(tasks, table.rows // rows, len(parts)))
    size, more = divmod(len(parts), groups)
    ends = list(accumulate(size + (group < more) for group in range(groups)))
    return [f"{first}-{last - 1}" for first, last in zip([0, *ends], ends, strict=False)]


def numbers(text: str) -> range:
    """The numbers of the parts from the first to the last one.

    Args:
        text: "FIRST-LAST", such as `plan` distributes them; from 0, at most `MAX_PARTS`.

    Raises:
        UsageError: Not two numbers in order.
    """
    match = re.fullmatch(r"(\d{1,9})-(\d{1,9})", text, re.ASCII)
    first, last = map(int, match.groups()) if match else (0, -1)
    if not first <= last < MAX_PARTS:
        raise UsageError(f"parts is {text[:60]!r}; give two numbers in order, such as 0-9")
    return range(first, last + 1)


def select(source: Dataset, chosen: range, target: Path) -> DatasetInfo:
    """Write the dataset of some parts of another one, of which it reads these parts only.

    It has no findings: they are about the table that the dataset was made of.

    Args:
        source: The dataset.
        chosen: The numbers of the parts, from 0; not empty.
        target: An empty folder.

    Returns:
        The description of the new dataset.

    Raises:
        UsageError: The dataset does not have these parts.
        IntegrityError: Not a dataset, or its statistics are malformed.
    """
    _, parts = _load(source)
    if chosen.stop > len(parts):
        raise UsageError(
            f"parts: the dataset has the parts 0 to {len(parts) - 1}, and not {chosen.stop - 1}"
        )
    return _join([(source, slice(chosen.start, chosen.stop))], target)


def join(sources: Sequence[Dataset], target: Path) -> DatasetInfo:
    """Write the dataset of all rows of several datasets, one after the other; it has no findings.

    Args:
        sources: The datasets, at least one.
        target: An empty folder.

    Returns:
        The description of the new dataset.

    Raises:
        UsageError: There are no datasets, their columns differ, or a dataset before the last one
            ends with a part that is not full, so that the result would depend on how the rows were
            distributed.
        IntegrityError: Not a dataset, or its statistics are malformed.
    """
    if not sources:
        raise UsageError("there are no datasets to join; give at least one")
    loaded = [_load(source) for source in sources]
    schemas = [[(column.name, column.type) for column in table.columns] for table, _ in loaded]
    full = loaded[0][1][0].rows
    problems = [
        f"dataset {number} has other columns or types than the first one"
        for number, schema in enumerate(schemas, 1)
        if schema != schemas[0]
    ]
    problems += [
        f"dataset {number} has a part with {part.rows} rows, and the first part has {full}; give "
        "the datasets in the order of their rows"
        for number, (_, parts) in enumerate(loaded, 1)
        for place, part in enumerate(parts, 1)
        if part.rows > full or (part.rows < full and (number, place) != (len(loaded), len(parts)))
    ]
    if problems:
        raise UsageError.all_of(problems)
    return _join([(source, slice(None)) for source in sources], target)


def _load(source: Dataset) -> tuple[DatasetInfo, tuple[Part, ...]]:
    return load(source.file(SCHEMA_FILE).parent)


def _join(sources: Sequence[tuple[Dataset, slice]], target: Path) -> DatasetInfo:
    parts: list[Part] = []
    statistics: list[PartStatistics] = []
    for source, chosen in sources:
        table, present = _load(source)
        profiles = _statistics(source, table, len(present))
        for part, profile in zip(present[chosen], profiles[chosen], strict=True):
            path = part_name(len(parts))
            if not (file := source.file(part.path)).is_file():
                raise IntegrityError(f"{part.path}: the dataset does not have it")
            shutil.copyfile(file, target / path)
            parts.append(Part(path, part.rows))
            statistics.append(profile)
    columns = [(column.name, column.type) for column in table.columns]
    return describe(target, columns, parts, statistics, ())


def _statistics(source: Dataset, table: DatasetInfo, parts: int) -> list[PartStatistics]:
    """The statistics of each part."""
    try:
        with source.file(STATISTICS_FILE).open("rb") as stream:
            text = stream.read(MAX_STATISTICS_BYTES)
        result = [part["columns"] for part in json.loads(text)["parts"]]
        nulls = {
            name: sum(int(columns[name]["nulls"]) for columns in result) for name in table.names
        }
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise IntegrityError(f"{STATISTICS_FILE}: malformed: {error!r}") from error
    if len(result) != parts or nulls != {column.name: column.nulls for column in table.columns}:
        raise IntegrityError(f"{STATISTICS_FILE}: it does not match {SCHEMA_FILE}")
    return result
