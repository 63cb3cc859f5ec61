"""The registry on SQLite, and in front of servers that fail."""

import contextlib
import http.server
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import path_not_unique, validate_param_and_metric_name

from assay.core import retry
from assay.errors import ServiceError, UsageError
from assay.governance import mlflow_calls
from assay.governance.mlflow_calls import MAX_METRIC_CHARS, metric_names, public_uri, quiet
from assay.governance.registry import (
    MAX_TAG_CHARS,
    MODEL_TAG,
    ModelVersion,
    Registry,
    name_problems,
)

MODEL, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables; making them takes a second."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    assert Registry(f"sqlite:///{path}").production("none") is None
    return path


@pytest.fixture
def uri(empty_database: Path, tmp_path: Path) -> str:
    path = shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{path}"


@pytest.fixture
def registry(uri: str) -> Registry:
    return Registry(uri)


@pytest.fixture
def client(uri: str) -> MlflowClient:
    with quiet():  # SQLAlchemy warns of what MLflow does when it is first used
        return MlflowClient(uri, uri)


def add(registry: Registry, digest: str = MODEL, **changes: Any) -> tuple[ModelVersion, bool]:
    arguments: dict[str, Any] = {
        "name": "churn",
        "digest": digest,
        "source": "file:///models/a",
        "tags": {"assay.data": OTHER},
        "metrics": {"accuracy": 0.9},
        "params": {"seed": "0"},
    }
    return registry.register(**{**arguments, **changes})


def test_a_tracking_uri_is_asked_for() -> None:
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_URI is not set; give"):
        Registry()


