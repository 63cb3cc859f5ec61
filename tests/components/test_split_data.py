"""split_data: an entity stands on one side, and stays there."""

import functools
import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assay import data as dataset
from assay.components.snapshot_data.step import snapshot_data
from assay.components.split_data.assignment import entities, positions
from assay.components.split_data.step import split_data
from assay.core.digest import of_bytes
from assay.core.source import fetch
from assay.core.step import Dataset, Out
from assay.errors import UsageError

Rows = list[dict[str, Any]]


class TestRowsWithoutAnEntity:
    @pytest.mark.parametrize("stratify", [False, True])
    def test_they_do_not_all_stand_on_one_side(self, tmp_path: Path, stratify: bool) -> None:
        customers = [f"c{row}" if row % 2 == 0 else None for row in range(400)]
        table = pa.table(
            {"cust": customers, "x": [row / 7 for row in range(400)], "y": [0, 1] * 200}
        )
        outs = [Out[Dataset](tmp_path / name) for name in ("train", "test")]
        for out in outs:
            out.path.mkdir()
        values = split_data(
            data=written(table, tmp_path / "d"),
            key_columns=["cust"],
            target="y",
            stratify=stratify,
            train=outs[0],
            test=outs[1],
        )
        assert values is not None
        assert 80 <= int(str(values["test_rows"])) <= 120
        lacking = dataset.read(outs[1].path)["cust"].isna().sum()
        assert 30 <= lacking <= 70
        assert "200 of 400 rows have no value in key_columns (column 'cust')" in str(values)
        for out in outs:
            assert [f.code for f in dataset.info(out.path).findings] == ["unknown-entity"]

    def test_rows_with_an_entity_keep_their_sides(self) -> None:
        known = both_sides({"cust": list(range(50)), "x": list(range(50))}, key_columns=["cust"])
        mixed = both_sides(
            {"cust": [*range(50), None, None], "x": list(range(52))}, key_columns=["cust"]
        )
        assert mixed[:50] == known

    def test_equal_rows_without_an_entity_stand_on_one_side(self) -> None:
        columns = {"cust": [1, 2, *[None] * 20], "x": [0, 0, *range(10), *range(10)]}
        table = pa.table(columns)
        batch = table.to_batches()[0]
        found = entities(batch, ["cust"], "", sorted(batch.schema.names))
        assert list(found[2:12]) == list(found[12:])
        assert len(set(found[2:12])) == 10

    def test_an_entity_with_most_of_the_rows_is_told(self, tmp_path: Path) -> None:
        customers = ["unknown"] * 300 + [f"c{row}" for row in range(100)]
        data = written(pa.table({"cust": customers, "x": list(range(400))}), tmp_path / "d")
        outs = [Out[Dataset](tmp_path / name) for name in ("train", "test")]
        for out in outs:
            out.path.mkdir()
        values = split_data(data=data, key_columns=["cust"], train=outs[0], test=outs[1])
        assert "share-off" in str(values)
        assert "where test_fraction asks for 25.0%" in str(values)


class TestColumnsThatAreDropped:
    columns: Mapping[str, Sequence[Any]] = {"x": list(range(60)) * 3, "y": [0, 1, 1] * 60}

    @pytest.mark.parametrize("stratify", [False, True])
    def test_rows_that_differ_in_nothing_else_stand_on_one_side(self, stratify: bool) -> None:
        given = {"key_columns": [], "target": "y", "stratify": stratify}
        dropped = sides(self.columns, drop_columns=["row"], **given)
        assert dropped[:60] == dropped[60:120] == dropped[120:]
        assert len(set(dropped)) == 2
        # The number of a row, which `sides` adds, makes another row of each.
        kept = sides(self.columns, **given)
        assert kept[:60] != kept[60:120]

    def test_a_table_splits_as_it_would_without_them(self) -> None:
        dropped = sides(self.columns, key_columns=[], drop_columns=["row"])
        assert dropped == sides(self.columns)

    def test_rows_without_an_entity_are_keyed_without_them(self) -> None:
        columns = {"cust": ["c", *[None] * 120], "x": [0, *list(range(60)) * 2]}
        found = sides(columns, key_columns=["cust"], drop_columns=["row"])
        assert found[1:61] == found[61:]

    def test_what_cannot_be_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"drop_columns.*'rwo'"):
            sides(self.columns, key_columns=[], drop_columns=["rwo"])
        with pytest.raises(UsageError, match="no column is left"):
            sides(self.columns, key_columns=[], drop_columns=["x", "y", "row"])


