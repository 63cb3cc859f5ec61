"""KFP's API, with kfp's client: with time limits, without output, and with errors of one line.

The address of the API and the login come from the environment:

| variable | meaning |
|---|---|
| `KFP_ENDPOINT` (or kfp's own `KF_PIPELINES_ENDPOINT`) | URL of the API, such as `https://kfp.example.org/pipeline` |
| `KFP_NAMESPACE` | namespace of a multi-user installation |
| `KFP_TOKEN` | bearer token |
| `KFP_COOKIES` | cookies of a login, such as `authservice_session=…` |
| `KFP_CA_CERT` | file of the certificate authority |
| `KF_PIPELINES_UI_ENDPOINT` | URL of the UI, for links, if it differs from that of the API |

kfp's client reads further settings of its own (`~/.config/kfp/context.json`, `KF_PIPELINES_IAP_*`).
"""  # noqa: E501 - a table's rows

import contextlib
import functools
import importlib
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from assay.core.digest import PREFIX
from assay.core.environment import hidden_modules
from assay.core.retry import TRANSIENT_STATUS
from assay.core.settings import (
    KFP_CA_FILE,
    KFP_COOKIES,
    KFP_ENDPOINT,
    KFP_NAMESPACE,
    KFP_PIPELINES_ENDPOINT,
    KFP_TOKEN,
)
from assay.documents import Limits, read_json
from assay.errors import ServiceError, UsageError

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 60
MAX_ANSWER_CHARS: Final = 300
MAX_ANSWER_BYTES: Final = 64 << 20
"""Size of a run in JSON; it may contain its compiled pipeline and the workflow."""
_ANSWER: Final = Limits(MAX_ANSWER_BYTES, values=2_000_000)
_LOGIN: Final = frozenset({301, 302, 303, 307, 308, 401, 403})
_MISSING: Final = 404
_CONFLICT: Final = 409


class KfpError(ServiceError):
    """KFP's API refused a request."""


class KfpUnavailableError(ServiceError):
    """KFP's API does not answer; a later attempt may succeed."""