def test_the_environment_names_the_registry(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert Registry().production("churn") is None


PHONES = """
import sys
from assay.governance.registry import Registry
Registry(sys.argv[1]).production("none")
from mlflow.telemetry import get_telemetry_client
print(get_telemetry_client())
"""


def test_mlflow_phones_nobody(uri: str) -> None:
    # MLflow is silent of itself where it is tested, for which it takes some of these.
    signs = ("CI", "GITHUB", "GITLAB", "PYTEST", "JENKINS", "BUILD", "TF_", "DO_NOT_TRACK")
    environment = {k: v for k, v in os.environ.items() if not k.startswith((*signs, "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", PHONES, uri], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr


def test_but_the_user_may_want_it_to(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    Registry(uri)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"


def test_a_version_says_what_it_is(registry: Registry, client: MlflowClient) -> None:
    version, new = add(registry)
    assert new
    assert (version.name, version.version, version.model) == ("churn", "1", MODEL)
    assert version.source == "file:///models/a"
    assert version.tags == {MODEL_TAG: MODEL, "assay.data": OTHER}
    assert client.get_model_version_by_alias("churn", "candidate").version == 1
    run = client.get_run(client.get_model_version("churn", "1").run_id)
    assert run.data.metrics == {"accuracy": 0.9}
    assert run.data.params == {"seed": "0"}
    assert run.data.tags[MODEL_TAG] == MODEL
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "churn"


def test_the_same_digest_twice_is_the_same_version(
    registry: Registry, client: MlflowClient
) -> None:
    first, _ = add(registry)
    add(registry, OTHER)
    again, new = add(registry, tags={"assay.decision": "another"})
    assert (again, new) == (first, False)
    assert len(client.search_model_versions("name = 'churn'")) == 2
    # The alias follows the digest that was registered last.
    assert client.get_model_version_by_alias("churn", "candidate").version == 1


def test_one_digest_may_have_a_version_of_each_model(registry: Registry) -> None:
    assert add(registry)[1]
    assert add(registry, name="churn 2")[1]


def test_two_that_race_settle_on_one_version(
    registry: Registry, uri: str, client: MlflowClient
) -> None:
    class Slower(Registry):
        def _reachable(self, source: str, run_id: str) -> str:
            # It found no version; now, just before it makes one, another does.
            add(registry)
            return super()._reachable(source, run_id)

    version, new = add(Slower(uri))
    assert (version.version, new) == ("1", False)
    assert [v.version for v in client.search_model_versions("name = 'churn'")] == [1]
    assert client.get_model_version_by_alias("churn", "candidate").version == 1
    experiment = client.get_experiment_by_name("churn")
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_a_deleted_version_is_not_found_again(registry: Registry, client: MlflowClient) -> None:
    add(registry)
    client.delete_model_version("churn", "1")
    assert registry.find("churn", MODEL) is None
    assert add(registry)[0].version == "2"


def test_the_run_that_the_platform_gave_is_used(
    registry: Registry, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = client.create_run("0").info.run_id
    client.log_param(given, "seed", "from training")
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    add(registry)
    assert client.get_model_version("churn", "1").run_id == given
    run = client.get_run(given)
    # Its parameters are the platform's, and so is its end.
    assert run.data.params == {"seed": "from training"}
    assert run.data.metrics == {"accuracy": 0.9}
    assert run.info.status == "RUNNING"
    assert client.get_experiment_by_name("churn") is None


def test_the_experiment_that_the_platform_gave_is_used(
    registry: Registry, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = client.create_experiment("team")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    add(registry)
    run = client.get_run(client.get_model_version("churn", "1").run_id)
    assert run.info.experiment_id == experiment


def test_a_registration_that_fails_leaves_a_failed_run(uri: str, client: MlflowClient) -> None:
    class Failing(Registry):
        def _reachable(self, *_: str) -> str:
            raise OSError("the disk is full")

    with pytest.raises(ServiceError, match="cannot register 'churn': the disk is full; check"):
        add(Failing(uri))
    (run,) = client.search_runs([client.get_experiment_by_name("churn").experiment_id])
    assert run.info.status == "FAILED"


def test_more_metrics_than_one_request_takes(registry: Registry, client: MlflowClient) -> None:
    metrics = {f'accuracy{{zip="{number}"}}': float(number) for number in range(1200)}
    add(registry, metrics=metrics)
    run = client.get_run(client.get_model_version("churn", "1").run_id)
    assert len(run.data.metrics) == 1200
    assert run.data.metrics["accuracy/zip_7"] == 7.0


def test_long_tags_are_refused_and_never_cut(registry: Registry, client: MlflowClient) -> None:
    with pytest.raises(UsageError, match=r"tags too long for MLflow \(5000 characters\): a, b;"):
        add(registry, tags={"b": "x" * (MAX_TAG_CHARS + 1), "a": "y" * 9999, "c": "fits"})
    assert client.search_registered_models() == []
    assert add(registry, tags={"a": "x" * MAX_TAG_CHARS})[1]


def test_long_parameters_are_cut(registry: Registry, client: MlflowClient) -> None:
    add(registry, params={"hyperparameters": "x" * 9999})
    run = client.get_run(client.get_model_version("churn", "1").run_id)
    assert len(run.data.params["hyperparameters"]) == 500
    assert run.data.params["hyperparameters"].endswith("…")


def test_production_is_what_the_alias_names(registry: Registry) -> None:
    assert registry.production("churn") is None
    add(registry)
    assert registry.production("churn") is None
    registry.set_alias("churn", "production", "1")
    current = registry.production("churn")
    assert current is not None
    assert current.model == MODEL


def test_a_production_version_of_other_origin_is_refused(
    registry: Registry, client: MlflowClient
) -> None:
    client.create_registered_model("churn")
    client.create_model_version("churn", "file:///models/b")
    registry.set_alias("churn", "production", "1")
    current = registry.production("churn")
    assert current is not None
    with pytest.raises(UsageError, match="not registered by Assay; register the model through"):
        _ = current.model


@pytest.mark.parametrize(
    ("name", "alias", "version", "said"),
    [
        ("churn", "production", "7", "'churn' has no version '7'; give a registered version"),
        ("other", "production", "1", "'other' has no version '1'"),
        ("churn", "production", "one", "must be an integer"),
        ("churn", "not an alias", "1", "alias"),
    ],
)
def test_an_alias_must_point_at_a_version(
    registry: Registry, name: str, alias: str, version: str, said: str
) -> None:
    add(registry)
    with pytest.raises(UsageError, match=said) as raised:
        registry.set_alias(name, alias, version)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["a", "churn-2", "Kündigung", "a.b_c (test)", "2"])
def test_names_that_can_be_registered_and_asked_for(registry: Registry, name: str) -> None:
    assert name_problems(name) == []
    add(registry, name=name)
    registry.set_alias(name, "production", "1")
    assert registry.production(name) is not None


@pytest.mark.parametrize(
    "name",
    ["", " ", "a/b", "a:b", "a@b", "it's", 'a"b', "a%b", "a?b", "a#b", "a ", " a", "a" * 201],
)
def test_names_that_would_not_load_are_refused(registry: Registry, name: str) -> None:
    assert len(name_problems(name)) == 1
    with pytest.raises(UsageError, match="model_name"):
        add(registry, name=name)


@pytest.mark.parametrize(
    ("evidence", "metric"),
    [
        ("accuracy", "accuracy"),
        ('accuracy{sex="Female"}', "accuracy/sex_Female"),
        ('recall{race="White",sex="Male"}', "recall/race_White_sex_Male"),
        ('accuracy{"marital-status"="Divorced"}', "accuracy/marital-status_Divorced"),
        ('accuracy{path="../../etc"}', "accuracy/path_.._.._etc"),
        ("..", "_.."),
    ],
)
def test_evidence_under_names_that_mlflow_takes(evidence: str, metric: str) -> None:
    assert metric_names({evidence: 1.0}) == {metric: 1.0}


def test_every_value_keeps_a_name_of_its_own() -> None:
    values = {
        'a{income="<=50K"}': 1.0,
        'a{income=">=50K"}': 2.0,
        f'a{{text="{"x" * 400}1"}}': 3.0,
        f'a{{text="{"x" * 400}2"}}': 4.0,
        "": 5.0,
        "/": 6.0,
        ".": 7.0,
        "a//b/../c": 8.0,
        "a\nb": 9.0,
    }
    found = metric_names(values)
    assert sorted(found.values()) == sorted(values.values())
    for name in found:
        assert len(name) <= MAX_METRIC_CHARS
        assert validate_param_and_metric_name(name)
        assert not path_not_unique(name)
    assert found == metric_names(dict(reversed(values.items())))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://mlflow.test", "https://mlflow.test"),
        ("https://user:secret@mlflow.test/x", "https://mlflow.test/x"),
        ("https://user:p@ss@mlflow.test", "https://mlflow.test"),
        ("postgresql://u:secret@db/x?password=secret", "postgresql://db/x"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
    ],
)
def test_no_credentials_are_shown(uri: str, shown: str) -> None:
    assert public_uri(uri) == shown


def test_mlflow_says_nothing(registry: Registry, capfd: pytest.CaptureFixture[str]) -> None:
    add(registry)
    add(registry)
    assert capfd.readouterr() == ("", "")


def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    import logging
    import os
    import warnings

    name = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
    before = logging.getLogger("mlflow").level
    with quiet():
        assert os.environ[name] == "true"
        assert logging.getLogger("mlflow").level == logging.ERROR
        # A warning of one's own is not MLflow's talk.
        with pytest.raises(UserWarning, match="mine"):
            warnings.warn("mine", stacklevel=1)
    assert name not in os.environ
    assert logging.getLogger("mlflow").level == before
    monkeypatch.setenv(name, "false")
    with quiet():
        pass
    assert os.environ[name] == "false"


# Databases that are none.


def test_a_database_that_is_not_there_yet_can_be_reached(tmp_path: Path) -> None:
    Registry(f"sqlite:///{tmp_path}/new/folder/mlflow.db").ping()
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_there_can_be_reached(registry: Registry) -> None:
    registry.ping()


@pytest.mark.parametrize("ask", [Registry.ping, lambda registry: registry.production("churn")])
def test_a_file_that_is_no_database_is_reported_at_once(
    tmp_path: Path, ask: Callable[[Registry], object]
) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n" * 10)
    for path, output in ((tmp_path, "is a folder"), (tmp_path / "table.csv", "is not a SQLite")):
        started = time.monotonic()
        with pytest.raises(ServiceError, match=output):
            ask(Registry(f"sqlite:///{path}"))
        assert time.monotonic() - started < 5


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(ServiceError, match="install the driver that postgresql://db/x needs") as e:
        Registry("postgresql://user:secret@db/x").production("churn")
    assert "secret" not in str(e.value)


def test_an_address_without_scheme_is_reported() -> None:
    with pytest.raises(
        UsageError, match=r"does not support .*mlflow:5000.*; give http://host:port"
    ):
        Registry("mlflow:5000").ping()


# Servers that fail.


@contextmanager
def server(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET  # noqa: N815 - the base class's convention

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://user:pa55word@127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def reply(status: int, body: bytes) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>another program</html>"),
        (401, b"You are not authenticated"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}'),
        (404, b"<html>no such page</html>"),
        (404, b'{"detail": "Not Found"}'),
        (404, b'{"error_code": 404, "message": "a proxy"}'),
        (404, b'{"error_code": "NOT_FOUND", "message": "a gateway"}'),
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "name"}'),
        (500, b"oops"),
        (503, b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}'),
    ],
)
def test_no_answer_is_never_no_production(status: int, body: bytes) -> None:
    with server(reply(status, body)) as uri:
        registry = Registry(uri)
        with pytest.raises(ServiceError) as raised:
            registry.production("churn")
        with pytest.raises(ServiceError):
            registry.ping()
        with pytest.raises(ServiceError):
            add(registry)
    message = str(raised.value)
    assert message.startswith("MLflow: cannot get the production version of 'churn'")
    assert "check MLFLOW_TRACKING_URI (http://127.0.0.1" in message
    assert "pa55word" not in message
    assert "\n" not in message


UNSET = b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "alias not found."}'
UNKNOWN = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no model"}'


def by_path(
    **answers: tuple[int, bytes],
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """Answer by the last part of the path, with `_` for `-`; everything else is 404."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        last = request.path.partition("?")[0].rpartition("/")[2].replace("-", "_")
        reply(*answers.get(last, (404, b"<html>no such page</html>")))(request)

    return answer


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("answers", "said"),
    [
        # Text that sounds like an answer is none.
        ({"get": (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "alias"}')}, "alias"),
        (
            {"get": (400, UNSET)},
            "not found",
        ),
        # That there is no such model, and nobody confirms it.
        ({"get": (404, UNKNOWN)}, "get the production version"),
        ({"get": (404, UNKNOWN), "search": (404, UNKNOWN)}, "no model"),
        (
            {
                "get": (404, UNKNOWN),
                "search": (200, b'{"registered_models": [{"name": "churn"}]}'),
            },
            "lists the model and says that it does not exist",
        ),
        # Another model, or nothing at all.
        ({"get": (200, b"{}")}, "the answer is about the model"),
        ({"get": (200, b'{"registered_model": {"name": "other"}}')}, "the model 'other'"),
    ],
)
def test_what_only_sounds_like_no_production_is_an_error(
    answers: dict[str, tuple[int, bytes]], said: str
) -> None:
    with (
        server(by_path(**answers)) as uri,
        pytest.raises(ServiceError, match=said) as raised,
    ):
        Registry(uri).production("churn")
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "answers",
    [
        {"get": (404, UNKNOWN), "search": (200, b"{}")},
        {"get": (200, b'{"registered_model": {"name": "churn"}}')},
    ],
)
def test_the_registrys_own_word_that_nothing_is_in_production(
    answers: dict[str, tuple[int, bytes]],
) -> None:
    with server(by_path(**answers)) as uri:
        assert Registry(uri).production("churn") is None


def test_an_alias_removed_by_hand_is_not_a_first_model(
    registry: Registry, client: MlflowClient
) -> None:
    add(registry)
    registry.set_alias("churn", "production", "1")
    client.delete_registered_model_alias("churn", "production")
    with pytest.raises(ServiceError, match=r"cannot determine .* version 1 was .* 'churn' --set 1"):
        registry.production("churn")
    registry.set_alias("churn", "production", "1")
    assert registry.production("churn") is not None


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answers_is_given_up() -> None:
    ended = threading.Event()
    with server(lambda _: ended.wait(20) and None) as uri:
        started = time.monotonic()
        with pytest.raises(ServiceError, match="cannot reach the registry"):
            Registry(uri).ping()
        assert time.monotonic() - started < 10
        ended.set()


def test_waiting_is_bounded_unless_the_user_says_otherwise(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    Registry(uri)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == str(retry.MLFLOW.attempts - 1)


@pytest.mark.usefixtures("impatient")
def test_secrets_in_answers_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken-of-mine")
    with (
        server(reply(401, b"bad token t0ken-of-mine")) as uri,
        pytest.raises(ServiceError) as raised,
    ):
        Registry(uri.replace("user:pa55word@", "")).ping()
    assert "t0ken" not in str(raised.value)


RACER = """
import sys
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
from assay.governance.registry import Registry
registry = Registry(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
version, _ = registry.register("raced", sys.argv[2], "s3://bucket/a", {}, {"accuracy": 0.9})
registry.set_alias("raced", "production", version.version)
"""


def test_processes_that_begin_with_one_new_file_all_register(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, uri, digest],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for digest in (MODEL, OTHER, MODEL)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert [racer.communicate()[1] for racer in racers] == [""] * 3
    registry = Registry(uri)
    assert {item.model for item in registry.versions()["raced"]} == {MODEL, OTHER}
    assert len(registry.versions()["raced"]) == 2


def test_a_process_that_holds_the_file_for_ever_is_reported(
    uri: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(uri.removeprefix("sqlite:///"))
    hold = (
        "import sys\n"
        "from pathlib import Path\n"
        "from assay.governance.mlflow_calls import alone\n"
        "with alone(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        monkeypatch.setattr(mlflow_calls, "LOCK_SECONDS", 0.2)
        with pytest.raises(ServiceError, match=r"another process has used .*lock"):
            registry.names()
        holder.kill()
    assert registry.names() == []


FIRST = """
import sys
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
from assay.governance.registry import Registry
print("ready", flush=True)
Registry(sys.argv[1]).names()
"""


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_makes_the_file_leaves_a_registry_that_works(
    tmp_path: Path,
) -> None:
    for attempt in range(8):
        uri = f"sqlite:///{tmp_path}/{attempt}/mlflow.db"
        with subprocess.Popen(
            [sys.executable, "-c", FIRST, uri], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as first:
            assert first.stdout is not None
            first.stdout.readline()
            while not list((tmp_path / str(attempt)).glob("mlflow.db.new")):
                assert first.poll() is None
                time.sleep(0.01)
            time.sleep(0.15 * attempt)
            first.kill()
        assert Registry(uri).names() == []
        assert sorted(path.name for path in (tmp_path / str(attempt)).iterdir()) == [
            "mlflow.db",
            "mlflow.db.lock",
        ]


def test_a_migration_that_was_interrupted_is_repeated_on_the_copy(uri: str) -> None:
    path = Path(uri.removeprefix("sqlite:///"))
    add(Registry(uri))
    path.with_name("mlflow.db.lock").write_text("an earlier version")
    shutil.copy(path, path.with_name("mlflow.db.before"))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        # As far as an interrupted migration came.
        database.execute("DELETE FROM alembic_version")
        database.execute("DROP TABLE webhooks")
    assert Registry(uri).names() == ["churn"]
    assert not path.with_name("mlflow.db.before").exists()


def test_a_file_that_was_left_incomplete_before_is_named_with_the_way_out(uri: str) -> None:
    path = Path(uri.removeprefix("sqlite:///"))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.execute("DROP TABLE webhooks")

    def content() -> list[str]:
        with contextlib.closing(sqlite3.connect(path)) as database:
            return list(database.iterdump())

    before = content()
    with pytest.raises(ServiceError, match=r"left incomplete by an interrupted process.*move it"):
        Registry(uri).names()
    assert content() == before


def test_a_file_that_another_program_has_locked_is_not_replaced(uri: str) -> None:
    path = Path(uri.removeprefix("sqlite:///"))
    add(Registry(uri))
    path.with_name("mlflow.db.lock").write_text("an earlier version")
    file = path.stat().st_ino

    def fails(_: Path) -> None:
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(sqlite3.OperationalError):
        mlflow_calls.prepare_file(path, fails)
    assert path.stat().st_ino == file
    assert Registry(uri).names() == ["churn"]


def test_a_journal_of_an_interrupted_migration_does_not_damage_the_copy(uri: str) -> None:
    path = Path(uri.removeprefix("sqlite:///"))
    add(Registry(uri))
    path.with_name("mlflow.db.lock").write_text("an earlier version")
    shutil.copy(path, path.with_name("mlflow.db.before"))
    script = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA cache_size = 1')\n"
        "database.execute('CREATE TABLE half (x TEXT)')\n"
        "database.execute('BEGIN')\n"
        "for _ in range(2000):\n"
        "    database.execute('INSERT INTO half VALUES (hex(randomblob(200)))')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert path.with_name("mlflow.db-journal").exists()
    assert Registry(uri).names() == ["churn"]
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall()
