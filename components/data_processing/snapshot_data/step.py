"""snapshot_data: the work."""

from assay.core.source import unchanged
from assay.core.step import Dataset, Out, Source, Values, step


@step
def snapshot_data(
    *,
    data: Source,
    target: str = "",
    delimiter: str = "auto",
    missing_values: list[str] = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],  # noqa: B006 - read only
    encoding: str = "utf-8",
    decimal: str = ".",
    rows_per_part: int = 100_000,
    dataset: Out[Dataset],
) -> Values:
    """Make a table an immutable dataset: the same rows always give the same digest.

    Neither the location nor the format of the source, nor `target`, changes the dataset, except for
    findings: what a person should know about how the table was read.

    Args:
        data: A path, file://, s3://bucket/key?endpoint=…, https:// or a dataset's digest.
        target: Column that must exist. Empty: not checked.
        delimiter: Field delimiter of a CSV, one character; "auto" detects it.
        missing_values: Texts that mean a missing value in a CSV.
        encoding: Encoding of a CSV, such as utf-8 or latin-1.
        decimal: Decimal mark of numbers in a CSV, "." or ",".
        rows_per_part: Rows of each Parquet part, at least 1; part of the dataset's identity.
        dataset: The dataset.

    Returns:
        rows (int): Number of rows.
        columns (int): Number of columns.

    Raises:
        DataError: The source is not a table, lacks the target, or changed while it was read; names
            everything that is wrong, with row numbers.
        UsageError: `rows_per_part` is below 1, `missing_values` are not texts, or `decimal` is
            neither "." nor ",".
    """
    from assay.core.findings import values
    from assay.data.sources import Options, write_table

    options = Options.given(delimiter, missing_values, encoding, rows_per_part, decimal)
    required = [("target", target)] if target else []
    with unchanged(data):
        info = write_table(
            data.path, options, dataset.path, required=required, rows_per_part=rows_per_part
        )
    return {"rows": info.rows, "columns": len(info.columns), **values(info.findings)}