def written(table: pa.Table, folder: Path) -> Dataset:
    folder.mkdir()
    dataset.write(table.to_batches(), table.schema, folder)
    return Dataset(folder, "sha256:" + "0" * 64)


def split(data: Dataset, folder: Path, **parameters: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    outs = [Out[Dataset](folder / name) for name in ("train", "test")]
    for out in outs:
        out.path.mkdir(parents=True)
    values = split_data(data=data, train=outs[0], test=outs[1], **parameters)
    train, test = (dataset.read(out.path) for out in outs)
    assert values is not None
    assert (values["train_rows"], values["test_rows"]) == (len(train), len(test))
    return train, test


def sides(columns: Mapping[str, Sequence[Any]], **parameters: Any) -> list[str]:
    """Which side each row goes to; a column `row` is added to tell them apart."""
    table = pa.table({**columns, "row": list(range(len(next(iter(columns.values())))))})
    parameters.setdefault("key_columns", list(columns))
    if parameters.get("split_by") == "time":
        del parameters["key_columns"]
    with tempfile.TemporaryDirectory() as folder:
        data = written(table, Path(folder) / "d")
        train, test = split(data, Path(folder) / "s", **parameters)
    found = {**dict.fromkeys(train["row"], "train"), **dict.fromkeys(test["row"], "test")}
    return [found[row] for row in range(table.num_rows)]


def both_sides(columns: Mapping[str, Sequence[Any]], **parameters: Any) -> list[str]:
    """As `sides`; examples in which one side stays empty are another test's."""
    try:
        return sides(columns, **parameters)
    except UsageError:
        assume(False)
        raise


@pytest.fixture(scope="module")
def adult(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("adult")
    source = fetch(str(shared_data / "adult-train.csv"), folder)
    snapshot_data(data=source, dataset=Out[Dataset](folder))
    return Dataset(folder, "sha256:" + "0" * 64)


DAYS = [f"2024-0{1 + n % 6}-{10 + n % 19}" for n in range(60)]


def from_csv(cells: Sequence[str], folder: Path) -> Dataset:
    """A table of two columns, `k` and the row's number, read from a file."""
    folder.mkdir()
    path = folder / "t.csv"
    path.write_text("k,row\n" + "".join(f"{cell},{row}\n" for row, cell in enumerate(cells)))
    (folder / "d").mkdir()
    snapshot_data(data=fetch(str(path), folder), dataset=Out[Dataset](folder / "d"))
    return Dataset(folder / "d", "sha256:" + "0" * 64)


keys = st.lists(st.integers(0, 30), min_size=8, max_size=40)


class TestByHash:
    def test_adult_is_split_near_the_share_asked_for(self, adult: Dataset, tmp_path: Path) -> None:
        train, test = split(adult, tmp_path, target="income")
        assert len(train) + len(test) == 32_561
        assert len(test) / 32_561 == pytest.approx(0.25, abs=0.01)
        assert (test["income"] == ">50K").mean() == pytest.approx(0.241, abs=0.02)

    def test_equal_rows_of_adult_stand_on_one_side(self, adult: Dataset, tmp_path: Path) -> None:
        train, test = split(adult, tmp_path)
        frame = pd.concat([train, test])
        assert frame.duplicated().sum() > 0
        assert train.merge(test, how="inner").empty

    def test_the_order_of_rows_is_kept(self, adult: Dataset, tmp_path: Path) -> None:
        frame = dataset.read(adult.path)
        train, test = split(adult, tmp_path)
        held_out = frame.merge(test.drop_duplicates(), how="left", indicator=True)["_merge"]
        pd.testing.assert_frame_equal(
            frame[(held_out == "both").to_numpy()].reset_index(drop=True), test
        )
        assert len(train) == (held_out == "left_only").sum()

    @given(keys, keys, st.randoms(use_true_random=False))
    def test_an_entity_keeps_its_side_whatever_rows_come_or_go(
        self, now: list[int], later: list[int], random: Any
    ) -> None:
        before = dict(zip(now, both_sides({"k": now}), strict=True))
        grown = [*now, *later]
        random.shuffle(grown)
        after = dict(zip(grown, both_sides({"k": grown}), strict=True))
        assert {key: after[key] for key in before} == before

    @given(keys, st.floats(0.2, 0.5), st.floats(0.0, 0.3))
    def test_a_larger_test_set_holds_the_smaller(
        self, rows: list[int], fraction: float, more: float
    ) -> None:
        small = both_sides({"k": rows}, test_fraction=fraction)
        large = both_sides({"k": rows}, test_fraction=fraction + more)
        assert all(b == "test" for a, b in zip(small, large, strict=True) if a == "test")

    def test_the_order_of_columns_does_not_matter(self) -> None:
        columns = {"a": list(range(50)), "b": [str(i % 7) for i in range(50)]}
        told = sides(columns, key_columns=["a", "b"])
        assert sides(columns, key_columns=["b", "a", "b"]) == told
        assert sides(dict(reversed(columns.items())), key_columns=["a", "b"]) == told

    def test_a_key_keeps_its_side_when_its_column_changes_type(self) -> None:
        numbers = [*range(40), *(10**n - 1 for n in range(2, 16)), -(2**53), 10**15, 10**10]
        told = sides({"k": numbers})
        assert sides({"k": [float(number) for number in numbers]}) == told
        assert sides({"k": [str(number) for number in numbers]}) == told

    @pytest.mark.parametrize(
        ("old", "later", "types"),
        [
            (DAYS, "2024-05-01T10:00:00", ("date32", "timestamp")),
            (DAYS, "unknown", ("date32", "string")),
            (["True", "FALSE", "true"] * 20, "unknown", ("bool", "string")),
            ([str(n) for n in range(60)], "1.5", ("int64", "float64")),
            ([str(n) for n in range(60)], "abc", ("int64", "string")),
        ],
    )
    def test_a_later_row_that_changes_a_type_moves_no_earlier_row(
        self, tmp_path: Path, old: list[str], later: str, types: tuple[str, str]
    ) -> None:
        found = []
        for name, cells in (("before", old), ("after", [*old, later])):
            data = from_csv(cells, tmp_path / name)
            found.append((dataset.info(data.path).types["k"], split(data, tmp_path / f"{name}-s")))
        (before, now), (kind, then) = found
        assert (before, kind) == types
        rows = len(old)
        assert [set(side["row"]) for side in now] == [
            {row for row in side["row"] if row < rows} for side in then
        ]

    @pytest.mark.parametrize(
        "cells",
        [
            [*(f"{n}.50" for n in range(60)), "n.a."],
            [*(f"{day} 08:00:00" for day in DAYS), "unknown"],
        ],
    )
    def test_where_a_few_values_may_have_moved_rows_a_finding_says_so(
        self, tmp_path: Path, cells: list[str]
    ) -> None:
        split(from_csv(cells, tmp_path / "d"), tmp_path / "s")
        told = {f.code: f for f in dataset.info(tmp_path / "s" / "test").findings}
        assert told["sides-may-move"].columns == ("k",)
        # A key that is not concerned stays where it is, and so do rows in a split by time.
        for number, key in enumerate((["row"], [])):
            folder = tmp_path / str(number)
            way = {"key_columns": key} if key else {"split_by": "time", "time_column": "row"}
            split(from_csv(cells, folder), folder / "s", **way)
            assert dataset.info(folder / "s" / "test").findings == ()

    def test_another_salt_is_another_split(self) -> None:
        rows = {"k": list(range(200))}
        assert sides(rows, salt="a") != sides(rows, salt="b")

    def test_a_missing_key_is_a_key(self) -> None:
        told = sides({"k": [None, *range(30), None]})
        assert told[0] == told[-1]

    def test_positions_are_even(self) -> None:
        batch = pa.RecordBatch.from_pydict({"k": list(range(20_000))})
        counts = Counter((positions(batch, "") >> 60).tolist())
        assert len(counts) == 16
        assert all(count == pytest.approx(1250, rel=0.15) for count in counts.values())


class TestPositions:
    """What docs/format-dataset.md promises: a program in another language finds the same sides."""

    GOLDEN = (
        ("", [5], "1:5,"),
        ("", [5.0], "1:5,"),
        ("", ["5"], "1:5,"),
        ("s", ["Köln"], "5:Köln,"),
        ("", [None], "-,"),
        ("", ["-"], "1:-,"),
        ("", [True], "4:true,"),
        ("", [-0.5], "4:-0.5,"),
        ("", [1e20], "5:1e+20,"),
        ("", [1e10], "11:10000000000,"),
        ("", [-0.0], "1:0,"),
        ("", [float("inf")], "3:inf,"),
        ("", [123456789012.5], "18:1.234567890125e+11,"),
        ("", [1e-7], "4:1e-7,"),
        ("", [0.000001], "8:0.000001,"),
        ("", [123456.789], "10:123456.789,"),
        ("", [date(2024, 5, 31)], "10:2024-05-31,"),
        (
            "",
            [datetime(2024, 5, 31, 10, tzinfo=UTC).replace(tzinfo=None)],
            "26:2024-05-31 10:00:00.000000,",
        ),
        ("", [datetime(2024, 5, 31, tzinfo=UTC).replace(tzinfo=None)], "10:2024-05-31,"),
        ("", ["TRUE"], "4:true,"),
        ("", ["True story"], "10:True story,"),
    )

    @pytest.mark.parametrize(("salt", "value", "text"), GOLDEN)
    def test_a_position_is_the_hash_of_the_documented_text(
        self, salt: str, value: list[Any], text: str
    ) -> None:
        batch = pa.RecordBatch.from_pydict({"a": value, "b": ["x"]})
        hashed = hashlib.sha256(f"{len(salt)}:{salt},{text}1:x,".encode()).digest()
        assert positions(batch, salt).tolist() == [int.from_bytes(hashed[:8], "big")]

    @given(
        st.lists(
            st.none()
            | st.sampled_from([0.0, -0.0, 0.1, -9999.9999, 10_000.0, 0.1 + 0.2, 1.00005])
            | st.decimals(-(10**4), 10**4, places=4).map(float)
            | st.floats(-(2.0**62), 2.0**62).filter(lambda x: not 0 < abs(x) < 1e-6),
            max_size=30,
        ),
        st.integers(1, 3),
    )
    def test_a_number_is_hashed_by_its_shortest_text_whatever_its_column_holds(
        self, values: list[float | None], times: int
    ) -> None:
        """Few and many decimals, repeated or not, with gaps: each has the text of a single one."""

        def netstring(value: float | None) -> str:
            if value is None:
                return "-,"
            if value == int(value):
                text = str(int(value))
            elif abs(value) < 1e10:
                text = f"{Decimal(repr(value)):f}"
            else:
                mantissa, exponent = f"{Decimal(repr(value)):e}".split("e")
                text = f"{mantissa}e{exponent}"
            return f"{len(text)}:{text},"

        column = pa.array([0.5, *values * times, 2.5], pa.float64()).slice(1, len(values) * times)
        batch = pa.RecordBatch.from_arrays([column], ["a"])
        hashed = [hashlib.sha256(f"0:,{netstring(value)}".encode()) for value in values * times]
        wanted = [int.from_bytes(one.digest()[:8], "big") for one in hashed]
        assert positions(batch, "").tolist() == wanted

    def test_no_two_keys_read_the_same(self) -> None:
        pairs = {("a", "1:b,"), ("a1:b,", ""), ("", "a"), (None, "a"), ("a", None), ("-,", "a")}
        columns = zip(*pairs, strict=True)
        batch = pa.RecordBatch.from_arrays([pa.array(c, pa.string()) for c in columns], ["a", "b"])
        assert len(set(positions(batch, "").tolist())) == len(pairs)
        plain = pa.RecordBatch.from_pydict({"k": ["bc"]})
        longer = pa.RecordBatch.from_pydict({"k": ["c"]})
        assert positions(plain, "a").tolist() != positions(longer, "ab").tolist()


class TestStratified:
    def test_shares_of_adult_are_exact_to_one_row_and_duplicates_stay_together(
        self, adult: Dataset, tmp_path: Path
    ) -> None:
        train, test = split(adult, tmp_path, target="income", stratify=True)
        assert train.merge(test, how="inner").empty
        entities = dataset.read(adult.path).drop_duplicates()["income"].value_counts()
        held_out = test.drop_duplicates()["income"].value_counts()
        for label in ("<=50K", ">50K"):
            assert abs(held_out[label] - 0.25 * entities[label]) < 1

    @given(st.lists(st.sampled_from("aaab"), min_size=8, max_size=60), st.floats(0.1, 0.9))
    def test_no_class_strays_from_its_share_by_one(
        self, labels: list[str], fraction: float
    ) -> None:
        rows = {"k": list(range(len(labels))), "y": labels}
        told = both_sides(
            rows, key_columns=["k"], target="y", stratify=True, test_fraction=fraction
        )
        for label, count in Counter(labels).items():
            held_out = sum(s == "test" for s, y in zip(told, labels, strict=True) if y == label)
            assert abs(held_out - fraction * count) < 1

    @given(st.lists(st.sampled_from("aaab"), min_size=20, max_size=60), st.integers(10, 20))
    def test_no_row_changes_sides_when_rows_are_appended(self, labels: list[str], cut: int) -> None:
        rows = {"k": list(range(len(labels))), "y": labels}
        settings: dict[str, Any] = {"key_columns": ["k"], "target": "y", "stratify": True}
        after = both_sides(rows, **settings)
        before = both_sides({name: values[:cut] for name, values in rows.items()}, **settings)
        assert after[:cut] == before

    def test_an_entity_of_two_classes_stands_on_one_side(self) -> None:
        keys = [i // 2 for i in range(200)]
        told = sides(
            {"k": keys, "y": ["a", "b"] * 100}, key_columns=["k"], target="y", stratify=True
        )
        assert told[::2] == told[1::2]

    def test_a_rare_class_stands_on_both_sides(self) -> None:
        labels = ["common"] * 300 + ["rare"] * 2
        rows = {"k": list(range(302)), "y": labels}
        told = sides(rows, target="y", stratify=True, test_fraction=0.05)
        assert set(told[-2:]) == {"train", "test"}


class TestByTime:
    def test_the_latest_electricity_prices_are_the_test_set(
        self, shared_data: Path, tmp_path: Path
    ) -> None:
        data = Dataset(tmp_path / "d", "sha256:" + "0" * 64)
        data.path.mkdir()
        source = fetch(str(shared_data / "elec.csv"), tmp_path)
        snapshot_data(data=source, dataset=Out[Dataset](data.path))
        train, test = split(
            data, tmp_path / "s", split_by="time", time_column="period", target="class"
        )
        assert train["period"].max() < test["period"].min()
        assert len(test) / 45_312 == pytest.approx(0.25, abs=0.02)

    @given(
        st.lists(st.integers(0, 12), min_size=2, max_size=40).filter(lambda t: len(set(t)) > 1),
        st.floats(0.05, 0.95),
    )
    def test_the_cut_is_between_two_times_and_as_near_as_can_be(
        self, times: list[int], fraction: float
    ) -> None:
        told = both_sides({"t": times}, split_by="time", time_column="t", test_fraction=fraction)
        held_out = {t for t, side in zip(times, told, strict=True) if side == "test"}
        assert max(set(times) - held_out) < min(held_out)
        off = abs(told.count("test") - fraction * len(times))
        possible = [sum(t >= cut for t in times) for cut in sorted(set(times))[1:]]
        assert off == min(abs(count - fraction * len(times)) for count in possible)

    @pytest.mark.parametrize(
        "times",
        [
            [date(2024, 1, day) for day in range(1, 11)],
            [datetime(2024, 1, 1, hour) for hour in range(10)],  # noqa: DTZ001
            [hour / 10 for hour in range(10)],
        ],
    )
    def test_dates_times_and_numbers_can_be_cut(self, times: list[Any]) -> None:
        told = sides({"t": times}, split_by="time", time_column="t", test_fraction=0.3)
        assert told == ["train"] * 7 + ["test"] * 3


class TestRefusals:
    @pytest.fixture
    def data(self, tmp_path: Path) -> Dataset:
        table = pa.table(
            {
                "k": list(range(40)),
                "day": ["2024-05-31"] * 40,
                "gap": [None, *range(39)],
                "same": [1] * 40,
                "y": ["a"] * 39 + ["b"],
            }
        )
        return written(table, tmp_path / "d")

    @pytest.mark.parametrize(
        ("parameters", "told"),
        [
            ({"key_columns": ["kk", "z"]}, "no column 'kk'; did you mean 'k'?; key_columns: no"),
            ({"target": "Y"}, "target: no column 'Y'; did you mean 'y'"),
            ({"split_by": "time"}, "time_column is missing"),
            ({"split_by": "time", "time_column": "dya"}, "did you mean 'day'"),
            ({"split_by": "time", "time_column": "day"}, "'day' is string; give a column of dates"),
            ({"split_by": "time", "time_column": "gap"}, "'gap' has 1 missing values"),
            ({"split_by": "time", "time_column": "same"}, "have the same time, 1"),
            (
                {"split_by": "time", "time_column": "k", "stratify": True},
                "stratify goes with split_by='hash'",
            ),
            (
                {"split_by": "time", "time_column": "k", "key_columns": ["k"]},
                "key_columns goes with split_by='hash'",
            ),
            ({"split_by": "random"}, "split_by: 'random' is not a way to split"),
            ({"time_column": "day"}, "time_column goes with split_by='time'"),
            ({"stratify": True}, "stratify needs the target"),
            ({"test_fraction": 0.0}, "test_fraction is 0.0; give a share between 0 and 1"),
            ({"test_fraction": 1.0}, "test_fraction is 1.0"),
            ({"test_fraction": float("nan")}, "test_fraction is nan"),
            ({"test_fraction": 1e-9}, "the test set has none of the 40 rows"),
            ({"key_columns": ["same"]}, "has none of the 40 rows"),
            ({"target": "y"}, r"class 'b' (1 rows) has none for"),
            ({"target": "y", "stratify": True}, "give more rows of it or remove these"),
        ],
    )
    def test_one_line_says_what_to_do_and_nothing_is_written(
        self, data: Dataset, tmp_path: Path, parameters: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(UsageError) as caught:
            split(data, tmp_path / "s", **parameters)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not list((tmp_path / "s" / "train").iterdir())

    def test_everything_is_told_at_once(self, data: Dataset, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            split(
                data, tmp_path / "s", key_columns=["q"], target="t", split_by="x", test_fraction=2
            )
        told = str(caught.value)
        assert told.count(";") >= 4
        assert all(text in told for text in ("'q'", "'t'", "split_by: 'x'", "test_fraction is 2"))

    def test_a_number_to_predict_has_no_classes(self, tmp_path: Path) -> None:
        amounts = written(
            pa.table({"k": list(range(40)), "y": list(range(40))}), tmp_path / "amounts"
        )
        train, test = split(amounts, tmp_path / "s", target="y")
        assert set(train["y"]).isdisjoint(test["y"])


def test_appending_rows_reuses_the_full_parts_of_both_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pa.table({"k": list(range(3000))})
    digests = []
    monkeypatch.setattr(dataset, "Writer", functools.partial(dataset.Writer, rows_per_part=200))
    for name, count in (("before", 2000), ("after", 3000)):
        data = written(rows.slice(0, count), tmp_path / name)
        split(data, tmp_path / f"{name}-sides")
        parts = sorted((tmp_path / f"{name}-sides").glob("*/part-*.parquet"))
        digests.append(
            {f"{path.parent.name}/{path.name}": of_bytes(path.read_bytes()) for path in parts}
        )
    kept = {name for name, digest in digests[0].items() if digests[1].get(name) == digest}
    assert len(digests[0]) - len(kept) <= 2
    assert len(kept) >= 7


@pytest.mark.parametrize(
    ("parameters", "columns"),
    [
        ({}, ["k,v,t"]),
        ({"key_columns": ["k"], "target": "v"}, ["k,v,t"]),
        ({"stratify": True, "target": "v", "key_columns": ["k"]}, ["k,v", "k,v,t"]),
        ({"split_by": "time", "time_column": "t"}, ["t", "k,v,t"]),
    ],
)
def test_each_part_is_read_once_and_the_columns_that_decide_once_more_at_most(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parameters: dict[str, Any],
    columns: list[str],
) -> None:
    count = 1000
    rows = pa.table(
        {"k": list(range(count)), "v": ["a", "b"] * (count // 2), "t": list(range(count))}
    )
    folder = tmp_path / "d"
    folder.mkdir()
    dataset.write(rows.to_batches(), rows.schema, folder, rows_per_part=300)
    read: list[tuple[int, str]] = []
    batches = pq.ParquetFile.iter_batches

    def counted(file: pq.ParquetFile, size: int, columns: list[str]) -> Any:
        read.append((file.metadata.num_rows, ",".join(columns)))
        return batches(file, size, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    train, test = (Out[Dataset](tmp_path / name) for name in ("train", "test"))
    train.path.mkdir()
    test.path.mkdir()
    split_data(data=Dataset(folder, "sha256:" + "0" * 64), train=train, test=test, **parameters)
    assert read == [(part, names) for names in columns for part in (300, 300, 300, 100)]
