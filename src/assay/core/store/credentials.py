"""Credentials of an S3 server from the usual chain, renewed before they expire.

The first configured source is used. If it fails, that is an error; the next source is not tried:

| source | configured by |
|---|---|
| environment | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; or `MINIO_ACCESS_KEY`, `MINIO_SECRET_KEY` |
| web identity (IRSA) | `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`, `AWS_ROLE_SESSION_NAME` |
| shared files | `AWS_PROFILE` in `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE`, in `~/.aws` by default |
| container (ECS, EKS Pod Identity) | `AWS_CONTAINER_CREDENTIALS_FULL_URI` or `_RELATIVE_URI`, `AWS_CONTAINER_AUTHORIZATION_TOKEN` or `_TOKEN_FILE` |
| instance metadata (EC2, version 2) | `AWS_EC2_METADATA_DISABLED=false`, or `AWS_EC2_METADATA_SERVICE_ENDPOINT` |

Unlike in the clients of AWS, instance metadata must be enabled: outside of EC2, its link-local
address may not respond or belong to another service. The service of web identities (STS) is
`AWS_ENDPOINT_URL_STS`, else `AWS_ENDPOINT_URL` (MinIO servers include an STS), else that of AWS in
`AWS_REGION`.
"""  # noqa: E501 - a table's rows

import configparser
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import ParseError, fromstring

from assay.core import retry, settings
from assay.documents import read_json
from assay.errors import StoreAccessError, UsageError

RENEW_SECONDS: Final = 300.0
"""Credentials are renewed this long before they expire, or in the last quarter of their life."""
RECHECK_SECONDS: Final = 60.0
"""Credentials that do not expire are read again after this time, in case they were replaced."""
MAX_ANSWER_BYTES: Final = 64 << 10
_OK: Final = 200
_CONTAINER_HOST: Final = "http://169.254.170.2"
_CONTAINER_HOSTS: Final = frozenset(
    {"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost", "127.0.0.1", "::1"}
)
"""Hosts that may get the token of a container without encryption: ECS, EKS and this machine."""
_METADATA_HOST: Final = "http://169.254.169.254"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials for signing; the attributes are those of the `minio` package."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: float | None = None
    """Seconds since the epoch."""


class Provider:
    """Credentials from one source, renewed in time; thread-safe."""

    def __init__(self, name: str, load: Callable[[], Credentials]) -> None:
        """A provider for one source.

        Args:
            name: Name of the source, for messages.
            load: Reads the source. Raises `StoreAccessError` or `UsageError`.
        """
        self.name = name
        self._load = load
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._renew_at = 0.0

    def retrieve(self) -> Credentials:
        """Credentials that are valid now.

        Raises:
            StoreAccessError: The source has no credentials, or cannot be reached.
            UsageError: The configuration of the source is invalid.
        """
        known = self._credentials
        if known is not None and time.time() < self._renew_at:
            return known
        with self._lock:
            known, now = self._credentials, time.time()
            if known is not None and now < self._renew_at:
                return known
            try:
                loaded = self._load()
            except StoreAccessError as error:
                if known is None or (known.expires is not None and now >= known.expires):
                    raise
                # They are still valid; the source may recover before they expire.
                logger.warning("credentials are not renewed yet: %s", error)
                self._renew_at = now + RENEW_SECONDS / 10
                return known
            self._credentials = loaded
            self._renew_at = now + RECHECK_SECONDS
            if loaded.expires is not None:
                remaining = loaded.expires - now
                self._renew_at = loaded.expires - min(RENEW_SECONDS, remaining / 4)
            return loaded

    def forget(self) -> None:
        """Read the source again at the next call, because the server reports them as expired."""
        self._renew_at = 0.0


