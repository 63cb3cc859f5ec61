"""The model registry: MLflow 3, through its client.

An alias (`candidate`, `production`) names a version; a version's tags name digests, and its source
is the model's view in the store. One digest has one version of a model.
"""

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from assay.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CANDIDATE: Final = "candidate"
PRODUCTION: Final = "production"
MODEL_TAG: Final = "assay.model"
PING_SECONDS: Final = 5
MAX_TAG_CHARS: Final = 5000
"""MLflow's limit for a tag's value."""
_NOT_FOUND: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
_EXISTS: Final = "RESOURCE_ALREADY_EXISTS"


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
        if not digest:
            raise UsageError(
                f"version {self.version} of {self.name} has no tag {MODEL_TAG}: it came by "
                "other means; register it through the pipeline, or move the alias to one that was"
            )
        return digest


class Registry:
    """A model registry; every failure of it is a `ServiceError` in one line."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        self._uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not self._uri:
            raise UsageError(
                "MLFLOW_TRACKING_URI is not set; give the MLflow server's URL, or "
                "sqlite:////path/mlflow.db for one machine"
            )
        # Defaults that fail within a minute; whoever sets the variables knows better.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        self._made: MlflowClient | None = None

    def ping(self) -> None:
        """Reach the registry, quickly: without importing MLflow where a look will do.

        Raises:
            ServiceError: It does not answer.
        """
        parts = urlsplit(self._uri)
        if parts.scheme in {"http", "https"}:
            self._ping_server()
        elif parts.scheme == "sqlite":
            self._ping_file(Path(parts.path.removeprefix("/") or parts.netloc))
        else:
            with self._errors("reach the registry"):
                self._client.search_registered_models(max_results=1)

    def _ping_server(self) -> None:
        import urllib3

        url = f"{self._uri.rstrip('/')}/health"
        try:
            with urllib3.PoolManager(timeout=PING_SECONDS, retries=2) as pool:
                status = pool.request("GET", url).status
        except urllib3.exceptions.HTTPError as error:
            raise ServiceError(
                f"MLflow does not answer ({type(error).__name__}); {self._remedy()}"
            ) from error
        if status != 200:  # noqa: PLR2004 - OK
            raise ServiceError(f"MLflow answers {status} to /health; {self._remedy()}")

    def _ping_file(self, path: Path) -> None:
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise ServiceError(f"MLflow: {path} cannot be written; {self._remedy()}")

    def production(self, name: str) -> ModelVersion | None:
        """The version that the alias `production` names, or None."""
        with self._errors(f"ask for the production version of {name!r}"):
            from mlflow.exceptions import MlflowException

            try:
                return _version(self._client.get_model_version_by_alias(name, PRODUCTION))
            except MlflowException as error:
                # An alias that is not set is reported as a wrong parameter; anything else that is
                # wrong must not pass for "nothing in production".
                unset = error.error_code == "INVALID_PARAMETER_VALUE" and "alias" in str(error)
                if unset or error.error_code in _NOT_FOUND:
                    return None
                raise

    def find(self, name: str, digest: str) -> ModelVersion | None:
        """The version of `name` that holds `digest`, if there is one; the lowest of several."""
        with self._errors(f"search versions of {name!r}"):
            found = self._client.search_model_versions(
                f"name = '{_quoted(name)}' and tags.`{MODEL_TAG}` = '{digest}'"
            )
        versions = sorted((_version(item) for item in found), key=lambda v: int(v.version))
        return versions[0] if versions else None

    def register(
        self,
        name: str,
        digest: str,
        source: str,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
    ) -> tuple[ModelVersion, bool]:
        """Register a model's digest once, and point `candidate` at it.

        Two that race may both create a version; both then settle on the lower one, and the other
        is deleted by whoever made it.

        Args:
            name: Registered model.
            digest: The model's digest.
            source: URI that MLflow loads from.
            tags: Facts about the version; over-long values are refused.
            metrics: Numbers for the run that goes with the version.

        Returns:
            The version, and whether it is new.
        """
        long = sorted(key for key, value in tags.items() if len(value) > MAX_TAG_CHARS)
        if long:
            raise UsageError(f"tags too long for MLflow ({MAX_TAG_CHARS}): {', '.join(long)}")
        there = self.find(name, digest)
        new = there is None
        if there is None:
            there = self._create(name, digest, source, tags, metrics)
        self.set_alias(name, CANDIDATE, there.version)
        return there, new

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version.

        Raises:
            UsageError: No such version.
        """
        try:
            with self._errors(f"set the alias {alias!r} of {name!r}"):
                self._client.set_registered_model_alias(name, alias, version)
        except ServiceError as error:
            if "not found" in str(error).lower():
                raise UsageError(
                    f"{name!r} has no version {version!r}; see: assay production {name}"
                ) from error
            raise

    def _create(
        self,
        name: str,
        digest: str,
        source: str,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
    ) -> ModelVersion:
        with self._errors(f"register {name!r}"):
            self._ensure_model(name)
            run_id = self._log(name, tags, metrics)
            made = _version(
                self._client.create_model_version(
                    name, source, run_id=run_id, tags={**tags, MODEL_TAG: digest}
                )
            )
        first = self.find(name, digest)
        if first is not None and first.version != made.version:
            with self._errors(f"give up version {made.version} of {name!r}"):
                self._client.delete_model_version(name, made.version)
            return first
        return made

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != _EXISTS:
                raise

    def _log(self, name: str, tags: Mapping[str, str], metrics: Mapping[str, float]) -> str:
        """Metrics and tags in the run that the platform gave us, or in one of our own."""
        given = os.environ.get("MLFLOW_RUN_ID")
        if given:
            run_id = given
        else:
            experiment = self._client.get_experiment_by_name(name)
            experiment_id = (
                experiment.experiment_id if experiment else self._client.create_experiment(name)
            )
            run_id = self._client.create_run(experiment_id).info.run_id
        for key, value in metrics.items():
            self._client.log_metric(run_id, metric_name(key), value)
        for key, text in tags.items():
            self._client.set_tag(run_id, key, text)
        if not given:
            self._client.set_terminated(run_id)
        return str(run_id)

    @property
    def _client(self) -> "MlflowClient":
        if self._made is None:
            from mlflow.tracking import MlflowClient

            self._made = MlflowClient(self._uri, self._uri)
        return self._made

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Map MLflow's errors; quiet what it says about itself."""
        import sqlalchemy.exc
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        loggers = [logging.getLogger(item) for item in ("mlflow", "alembic")]
        levels = [item.level for item in loggers]
        for item in loggers:
            item.setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                # MLflow's own deprecations, which its user cannot act on.
                warnings.simplefilter("ignore")
                yield
        except MlflowException as error:
            raise ServiceError(
                f"MLflow: cannot {what}: {_line(error)}; {self._remedy()}"
            ) from error
        except (RequestException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            raise ServiceError(
                f"MLflow: cannot {what}: {_line(error)}; {self._remedy()}"
            ) from error
        finally:
            for item, level in zip(loggers, levels, strict=True):
                item.setLevel(level)

    def _remedy(self) -> str:
        return f"is MLFLOW_TRACKING_URI right ({public_uri(self._uri)})?"


def public_uri(uri: str) -> str:
    """A tracking URI without user and password."""
    return re.sub(r"//[^/@]*@", "//", uri)


def metric_name(name: str) -> str:
    """An evidence name as MLflow admits it: `accuracy{sex="F"}` is `accuracy/sex=F`."""
    text = name.replace("{", "/").replace("}", "").replace('"', "")
    return re.sub(r"[^\w.\-/ ]", "_", text)


def _version(raw: Any) -> ModelVersion:
    return ModelVersion(raw.name, str(raw.version), str(raw.source), dict(raw.tags))


def _quoted(name: str) -> str:
    return name.replace("'", "''")


def _line(error: Exception) -> str:
    text = public_uri(" ".join(str(error).split()))
    return text if len(text) <= 300 else f"{text[:300]}…"  # noqa: PLR2004
