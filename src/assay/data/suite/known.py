"""The expectations that a suite may contain, with their arguments.

This table checks a suite in milliseconds, while importing GX takes seconds.
tests/data/test_suite.py compares it with the installed GX.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Arguments:
    """The `kwargs` of an expectation; at least one of `either` is required, if it is not empty."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    either: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.required + self.optional + self.either


_BOUNDS: Final = "strict_min strict_max | min_value max_value"

# Type: required | optional | at least one of these. GX itself demands less: without a regex, a
# type list or a bound, its check could not fail, so that here they are required.
_TABLE: Final = f"""
expect_column_distinct_values_to_be_in_set: column value_set
expect_column_distinct_values_to_contain_set: column value_set
expect_column_distinct_values_to_equal_set: column value_set
expect_column_kl_divergence_to_be_less_than: column partition_object threshold \
 | bucketize_data internal_weight_holdout max_value min_value tail_weight_holdout
expect_column_max_to_be_between: column | {_BOUNDS}
expect_column_mean_to_be_between: column | {_BOUNDS}
expect_column_median_to_be_between: column | {_BOUNDS}
expect_column_min_to_be_between: column | {_BOUNDS}
expect_column_most_common_value_to_be_in_set: column value_set | ties_okay
expect_column_pair_values_a_to_be_greater_than_b: column_A column_B \
 | ignore_row_if mostly or_equal
expect_column_pair_values_to_be_equal: column_A column_B | ignore_row_if mostly
expect_column_pair_values_to_be_in_set: column_A column_B value_pairs_set | ignore_row_if mostly
expect_column_proportion_of_non_null_values_to_be_between: column | {_BOUNDS}
expect_column_proportion_of_unique_values_to_be_between: column | {_BOUNDS}
expect_column_quantile_values_to_be_between: column quantile_ranges | allow_relative_error
expect_column_stdev_to_be_between: column | {_BOUNDS}
expect_column_sum_to_be_between: column | {_BOUNDS}
expect_column_to_exist: column | column_index
expect_column_type_to_be: column type_
expect_column_unique_value_count_to_be_between: column | {_BOUNDS}
expect_column_value_lengths_to_be_between: column | mostly {_BOUNDS}
expect_column_value_lengths_to_equal: column value | mostly
expect_column_value_z_scores_to_be_less_than: column double_sided threshold | mostly
expect_column_values_to_be_between: column | mostly {_BOUNDS}
expect_column_values_to_be_dateutil_parseable: column | mostly
expect_column_values_to_be_decreasing: column | mostly strictly
expect_column_values_to_be_in_set: column value_set | mostly
expect_column_values_to_be_in_type_list: column type_list | mostly
expect_column_values_to_be_increasing: column | mostly strictly
expect_column_values_to_be_json_parseable: column | mostly
expect_column_values_to_be_null: column | mostly
expect_column_values_to_be_of_type: column type_ | mostly
expect_column_values_to_be_unique: column | mostly
expect_column_values_to_match_json_schema: column json_schema | mostly
expect_column_values_to_match_regex: column regex | mostly
expect_column_values_to_match_regex_list: column regex_list | match_on mostly
expect_column_values_to_match_strftime_format: column strftime_format | mostly
expect_column_values_to_not_be_in_set: column value_set | mostly
expect_column_values_to_not_be_null: column | mostly
expect_column_values_to_not_be_outliers: column | method mostly multiplier
expect_column_values_to_not_match_regex: column regex | mostly
expect_column_values_to_not_match_regex_list: column regex_list | mostly
expect_compound_columns_to_be_unique: column_list | ignore_row_if mostly
expect_multicolumn_sum_to_equal: column_list sum_total | ignore_row_if mostly
expect_multicolumn_values_to_be_equal: column_list | ignore_row_if mostly
expect_select_column_values_to_be_unique_within_record: column_list | ignore_row_if mostly
expect_table_column_count_to_be_between: | | min_value max_value
expect_table_column_count_to_equal: value
expect_table_columns_to_match_ordered_list: column_list
expect_table_columns_to_match_set: column_set | exact_match
expect_table_row_count_to_be_between: | {_BOUNDS}
expect_table_row_count_to_equal: value
"""

_NEEDS_SQL: Final = "it needs an SQL database, and a dataset is a table in memory"

NOT_ADMITTED: Final = {
    "expect_column_values_to_match_like_pattern": _NEEDS_SQL,
    "expect_column_values_to_match_like_pattern_list": _NEEDS_SQL,
    "expect_column_values_to_not_match_like_pattern": _NEEDS_SQL,
    "expect_column_values_to_not_match_like_pattern_list": _NEEDS_SQL,
    "expect_query_results_to_match_comparison": _NEEDS_SQL,
    "expect_table_row_count_to_equal_other_table": _NEEDS_SQL,
    "expect_multicolumn_values_to_be_unique": (
        "Great Expectations has renamed it: expect_select_column_values_to_be_unique_within_record"
    ),
    "unexpected_rows_expectation": "it runs a query, and a suite is data that runs no code",
}
"""Expectations of GX that are not allowed, with the reason."""


def _parse(table: str) -> dict[str, Arguments]:
    arguments = {}
    for line in table.strip().splitlines():
        name, _, rest = line.partition(":")
        required, optional, either = (*map(str.split, rest.split("|")), [], [])[:3]
        arguments[name] = Arguments(tuple(required), tuple(optional), tuple(either))
    return arguments


ARGUMENTS: Final = _parse(_TABLE)
"""Arguments of the allowed expectations, by type."""

EXPECTATION_TYPES: Final = frozenset(ARGUMENTS)
"""GX's expectations for a single pandas table, without SQL, queries or other tables."""