class KfpNotFoundError(UsageError):
    """There is no such run, pipeline or version."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of KFP's API, and the login."""

    url: str
    namespace: str = ""
    token: str = field(default="", repr=False)
    cookies: str = field(default="", repr=False)
    ca_cert: str = ""

    @classmethod
    def from_env(cls, url: str = "", namespace: str = "") -> "Endpoint":
        """An endpoint; empty arguments are taken from the environment.

        Raises:
            UsageError: The URL is missing, not a URL, or contains a password.
        """
        from urllib.parse import urlsplit

        named = KFP_ENDPOINT.get() or KFP_PIPELINES_ENDPOINT.get()
        url = (url or named).rstrip("/")
        if not url:
            raise UsageError(
                "the address of KFP is missing; give --endpoint https://host/pipeline or set "
                "KFP_ENDPOINT"
            )
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise UsageError(
                "the endpoint contains a login; leave it out and set KFP_TOKEN or KFP_COOKIES"
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
            raise UsageError(f"{url!r} is not an endpoint; write https://host/pipeline")
        return cls(
            url,
            namespace or KFP_NAMESPACE.get(),
            KFP_TOKEN.get(),
            KFP_COOKIES.get(),
            KFP_CA_FILE.get(),
        )


@dataclass(frozen=True, slots=True)
class Health:
    """Properties of the API server."""

    multi_user: bool
    version: str
    """Version of the server; empty if unknown."""


def health(endpoint: Endpoint) -> Health:
    """Query the API server once, without retries.

    kfp's client queries it too, but five times with five seconds between, whatever the error.

    Raises:
        KfpUnavailableError: No answer, or the answer of another server.
        KfpError: It refuses the login.
    """
    import urllib3

    headers = {"Accept": "application/json"}
    if endpoint.token:
        headers["Authorization"] = f"Bearer {endpoint.token}"
    if endpoint.cookies:
        headers["Cookie"] = endpoint.cookies
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    trusted = endpoint.ca_cert or None
    with urllib3.PoolManager(retries=False, timeout=timeout, ca_certs=trusted) as pool:
        try:
            answer = pool.request(
                "GET", f"{endpoint.url}/apis/v2beta1/healthz", headers=headers, redirect=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unavailable(endpoint, type(error).__name__) from error
    if answer.status in _LOGIN:
        raise _refused(endpoint, answer.status)
    try:
        properties = read_json(answer.data, "the answer", error=ValueError)
        return Health(bool(properties.get("multi_user")), str(properties.get("tag_name") or ""))
    except (ValueError, AttributeError) as error:
        raise _unavailable(
            endpoint, f"HTTP {answer.status} without JSON: is this the address of the API?"
        ) from error


Pipeline = tuple[str, str] | Mapping[str, Any]
"""What to run: the ids of a pipeline and its version, or a compiled pipeline."""


@dataclass(frozen=True, slots=True)
class Version:
    """A pipeline version, as the UI shows it."""

    release: str
    """Version of Assay."""
    digest: str
    """Of the compiled content; the description contains it, so that equal content is recognised."""
    of_pipeline: str = ""
    """The pipeline's description, in Markdown."""
    description: str = ""
    """Description of the version."""

    def names(self, pipeline: str) -> Iterator[tuple[str, str]]:
        """Its name, and longer names in case that other content has the name.

        Each in two forms: for display, and as a Kubernetes name, for installations that keep
        pipelines in Kubernetes; older ones show the latter.
        """
        for digits in (8, 16, 64):
            parts = self.release, self.digest.removeprefix(PREFIX)[:digits]
            yield " · ".join(parts), re.sub("[^a-z0-9.]+", "-", "-".join((pipeline, *parts)))


class Kfp:
    """KFP's API at an endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        multi_user = health(endpoint).multi_user
        if multi_user and not endpoint.namespace:
            raise UsageError(f"{endpoint.url} is multi-user; give --namespace or set KFP_NAMESPACE")
        self.namespace = endpoint.namespace if multi_user else None
        # The Kubernetes client would import the schemas of every version, which takes a second, and
        # not use them here.
        with _quiet(), hidden_modules("kubernetes_validate"):
            # By name, because the command line imports kfp without it, and images have kfp without
            # it.
            self._client = importlib.import_module("kfp.client").Client(
                host=endpoint.url,
                existing_token=endpoint.token or None,
                cookies=endpoint.cookies or None,
                ssl_ca_cert=endpoint.ca_cert or None,
                **({"namespace": self.namespace} if self.namespace else {}),
            )
        self.ui = self._client._get_url_prefix().rstrip("/")  # noqa: SLF001 - kfp's own links
        _bound(self._client.runs.api_client.rest_client)

    def run_url(self, run_id: str) -> str:
        """URL of the run in the UI."""
        return f"{self.ui}/#/runs/details/{run_id}"

    def schedule_url(self, schedule_id: str) -> str:
        """URL of the recurring run in the UI."""
        return f"{self.ui}/#/recurringrun/details/{schedule_id}"

    def upload(self, name: str, package: Path, version: "Version") -> tuple[str, str, str, bool]:
        """Upload a pipeline version, unless KFP has the same content.

        Args:
            name: Name of the pipeline; it is created if it does not exist.
            package: File with the compiled YAML.
            version: Names and descriptions.

        Returns:
            Ids of pipeline and version, the version's name, and whether it is new.

        Raises:
            KfpError: Every name is taken by other content, or the API refused.
            KfpUnavailableError: The API does not answer.
        """
        with self._calling(f"upload {name}"):
            pipeline_id = self._pipeline(name, version.of_pipeline)
            for shown, plain in version.names(name):
                existing = self._version(pipeline_id, shown) or self._version(pipeline_id, plain)
                if existing is None:
                    existing, new = self._create(pipeline_id, package, (shown, plain), version)
                    if new:
                        return pipeline_id, str(existing.pipeline_version_id), shown, True
                if existing is not None and version.digest in str(existing.description or ""):
                    return pipeline_id, str(existing.pipeline_version_id), shown, False
        raise KfpError(
            f"KFP: cannot upload {name}: every name for it is taken by a version with other content"
        )

    def _create(
        self, pipeline_id: str, package: Path, names: tuple[str, str], version: "Version"
    ) -> tuple[Any, bool]:
        """The version, and whether it is new: another client may have created it meanwhile."""
        from kfp_server_api import ApiException, PipelineUploadServiceApi

        shown, plain = names
        try:
            created = PipelineUploadServiceApi(
                self._client.runs.api_client
            ).upload_pipeline_version(
                str(package),
                pipelineid=pipeline_id,
                name=plain,
                display_name=shown,
                description=version.description,
            )
        except ApiException as error:
            if error.status != _CONFLICT:
                raise
            return self._version(pipeline_id, shown), False
        return created, True

    def _pipeline(self, name: str, description: str) -> str:
        from kfp_server_api import ApiException, V2beta1Pipeline

        if existing := self._find_pipeline(name):
            return existing
        try:
            created = self._client.pipelines.pipeline_service_create_pipeline(
                V2beta1Pipeline(
                    display_name=name,
                    name=name,
                    description=description,
                    namespace=self.namespace,
                )
            )
        except ApiException as error:
            if error.status == _CONFLICT and (existing := self._find_pipeline(name)):
                return existing
            raise
        return str(created.pipeline_id)

    def _find_pipeline(self, name: str) -> str:
        listed = self._client.list_pipelines(filter=_named(name), namespace=self.namespace)
        return next((str(item.pipeline_id) for item in listed.pipelines or ()), "")

    def _version(self, pipeline_id: str, name: str) -> Any:
        listed = self._client.list_pipeline_versions(pipeline_id, filter=_named(name))
        return next(iter(listed.pipeline_versions or ()), None)

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is created if it does not exist."""
        with self._calling(f"open the experiment {name!r}"):
            experiment = self._client.create_experiment(name, namespace=self.namespace)
            return str(experiment.experiment_id)

    def start(
        self,
        name: str,
        experiment_id: str,
        pipeline: "Pipeline",
        parameters: Mapping[str, Any],
        *,
        service_account: str = "",
        pipeline_root: str = "",
    ) -> str:
        """Start a run. The request is not retried, because that could start two runs.

        Args:
            name: Name of the run.
            experiment_id: The experiment.
            pipeline: What to run.
            parameters: Arguments of the pipeline.
            service_account: Service account of its pods; empty for KFP's default.
            pipeline_root: Where KFP keeps its files of the run; empty for KFP's default.

        Returns:
            The id of the run.

        Raises:
            KfpError: The API refused.
            KfpUnavailableError: The API does not answer; the run may have started.
        """
        from kfp_server_api import V2beta1Run

        with self._calling(f"start the run {name!r} (check in the UI whether it exists)"):
            run = self._client.runs.run_service_create_run(
                V2beta1Run(
                    experiment_id=experiment_id,
                    display_name=name,
                    runtime_config=_config(parameters, pipeline_root),
                    service_account=service_account or None,
                    **_what(pipeline),
                )
            )
            return str(run.run_id)

    def schedule(
        self,
        name: str,
        experiment_id: str,
        pipeline: "Pipeline",
        parameters: Mapping[str, Any],
        *,
        cron: str = "",
        every_seconds: int = 0,
        max_concurrency: int = 1,
        catch_up: bool = False,
        service_account: str = "",
        pipeline_root: str = "",
    ) -> str:
        """Start a recurring run.

        Args:
            name: Name of the recurring run.
            experiment_id: The experiment.
            pipeline: What to run.
            parameters: Arguments of the pipeline.
            cron: Six fields, seconds first; empty for an interval.
            every_seconds: The interval, if `cron` is empty.
            max_concurrency: Number of runs at the same time.
            catch_up: Whether to run for missed times.
            service_account: Service account of the pods; empty for KFP's default.
            pipeline_root: Where KFP keeps its files of the runs; empty for KFP's default.

        Returns:
            The id of the recurring run.

        Raises:
            UsageError: One with this name exists; two would run everything twice.
            KfpError: The API refused.
            KfpUnavailableError: The API does not answer.
        """
        from kfp_server_api import (
            RecurringRunServiceApi,
            V2beta1CronSchedule,
            V2beta1PeriodicSchedule,
            V2beta1RecurringRun,
            V2beta1Trigger,
        )

        with self._calling(f"start the recurring run {name!r}"):
            listed = self._client.list_recurring_runs(
                experiment_id=experiment_id, filter=_named(name)
            )
            if existing := listed.recurring_runs:
                raise UsageError(
                    f"the recurring run {name!r} exists ({existing[0].recurring_run_id}); delete "
                    "it in the UI, or give another --name"
                )
            api = RecurringRunServiceApi(self._client.runs.api_client)
            recurring = api.recurring_run_service_create_recurring_run(
                V2beta1RecurringRun(
                    experiment_id=experiment_id,
                    display_name=name,
                    mode="ENABLE",
                    max_concurrency=max_concurrency,
                    no_catchup=not catch_up,
                    trigger=V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=cron))
                    if cron
                    else V2beta1Trigger(
                        periodic_schedule=V2beta1PeriodicSchedule(interval_second=every_seconds)
                    ),
                    runtime_config=_config(parameters, pipeline_root),
                    service_account=service_account or None,
                    **_what(pipeline),
                )
            )
            return str(recurring.recurring_run_id)

    def run(self, run_id: str) -> Mapping[str, Any]:
        """A run as the API returns it, in JSON.

        Not as the type of kfp's client, which refuses an unknown state.
        """
        with self._calling(f"get the run {run_id}"):
            return self._get("v2beta1", run_id)

    def workflow(self, run_id: str) -> str:
        """The Argo workflow of a run, as JSON; only the older API version returns it."""
        with self._calling(f"get the workflow of the run {run_id}"):
            runtime = self._get("v1beta1", run_id).get("pipeline_runtime")
        return str(runtime.get("workflow_manifest") or "") if isinstance(runtime, dict) else ""

    def _get(self, version: str, run_id: str) -> Mapping[str, Any]:
        client = self._client.runs.api_client
        client.call_api(
            f"/apis/{version}/runs/{{run_id}}",
            "GET",
            path_params={"run_id": run_id},
            header_params={"Accept": "application/json"},
            auth_settings=["Bearer"],
        )
        answer = read_json(client.last_response.data, "the answer", _ANSWER, error=ValueError)
        if not isinstance(answer, dict):
            raise ValueError("the answer is not an object; is this the address of the API?")  # noqa: TRY004
        return answer

    def spec(self, run: Mapping[str, Any]) -> Mapping[str, Any]:
        """The compiled pipeline of a run; empty if the API no longer has it."""
        compiled = run.get("pipeline_spec")
        if not compiled and (reference := run.get("pipeline_version_reference")):
            with contextlib.suppress(KfpNotFoundError), self._calling("get the pipeline"):
                compiled = self._client.get_pipeline_version(
                    reference.get("pipeline_id"), reference.get("pipeline_version_id")
                ).pipeline_spec
        compiled = compiled or {}
        # A pipeline with platform options is returned as an object with two keys.
        spec: Mapping[str, Any] = compiled.get("pipeline_spec", compiled)
        return spec

    def cancel(self, run_id: str) -> None:
        """Request the end of a run; its state becomes CANCELING, then CANCELED."""
        with self._calling(f"stop the run {run_id}"):
            self._client.terminate_run(run_id)

    @contextlib.contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        import urllib3
        from kfp_server_api import ApiException

        try:
            with _quiet():
                yield
        except ApiException as error:
            raise self._failure(what, error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unavailable(self._endpoint, f"cannot {what}: {type(error).__name__}") from error
        except ValueError as error:
            # Checks of the client, such as two pipelines of the same name.
            raise KfpError(f"KFP: cannot {what}: {error}") from error

    def _failure(self, what: str, error: Any) -> Exception:
        status = int(error.status or 0)
        if status in TRANSIENT_STATUS or not status:
            return _unavailable(self._endpoint, f"cannot {what}: HTTP {status or 'failed'}")
        if status in _LOGIN:
            return _refused(self._endpoint, status)
        text = _message(error.body)
        if status == _MISSING:
            return KfpNotFoundError(f"KFP: cannot {what}: {text or 'not found'}")
        return KfpError(f"KFP: cannot {what}: HTTP {status}: {text}")


def _bound(rest_client: Any) -> None:
    """Set a time limit for every request; kfp's client has none and would wait forever."""
    request = rest_client.request

    @functools.wraps(request)
    def bounded(*arguments: Any, **named: Any) -> Any:
        named["_request_timeout"] = named.get("_request_timeout") or (
            CONNECT_SECONDS,
            READ_SECONDS,
        )
        return request(*arguments, **named)

    rest_client.request = bounded


def _what(pipeline: Pipeline) -> dict[str, Any]:
    from kfp_server_api import V2beta1PipelineVersionReference

    if isinstance(pipeline, Mapping):
        return {"pipeline_spec": dict(pipeline)}
    return {
        "pipeline_version_reference": V2beta1PipelineVersionReference(
            pipeline_id=pipeline[0], pipeline_version_id=pipeline[1]
        )
    }


def _config(parameters: Mapping[str, Any], pipeline_root: str) -> Any:
    from kfp_server_api import V2beta1RuntimeConfig

    return V2beta1RuntimeConfig(parameters=dict(parameters), pipeline_root=pipeline_root or None)


def _named(name: str) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})


def _message(body: Any) -> str:
    """The message of the API, as one line of bounded length."""
    try:
        answer = read_json(body or "{}", "the answer", error=ValueError)
        text = str(answer.get("message") or answer.get("error") or "")
    except (ValueError, AttributeError):
        text = ""
    text = " ".join(text.split())
    return text if len(text) <= MAX_ANSWER_CHARS else f"{text[:MAX_ANSWER_CHARS]}…"


def _unavailable(endpoint: Endpoint, what: str) -> KfpUnavailableError:
    return KfpUnavailableError(
        f"KFP at {endpoint.url} does not answer correctly ({what}); check --endpoint or "
        "KFP_ENDPOINT, and that the API server runs"
    )


def _refused(endpoint: Endpoint, status: int) -> KfpError:
    return KfpError(
        f"KFP at {endpoint.url} requires a login or refuses this one (HTTP {status}); set "
        "KFP_TOKEN or KFP_COOKIES, and --namespace to one that you may use"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the output and warnings of kfp's client; Assay reports what matters."""
    logger = logging.getLogger("urllib3.connectionpool")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
