"""import_artifact and export_artifact: what goes out and comes back, and what is refused."""

import shutil
import string
import warnings
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import composite

from assay import data as dataset
from assay.components.export_artifact.step import export_artifact
from assay.components.import_artifact import task
from assay.components.import_artifact.step import import_artifact
from assay.components.snapshot_data.step import snapshot_data
from assay.components.train.step import train
from assay.core.attestation import about
from assay.core.execution import Context, execute
from assay.core.provenance import verify
from assay.core.step import Dataset, Out, Record, Values, step
from assay.core.store import Store, open_store
from assay.core.tree import get_manifest, get_tree, put_tree
from assay.errors import AssayError, DataError, IntegrityError, UsageError
from assay.runtime import kfp
from assay.runtime.foreign import FILE, Foreign, keep

FEW_ROWS = 400


def place(path: Path) -> Any:
    """What KFP gives for an output artifact."""
    return SimpleNamespace(path=str(path), metadata={})


def export(store: Store, digest: str, folder: Path, file_format: str = "parquet") -> Any:
    """Export as the component does; returns both places."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_STORE", Path(store._root).as_uri())  # type: ignore[attr-defined]
        places = SimpleNamespace(dataset=place(folder / "dataset"), model=place(folder / "model"))
        export_artifact(
            artifact=digest, file_format=file_format, dataset=places.dataset, model=places.model
        )
    return places


def bring(path: Path, context: Context, **parameters: Any) -> Any:
    """Import as the component does."""
    digest = keep(path, context)
    return execute(import_artifact, {"artifact": digest, **parameters}, context)


def stored(table: pa.Table, store: Store, folder: Path, rows_per_part: int = 100_000) -> str:
    folder.mkdir(parents=True)
    dataset.write(table.to_batches(), table.schema, folder, rows_per_part=rows_per_part)
    return put_tree(store, folder, Dataset.type, {}).digest


@pytest.fixture
def adult_csv(shared_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "adult.csv"
    lines = (shared_data / "adult-train.csv").read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: FEW_ROWS + 1]))
    return path


class TestTables:
    @pytest.mark.parametrize("file_format", ["parquet", "csv"])
    def test_real_data_goes_out_and_comes_back_under_its_name(
        self, adult_csv: Path, tmp_path: Path, context: Context, file_format: str
    ) -> None:
        ours = execute(snapshot_data, {"data": str(adult_csv)}, context).outputs["dataset"]
        out = export(context.store, ours, tmp_path / "kfp", file_format).dataset
        assert out.metadata["digest"] == ours
        assert out.metadata["rows"] == FEW_ROWS
        read = pd.read_csv if file_format == "csv" else pd.read_parquet
        assert list(read(out.path).columns)[-1] == "income"
        assert len(read(out.path)) == FEW_ROWS
        back = bring(Path(out.path), context, target="income")
        assert back.outputs == {"dataset": ours, "model": ""}

    def test_a_foreign_table_has_the_digest_of_its_snapshot(
        self, adult_csv: Path, context: Context
    ) -> None:
        imported = bring(adult_csv, context).outputs["dataset"]
        again = execute(snapshot_data, {"data": str(adult_csv)}, context).outputs["dataset"]
        assert imported == again

    def test_the_record_of_an_import_outlives_what_kfp_keeps(
        self, adult_csv: Path, context: Context
    ) -> None:
        imported = bring(adult_csv, context).outputs["dataset"]
        adult_csv.unlink()
        verify(context.store, imported, None)
        (record,) = about(context.store, imported, None)
        kept = get_manifest(context.store, str(record.inputs["artifact"]))
        assert kept.artifact_type == Foreign.type
        (received,) = about(context.store, kept.digest, None)
        assert received.parameters["path"] == str(adult_csv)

    def test_the_second_time_the_cache_answers(self, adult_csv: Path, context: Context) -> None:
        first = bring(adult_csv, context)
        shutil.copy(adult_csv, adult_csv.with_name("other-name"))
        second = bring(adult_csv.with_name("other-name"), context)
        assert (first.cached, second.cached) == (False, True)
        assert second.outputs == first.outputs

    def test_a_folder_of_parquet_files_as_spark_writes_it(
        self, tmp_path: Path, context: Context
    ) -> None:
        folder = tmp_path / "spark"
        folder.mkdir()
        table = pa.table({"n": pa.array(range(100), pa.int32()), "s": ["x"] * 100})
        pq.write_table(table.slice(0, 60), folder / "part-00000-c000.snappy.parquet")
        pq.write_table(table.slice(60), folder / "part-00001-c000.snappy.parquet")
        (folder / "_SUCCESS").touch()
        (folder / ".part-00000.crc").write_bytes(b"1")
        whole = tmp_path / "whole.parquet"
        pq.write_table(table, whole)
        assert bring(folder, context).outputs == bring(whole, context).outputs

    def test_files_whose_numbers_are_not_in_order_of_name_are_told(
        self, tmp_path: Path, context: Context
    ) -> None:
        for names, told in ((["part-2", "part-10"], True), (["part-02", "part-10"], False)):
            folder = tmp_path / names[0]
            folder.mkdir()
            for name in names:
                pq.write_table(pa.table({"part": [name]}), folder / f"{name}.parquet")
            done = bring(folder, context)
            said = "'part-10.parquet' before 'part-2.parquet'; if the order of rows matters"
            assert (said in str(done.values)) == told

    def test_times_with_a_zone_in_some_files_only_are_refused(
        self, tmp_path: Path, context: Context
    ) -> None:
        """Some would be moved to UTC, and others stay as they are, in one column."""
        noon = datetime(2024, 5, 31, 12)  # noqa: DTZ001 - the zone is the column's
        folder = tmp_path / "times"
        folder.mkdir()
        for number, zone in enumerate(["UTC", "Europe/Berlin"]):
            table = pa.table({"t": pa.array([noon], pa.timestamp("us", zone))})
            pq.write_table(table, folder / f"part-{number}.parquet")
        bring(folder, context)
        pq.write_table(pa.table({"t": [noon]}), folder / "part-2.parquet")
        with pytest.raises(DataError, match=r"part-2\.parquet: other columns or types"):
            bring(folder, context)

    def test_a_folder_with_something_else_named_parquet_is_refused(
        self, tmp_path: Path, context: Context
    ) -> None:
        folder = tmp_path / "named"
        folder.mkdir()
        pq.write_table(pa.table({"x": [1]}), folder / "a.parquet")
        (folder / "b.parquet").write_text("x\n1\n")
        with pytest.raises(DataError, match=r"b\.parquet: no Parquet, whatever the name says"):
            bring(folder, context)

    def test_the_parts_of_a_dataset_are_a_parameter(self, tmp_path: Path, context: Context) -> None:
        table = pa.table({"n": list(range(10))})
        ours = stored(table, context.store, tmp_path / "d", rows_per_part=3)
        out = Path(export(context.store, ours, tmp_path / "kfp").dataset.path)
        assert bring(out, context, rows_per_part=3).outputs["dataset"] == ours
        assert bring(out, context).outputs["dataset"] != ours

    def test_damage_is_found_on_the_way_out(self, tmp_path: Path, context: Context) -> None:
        ours = stored(pa.table({"n": [1, 2]}), context.store, tmp_path / "d")
        part = next(f for f in get_manifest(context.store, ours).files if "part" in f.path)
        digits = part.blob.digest.removeprefix("sha256:")
        blob = next(Path(context.store._root).rglob(digits))  # type: ignore[attr-defined]
        blob.chmod(0o644)
        blob.write_bytes(blob.read_bytes()[:-1] + b"!")
        with pytest.raises(IntegrityError, match=part.blob.digest):
            export(context.store, ours, tmp_path / "kfp")
        assert not (tmp_path / "kfp" / "dataset").exists()


TEXT = st.text(string.ascii_letters + "äß,;\"'\n 0123456789", max_size=8)
CELLS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "whole": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "number": (pa.float64(), st.floats(allow_nan=False)),
    "truth": (pa.bool_(), st.booleans()),
    "text": (pa.string(), TEXT),
    "day": (pa.date32(), st.dates(date(1, 1, 1), date(9999, 12, 31))),
    "time": (pa.timestamp("us"), st.datetimes(datetime(1677, 9, 22), datetime(2262, 4, 11))),  # noqa: DTZ001 - datasets have no zones
}


@composite
def tables(draw: st.DrawFn) -> pa.Table:
    names = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, unique=True))
    rows = draw(st.integers(1, 12))
    columns = {
        name: pa.array(
            draw(st.lists(st.none() | CELLS[name][1], min_size=rows, max_size=rows)),
            CELLS[name][0],
        )
        for name in names
    }
    return pa.table(columns)


class TestLaws:
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(table=tables(), rows_per_part=st.integers(1, 5))
    def test_through_parquet_every_table_comes_back_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, table: pa.Table, rows_per_part: int
    ) -> None:
        folder = tmp_path_factory.mktemp("law")
        context = Context(open_store((folder / "store").as_uri()))
        ours = stored(table, context.store, folder / "d", rows_per_part)
        out = Path(export(context.store, ours, folder / "kfp").dataset.path)
        back = bring(out, context, rows_per_part=rows_per_part).outputs["dataset"]
        found = [get_manifest(context.store, digest).files for digest in (ours, back)]
        parts = [[file for file in files if "part" in file.path] for files in found]
        assert parts[0] == parts[1]
        # Only what a person should know of a text, such as an empty one, may come to it.
        once = Path(export(context.store, back, folder / "once").dataset.path)
        assert bring(once, context, rows_per_part=rows_per_part).outputs["dataset"] == back

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(table=tables())
    def test_through_csv_what_a_csv_gave_comes_back_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, table: pa.Table
    ) -> None:
        folder = tmp_path_factory.mktemp("law")
        context = Context(open_store((folder / "store").as_uri()))
        table = table.append_column("row", pa.array(range(table.num_rows)))
        ours = stored(table, context.store, folder / "d")
        once = export(context.store, ours, folder / "once", "csv").dataset.path
        first = bring(Path(once), context).outputs["dataset"]
        twice = export(context.store, first, folder / "twice", "csv").dataset.path
        again = bring(Path(twice), context).outputs["dataset"]
        # The one exception that is left: fractions which are all whole numbers.
        assert again == first or "1.0" in _fractions(context.store, first, folder / "look")

    @pytest.mark.parametrize(
        ("column", "found"),
        [
            (pa.array(["", "x"]), [None, "x"]),
            (pa.array([1.0, 2.0]), [1, 2]),
            (pa.array(["1", "2"]), [1, 2]),
            (pa.array(["NA", "x"]), [None, "x"]),
        ],
    )
    def test_what_a_csv_cannot_say_is_as_documented(
        self, tmp_path: Path, context: Context, column: pa.Array, found: list[object]
    ) -> None:
        table = pa.table({"c": column, "row": [1, 2]})
        ours = stored(table, context.store, tmp_path / "d")
        out = Path(export(context.store, ours, tmp_path / "kfp", "csv").dataset.path)
        back = bring(out, context).outputs["dataset"]
        get_tree(context.store, get_manifest(context.store, back), tmp_path / "back")
        (batch,) = dataset.iter_batches(tmp_path / "back")
        assert batch.column(0).to_pylist() == found
        assert back != ours


def _fractions(store: Store, digest: str, folder: Path) -> set[str]:
    """ "1.0" if a column of fractions holds whole numbers only."""
    get_tree(store, get_manifest(store, digest), folder)
    frame = pa.Table.from_batches(dataset.iter_batches(folder))
    return {
        "1.0"
        for column in frame.columns
        if pa.types.is_floating(column.type)
        and all(v is None or float(v).is_integer() for v in column.to_pylist())
    }


class TestModels:
    @pytest.fixture
    def saved(self, tmp_path: Path) -> Any:
        """Saves a scikit-learn model as somebody else does."""

        def save(model: Any, example: Any, **options: Any) -> Path:
            import mlflow.sklearn

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mlflow.sklearn.save_model(
                    model,
                    tmp_path / "theirs",
                    input_example=example,
                    pip_requirements=["scikit-learn"],
                    **{"serialization_format": "skops", **options},
                )
            return tmp_path / "theirs"

        return save

    @pytest.fixture
    def fitted(self, adult: Dataset) -> Any:
        from sklearn.compose import ColumnTransformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        frame = dataset.read(adult.path)[["sex", "age", "hours_per_week", "income"]].head(500)
        columns = ColumnTransformer(
            [("text", OneHotEncoder(handle_unknown="ignore"), ["sex"])], remainder="passthrough"
        )
        model = make_pipeline(columns, LogisticRegression(max_iter=500))
        features = frame.drop(columns="income")
        return model.fit(features, frame["income"]), features, frame["income"]

    def test_a_foreign_model_is_audited_and_predicts_the_same(
        self, fitted: Any, saved: Any, tmp_path: Path, context: Context
    ) -> None:
        from assay.models import load

        theirs, features, _ = fitted
        done = bring(saved(theirs, features.head()), context, target="income")
        assert done.outputs["dataset"] == ""
        get_tree(context.store, get_manifest(context.store, done.outputs["model"]), tmp_path / "m")
        ours = load(tmp_path / "m")
        assert ours.task == "binary"
        assert ours.positive == ">50K"
        assert ours.features == ("sex", "age", "hours_per_week")
        assert np.array_equal(ours.predict(features), theirs.predict(features))

    def test_two_ways_to_save_one_model_give_one_digest(
        self, fitted: Any, saved: Any, tmp_path: Path, context: Context
    ) -> None:
        theirs, features, _ = fitted
        first = bring(saved(theirs, features.head(3)), context, target="income").outputs
        shutil.rmtree(tmp_path / "theirs")
        # MLflow stamps clock and chance into each; none of it is the model's.
        second = bring(saved(theirs, features.head(3)), context, target="income")
        assert not second.cached
        assert second.outputs == first

    @pytest.mark.parametrize("form", ["cloudpickle", "pickle"])
    def test_a_pickled_model_is_refused(
        self, fitted: Any, saved: Any, context: Context, form: str
    ) -> None:
        theirs, features, _ = fitted
        folder = saved(theirs, features.head(), serialization_format=form)
        with pytest.raises(DataError, match=f"saved as {form}, a pickle, which runs code") as told:
            bring(folder, context, target="income")
        assert "serialization_format='skops'" in str(told.value)
        with pytest.raises(DataError, match="artifact is a pickle"):
            bring(folder / "model.pkl", context)

    def test_everything_wrong_with_a_flavour_is_told_at_once(
        self, fitted: Any, saved: Any, context: Context
    ) -> None:
        theirs, features, _ = fitted
        folder = saved(theirs, features.head())
        text = (folder / "MLmodel").read_text()
        import sklearn

        text = text.replace(f"sklearn_version: {sklearn.__version__}", "sklearn_version: 0.24.1")
        (folder / "MLmodel").write_text(text.replace("code: null", "code: code"))
        with pytest.raises(DataError) as told:
            bring(folder, context, target="income")
        assert "code of its own" in str(told.value)
        assert "scikit-learn 0.24.1" in str(told.value)

    def test_types_that_no_list_holds_are_refused(
        self, fitted: Any, saved: Any, context: Context
    ) -> None:
        import zipfile

        theirs, features, _ = fitted
        folder = saved(theirs, features.head())
        path = folder / "model.skops"
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        schema = entries["schema.json"].replace(b'"LogisticRegression"', b'"Popen"')
        entries["schema.json"] = schema.replace(b"sklearn.linear_model._logistic", b"subprocess")
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
        with pytest.raises(IntegrityError, match=r"subprocess\.Popen"):
            bring(folder, context, target="income")

    def test_an_archive_that_unpacks_to_more_is_refused(
        self, fitted: Any, saved: Any, context: Context
    ) -> None:
        import zipfile

        theirs, features, _ = fitted
        folder = saved(theirs, features.head())
        with zipfile.ZipFile(folder / "model.skops", "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("99.bin", b"\0" * 5_000_000)
        with pytest.raises(IntegrityError, match=r"99\.bin.*compressed"):
            bring(folder, context, target="income")

    def test_what_a_folder_cannot_say_must_be_said(
        self, fitted: Any, saved: Any, context: Context
    ) -> None:
        theirs, features, _ = fitted
        folder = saved(theirs, features.head())
        with pytest.raises(UsageError, match="target is missing"):
            bring(folder, context)
        with pytest.raises(UsageError, match=r"positive_label 'rich'.*<=50K, >50K"):
            bring(folder, context, target="income", positive_label="rich")
        (folder / "input_example.json").unlink()
        with pytest.raises(DataError, match="input_example"):
            bring(folder, context, target="income")

    def test_our_model_goes_out_in_mlflows_format(
        self, adult_csv: Path, tmp_path: Path, context: Context
    ) -> None:
        import mlflow.sklearn

        data = execute(snapshot_data, {"data": str(adult_csv)}, context).outputs["dataset"]
        ours = execute(
            train,
            {
                "data": data,
                "target": "income",
                "estimator": "sklearn.linear_model.LogisticRegression",
            },
            context,
        ).outputs["model"]
        out = export(context.store, ours, tmp_path / "kfp").model
        assert out.metadata["digest"] == ours
        assert out.metadata["task"] == "binary"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = mlflow.sklearn.load_model(out.path)
        frame = pd.read_csv(adult_csv, skipinitialspace=True, na_values="?").dropna()
        assert set(model.predict(frame)) <= {"<=50K", ">50K"}


def _codes() -> tuple[pd.DataFrame, np.ndarray]:
    """Postal codes as whole numbers, of which the even ones are "hi"."""
    random = np.random.default_rng(0)
    codes = random.integers(10_000, 10_020, 500)
    frame = pd.DataFrame({"size": random.standard_normal(500), "code": codes})
    return frame, np.where(codes % 2 == 0, "hi", "lo")


def _one_hot(columns: Any) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    filled = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    table = make_column_transformer((filled, columns), remainder="passthrough")
    return make_pipeline(table, LogisticRegression(max_iter=1000))


def _words(third: str, gap: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """Words of which a third, missing when it is empty, is "hi"."""
    words = np.array(["u", "v", third or gap] * 100, dtype=object)
    frame = pd.DataFrame({"word": words, "size": np.linspace(0, 1, len(words))})
    return frame, np.where(np.arange(len(words)) % 3 == 2, "hi", "lo")


def _encoded_words(encoder: dict[str, Any]) -> Any:
    from sklearn import preprocessing
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline

    arguments = dict(encoder)
    made = getattr(preprocessing, arguments.pop("kind"))(**arguments)
    if hasattr(made, "sparse_output"):
        made.sparse_output = False
    table = make_column_transformer((made, ["word"]), remainder="passthrough")
    return make_pipeline(table, HistGradientBoostingClassifier(max_iter=20))


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(categorical_features=["code"], max_iter=20)


class TestCategoriesOfImportedModels:
    """What a column stands for, its encoder says, and not the look of its values."""

    @pytest.fixture
    def imported(self, tmp_path: Path) -> Any:
        """Imports a fitted pipeline that somebody else saved."""
        import mlflow.sklearn
        import skops.io

        from assay.components.import_artifact.mlmodel import Settings, convert
        from assay.models import load

        def bring_in(pipeline: Any, features: pd.DataFrame) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mlflow.sklearn.save_model(
                    pipeline,
                    tmp_path / "theirs",
                    serialization_format="skops",
                    skops_trusted_types=skops.io.get_untrusted_types(data=skops.io.dumps(pipeline)),
                    input_example=features.head(),
                    pip_requirements=["scikit-learn"],
                )
            (tmp_path / "ours").mkdir()
            convert(tmp_path / "theirs", Settings("y", ""), tmp_path / "ours")
            return load(tmp_path / "ours")

        return bring_in

    @pytest.mark.parametrize(
        "make",
        [
            lambda: _one_hot(["code"]),
            lambda: _one_hot([1]),
            lambda: _one_hot([False, True]),
            lambda: _one_hot(slice("code", None)),
            _boosting,
        ],
        ids=["by name", "by place", "by mask", "by slice", "by the estimator"],
    )
    def test_whole_numbers_that_an_encoder_reads_are_categories(
        self, imported: Any, make: Any
    ) -> None:
        frame, labels = _codes()
        model = imported(make().fit(frame, labels), frame)
        assert model.info.categorical == ("code",)
        assert model.info.types == {"size": "float64", "code": "int64"}
        model.check_table(frame)
        assert (model.predict(frame) == labels).all()
        # In another scheme of codes nothing is known, and a score would say nothing.
        other = frame.assign(code=frame["code"] + 1000)
        assert model.unseen_shares(other) == {"code": 1.0}
        with pytest.raises(
            UsageError, match=r"none of the values of column 'code' \(it knows 10000"
        ):
            model.check_table(other)
        with pytest.raises(UsageError, match="float64 with fractions, and int64"):
            model.predict(frame.assign(code=frame["code"] + 0.5))

    def test_text_that_is_spelled_otherwise_is_refused(self, imported: Any) -> None:
        frame, labels = _codes()
        words = frame.assign(code="DE-" + frame["code"].astype(str))
        model = imported(_one_hot(["code"]).fit(words, labels), words)
        model.check_table(words)
        with pytest.raises(UsageError, match="none of the values of column 'code'"):
            model.check_table(words.assign(code=frame["code"].astype(str)))

    @pytest.mark.parametrize("gap", [None, np.nan])
    @pytest.mark.parametrize(
        "encoder",
        [
            {"kind": "OneHotEncoder", "handle_unknown": "ignore"},
            {"kind": "OneHotEncoder"},
            {"kind": "OrdinalEncoder", "handle_unknown": "use_encoded_value", "unknown_value": -1},
        ],
        ids=["one-hot, ignoring", "one-hot, strict", "ordinal"],
    )
    def test_a_missing_text_reaches_the_encoder_as_what_it_has_learned(
        self, imported: Any, encoder: dict[str, Any], gap: Any
    ) -> None:
        """pandas reads NaN where a dataset holds None, which the encoder would never have seen."""
        frame, labels = _words("", gap)
        theirs = _encoded_words(encoder).fit(frame, labels)
        model = imported(theirs, frame)
        for other in (None, np.nan, pd.NA):
            data = frame.assign(word=frame["word"].where(frame["word"].notna(), other))
            assert (model.predict(data) == theirs.predict(frame)).all()
            # MLflow passes the table on as it is.
            assert [finding.code for finding in model.check_table(data)] == ["unequal-gaps"]

    def test_missing_texts_that_the_encoder_has_not_learned_are_reported(
        self, imported: Any
    ) -> None:
        frame, labels = _words("w", None)
        encoder = {"kind": "OneHotEncoder", "handle_unknown": "ignore"}
        model = imported(_encoded_words(encoder).fit(frame, labels), frame)
        gaps = frame.assign(word=frame["word"].where(frame["word"] != "w", None))
        assert [finding.code for finding in model.check_table(gaps)] == ["unlearned-gaps"]
        assert not model.check_table(frame)

    def test_a_category_that_the_reader_took_for_a_missing_value_is_refused(
        self, imported: Any
    ) -> None:
        frame, labels = _words("?", None)
        encoder = {"kind": "OneHotEncoder", "handle_unknown": "ignore"}
        model = imported(_encoded_words(encoder).fit(frame, labels), frame)
        assert not model.check_table(frame)
        gaps = frame.assign(word=frame["word"].where(frame["word"] != "?", None))
        with pytest.raises(
            UsageError, match=r"column 'word' \(the model knows '\?'\); remove that"
        ):
            model.check_table(gaps)
        few = frame.assign(word=frame["word"].where(frame.index > 0, None))
        assert [finding.code for finding in model.check_table(few)] == ["unlearned-gaps"]

    def test_an_example_that_the_model_does_not_take_is_refused(self, imported: Any) -> None:
        frame, labels = _codes()
        with pytest.raises(DataError, match=r"input example is not what.*'code' is string"):
            imported(
                _one_hot(["code"]).fit(frame, labels),
                frame.assign(code="DE-" + frame["code"].astype(str)),
            )

    @pytest.fixture
    def exported(self, tmp_path: Path, context: Context) -> Path:
        """Our own model with codes, gaps and truth values, as export_artifact writes it."""
        frame, labels = _codes()
        table = pa.table(
            {
                "code": pa.array(frame["code"]),
                "gaps": pa.array([i % 3 if i % 5 else None for i in range(500)], pa.int64()),
                "truth": pa.array([None if i % 7 == 0 else i % 2 == 0 for i in range(500)]),
                # No value in the rows of the input example, and no encoder.
                "late": pa.array([None if i < 9 else i % 3 == 0 for i in range(500)]),
                "size": pa.array(frame["size"]),
                "y": pa.array(labels),
            }
        )
        data = stored(table, context.store, tmp_path / "d")
        options = {"estimator": "sklearn.linear_model.LogisticRegression", "positive_label": "hi"}
        columns = {"categorical_columns": ["code", "gaps", "truth"]}
        given = {"data": data, "target": "y", **options, **columns}
        ours = execute(train, given, context).outputs["model"]
        return Path(export(context.store, ours, tmp_path / "kfp").model.path)

    def test_a_model_of_ours_comes_back_as_what_it_was(
        self, exported: Path, tmp_path: Path, context: Context
    ) -> None:
        back = bring(exported, context).outputs["model"]
        get_tree(context.store, get_manifest(context.store, back), tmp_path / "back")
        for name in ("assay-model.json", "model.skops", "MLmodel", "input_example.json"):
            assert (tmp_path / "back" / name).read_bytes() == (exported / name).read_bytes(), name

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ('"categorical","type":"int64"', '"numeric","type":"int64"', "other .*roles"),
            ('"name":"truth","role":"categorical","type":"bool"',
             '"name":"truth","role":"categorical","type":"string"', "other types"),
            ("LogisticRegression", "RidgeClassifier", "other estimator"),
            ('["hi","lo"]', '["hi","no"]', "other classes"),
        ],
    )  # fmt: skip
    def test_what_does_not_describe_the_model_beside_it_is_refused(
        self, exported: Path, context: Context, old: str, new: str, told: str
    ) -> None:
        path = exported / "assay-model.json"
        path.chmod(0o644)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(IntegrityError, match=f"does not describe the model beside it: {told}"):
            bring(exported, context)

    def test_what_it_says_itself_cannot_be_said_otherwise(
        self, exported: Path, context: Context
    ) -> None:
        with pytest.raises(UsageError, match="target is 'size', and the model's own is 'y'"):
            bring(exported, context, target="size")
        with pytest.raises(UsageError, match="positive_label is 'lo', and the model's own is 'hi'"):
            bring(exported, context, positive_label="lo")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda p: p, "check that the previous component wrote its output"),
        (lambda p: p.mkdir() or p, "empty folder"),
        (lambda p: p.write_bytes(b"\x80\x04\x95") and p, "artifact is a pickle"),
        (lambda p: p.write_bytes(b"PK\x03\x04rest") and p, "zip archive"),
        (lambda p: p.write_bytes(b"") or p, "is empty"),
        (lambda p: p.write_text("a,b\n1\n") and p, "row"),
    ],
)
def test_what_is_no_table_gets_one_line(
    tmp_path: Path, context: Context, make: Any, told: str
) -> None:
    with pytest.raises(AssayError, match=told) as error:
        bring(make(tmp_path / "thing"), context)
    assert "\n" not in str(error.value)


def test_folders_that_are_no_table_name_what_they_hold(tmp_path: Path, context: Context) -> None:
    folder = tmp_path / "several"
    folder.mkdir()
    (folder / "a.csv").write_text("n\n1\n")
    (folder / "b.csv").write_text("n\n2\n")
    with pytest.raises(DataError, match=r"holds a\.csv, b\.csv; give one CSV"):
        bring(folder, context)
    parquet = tmp_path / "unlike"
    parquet.mkdir()
    pq.write_table(pa.table({"n": [1]}), parquet / "a.parquet")
    pq.write_table(pa.table({"n": ["x"]}), parquet / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: other columns or types than a\.parquet"):
        bring(parquet, context)
    (parquet / "year=2024").mkdir()
    shutil.move(parquet / "b.parquet", parquet / "year=2024" / "b.parquet")
    with pytest.raises(DataError, match="year=2024"):
        bring(parquet, context)


def test_what_cannot_be_exported_is_told_at_once(tmp_path: Path, context: Context) -> None:
    with pytest.raises(UsageError) as told:
        export(context.store, "latest", tmp_path, "xlsx")
    assert "'latest' is not a digest" in str(told.value)
    assert "file_format is 'xlsx'" in str(told.value)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "policy.yaml").write_text("gates: []\n")
    other = put_tree(context.store, tmp_path / "p", "application/vnd.assay.policy.v1", {}).digest
    with pytest.raises(UsageError, match="give the digest of a dataset or a model"):
        export(context.store, other, tmp_path)
    lone = stored(pa.table({"n": [1, None]}), context.store, tmp_path / "lone")
    with pytest.raises(UsageError, match="'n' is the only one and has missing values"):
        export(context.store, lone, tmp_path, "csv")


@step
def count_lines(*, table: Foreign, counted: Out[Record]) -> Values:
    """A user's own step that reads a foreign artifact by itself."""
    lines = (table.path / FILE).read_text().splitlines()
    (counted.path / "record.json").write_text("{}")
    return {"lines": len(lines)}


def test_a_users_own_step_takes_a_foreign_artifact(
    adult_csv: Path, folder_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORE", folder_url)
    given = SimpleNamespace(path=str(adult_csv), metadata={}, uri="s3://user:secret@kfp/run/table")
    lines, counted = kfp.execute(count_lines, {"table": given}, "lines", "counted")
    assert lines == FEW_ROWS + 1
    store = open_store(folder_url)
    (record,) = about(store, counted, None)
    (received,) = about(store, str(record.inputs["table"]), None)
    assert received.parameters["uri"] == "s3://kfp/run/table"


def test_a_component_tells_in_one_line_that_nothing_was_written(
    tmp_path: Path,
    folder_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ASSAY_STORE", folder_url)
    given = SimpleNamespace(path=str(tmp_path / "nothing"), metadata={}, uri="")
    with pytest.raises(SystemExit) as stop:
        kfp.execute(
            import_artifact, {"artifact": given}, "dataset", "model", by=task.import_artifact
        )
    assert stop.value.code == DataError.exit_code
    told = capsys.readouterr().err
    # One error, in lines that KFP's log panel shows whole.
    assert " ".join(told.split()).startswith("error: ")
    assert "does not exist" in told
    assert told.count("error:") == 1
