"""The model registry: MLflow 3, through its client.

An alias (`candidate`, `production`) names a version; a version's tags name digests, and its source
is the model's plain copy in the store. One digest has one version of a model.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from assay.core.digest import is_digest
from assay.core.settings import MLFLOW_EXPERIMENT_ID, MLFLOW_RUN_ID, MLFLOW_URI
from assay.errors import ServiceError, UsageError
from assay.governance.mlflow_calls import (
    alone,
    calling,
    metric_names,
    prepare,
    prepare_file,
    remedy,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CANDIDATE: Final = "candidate"
PRODUCTION: Final = "production"
MODEL_TAG: Final = "assay.model"
DATA_TAG: Final = "assay.data"
HISTORY_TAG: Final = "assay.production-history"
"""Tag of the registered model: versions that were in production, the latest last."""
MAX_HISTORY: Final = 100
MAX_TAG_CHARS: Final = 5000
"""MLflow's limit for the value of a run's tag; a version's may be longer in new servers only."""
MAX_PARAM_CHARS: Final = 500
"""Characters of a parameter that every MLflow server admits; new ones admit 6,000."""
MAX_NAME_CHARS: Final = 200
MAX_PARAMS: Final = 100
"""Versions in one request."""
BATCH: Final = 500
"""Metrics in one request; MLflow admits 1,000."""
_ARTIFACT_PATH: Final = "model"
"""Folder of the run into which a model is uploaded."""
_UNKNOWN: Final = "RESOURCE_DOES_NOT_EXIST"
_EXISTS: Final = "RESOURCE_ALREADY_EXISTS"
_REFUSED: Final = "INVALID_PARAMETER_VALUE"
_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_MODEL_NAME = re.compile(r"\w([\w .()-]*[\w.()-])?")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version."""

    name: str
    version: str
    source: str
    tags: Mapping[str, str]

    @property
    def model(self) -> str:
        """The model's digest.

        Raises:
            UsageError: The version was not registered by Assay.
        """
        digest = self.tags.get(MODEL_TAG, "")
        if not is_digest(digest):
            raise UsageError(
                f"version {self.version} of {self.name!r} has no digest in its tag {MODEL_TAG}: it "
                "was not registered by Assay; register the model through the pipeline, or move the "
                "alias to a version that was"
            )
        return digest


class Registry:
    """A model registry; every failure is a `ServiceError` of one line."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        self._uri = tracking_uri or MLFLOW_URI.require()
        prepare()
        self._made: MlflowClient | None = None

    def ping(self) -> None:
        """Check that the registry can be reached and read.

        Of an SQLite file only the header is read, because opening it with MLflow takes seconds. A
        server is queried with MLflow, which has the certificates and credentials.

        Raises:
            ServiceError: It does not answer, or refuses.
        """
        if self._is_file:
            self._check_file()
            return
        with self._calling("reach the registry"):
            self._client.search_registered_models(max_results=1)

    @property
    def _is_file(self) -> bool:
        return urlsplit(self._uri).scheme == "sqlite"

    @property
    def _path(self) -> Path:
        """Of SQLite's file."""
        return Path(unquote(urlsplit(self._uri).path).removeprefix("/"))

    def _check_file(self) -> None:
        """Refuse a file that is not SQLite, which MLflow would try to open for minutes."""
        path = self._path
        problem = ""
        # MLflow creates missing folders, so the innermost existing one must be writable.
        existing = next(place for place in (path, *path.absolute().parents) if place.exists())
        if path.is_dir():
            problem = "is a folder"
        elif not os.access(existing, os.R_OK | os.W_OK):
            problem = (
                "cannot be written" if existing == path else f"cannot be created in {existing}"
            )
        elif path.exists():
            with path.open("rb") as stream:
                start = stream.read(len(_SQLITE_MAGIC))
            if start not in {b"", _SQLITE_MAGIC}:
                problem = "is not a SQLite database"
        if problem:
            raise ServiceError(f"MLflow: {path} {problem}; {remedy(self._uri)}")

    def production(self, name: str) -> ModelVersion | None:
        """The version that the alias `production` names, or None.

        None means that no version was ever in production. If the alias was removed by other means
        than `set_alias`, the history remains, and the production version is unknown.

        Raises:
            ServiceError: As for `at`; or the alias is missing although the history has a version.
        """
        current = self.at(name, PRODUCTION)
        if current is None and (past := self._history(name)):
            raise ServiceError(
                f"MLflow: cannot determine what is in production: the alias {PRODUCTION!r} of "
                f"{name!r} "
                f"is not set, but version {past[-1]} was in production (tag {HISTORY_TAG}); point "
                f"the alias at the right version: assay model production {name!r} --set {past[-1]}"
            )
        return current

    def at(self, name: str, alias: str) -> ModelVersion | None:
        """The version that an alias names, or None.

        The model is read with all its aliases: a missing alias is accepted only when the answer
        names the model and does not list the alias, not when an error has a similar text.

        Raises:
            ServiceError: The registry failed. Only its own answer counts as a missing model or
                alias: an unknown state must not count as "nothing in production".
        """
        with self._calling(f"get the {alias} version of {name!r}"):
            result = self._model(name)
            version = result.aliases.get(alias) if result is not None else None
            if version is None:
                return None
            held = _version(self._client.get_model_version(name, str(version)))
            if (held.name, held.version) != (name, str(version)):
                raise OSError(f"version {version} was requested, the answer is about another")
            return held

    def _model(self, name: str) -> Any:
        """The registered model, or None; called within `_calling`.

        A missing model is accepted only when a listing confirms it: a proxy or a wrong path
        answers 404 as well.
        """
        from mlflow.exceptions import MlflowException

        try:
            result = self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != _UNKNOWN:
                raise
            _require_name(name)
            listed = self._client.search_registered_models(f"name = '{name}'")
            if any(item.name == name for item in listed):
                raise OSError("the registry lists the model and says that it does not exist") from (
                    error
                )
            return None
        if result.name != name:
            raise OSError(f"the answer is about the model {result.name!r}")
        return result

    def version(self, name: str, version: str) -> ModelVersion | None:
        """A version by its number, or None; errors as for `at`."""
        from mlflow.exceptions import MlflowException

        with self._calling(f"get version {version} of {name!r}"):
            try:
                return _version(self._client.get_model_version(name, version))
            except MlflowException as error:
                if error.error_code == _UNKNOWN:
                    return None
                raise

    def names(self) -> list[str]:
        """Names of the registered models, sorted; the first 1,000.

        Raises:
            ServiceError: The registry failed.
        """
        with self._calling("list the registered models"):
            result = self._client.search_registered_models(max_results=1000)
        return sorted(str(item.name) for item in result)

    def find(self, name: str, digest: str) -> ModelVersion | None:
        """The version of `name` with `digest`, if it exists; the lowest of several."""
        _require_name(name)
        with self._calling(f"search the versions of {name!r}"):
            result = self._client.search_model_versions(
                f"name = '{name}' and tags.`{MODEL_TAG}` = '{digest}'"
            )
        versions = sorted((_version(item) for item in result), key=lambda item: int(item.version))
        return versions[0] if versions else None

    def holds(self, version: ModelVersion, uri: str) -> bool:
        """Whether a version's files are those at a URI, or were uploaded from there.

        Anyone who can write to the registry can write a tag. The source of a version is set once,
        when it is created.
        """
        if self._uploads(uri):
            return version.source.startswith("runs:/")
        return version.source.rstrip("/") == uri.rstrip("/")

    def register(
        self,
        name: str,
        digest: str,
        source: str,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        params: Mapping[str, str] | None = None,
    ) -> tuple[ModelVersion, bool]:
        """Register a model's digest once, and point `candidate` at it.

        Registering a digest that has a version does not change the version: its tags keep the
        decision that first admitted it.

        Two processes that race may both create a version. MLflow numbers versions in one
        transaction with their tags, so the process with the higher number then finds the lower
        one, deletes its own and uses the lower.

        Args:
            name: Name of the registered model.
            digest: The model's digest.
            source: URI from which MLflow loads. A server does not load from the disk of this
                machine: a `file://` source is then uploaded into the version's run.
            tags: Tags of the version; values that are too long are refused, not cut.
            metrics: Metrics for the run of the version, by evidence name.
            params: Parameters for that run; cut to MLflow's limit.

        Returns:
            The version, and whether it is new.

        Raises:
            UsageError: A name or tag that MLflow does not admit.
            ServiceError: The registry failed, or has a version of that digest with other files.
        """
        _require_name(name)
        if (version := self.find(name, digest)) is not None and not self.holds(version, source):
            raise ServiceError(
                f"MLflow: version {version.version} of {name!r} says that it is {digest}, and its "
                f"source is {version.source}, not {source}: the registry was changed, or the store "
                f"was moved; take the tag {MODEL_TAG} off that version and register again"
            )
        if long := sorted(key for key, value in tags.items() if len(value) > MAX_TAG_CHARS):
            raise UsageError(
                f"tags too long for MLflow ({MAX_TAG_CHARS} characters): {', '.join(long)}; "
                "give a digest that names the content instead"
            )
        new = False
        if version is None:
            version, new = self._create(
                name, digest, source, {**tags, MODEL_TAG: digest}, metrics, params or {}
            )
        self.set_alias(name, CANDIDATE, version.version)
        return version, new

    def versions(self) -> dict[str, list[ModelVersion]]:
        """Every version of every registered model, by the model's name.

        Raises:
            ServiceError: The registry failed.
        """
        result: dict[str, list[ModelVersion]] = {}
        with self._calling("list the registered versions"):
            token: str | None = None
            while token != "":
                page = self._client.search_model_versions(page_token=token)
                for raw in page:
                    result.setdefault(raw.name, []).append(_version(raw))
                token = page.token or ""
        return result

    def aliases(self, name: str) -> dict[str, str]:
        """The version that each alias of `name` points at, by alias.

        Raises:
            ServiceError: The registry failed.
        """
        with self._calling(f"get the aliases of {name!r}"):
            versions = self._client.get_registered_model(name).aliases
        return {alias: str(version) for alias, version in sorted(versions.items())}

    def aliased(self, name: str) -> set[str]:
        """The versions of `name` with an alias."""
        return set(self.aliases(name).values())

    def production_history(self, name: str) -> list[str]:
        """The versions that were in production, each once, the present one last.

        `set_alias` writes it; if the alias was moved by other means, only the current one is known.
        """
        past = self._history(name)
        present = self.at(name, PRODUCTION)
        if present is not None:
            past.append(present.version)
        return [v for place, v in enumerate(past) if v not in past[place + 1 :]]

    def _history(self, name: str) -> list[str]:
        with self._calling(f"get the history of {name!r}"):
            result = self._model(name)
        raw = result.tags.get(HISTORY_TAG, "") if result is not None else ""
        return [version for version in raw.split(",") if version.isdecimal()]

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version; for `production`, keep the history.

        Args:
            name: Of the registered model.
            alias: The alias.
            version: The version's number.

        Raises:
            UsageError: There is no such model or version, or MLflow does not admit the alias.
            ServiceError: The registry failed.
        """
        try:
            with self._calling(f"point the alias {alias!r} of {name!r} at version {version!r}"):
                if alias == PRODUCTION:
                    # Before the alias moves, so that a crash does not lose the previous version.
                    past = [v for v in self.production_history(name) if v != version]
                    history = ",".join([*past, version][-MAX_HISTORY:])
                    self._client.set_registered_model_tag(name, HISTORY_TAG, history)
                self._client.set_registered_model_alias(name, alias, version)
        except ServiceError as error:
            code = getattr(error.__cause__, "error_code", "")
            if code == _UNKNOWN:
                raise UsageError(
                    f"{name!r} has no version {version!r}; give a registered version"
                ) from error
            if code == _REFUSED:
                raise UsageError(str(error)) from error
            raise

    def tag(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Add tags to a version, replacing those of the same name.

        Args:
            name: Of the registered model.
            version: The version's number.
            tags: Values by name, cut at `MAX_TAG_CHARS`.

        Raises:
            ServiceError: The registry failed, or has no such version.
        """
        with self._calling(f"tag version {version!r} of {name!r}"):
            for key, text in tags.items():
                self._client.set_model_version_tag(name, version, key, text[:MAX_TAG_CHARS])

    def _create(
        self,
        name: str,
        digest: str,
        source: str,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        params: Mapping[str, str],
    ) -> tuple[ModelVersion, bool]:
        """Create a version; return the one to use, and whether it is the new one."""
        with self._calling(f"register {name!r}"):
            self._ensure_model(name)
            with self._run(name) as run_id:
                self._log(run_id, tags, metrics, params)
                made = _version(
                    self._client.create_model_version(
                        name, self._reachable(source, run_id), run_id=run_id, tags=dict(tags)
                    )
                )
        first = self.find(name, digest)
        if first is None or first.version == made.version:
            return made, True
        with self._calling(f"delete version {made.version} of {name!r}"):
            self._client.delete_model_version(name, made.version)
            if run_id != MLFLOW_RUN_ID.get():
                self._client.delete_run(run_id)
        return first, False

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != _EXISTS:
                raise

    @contextlib.contextmanager
    def _run(self, name: str) -> Iterator[str]:
        """The run of the platform for this task, or a new one, which ends with the block."""
        if given := MLFLOW_RUN_ID.get():
            yield given
            return
        experiment = MLFLOW_EXPERIMENT_ID.get() or self._experiment(name)
        run_id = str(self._client.create_run(experiment).info.run_id)
        try:
            yield run_id
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the relevant one
                self._client.set_terminated(run_id, "FAILED")
            raise
        self._client.set_terminated(run_id)

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            if (result := self._client.get_experiment_by_name(name)) is None:
                return str(self._client.create_experiment(name))
        except MlflowException as error:
            # Another process registered it first.
            if error.error_code != _EXISTS:
                raise
            result = self._client.get_experiment_by_name(name)
        return str(result.experiment_id)

    def _log(
        self,
        run_id: str,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        params: Mapping[str, str],
    ) -> None:
        import time

        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        # The run of KFP belongs to the task, and earlier tasks have logged their own values.
        own = run_id != MLFLOW_RUN_ID.get()
        self._client.log_batch(
            run_id,
            params=[Param(k, _cut(v)) for k, v in sorted(params.items())[:MAX_PARAMS] if own],
            tags=[RunTag(key, text) for key, text in tags.items()],
        )
        values = [Metric(key, value, now, 0) for key, value in metric_names(metrics).items()]
        for begin in range(0, len(values), BATCH):
            self._client.log_batch(run_id, metrics=values[begin : begin + BATCH])

    def _reachable(self, source: str, run_id: str) -> str:
        """`source`, or the URI of the uploaded files if the server cannot access it."""
        if not self._uploads(source):
            return source
        self._client.log_artifacts(run_id, unquote(urlsplit(source).path), _ARTIFACT_PATH)
        return f"runs:/{run_id}/{_ARTIFACT_PATH}"

    def _uploads(self, source: str) -> bool:
        """Whether the server of the registry cannot access the files at a URI."""
        schemes = urlsplit(source).scheme, urlsplit(self._uri).scheme
        return schemes[0] == "file" and schemes[1] in {"http", "https"}

    @property
    def _client(self) -> "MlflowClient":
        if self._made is None:
            if self._is_file:
                self._check_file()
            from mlflow.tracking import MlflowClient

            self._made = MlflowClient(self._uri, self._uri)
        return self._made

    @contextlib.contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        with calling(what, self._uri), contextlib.ExitStack() as stack:
            if self._is_file:
                if self._made is None:
                    self._check_file()
                stack.enter_context(alone(self._path))
                if self._made is None:
                    prepare_file(self._path, _open_file)
            yield


def _open_file(path: Path) -> None:
    """Make or migrate the tables of a SQLite file."""
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{path}"
    client = MlflowClient(uri, uri)
    client.search_registered_models(max_results=1)
    client.search_experiments(max_results=1)


def name_problems(name: str) -> list[str]:
    """The problems of a model name; empty for a valid one.

    MLflow refuses only `/` and `:`, but other characters with a meaning in its filters or in
    `models:/` URIs would give a version that cannot be loaded.
    """
    if _MODEL_NAME.fullmatch(name) and len(name) <= MAX_NAME_CHARS:
        return []
    allowed = "letters, digits, spaces and _ - . ( ), beginning with a letter or digit"
    return [f"model_name {name!r}: use 1 to {MAX_NAME_CHARS} {allowed}"]


def _require_name(name: str) -> None:
    if problems := name_problems(name):
        raise UsageError.all_of(problems)


def _version(raw: Any) -> ModelVersion:
    return ModelVersion(raw.name, str(raw.version), str(raw.source), dict(raw.tags))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_PARAM_CHARS else f"{text[: MAX_PARAM_CHARS - 1]}…"
