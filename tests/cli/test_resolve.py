"""What a user may write where a digest goes, in every command and every step."""

import importlib
import io
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.text import Text

from assay.cli import cli, console
from assay.cli.catalog import names, pipeline
from assay.cli.console import Name
from assay.components.snapshot_data.step import snapshot_data
from assay.core.digest import of_bytes
from assay.core.execution import Context, execute
from assay.core.resolve import MAX_CANDIDATES
from assay.core.step import Dataset, Model, Out, Step, Values, step
from assay.core.store import Store
from assay.errors import AssayError, NotFoundError, ServiceError, UsageError
from assay.governance.model_names import resolve, resolve_arguments
from assay.governance.registry import Registry
from assay.text import short

from stories import every_command, refused

DIGEST_WORDS = {"digest", "left", "right", "model", "live", "to", "pinned", "unpinned"}
"""Names of arguments that name an artifact; `data` does so in some commands."""


def digest_arguments() -> list[tuple[str, click.Parameter]]:
    return [
        (words, parameter)
        for words, command in every_command()
        for parameter in command.params
        if parameter.name in DIGEST_WORDS or (parameter.name, words[:8]) == ("data", "monitor ")
    ]


def plant(store: Store, begin: str, count: int) -> list[str]:
    """Blobs whose digests begin with `begin`: the words to hash are tried one after the other."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        word = f"{begin} {number}".encode()
        if of_bytes(word).startswith(f"sha256:{begin}"):
            found.append(store.put_bytes(word).digest)
        number += 1
    return found


@pytest.fixture
def data(context: Context, tmp_path: Path) -> str:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
    return execute(snapshot_data, {"data": str(tmp_path / "data.csv")}, context).outputs["dataset"]


class TestAPrefix:
    def test_as_a_table_prints_it_names_the_artifact(self, data: str, context: Context) -> None:
        assert resolve(short(data), context.store) == data

    def test_is_found_in_every_kind_of_store(self, store: Store) -> None:
        digest = store.put_bytes(b"some bytes").digest
        for given in (digest, digest[:19], digest[7:14], digest[7:], digest[:12] + "…"):
            assert resolve(given, store) == digest

    def test_of_two_artifacts_lists_both_with_what_they_are(
        self, data: str, context: Context
    ) -> None:
        others = plant(context.store, data[7:11], 1)
        # A file is not what a user names: the artifact wins, as a commit does in Git.
        assert resolve(data[7:11], context.store) == data
        listed = plant(context.store, "abcd", 2)
        output = refused(lambda: resolve("abcd", context.store), UsageError, "ambiguous", *listed)
        assert others[0] not in output

    def test_that_half_the_store_begins_with_is_answered_at_once(self, folder_store: Store) -> None:
        plant(folder_store, "0000", 0)
        folder = Path(folder_store.url.removeprefix("file://")) / "blobs" / "sha256" / "00"
        folder.mkdir(parents=True)
        for number in range(MAX_CANDIDATES + 1):
            (folder / f"{number:064x}").touch()
        refused(lambda: resolve("0000", folder_store), UsageError, "33 digests begin with 0000")

    @pytest.mark.parametrize("given", ["abc", "sha256:ABCDEF", "sha256:", "latest", "a/b/c", "@x"])
    def test_that_is_none_is_refused_with_the_forms(self, store: Store, given: str) -> None:
        refused(lambda: resolve(given, store, "model"), UsageError, given, "MODEL@ALIAS")

    def test_of_nothing_says_where_it_looked(self, folder_store: Store) -> None:
        refused(lambda: resolve("abcdef", folder_store), NotFoundError, folder_store.url, "abcdef")


class TestARegisteredModel:
    @pytest.fixture
    def registry(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
        registry = Registry()
        for digit in "12":
            registry.register("income", f"sha256:{digit * 64}", "file:///nowhere", {}, {})
        return registry

    def test_by_alias_and_version(self, registry: Registry, folder_store: Store) -> None:
        registry.set_alias("income", "production", "1")
        for given, digit in (
            ("income@candidate", "2"), ("income@production", "1"), ("income/1", "1"),
            ("models:/income@candidate", "2"), ("models:/income/2", "2"),
        ):  # fmt: skip
            assert resolve(given, folder_store) == f"sha256:{digit * 64}"

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("incme@production", "did you mean 'income'"),
            ("income@production", "'income' has no alias 'production'"),
            ("income/7", "'income' has no version 7"),
        ],
    )
    def test_that_is_not_there_is_refused(
        self, registry: Registry, folder_store: Store, given: str, said: str
    ) -> None:
        del registry
        refused(lambda: resolve(given, folder_store, "model"), UsageError, said)

    def test_in_a_registry_that_is_down_is_not_called_missing(
        self, folder_store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        refused(lambda: resolve("income@production", folder_store), ServiceError, "MLflow")


@step
def takes(*, data: Dataset, model: Model | None = None, copy: Out[Dataset]) -> Values:
    """A step that keeps what it got."""
    del model
    (copy.path / "name").write_text(data.digest)
    return {"got": data.digest}


class TestAStep:
    def test_gets_and_attests_the_whole_digest(self, data: str, context: Context) -> None:
        whole = execute(takes, {"data": data}, context)
        cut = execute(takes, {"data": data[:15]}, context)
        assert whole.values["got"] == cut.values["got"] == data
        assert cut.cached, "another spelling is the same work"

    def test_that_is_cached_refuses_a_name_that_moves(self, data: str, context: Context) -> None:
        refused(
            lambda: execute(takes, {"data": data, "model": "income@production"}, context),
            UsageError, "takes: model", "may name another model tomorrow", "MODEL/VERSION",
        )  # fmt: skip

    def test_names_every_argument_that_names_nothing(self, context: Context) -> None:
        refused(
            lambda: execute(takes, {"data": "abcdef", "model": "sha256:123456"}, context),
            UsageError, "takes: data", "takes: model",
        )  # fmt: skip

    @pytest.mark.parametrize("stage", sorted(set(names("assay.components")) - {"run_report"}))
    def test_resolves_every_input_that_its_component_calls_a_digest(self, stage: str) -> None:
        steps = [
            getattr(importlib.import_module(f"assay.components.{name}.step"), name)
            for name in RUNS.get(stage, (stage,))
        ]
        if not all(isinstance(one, Step) for one in steps):
            pytest.skip("writes for other tools; resolves by itself")
        component = importlib.import_module(f"assay.components.{stage}.component")
        inputs = getattr(component, stage).component_spec.inputs or {}
        called = {
            name
            for name, spec in inputs.items()
            if (spec.description or "").startswith("Digest") and spec.type == "String"
        }
        resolved = {
            name
            for one in steps
            for name in (*one.inputs, *one.list_inputs, *one.digests, *one.sources)
        }
        # The gate's component puts these two among its step's evidence.
        assert called - ({"validation", "comparison"} if stage == "gate" else set()) <= resolved


RUNS = {
    "prepare_data": ("preflight", "snapshot_data"),
    "try_candidate": ("train", "evaluate"),
    "evaluate": ("evaluate", "check_monitoring"),
    "resolve_production": ("resolve_production", "release_evidence"),
    "predict_parts": ("select_parts", "predict_data", "gather_parts"),
}
"""Components that run several steps."""


class TestCommands:
    def test_every_argument_that_names_an_artifact_resolves(self) -> None:
        found = digest_arguments()
        assert len(found) >= 15
        plain = [
            f"{words} {parameter.name}"
            for words, parameter in found
            if not isinstance(parameter.type, Name)
        ]
        assert plain == []

    @pytest.mark.parametrize("words", ["show", "passport", "store verify", "reproduce"])
    def test_take_what_a_table_printed(
        self, words: str, data: str, context: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASSAY_STORE", context.store.url)
        done = CliRunner().invoke(cli, [*words.split(), short(data)], catch_exceptions=False)
        assert done.exit_code == 0
        whole = CliRunner().invoke(cli, [*words.split(), data], catch_exceptions=False)
        assert done.output == whole.output

    def test_print_whole_digests_for_programs(
        self, data: str, context: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASSAY_STORE", context.store.url)
        for words in (["show"], ["passport"], ["store", "verify"], ["model", "diff", short(data)]):
            done = CliRunner().invoke(cli, [*words, short(data), "--json"], catch_exceptions=False)
            json.loads(done.output)
            assert short(data) not in done.output.replace(data, ""), words

    @pytest.mark.parametrize(("words", "parameter"), digest_arguments())
    def test_say_which_argument_names_nothing(
        self, words: str, parameter: click.Parameter, folder_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setenv("ASSAY_STORE", folder_url)
        with pytest.raises(AssayError, match="no blob in"):
            parameter.type.convert("sha256:123456", parameter, None)
        with pytest.raises(UsageError, match="is not a digest"):
            parameter.type.convert("latest", parameter, None)


@pytest.mark.parametrize("headers", [["what", "value"], ["path", "size", "digest"]])
def test_no_table_breaks_a_digest_on_a_narrow_terminal(
    headers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = f"sha256:{'ab' * 32}"
    shown = io.StringIO()
    monkeypatch.setattr(console, "stdout", Console(file=shown, force_terminal=True, width=60))
    console.print_table(headers, [("x" * 30, *["y" * 20] * (len(headers) - 2), digest)])
    printed = Text.from_ansi(shown.getvalue()).plain
    assert (digest if len(headers) == 2 else short(digest)) in printed


class TestAPipelinesArguments:
    def test_are_whole_before_the_run_starts(self, data: str, context: Context) -> None:
        given = {"data": data[:17], "target": "b", "reference": data[:12], "threads": 1}
        found = resolve_arguments(given, context.store)
        assert found == {"data": data, "target": "b", "reference": data, "threads": 1}

    def test_that_name_nothing_are_reported_together(self, context: Context) -> None:
        refused(
            lambda: resolve_arguments(
                {"data": "sha256:1234", "reference": "sha256:4321"}, context.store
            ),
            UsageError, "'data'", "'reference'",
        )  # fmt: skip

    def test_that_hold_digests_only_are_known(self) -> None:
        for name in names("assay.pipelines"):
            inputs = pipeline(name).component_spec.inputs or {}
            only: set[Any] = {
                key for key, spec in inputs.items()
                if (spec.description or "").startswith("Digest of the model")
            }  # fmt: skip
            assert only <= {"model", "to"}, name