def from_environment() -> Provider | None:
    """The provider of the first configured source; None for anonymous requests."""
    disabled = settings.METADATA_DISABLED.given.lower()
    if _keys() is not None:
        return Provider("environment", _environment)
    if settings.S3_TOKEN_FILE.given:
        return Provider("web identity", _web_identity)
    if settings.S3_PROFILE.given or _profile_keys() is not None:
        return Provider("profile", _profile)
    if settings.CONTAINER_PATH.given or settings.CONTAINER_URL.given:
        return Provider("container", _container)
    if disabled == "false" or (settings.METADATA_ENDPOINT.given and disabled != "true"):
        return Provider("instance metadata", _instance)
    return None


# Environment and files.


def _keys() -> Credentials | None:
    access, secret = settings.S3_ACCESS_KEY.given, settings.S3_SECRET_KEY.given
    if access and secret:
        return Credentials(access, secret, settings.S3_SESSION_TOKEN.given or None)
    access, secret = settings.MINIO_ACCESS_KEY.given, settings.MINIO_SECRET_KEY.given
    return Credentials(access, secret) if access and secret else None


def _environment() -> Credentials:
    if (keys := _keys()) is not None:
        return keys
    raise StoreAccessError("credentials: they were removed from the environment; set them")


def _profile_section() -> dict[str, str]:
    """The profile in the shared files; the credentials file takes precedence."""
    name = settings.S3_PROFILE.get()
    section: dict[str, str] = {}
    for file, title in (
        (settings.S3_CONFIG_FILE, name if name == "default" else f"profile {name}"),
        (settings.S3_CREDENTIALS_FILE, name),
    ):
        path = Path(file.get()).expanduser()
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StoreAccessError(
                f"credentials: cannot read {path}: {error.strerror}; grant this user access"
            ) from error
        except (configparser.Error, UnicodeDecodeError):
            # The parser's own message quotes the line, which may hold a key.
            raise UsageError(f"credentials: {path} is not a file of profiles") from None
        if parser.has_section(title):
            section.update(parser.items(title))
    return section


def _profile_keys() -> Credentials | None:
    section = _profile_section()
    access = section.get("aws_access_key_id", "")
    secret = section.get("aws_secret_access_key", "")
    if not access or not secret:
        return None
    return Credentials(access, secret, section.get("aws_session_token") or None)


def _profile() -> Credentials:
    if (keys := _profile_keys()) is not None:
        return keys
    raise UsageError(
        f"credentials: the profile {settings.S3_PROFILE.get()!r} has no aws_access_key_id and "
        "aws_secret_access_key; give another AWS_PROFILE, or export those of a profile with a "
        "role or a single sign-on: aws configure export-credentials"
    )


# Services.


def _web_identity() -> Credentials:
    """Exchange the token of a service account for credentials of a role."""
    role = settings.S3_ROLE.given
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleSessionName": settings.S3_ROLE_SESSION.get(),
        # Read each time, because Kubernetes replaces it long before it expires.
        "WebIdentityToken": _secret_file(settings.S3_TOKEN_FILE.given),
        **({"RoleArn": role} if role else {}),
    }
    region = settings.S3_REGION.given
    suffix = ".cn" if region.startswith("cn-") else ""
    host = f"sts.{region}.amazonaws.com{suffix}" if region else "sts.amazonaws.com"
    url = settings.STS_ENDPOINT.given or settings.S3_ENDPOINT.given or f"https://{host}"
    text = _ask(
        "the security token service (AWS_ENDPOINT_URL_STS)",
        "POST",
        f"{url.rstrip('/')}/",
        {"Content-Type": "application/x-www-form-urlencoded"},
        urlencode(form).encode(),
    )
    try:
        fields = {
            element.tag.rpartition("}")[2]: element.text or ""
            for element in fromstring(text).iter()  # noqa: S314 - expat bounds what entities may become
        }
        return _temporary(fields, "SessionToken")
    except (ParseError, ValueError, KeyError) as error:
        raise _unusable("the security token service", error) from error


