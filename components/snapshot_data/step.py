"""snapshot_data: the work."""

from pathlib import Path

from assay.errors import DataError
from assay.source import unchanged
from assay.step import Dataset, Out, Source, Values, step


@step
def snapshot_data(
    *,
    source: Source,
    target: str = "",
    delimiter: str = "auto",
    missing_values: list[str] = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],  # noqa: B006
    encoding: str = "utf-8",
    rows_per_part: int = 100_000,
    dataset: Out[Dataset],
) -> Values:
    """Make a table an immutable dataset; the same rows always give the same digest.

    Raises:
        DataError: The source is no table; names rows and columns.
        UsageError: The target is no column.
    """
    from assay.dataset import require_columns, write
    from assay.table import Options, open_table

    if rows_per_part < 1:
        raise DataError(f"rows_per_part is {rows_per_part}; give at least 1")
    options = Options(delimiter, tuple(str(text) for text in missing_values), encoding)
    with unchanged(source):
        table = open_table(source.path, options)
        if target:
            require_columns([target], table.schema.names, "target")
        info = write(table.batches(), table.schema, dataset.path, rows_per_part=rows_per_part)
    _write_card(dataset.path, target)
    return {"rows": info.rows, "columns": len(info.columns)}


def _write_card(folder: Path, target: str) -> None:
    """`summary.md`, for people; part of the artifact, so it holds nothing but the data's facts."""
    from assay.dataset import info, iter_batches

    table = info(folder)
    lines = [
        f"# Dataset: {table.rows:,} rows, {len(table.columns)} columns",
        "",
        "| column | type | missing |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {_cell(column.name)} | {column.type} | {column.nulls:,} "
        f"({column.nulls / table.rows:.1%}) |"
        for column in table.columns
    ]
    if target and table.column(target).type in {"string", "bool", "int64"}:
        counts: dict[str, int] = {}
        for batch in iter_batches(folder, [target]):
            for pair in batch.column(0).value_counts().to_pylist():
                counts[str(pair["values"])] = counts.get(str(pair["values"]), 0) + pair["counts"]
            if len(counts) > 50:  # noqa: PLR2004 - a number to predict, not classes
                break
        else:
            lines += [
                "",
                f"Target `{target}`:",
                "",
                "| value | rows | share |",
                "| --- | --- | --- |",
            ]
            lines += [
                f"| {_cell(value)} | {count:,} | {count / table.rows:.1%} |"
                for value, count in sorted(counts.items())
            ]
    (folder / "summary.md").write_text("\n".join(lines) + "\n")


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
