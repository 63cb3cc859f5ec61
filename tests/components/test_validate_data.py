"""validate_data: judged on real data, and fails closed where its libraries do not."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay import data as dataset
from assay.components.snapshot_data.step import snapshot_data
from assay.components.validate_data import drift, gx
from assay.components.validate_data.judge import Settings, validate
from assay.components.validate_data.step import validate_data
from assay.core.source import fetch
from assay.core.step import Dataset, Out, Suite, Validation
from assay.data import columns as by_column
from assay.data.suite import draft
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument

IN_SET = "expect_column_values_to_be_in_set"
BETWEEN = "expect_column_values_to_be_between"
DATA, REFERENCE, SUITE = ("sha256:" + digit * 64 for digit in "abc")
LABELS = "{'<=50K', '>50K'}"

Judged = tuple[dict[str, Any], Path]


def table(folder: Path, columns: Any, digest: str = DATA) -> Dataset:
    content = pa.table(columns)
    path = folder / uuid.uuid4().hex
    path.mkdir()
    dataset.write(content.to_batches(), content.schema, path)
    return Dataset(path, digest)


def suite(folder: Path, *items: tuple[str, dict[str, Any]]) -> Suite:
    path = folder / uuid.uuid4().hex
    path.mkdir()
    found = [{"type": kind, "kwargs": kwargs} for kind, kwargs in items]
    (path / "suite.json").write_text(json.dumps({"name": "s", "expectations": found}))
    return Suite(path, SUITE)


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., Judged]:
    def run(data: Dataset, **arguments: Any) -> Judged:
        out = Out[Validation](tmp_path / uuid.uuid4().hex)
        out.path.mkdir()
        values = validate_data(data=data, validation=out, **arguments)
        assert values is not None
        evidence = EvidenceDocument.read(out.path)
        assert (values["verdict"], values["reason"]) == (evidence.verdict, evidence.reason)
        assert out.annotations == {"verdict": values["verdict"]}
        assert "\n" not in str(values["reason"])
        assert (values["verdict"] == "pass") == (values["reason"] == "")
        return dict(values), out.path

    return run


@pytest.fixture(scope="session")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Dataset]:
    """A real table as a dataset, or some of its rows."""
    folder = tmp_path_factory.mktemp("real")

    def make(name: str, rows: Any = None, digest: str = DATA) -> Dataset:
        source = shared_data / name
        if rows is not None:
            header, *lines = source.read_text().splitlines(keepends=True)
            source = folder / f"{uuid.uuid4().hex}.csv"
            source.write_text(header + "".join(np.array(lines, dtype=object)[rows]))
        path = folder / uuid.uuid4().hex
        path.mkdir()
        bound = snapshot_data.bind_parameters({})
        snapshot_data(data=fetch(str(source), folder), dataset=Out(path), **bound)
        return Dataset(path, digest)

    return make


@pytest.fixture(scope="session")
def adult_suite(adult: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    path = tmp_path_factory.mktemp("suite")
    (path / "suite.json").write_text(json.dumps(draft(adult.path, "income")))
    return Suite(path, SUITE)


def numbers(folder: Path) -> dict[str, float | None]:
    return dict(EvidenceDocument.read(folder).values)


def result_of(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_bytes())


# Real data.


def test_adult_passes_the_suite_that_was_drafted_from_it(
    judge: Any, adult: Dataset, adult_suite: Suite
) -> None:
    values, folder = judge(adult, suite=adult_suite, target="income")
    assert values["verdict"] == "pass"
    assert values["failed_expectations"] == 0
    evidence = numbers(folder)
    assert EvidenceDocument.read(folder).subjects == {"data": adult.digest}
    assert evidence["rows"] == 32_561
    assert evidence["expectations"] == 47
    assert "drifted_columns_share" not in evidence, "no number where nothing was looked at"
    assert [item["success"] for item in result_of(folder)["expectations"]] == [True] * 47


def test_each_column_is_read_once_for_structure_and_expectations(
    monkeypatch: pytest.MonkeyPatch, adult: Dataset, adult_suite: Suite
) -> None:
    read: list[str] = []
    together: list[int] = []
    sound = by_column.iter_batches

    def counted(folder: Path, names: list[str], *more: Any, **named: Any) -> Any:
        read.extend(names)
        together.append(len(names))
        return sound(folder, names, *more, **named)

    monkeypatch.setattr(by_column, "iter_batches", counted)
    monkeypatch.setattr(by_column, "GROUP_CELLS", 100_000)
    found = validate(adult, adult_suite, None, Settings("income", 0.5, 0.1))
    assert found.evidence.verdict == "pass"
    assert read == list(dataset.info(adult.path).names)
    assert max(together) == 3, "the table is never in memory as a whole"


def test_labels_with_a_dot_are_rejected_and_named(
    judge: Any, real: Any, adult_suite: Suite
) -> None:
    values, folder = judge(real("adult-test.csv"), suite=adult_suite, target="income")
    assert values["verdict"] == "block"
    assert values["failed_expectations"] == 1
    assert values["reason"] == (
        f"income: 16281 of 16281 values outside {LABELS}, "
        f"e.g. '<=50K.' in row 2, '>50K.' in row 4 ({IN_SET})"
    )
    assert numbers(folder)["failed_expectations"] == 1
    report = (folder / "report.html").read_text()
    assert report.index("Failed expectations") < report.index("All expectations")
    assert "The 2 labels of the target, to the letter." in report
    assert "&lt;=50K." in report
    assert "16281 of 16281 values outside" in (folder / "summary.md").read_text()


def test_electricity_drifts_over_time(judge: Any, real: Any) -> None:
    half = 45_312 // 2
    later = real("elec.csv", slice(half, None))
    earlier = real("elec.csv", slice(half), REFERENCE)
    values, folder = judge(later, reference=earlier, target="class")
    assert values["verdict"] == "block"
    assert values["drifted_columns_share"] == pytest.approx(4 / 7)
    assert values["reason"].startswith(
        "4 of 7 columns drifted from the reference; allowed below 50%: "
    )
    for column in ("nswprice", "vicprice", "vicdemand", "transfer"):
        assert f"{column} (" in values["reason"]
    subjects = EvidenceDocument.read(folder).subjects
    assert subjects == {"data": DATA, "reference": REFERENCE}
    scores = numbers(folder)
    assert (scores['drift_score{column="vicprice"}'] or 0) > 1
    assert (scores['drift_score{column="class"}'] or 1) < 0.02
    report = (folder / "report.html").read_text()
    assert report.count("<figure>") == 4
    assert "all 22,656 rows of the data with all 22,656 rows of the reference" in report
    assert len(report) < 200_000


@pytest.mark.parametrize("rows", [22_656, 900], ids=["distances", "p_values"])
def test_random_halves_do_not_drift(judge: Any, real: Any, rows: int) -> None:
    order = np.random.default_rng(0).permutation(45_312)
    current = real("elec.csv", np.sort(order[:rows]))
    reference = real("elec.csv", np.sort(order[-rows:]))
    values, folder = judge(current, reference=reference)
    assert values["verdict"] == "pass"
    assert values["drifted_columns_share"] == 0
    methods = {column["method"] for column in result_of(folder)["drift"]["columns"]}
    assert any("p_value" in method for method in methods) == (rows <= 1000)


def test_the_same_bytes_in_another_process_and_folder(
    judge: Any, tmp_path: Path, adult: Dataset, adult_suite: Suite, real: Any
) -> None:
    # Great Expectations, texts, numbers and figures all take part.
    data = real("adult-test.csv")
    arguments = {"suite": adult_suite, "reference": adult}
    values, here = judge(data, target="income", **arguments)
    assert values["failed_expectations"] == 1
    there = tmp_path / "there"
    there.mkdir()
    code = """