def _container() -> Credentials:
    path = settings.CONTAINER_PATH.given.lstrip("/")
    url = f"{_CONTAINER_HOST}/{path}" if path else settings.CONTAINER_URL.given
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _CONTAINER_HOSTS:
        raise UsageError(
            "credentials: AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://, or the address of "
            "this machine or of the agent of ECS or EKS"
        )
    token = settings.CONTAINER_TOKEN.given
    if file := settings.CONTAINER_TOKEN_FILE.given:
        token = _secret_file(file)
    return _fetched(url, {"Authorization": token} if token else {}, "the container's agent")


def _instance() -> Credentials:
    """Get credentials from the instance metadata service, version 2."""
    where = "the instance metadata service"
    root = settings.METADATA_ENDPOINT.given or _METADATA_HOST
    root = f"{root.rstrip('/')}/latest"
    seconds = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
    token = _ask(where, "PUT", f"{root}/api/token", seconds).decode("ascii", "replace")
    headers = {"X-aws-ec2-metadata-token": token.strip()}
    roles = f"{root}/meta-data/iam/security-credentials/"
    role = _ask(where, "GET", roles, headers).decode("ascii", "replace").partition("\n")[0].strip()
    if not role or not role.isprintable() or "/" in role:
        raise StoreAccessError("credentials: this machine has no role; give it one")
    return _fetched(roles + role, headers, where)


def _fetched(url: str, headers: dict[str, str], where: str) -> Credentials:
    text = _ask(where, "GET", url, headers)
    try:
        fields = read_json(text, where)
        return _temporary(fields, "Token")
    except (UsageError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(where, error) from error


def _temporary(fields: Any, token: str) -> Credentials:
    expires = fields.get("Expiration")
    return Credentials(
        str(fields["AccessKeyId"]),
        str(fields["SecretAccessKey"]),
        str(fields[token]),
        datetime.fromisoformat(expires).timestamp() if expires else None,
    )


def _secret_file(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise StoreAccessError(
            f"credentials: cannot read {path}: {reason}; check the service account's volume"
        ) from error
    if not text or not text.isprintable():
        raise StoreAccessError(f"credentials: {path} does not contain a token")
    return text


def _ask(
    where: str, method: str, url: str, headers: dict[str, str], body: bytes | None = None
) -> bytes:
    """Send a request to a service, within the limits of `retry.CREDENTIALS`; returns the body.

    Raises:
        StoreAccessError: The request was refused, or there was no response. The message does not
            contain parts of the request.
    """
    import urllib3

    timeout = urllib3.Timeout(connect=1.0, read=3.0)

    def attempt() -> bytes:
        try:
            answer = pool.request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False
            )
            text: bytes = answer.read(MAX_ANSWER_BYTES)
            answer.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise retry.TransientError(type(error).__name__) from error
        if answer.status in retry.TRANSIENT_STATUS:
            raise retry.TransientError(f"HTTP {answer.status}")
        if answer.status != _OK:
            code = text.partition(b"<Code>")[2].partition(b"</Code>")[0][:60]
            reason = ", ".join(
                filter(None, (f"HTTP {answer.status}", code.decode("ascii", "replace")))
            )
            raise StoreAccessError(
                f"credentials: {where} refuses ({reason}); check the role, and who may assume it"
            )
        return text

    with urllib3.PoolManager(
        retries=False, timeout=timeout, ca_certs=settings.CA_FILE.get() or None
    ) as pool:
        try:
            return retry.call(retry.CREDENTIALS, attempt)
        except retry.TransientError as error:
            raise StoreAccessError(
                f"credentials: {where} does not respond ({error}), after {retry.CREDENTIALS}; "
                "check that it is up and reachable from this pod"
            ) from error


def _unusable(where: str, error: Exception) -> StoreAccessError:
    return StoreAccessError(
        f"credentials: the response of {where} has no credentials ({type(error).__name__})"
    )
