"""The declarations of all environment variables that Assay reads.

All configuration comes from the environment, so that components do not need parameters for it.
Variables of higher packages are declared here too. No other module of the library reads
`os.environ`. An empty variable is treated as unset. `docs/settings.md` is generated from this
table, and `assay.runtime.mounted` uses it to determine what a cluster's Secrets and ConfigMap may
set.
"""

import difflib
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from assay.errors import UsageError

PREFIX: Final = "ASSAY_"
MAX_SHOWN: Final = 80
"""Maximum length of a value in error messages."""
MAX_DIGITS: Final = 18
"""Maximum length of an integer."""
_SIMILAR: Final = 0.75
"""Minimum `difflib` ratio, without the prefix, for a name to be reported as misspelt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An environment variable; subclasses define the type of its value."""

    name: str
    meaning: str
    used_by: str
    unset: str = ""
    """Description of the behaviour if the variable is unset, if the default does not show it."""
    secret: bool = False
    """Whether the value must not occur in messages, reports or attestations."""
    config_map: bool = False
    """Whether the ConfigMap of a cluster may set it; the key is the name of the variable."""
    mounted: str = ""
    """The Secret that sets it in a cluster, as group and key, such as `store/user`."""

    @property
    def given(self) -> str:
        """The value in the environment; empty if the variable is unset."""
        return os.environ.get(self.name, "").strip()

    @property
    def is_set(self) -> bool:
        """Whether the variable is set, possibly to an empty value."""
        return self.name in os.environ

    @property
    def form(self) -> str:
        """Description of the valid values."""
        raise NotImplementedError

    @property
    def default_text(self) -> str:
        """Description of the behaviour if the variable is unset."""
        return self.unset or "none"

    def problem(self) -> str:
        """Why the value is invalid, with the remedy; empty if it is valid."""
        return ""

    def _wrong(self, remedy: str) -> str:
        shown = "the value" if self.secret else repr(self.given[:MAX_SHOWN])
        unset = f", or unset it for {self.default_text}" if self.default_text != "none" else ""
        return f"{self.name}: {shown} is not {self.form}; {remedy}{unset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Setting):
    """A variable whose value is text."""

    form: str = "text"
    default: str = ""
    example: str = ""

    @property
    def default_text(self) -> str:
        """Description of the behaviour if the variable is unset."""
        return self.unset or self.default or "none"

    def get(self) -> str:
        """The value, or the default."""
        return self.given or self.default

    def require(self) -> str:
        """The value.

        Raises:
            UsageError: The variable is not set; the message describes the value.
        """
        if value := self.get():
            return value
        example = f", such as {self.example}" if self.example else ""
        raise UsageError(f"{self.name} is not set", remedy=f"give {self.meaning}{example}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder(Text):
    """A variable whose value is the path of a folder."""

    form: str = "the path of a folder"

    def problem(self) -> str:
        """Why the value is invalid, with the remedy; empty if it is valid."""
        wrong = self.given and not Path(self.given).is_dir()
        return self._wrong("create it") if wrong else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer(Setting):
    """A variable whose value is a whole number of at least 1."""

    default: int
    maximum: int | None = None

    @property
    def form(self) -> str:
        """Description of the valid values."""
        if self.maximum is not None:
            return f"a whole number from 1 to {self.maximum}"
        return "a whole number of at least 1"

    @property
    def default_text(self) -> str:
        """Description of the behaviour if the variable is unset."""
        return f"{self.default:,}"

    def get(self) -> int:
        """The value, or the default.

        Raises:
            UsageError: The value is not such a number.
        """
        check(self)
        return int(self.given or self.default)

    def problem(self) -> str:
        """Why the value is invalid, with the remedy; empty if it is valid."""
        text = self.given or "1"
        whole = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
        right = whole and 1 <= int(text) <= (self.maximum or int(text))
        return "" if right else self._wrong("give one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Setting):
    """A variable whose value is a positive number."""

    default: float

    @property
    def form(self) -> str:
        """Description of the valid values."""
        return "a positive number"

    @property
    def default_text(self) -> str:
        """Description of the behaviour if the variable is unset."""
        return f"{self.default:,}"

    def get(self) -> float:
        """The value, or the default.

        Raises:
            UsageError: The value is not such a number.
        """
        check(self)
        return float(self.given or self.default)

    def problem(self) -> str:
        """Why the value is invalid, with the remedy; empty if it is valid."""
        try:
            value = float(self.given or self.default)
        except ValueError:
            value = -1.0
        return "" if 0 < value < math.inf else self._wrong("give one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Setting):
    """A variable with a fixed set of values."""

    choices: tuple[str, ...]
    default: str = ""

    @property
    def form(self) -> str:
        """Description of the valid values."""
        return f"one of {', '.join(self.choices)}"

    @property
    def default_text(self) -> str:
        """Description of the behaviour if the variable is unset."""
        return self.unset or self.default or "none"

    def get(self) -> str:
        """The value, or the default.

        Raises:
            UsageError: The value is not one of `choices`.
        """
        check(self)
        return self.given or self.default

    def problem(self) -> str:
        """Why the value is invalid, with the remedy; empty if it is valid."""
        return "" if self.given in {"", *self.choices} else self._wrong("give one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextList(Setting):
    """A variable whose value is a list of strings."""

    of: str
    """Description of the items."""
    separator: str = ","

    @property
    def form(self) -> str:
        """Description of the valid values."""
        return f"{self.of}, separated by {'commas' if self.separator == ',' else 'blanks'}"

    def get(self) -> tuple[str, ...]:
        """The items, without surrounding white space."""
        return tuple(filter(None, (text.strip() for text in self.given.split(self.separator))))


def check(*settings: Setting) -> None:
    """Check the values of several settings.

    Raises:
        UsageError: Values are invalid; the message lists all of them.
    """
    if problems := list(filter(None, (setting.problem() for setting in settings))):
        raise UsageError.all_of(problems)


_ALL: Final = "every stage; every command that reads or writes the store"
_TABLES: Final = "preflight, prepare_data, snapshot_data, validate_data, import_artifact"
_PULLS: Final = (
    "promote, rollback, rollback_drill, resolve_production, register, release_evidence, doctor; "
    "assay release"
)
_SUBMIT: Final = "assay submit, compile --upload, doctor"

STORE: Final = Text(
    name="ASSAY_STORE",
    meaning="the store's URL",
    form="`file:///folder` or `s3://bucket/prefix?endpoint=http://host:port`",
    unset="none; commands use `./.assay/store`",
    example="file:///data/assay or s3://bucket/prefix?endpoint=http://minio:9000",
    used_by=_ALL,
    config_map=True,
)
STORE_TIMEOUT: Final = Number(
    name="ASSAY_STORE_TIMEOUT",
    meaning="seconds that one request to an S3 store may take, apart from its bytes",
    default=120,
    used_by=_ALL,
    config_map=True,
)
STORE_MIN_RATE: Final = Number(
    name="ASSAY_STORE_MIN_RATE",
    meaning="bytes per second below which a transfer is given up",
    default=16 << 10,
    used_by=_ALL,
    config_map=True,
)
S3_ENDPOINT: Final = Text(
    name="AWS_ENDPOINT_URL",
    meaning="the S3 server of URLs that name no endpoint",
    form="URL",
    used_by=_ALL,
    config_map=True,
)
S3_REGION: Final = Text(
    name="AWS_REGION",
    meaning="the S3 region of URLs that name none",
    default="us-east-1",
    used_by=_ALL,
    config_map=True,
)
S3_ACCESS_KEY: Final = Text(
    name="AWS_ACCESS_KEY_ID",
    meaning="the user of the S3 store; `MINIO_ACCESS_KEY` if it is not set",
    used_by=_ALL,
    mounted="runner/access-key",
)
S3_SECRET_KEY: Final = Text(
    name="AWS_SECRET_ACCESS_KEY",
    meaning="the password of the S3 store; `MINIO_SECRET_KEY` if it is not set",
    secret=True,
    used_by=_ALL,
    mounted="runner/secret-key",
)
S3_SESSION_TOKEN: Final = Text(
    name="AWS_SESSION_TOKEN",
    meaning="the token of temporary credentials of the S3 store",
    secret=True,
    used_by=_ALL,
)
MINIO_ACCESS_KEY: Final = Text(
    name="MINIO_ACCESS_KEY",
    meaning="as `AWS_ACCESS_KEY_ID`, if that is not set",
    used_by=_ALL,
)
MINIO_SECRET_KEY: Final = Text(
    name="MINIO_SECRET_KEY",
    meaning="as `AWS_SECRET_ACCESS_KEY`, if that is not set",
    secret=True,
    used_by=_ALL,
)
S3_TOKEN_FILE: Final = Text(
    name="AWS_WEB_IDENTITY_TOKEN_FILE",
    meaning="the file with the token of a service account, which is exchanged for a role",
    form="path",
    used_by=_ALL,
)
S3_ROLE: Final = Text(
    name="AWS_ROLE_ARN",
    meaning="the role that a web identity assumes",
    used_by=_ALL,
)
S3_ROLE_SESSION: Final = Text(
    name="AWS_ROLE_SESSION_NAME",
    meaning="the name of its session in the logs of the server",
    default="assay",
    used_by=_ALL,
)
STS_ENDPOINT: Final = Text(
    name="AWS_ENDPOINT_URL_STS",
    meaning="the security token service",
    form="URL",
    unset="`AWS_ENDPOINT_URL`, else that of AWS",
    used_by=_ALL,
)
S3_PROFILE: Final = Text(
    name="AWS_PROFILE",
    meaning="the profile in the shared files",
    default="default",
    used_by=_ALL,
)
S3_CREDENTIALS_FILE: Final = Text(
    name="AWS_SHARED_CREDENTIALS_FILE",
    meaning="shared file of credentials",
    form="path",
    default="~/.aws/credentials",
    used_by=_ALL,
)
S3_CONFIG_FILE: Final = Text(
    name="AWS_CONFIG_FILE",
    meaning="shared file of profiles",
    form="path",
    default="~/.aws/config",
    used_by=_ALL,
)
CONTAINER_URL: Final = Text(
    name="AWS_CONTAINER_CREDENTIALS_FULL_URI",
    meaning="the endpoint of the container agent that issues credentials",
    form="URL",
    used_by=_ALL,
)
CONTAINER_PATH: Final = Text(
    name="AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    meaning="the same, as a path on the agent of ECS",
    form="path",
    used_by=_ALL,
)
CONTAINER_TOKEN: Final = Text(
    name="AWS_CONTAINER_AUTHORIZATION_TOKEN",
    meaning="the authorization token for the container agent",
    secret=True,
    used_by=_ALL,
)
CONTAINER_TOKEN_FILE: Final = Text(
    name="AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    meaning="the file of that token",
    form="path",
    used_by=_ALL,
)
METADATA_DISABLED: Final = Text(
    name="AWS_EC2_METADATA_DISABLED",
    meaning="`false` to use the role of the instance",
    default="true",
    used_by=_ALL,
)
METADATA_ENDPOINT: Final = Text(
    name="AWS_EC2_METADATA_SERVICE_ENDPOINT",
    meaning="the metadata service of the instance; setting it enables it",
    form="URL",
    used_by=_ALL,
)
CA_FILE: Final = Text(
    name="SSL_CERT_FILE",
    meaning="certificates of authorities that the S3 store's certificate may be signed by",
    form="path",
    unset="the system's",
    used_by=_ALL,
)

SIGNING_KEY: Final = Text(
    name="ASSAY_SIGNING_KEY",
    meaning="the private key that signs attestations and statements",
    form="PEM text, or its path",
    unset="unsigned",
    secret=True,
    used_by="every stage; assay approve, override, revoke, sign, rollback",
    mounted="runner/private-key",
)
VERIFY_KEYS: Final = Text(
    name="ASSAY_VERIFY_KEYS",
    meaning="public keys, with owners and roles; once set, unsigned attestations are refused",
    form="`keys.yaml` or PEM text, or its path",
    unset="signatures are not verified",
    used_by=_ALL,
    mounted="runner/public-key",
)

CACHE: Final = Choice(
    name="ASSAY_CACHE",
    meaning="whether a step that was executed before is answered from the store; `refresh` "
    "executes it again and stores the new answer",
    choices=("read-write", "off", "refresh"),
    default="read-write",
    used_by="every stage",
    config_map=True,
)
WORK: Final = Folder(
    name="ASSAY_WORK",
    meaning="the folder for work folders",
    unset="the system's temporary folder",
    used_by="every stage",
)
RUN: Final = Text(
    name="ASSAY_RUN",
    meaning="the id of the run; `assay run` and a profile set it",
    used_by="every stage, for its attestation; run_report",
)
EVENTS: Final = Text(
    name="ASSAY_EVENTS",
    meaning="the file that gets a JSON line for each event of a task; `assay run` sets it",
    form="path",
    used_by="every stage",
)
IMAGE: Final = Text(
    name="ASSAY_IMAGE",
    meaning="the reference of the running image; compiled pipelines set it",
    used_by="every stage, for its attestation",
)
GIT_COMMIT: Final = Text(
    name="ASSAY_GIT_COMMIT",
    meaning="the commit that the image was built from, with `+dirty` where files had changed; "
    "images set it",
    unset="the checkout's, where there is one",
    used_by="every stage, for its attestation",
)
GIT_REPOSITORY: Final = Text(
    name="ASSAY_GIT_REPOSITORY",
    meaning="the repository of that commit; images set it",
    form="URL",
    unset="the package's name and version",
    used_by="every stage, for its attestation",
)
KUBERNETES_HOST: Final = Text(
    name="KUBERNETES_SERVICE_HOST",
    meaning="indicates that a process runs in a pod; Kubernetes sets it",
    used_by="stages that read data: the default of `ASSAY_SOURCES`",
)

SOURCES: Final = TextList(
    name="ASSAY_SOURCES",
    meaning="locations that may be read: folders, schemes, hosts and buckets",
    of="locations",
    unset="all files and https; in a cluster nothing but the store's server",
    used_by=_TABLES,
    config_map=True,
)
ALLOWED_CLASSES: Final = TextList(
    name="ASSAY_ALLOWED_CLASSES",
    meaning="classes that models may contain besides those of scikit-learn; their code is trusted",
    of="full names",
    used_by="preflight, train, evaluate, compare, check_monitoring, register",
    config_map=True,
)
MAX_COLUMNS: Final = Integer(
    name="ASSAY_MAX_COLUMNS",
    meaning="columns that a table may have",
    default=20_000,
    used_by=_TABLES,
    config_map=True,
)
MAX_TABLE_BYTES: Final = Integer(
    name="ASSAY_MAX_TABLE_BYTES",
    meaning="size in bytes that a table may have, both as fetched and decompressed",
    default=32 << 30,
    used_by=_TABLES,
    config_map=True,
)
MAX_PART_BYTES: Final = Integer(
    name="ASSAY_MAX_PART_BYTES",
    meaning="size in memory that the rows of one part may have, in bytes",
    default=1 << 30,
    used_by=_TABLES,
    config_map=True,
)
MAX_UNPACKED_RATIO: Final = Integer(
    name="ASSAY_MAX_UNPACKED_RATIO",
    meaning="maximum compression ratio of files that decompress to more than 256 MiB",
    default=200,
    used_by=_TABLES,
    config_map=True,
)
MAX_READ_SECONDS: Final = Integer(
    name="ASSAY_MAX_READ_SECONDS",
    meaning="seconds that reading a table may take",
    default=4 * 3600,
    used_by=_TABLES,
    config_map=True,
)

MLFLOW_URI: Final = Text(
    name="MLFLOW_TRACKING_URI",
    meaning="the MLflow server's URL",
    form="URL",
    unset="none; commands use SQLite in `./.assay`",
    example="http://mlflow:5000, or sqlite:////path/mlflow.db for one machine",
    used_by="the stages and commands that ask the registry",
    config_map=True,
)
MLFLOW_USER: Final = Text(
    name="MLFLOW_TRACKING_USERNAME",
    meaning="the user of MLflow; MLflow reads it",
    used_by="as MLFLOW_TRACKING_URI",
    mounted="mlflow/username",
)
MLFLOW_PASSWORD: Final = Text(
    name="MLFLOW_TRACKING_PASSWORD",
    meaning="the password of that user; MLflow reads it",
    secret=True,
    used_by="as MLFLOW_TRACKING_URI",
    mounted="mlflow/password",
)
MLFLOW_TOKEN: Final = Text(
    name="MLFLOW_TRACKING_TOKEN",
    meaning="a token instead of user and password; MLflow reads it",
    secret=True,
    used_by="as MLFLOW_TRACKING_URI",
)
MLFLOW_RUN_ID: Final = Text(
    name="MLFLOW_RUN_ID",
    meaning="the MLflow run that a task logs into; KFP sets it where it is set up for it",
    unset="register creates a run",
    used_by="every stage",
)
MLFLOW_EXPERIMENT_ID: Final = Text(
    name="MLFLOW_EXPERIMENT_ID",
    meaning="the experiment of the run that register creates",
    unset="the one named after the model",
    used_by="register",
)

DEPLOYMENTS: Final = Text(
    name="ASSAY_DEPLOYMENTS",
    meaning="the deployment repository's URL",
    form="URL or path, without a login",
    example="https://forge.example/team/deployments.git, or the path of a bare repository",
    used_by=_PULLS,
    config_map=True,
)
DEPLOYMENTS_BRANCH: Final = Text(
    name="ASSAY_DEPLOYMENTS_BRANCH",
    meaning="its branch",
    default="main",
    used_by=_PULLS,
    config_map=True,
)
FORGE: Final = Choice(
    name="ASSAY_FORGE",
    meaning="the forge that opens pull requests; `gitea` for Forgejo too",
    choices=("github", "gitlab", "gitea", "none"),
    unset="by the URL's host",
    used_by=_PULLS,
    config_map=True,
)
FORGE_URL: Final = Text(
    name="ASSAY_FORGE_URL",
    meaning="the forge's address, where it is not the repository's host",
    form="URL",
    unset="the repository's host",
    used_by=_PULLS,
    config_map=True,
)
GIT_TOKEN: Final = Text(
    name="ASSAY_GIT_TOKEN",
    meaning="the token for Git over HTTP(S) and for the forge, with the right to write code and "
    "pull requests",
    secret=True,
    used_by=_PULLS,
    mounted="git/token",
)
GIT_USER: Final = Text(
    name="ASSAY_GIT_USER",
    meaning="the user that goes with the token, where the forge asks for one",
    default="oauth2",
    used_by=_PULLS,
    config_map=True,
)
APPROVAL_DAYS: Final = Integer(
    name="ASSAY_APPROVAL_DAYS",
    meaning="days that an approval is valid",
    default=365,
    maximum=99_999,
    used_by="assay approve, approvals sync",
    config_map=True,
)
SOURCE_REPOSITORY: Final = TextList(
    name="ASSAY_SOURCE_REPOSITORY",
    meaning="repositories whose commits a pull request may list; the first one where an "
    "attestation names none of them",
    of="URLs",
    separator=" ",
    used_by="promote; assay promote",
    config_map=True,
)
PUSHGATEWAY: Final = Text(
    name="ASSAY_PUSHGATEWAY",
    meaning="the Prometheus Pushgateway that gets a drill's metrics",
    form="URL",
    used_by="rollback_drill",
    config_map=True,
)
GIT_AUTHOR_NAME: Final = Text(
    name="GIT_AUTHOR_NAME",
    meaning="the author of commits and statements",
    unset="Git's `user.name`",
    used_by="commands that commit or sign for a person",
)
GIT_AUTHOR_EMAIL: Final = Text(
    name="GIT_AUTHOR_EMAIL",
    meaning="their mail address",
    unset="Git's `user.email`",
    used_by="commands that commit or sign for a person",
)
GIT_COMMITTER_NAME: Final = Text(
    name="GIT_COMMITTER_NAME",
    meaning="the author of statements, if `GIT_AUTHOR_NAME` is not set",
    used_by="commands that sign for a person",
)
GIT_COMMITTER_EMAIL: Final = Text(
    name="GIT_COMMITTER_EMAIL",
    meaning="their mail address",
    used_by="commands that sign for a person",
)
GIT_SSH_COMMAND: Final = Text(
    name="GIT_SSH_COMMAND",
    meaning="the command that Git uses for SSH",
    default="ssh -o BatchMode=yes -o ConnectTimeout=15",
    used_by=_PULLS,
)

NOTIFY_URL: Final = Text(
    name="ASSAY_NOTIFY_URL",
    meaning="the webhook that gets a message about each run",
    form="URL",
    secret=True,
    used_by="run_report",
    mounted="notify/url",
)

KFP_ENDPOINT: Final = Text(
    name="KFP_ENDPOINT",
    meaning="the URL of KFP's API; `KF_PIPELINES_ENDPOINT` if it is not set",
    form="URL",
    used_by=_SUBMIT,
)
KFP_PIPELINES_ENDPOINT: Final = Text(
    name="KF_PIPELINES_ENDPOINT",
    meaning="the same, as KFP's own client names it",
    form="URL",
    used_by=_SUBMIT,
)
KFP_NAMESPACE: Final = Text(
    name="KFP_NAMESPACE",
    meaning="the namespace of the runs, where KFP has more than one",
    used_by=_SUBMIT,
)
KFP_TOKEN: Final = Text(
    name="KFP_TOKEN",
    meaning="a bearer token for KFP's API",
    secret=True,
    used_by=_SUBMIT,
)
KFP_COOKIES: Final = Text(
    name="KFP_COOKIES",
    meaning="cookies of a session for KFP's API",
    secret=True,
    used_by=_SUBMIT,
)
KFP_CA_FILE: Final = Text(
    name="KFP_CA_CERT",
    meaning="certificates of authorities that the certificate of KFP's API may be signed by",
    form="path",
    unset="the system's",
    used_by=_SUBMIT,
)
KUBECONFIG: Final = Text(
    name="KUBECONFIG",
    meaning="the client configuration of the cluster that doctor checks, outside of a pod",
    form="path",
    default="~/.kube/config",
    used_by="assay doctor",
)
DOCKER_CONFIG: Final = Text(
    name="DOCKER_CONFIG",
    meaning="the folder with Docker's logins to image registries",
    form="the path of a folder",
    unset="Docker's own",
    used_by="assay doctor",
)

SECTIONS: Final[Mapping[str, tuple[Setting, ...]]] = {
    "Store": (
        STORE, STORE_TIMEOUT, STORE_MIN_RATE, S3_ENDPOINT, S3_REGION, CA_FILE,
    ),
    "Credentials of the store": (
        S3_ACCESS_KEY, S3_SECRET_KEY, S3_SESSION_TOKEN, MINIO_ACCESS_KEY, MINIO_SECRET_KEY,
        S3_TOKEN_FILE, S3_ROLE, S3_ROLE_SESSION, STS_ENDPOINT,
        S3_PROFILE, S3_CREDENTIALS_FILE, S3_CONFIG_FILE,
        CONTAINER_URL, CONTAINER_PATH, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE,
        METADATA_DISABLED, METADATA_ENDPOINT,
    ),
    "Keys": (SIGNING_KEY, VERIFY_KEYS),
    "Execution": (
        CACHE, WORK, RUN, EVENTS, IMAGE, GIT_COMMIT, GIT_REPOSITORY,
        KUBERNETES_HOST,
    ),
    "Data and models": (
        SOURCES, ALLOWED_CLASSES, MAX_COLUMNS, MAX_TABLE_BYTES, MAX_PART_BYTES, MAX_UNPACKED_RATIO,
        MAX_READ_SECONDS,
    ),
    "Registry": (
        MLFLOW_URI, MLFLOW_USER, MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_RUN_ID,
        MLFLOW_EXPERIMENT_ID,
    ),
    "Releases": (
        DEPLOYMENTS, DEPLOYMENTS_BRANCH, FORGE, FORGE_URL, GIT_TOKEN, GIT_USER, APPROVAL_DAYS,
        SOURCE_REPOSITORY, PUSHGATEWAY, GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME,
        GIT_COMMITTER_EMAIL, GIT_SSH_COMMAND,
    ),
    "Messages": (NOTIFY_URL,),
    "Clusters": (
        KFP_ENDPOINT, KFP_PIPELINES_ENDPOINT, KFP_NAMESPACE, KFP_TOKEN, KFP_COOKIES, KFP_CA_FILE,
        KUBECONFIG, DOCKER_CONFIG,
    ),
}  # fmt: skip
SETTINGS: Final = tuple(chain.from_iterable(SECTIONS.values()))


def misspelt(names: Iterable[str] | None = None) -> Iterator[tuple[str, str]]:
    """Find variables whose names look like misspelt names of Assay's variables.

    Args:
        names: Names of variables; None for those of the environment.

    Yields:
        Each misspelt name with the most similar known name.
    """
    known = {
        setting.name.removeprefix(PREFIX): setting.name
        for setting in SETTINGS
        if setting.name.startswith(PREFIX)
    }
    for name in sorted(os.environ if names is None else names):
        if not name.startswith(PREFIX) or name.removeprefix(PREFIX) in known:
            continue
        close = difflib.get_close_matches(name.removeprefix(PREFIX), known, 1, _SIMILAR)
        if close:
            yield name, known[close[0]]