import sys
from pathlib import Path
from assay.components.validate_data.step import validate_data
from assay.core.step import Dataset, Out, Suite
data, suite, reference, out, *digests = sys.argv[1:]
validate_data(
    data=Dataset(Path(data), digests[0]), suite=Suite(Path(suite), digests[1]),
    reference=Dataset(Path(reference), digests[2]), target="income",
    validation=Out(Path(out)),
)
"""
    paths = [data.path, adult_suite.path, adult.path, there]
    digests = [data.digest, adult_suite.digest, adult.digest]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths), *digests],
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        cwd=there,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "no bars, no warnings"
    names = sorted(path.name for path in here.iterdir())
    assert names == ["evidence.json", "report.html", "result.json", "summary.md"]
    assert names == sorted(path.name for path in there.iterdir())
    for name in names:
        assert (here / name).read_bytes() == (there / name).read_bytes(), name


def test_without_suite_and_reference_nothing_heavy_is_imported(tmp_path: Path) -> None:
    data = table(tmp_path, {"a": [1, 2, 3]})
    (tmp_path / "out").mkdir()
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from assay.components.validate_data.step import validate_data\n"
        "from assay.core.step import Dataset, Out\n"
        "light = 'pandas' not in sys.modules\n"
        f"validate_data(data=Dataset(Path({str(data.path)!r}), {DATA!r}),"
        f" validation=Out(Path({str(tmp_path / 'out')!r})))\n"
        "heavy = {'great_expectations', 'evidently', 'matplotlib', 'sklearn'}\n"
        "sys.exit(None if light and not heavy & set(sys.modules) else 'imported')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Structure.


def test_without_a_suite_the_report_says_so(judge: Any, tmp_path: Path) -> None:
    values, folder = judge(table(tmp_path, {"a": [1, 2, 2], "b": ["x", "x", "x"]}))
    assert values["verdict"] == "pass"
    evidence = numbers(folder)
    assert evidence["duplicate_rows_share"] == pytest.approx(1 / 3)
    assert "expectations" not in evidence
    for name in ("report.html", "summary.md"):
        text = (folder / name).read_text()
        assert "No suite was given" in text
        assert "No reference was given" in text
    found = {item["text"]: item["blocks"] for item in result_of(folder)["structure"]}
    assert found == {
        "column 'b' has one value only": False,
        "1 rows (33.33%) repeat an earlier one": False,
    }


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"y": [1]}, "the table has 1 row; give at least 2"),
        ({"x": [1, 2]}, "target 'y' is no column"),
        ({"y": [1, None, 2]}, "target 'y' is missing in 1 of 3 rows"),
        ({"y": ["a", "a"]}, "target 'y' has one value only"),
        ({"y": [1, 2], "x": pa.array([None, None], pa.string())}, "column 'x' has no value at all"),
        ({"y": [1.0, float("inf")]}, "column 'y' is infinite in 1 of 2 rows"),
    ],
)
def test_structure_that_blocks(judge: Any, tmp_path: Path, columns: Any, reason: str) -> None:
    values, _ = judge(table(tmp_path, columns), target="y")
    assert values["verdict"] == "block"
    assert reason in values["reason"]


def test_text_from_the_data_stays_text(judge: Any, tmp_path: Path) -> None:
    name = "<script>alert(1)</script>|\n$x"
    data = table(tmp_path, {name: ["<i>1</i>", "<i>1</i>"] * 100})
    expected = (IN_SET, {"column": name, "value_set": ["a\nb"]})
    reference = table(tmp_path, {name: ["$y", "z"] * 100})
    _, folder = judge(data, suite=suite(tmp_path, expected), reference=reference, drift_share=0.1)
    report = (folder / "report.html").read_text()
    assert "<script" not in report
    assert "<i>1" not in report
    assert "&lt;i&gt;1" in report
    summary = (folder / "summary.md").read_text()
    assert "<script" not in summary


# Expectations that Great Expectations would let through.


def test_every_failed_expectation_is_named_with_what_was_seen(judge: Any, tmp_path: Path) -> None:
    data = table(tmp_path, {"n": [1, 2, 30, None], "s": ["a", "b, c", "a", "a"]})
    given = [
        ("expect_column_values_to_not_be_null", {"column": "n"}),
        (BETWEEN, {"column": "n", "max_value": 20, "mostly": 0.9}),
        ("expect_column_mean_to_be_between", {"column": "n", "min_value": 20, "max_value": 21}),
        ("expect_column_values_to_be_unique", {"column": "s"}),
        ("expect_column_values_to_be_of_type", {"column": "n", "type_": "int64"}),
        ("expect_column_distinct_values_to_be_in_set", {"column": "s", "value_set": ["a"]}),
        ("expect_column_distinct_values_to_contain_set", {"column": "s", "value_set": ["z"]}),
        ("expect_column_to_exist", {"column": "gone"}),
        ("expect_column_values_to_be_in_set", {"column": "gone", "value_set": [1]}),
        ("expect_table_columns_to_match_set", {"column_set": ["n", "t"]}),
        ("expect_table_columns_to_match_ordered_list", {"column_list": ["s", "n", "o"]}),
        ("expect_column_values_to_not_match_regex", {"column": "s", "regex": "^b"}),
        ("expect_table_row_count_to_equal", {"value": 5}),
    ]
    values, folder = judge(data, suite=suite(tmp_path, *given))
    assert values["reason"].split("; ") == [
        "n: 1 of 4 values missing, e.g. row 5 (expect_column_values_to_not_be_null)",
        (
            "n: 1 of 3 values above 20 (at least 0.9 of all must be right), "
            f"e.g. 30 in row 4 ({BETWEEN})"
        ),
        "n, mean: observed 11, expected 20 to 21 (expect_column_mean_to_be_between)",
        "s: 3 of 4 values repeated, e.g. 'a' in row 2 (expect_column_values_to_be_unique)",
        "n: observed 'float64', expected 'int64' (expect_column_values_to_be_of_type)",
        "s: unexpected 'b, c' (expect_column_distinct_values_to_be_in_set)",
        "s: no 'z' (expect_column_distinct_values_to_contain_set)",
        "gone: there is no such column (expect_column_to_exist)",
        f"gone: could not be judged: there is no column 'gone' ({IN_SET})",
        "columns missing 't' and unexpected 's' (expect_table_columns_to_match_set)",
        (
            "column 1 is 'n' instead of 's', column 2 is 's' instead of 'n', "
            "column 3, 'o', is missing (expect_table_columns_to_match_ordered_list)"
        ),
        (
            "s: 1 of 4 values matching '^b', e.g. 'b, c' in row 3 "
            "(expect_column_values_to_not_match_regex)"
        ),
        "row count: observed 4, expected 5 (expect_table_row_count_to_equal)",
    ]
    assert values["reasons"] == values["reason"].split("; ")
    summary = (folder / "summary.md").read_text().replace("\\", "")
    for kind, _ in given:
        assert kind in summary


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        (BETWEEN, {"column": "s", "min_value": 1}),
        ("expect_column_mean_to_be_between", {"column": "s", "min_value": 1}),
        (BETWEEN, {"column": "t", "min_value": 5}),
        ("expect_column_max_to_be_between", {"column": "t", "min_value": 5}),
        # Great Expectations itself crashes over this one, and takes the others with it.
        (
            "expect_column_kl_divergence_to_be_less_than",
            {"column": "s", "partition_object": {"bins": [0, 1], "weights": [1]}, "threshold": 1},
        ),
    ],
)
def test_an_expectation_that_raises_has_failed(
    judge: Any, tmp_path: Path, kind: str, kwargs: Any
) -> None:
    times = pa.array([0, 1, 2], pa.timestamp("us"))
    data = table(tmp_path, {"s": ["a", "b", "c"], "t": times, "n": [1, 2, 3]})
    sound = (BETWEEN, {"column": "n", "min_value": 0})
    values, folder = judge(data, suite=suite(tmp_path, sound, (kind, kwargs), sound))
    assert values["verdict"] == "block"
    assert f"{kwargs['column']}: could not be judged: " in values["reason"]
    assert [item["success"] for item in result_of(folder)["expectations"]] == [True, False, True]


def test_success_over_no_value_is_no_success(judge: Any, tmp_path: Path) -> None:
    data = table(tmp_path, {"a": [None, 1, 2], "b": [1, None, None]})
    equal = (
        "expect_column_pair_values_to_be_equal",
        {"column_A": "a", "column_B": "b", "ignore_row_if": "either_value_is_missing"},
    )
    values, _ = judge(data, suite=suite(tmp_path, equal))
    assert values["verdict"] == "block"
    assert "a, b: could not be judged: there was no value to look at" in values["reason"]


@pytest.mark.parametrize("tamper", ["drop", "twice", "truthy", "other"])
def test_results_must_be_those_of_the_suite(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tamper: str
) -> None:
    # As if Great Expectations had left one out, or answered something else.
    sound = gx._validate

    def tampered(batch: Any, some: Any) -> Any:
        found = list(sound(batch, some))
        place = found[-1]["expectation_config"]["meta"]
        if tamper == "truthy":
            found[-1]["success"] = "True"
        elif tamper == "other":
            place[next(iter(place))] = 99
        else:
            found[-1:] = [] if tamper == "drop" else [found[-1]] * 2
        return found

    monkeypatch.setattr(gx, "_validate", tampered)
    data = table(tmp_path, {"n": [1, 2, 3]})
    # One that is left to Great Expectations.
    weights = {"values": [1, 2, 3], "weights": [0.3, 0.3, 0.4]}
    divergence = {"column": "n", "partition_object": weights, "threshold": 1}
    given = suite(tmp_path, *[("expect_column_kl_divergence_to_be_less_than", divergence)] * 2)
    found = validate(data, given, None, Settings("", 0.5, 0.1))
    assert found.evidence.verdict == "block"
    assert found.evidence.values["failed_expectations"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "suite: it holds no suite.json"),
        (b"{}", "suite.json: not a suite"),
        (b'{"expectations": []}', "suite.json: not a suite"),
        (b" " * ((4 << 20) + 1), "suite.json: 4,194,305 bytes, the limit is 4,194,304"),
        (
            b'{"expectations": [{"type": "my_checks.plugins.RunAnything", "kwargs": {}}]}',
            "unknown type 'my_checks.plugins.RunAnything'",
        ),
        (
            (
                b'{"expectations": [{"type": "expect_column_values_to_be_between",'
                b' "kwargs": {"column": "a", "min_value": "x"}}]}'
            ),
            "expectation 1: expect_column_values_to_be_between: 'min_value' is 'x'; give a number",
        ),
    ],
    ids=["missing", "empty", "no_expectations", "huge", "class_path", "wrong_argument"],
)
def test_a_hostile_suite_is_refused(judge: Any, tmp_path: Path, text: Any, message: str) -> None:
    (tmp_path / "s").mkdir()
    if text is not None:
        (tmp_path / "s" / "suite.json").write_bytes(text)
    with pytest.raises(UsageError) as caught:
        judge(table(tmp_path, {"a": [1, 2]}), suite=Suite(tmp_path / "s", SUITE))
    assert message in str(caught.value)


# Drift.


def columns(count: int, **others: Any) -> dict[str, Any]:
    return {"n": [float(number % 50) for number in range(count)], **others}


def test_too_few_rows_are_inconclusive(judge: Any, tmp_path: Path) -> None:
    small, large = table(tmp_path, columns(99)), table(tmp_path, columns(500))
    for data, reference in ((small, large), (large, small)):
        values, folder = judge(data, reference=reference)
        assert values["verdict"] == "inconclusive"
        assert "too few to tell drift; give at least 100 of each" in values["reason"]
        assert "drifted_columns_share" not in numbers(folder)
    values, _ = judge(large, reference=large)
    assert values["verdict"] == "pass"


def test_a_changed_schema_blocks(judge: Any, tmp_path: Path) -> None:
    reference = table(tmp_path, columns(200, kept=[1, 2] * 100, gone=[1] * 200, typed=[1, 2] * 100))
    data = table(tmp_path, columns(200, kept=[1, 2] * 100, new=[1] * 200, typed=["1", "2"] * 100))
    values, folder = judge(data, reference=reference)
    assert values["verdict"] == "block"
    assert values["reason"].split("; ") == [
        "column 'gone' of the reference is missing",
        "column 'new' is not in the reference",
        "column 'typed' is string, and int64 in the reference",
    ]
    compared = [column["name"] for column in result_of(folder)["drift"]["columns"]]
    assert compared == ["n", "kept"]
    # Also when there are too few rows to say anything of drift.
    few = table(tmp_path, {"n": [1.0, 2.0]})
    assert judge(few, reference=reference)[0]["verdict"] == "block"


def test_a_column_without_a_score_has_drifted(
    judge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inf = [float("inf")] * 200
    reference = table(tmp_path, columns(200, i=inf, e=pa.array([None] * 200, pa.int64())))
    data = table(tmp_path, columns(200, i=[1.0, 2.0] * 100, e=[1, 2] * 100))
    values, folder = judge(data, reference=reference)
    assert values["verdict"] == "block"
    assert "2 of 3 columns drifted" in values["reason"]
    name = 'drift_score{column="i"}'
    assert numbers(folder)[name] is None
    assert EvidenceDocument.read(folder).notes[name] == "no value on one side"

    def nan(*_: Any, **__: Any) -> Any:
        return "K-S p_value", float("nan")

    sound = table(tmp_path, columns(200))
    monkeypatch.setattr(drift, "_measure", nan)
    values, folder = judge(sound, reference=sound)
    assert (values["verdict"], values["drifted_columns_share"]) == ("block", 1)
    assert EvidenceDocument.read(folder).notes == {'drift_score{column="n"}': "K-S p_value"}


def test_what_differs_by_nature_is_not_compared(judge: Any, tmp_path: Path) -> None:
    def rows(start: int) -> Any:
        keys = [f"k{number}" for number in range(start, start + 200)]
        return columns(200, key=keys, at=pa.array(range(start, start + 200), pa.timestamp("us")))

    values, folder = judge(table(tmp_path, rows(10_000)), reference=table(tmp_path, rows(0)))
    assert values["verdict"] == "pass"
    assert set(result_of(folder)["drift"]["left_out"]) == {"key", "at"}
    assert "dates and times move on by nature" in (folder / "report.html").read_text()
    only = {"at": rows(0)["at"]}
    values, folder = judge(table(tmp_path, only), reference=table(tmp_path, only))
    assert values["verdict"] == "inconclusive"
    assert numbers(folder)["drifted_columns_share"] is None


def test_texts_and_flags_drift_too(judge: Any, tmp_path: Path) -> None:
    before = {"s": ["a", "b", "c", None] * 50, "f": [True, False] * 100}
    after = {"s": ["a", None, None, None] * 50, "f": [True] * 200}
    values, folder = judge(table(tmp_path, after), reference=table(tmp_path, before))
    assert values["drifted_columns_share"] == 1
    (text, _) = result_of(folder)["drift"]["columns"]
    assert text["missing"] == [0.25, 0.75]
    values, _ = judge(table(tmp_path, before), reference=table(tmp_path, before))
    assert values["verdict"] == "pass"


def test_the_limit_itself_rejects(judge: Any, tmp_path: Path) -> None:
    # One of three: a share that has no exact decimal form.
    same = {"a": [1, 2] * 100, "b": [1, 2] * 100}
    data = table(tmp_path, {**same, "c": [9, 8] * 100})
    reference = table(tmp_path, {**same, "c": [1, 2] * 100})
    assert judge(data, reference=reference, drift_share=1 / 3)[0]["verdict"] == "block"
    assert judge(data, reference=reference, drift_share=0.34)[0]["verdict"] == "pass"


def test_the_threshold_is_of_distances(judge: Any, tmp_path: Path) -> None:
    data = table(tmp_path, {"n": [float(number % 100) + 20 for number in range(2000)]})
    reference = table(tmp_path, {"n": [float(number % 100) for number in range(2000)]})
    # The mean moved by 20, and the standard deviation is 28.9.
    values, folder = judge(data, reference=reference, drift_threshold=0.8)
    assert values["verdict"] == "pass"
    (column,) = result_of(folder)["drift"]["columns"]
    assert column["score"] == pytest.approx(20 / 28.87, rel=1e-3)
    assert judge(data, reference=reference, drift_threshold=0.6)[0]["verdict"] == "block"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("drift_share", 0),
        ("drift_share", 1.1),
        ("drift_share", float("nan")),
        ("drift_threshold", 0),
        ("drift_threshold", float("inf")),
    ],
)
def test_thresholds_that_cannot_be(
    judge: Any, tmp_path: Path, parameter: str, value: float
) -> None:
    with pytest.raises(UsageError, match=f"{parameter} is"):
        judge(table(tmp_path, {"a": [1, 2]}), **{parameter: value})


def test_thresholds_are_told_all_at_once(judge: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"drift_share is 0;.*drift_threshold is -1;"):
        judge(table(tmp_path, {"a": [1, 2]}), drift_share=0, drift_threshold=-1)
