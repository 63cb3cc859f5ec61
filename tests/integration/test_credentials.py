"""Credentials: every source of the usual chain, renewed while a store is in use."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from assay.core import retry
from assay.core.source import fetch
from assay.core.store import Store, open_store
from assay.core.store.credentials import from_environment
from assay.errors import StoreAccessError, UsageError

from servers import PASSWORD, USER
from simulators.sts import Issuer, serving

DATA = b"bytes that only a known user may write"
Set = Callable[..., None]


@pytest.fixture
def issuer(minio_endpoint: str) -> Iterator[Issuer]:
    with serving(Issuer(minio_endpoint, USER, PASSWORD)) as running:
        yield running


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Set:
    """Sets variables; no file of the developer's counts."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AWS_CONFIG_FILE")
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")

    def change(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return change


def store_at(endpoint: str, name: str) -> Store:
    return open_store(f"s3://assay-tests/credentials-{name}?endpoint={endpoint}")


def works(store: Store) -> bool:
    return store.get_blob(store.put_bytes(DATA)) == DATA


def keys(title: str) -> str:
    return f"[{title}]\naws_access_key_id = {USER}\naws_secret_access_key = {PASSWORD}\n"


def web_identity(settings: Set, issuer: Issuer, folder: Path) -> Path:
    token = folder / "token"
    token.write_text(f"{issuer.token}\n")
    settings(
        AWS_WEB_IDENTITY_TOKEN_FILE=token,
        AWS_ROLE_ARN="arn:aws:iam::123456789012:role/assay",
        AWS_ENDPOINT_URL_STS=issuer.url,
    )
    return token


# Sources.


def test_a_server_refuses_who_has_no_credentials(minio_endpoint: str, settings: Set) -> None:
    assert from_environment() is None, "and no address of this link was asked"
    with pytest.raises(StoreAccessError):
        store_at(minio_endpoint, "none").put_bytes(DATA)


@pytest.mark.parametrize("prefix", [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
                                    ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")])  # fmt: skip
def test_the_environment(minio_endpoint: str, settings: Set, prefix: tuple[str, str]) -> None:
    settings(**dict(zip(prefix, (USER, PASSWORD), strict=True)))
    assert works(store_at(minio_endpoint, "environment"))


@pytest.mark.parametrize(
    ("variable", "profile", "title"),
    [
        ("AWS_SHARED_CREDENTIALS_FILE", "", "default"),
        ("AWS_SHARED_CREDENTIALS_FILE", "work", "work"),
        ("AWS_CONFIG_FILE", "", "default"),
        ("AWS_CONFIG_FILE", "work", "profile work"),
    ],
)
def test_a_profile(
    minio_endpoint: str, settings: Set, tmp_path: Path, variable: str, profile: str, title: str
) -> None:
    (tmp_path / "profiles").write_text(keys(title))
    settings(**{variable: tmp_path / "profiles", "AWS_PROFILE": profile})
    assert works(store_at(minio_endpoint, "profile"))


def test_the_file_of_the_home_folder(minio_endpoint: str, settings: Set, tmp_path: Path) -> None:
    (tmp_path / "home" / ".aws").mkdir(parents=True)
    (tmp_path / "home" / ".aws" / "credentials").write_text(keys("default"))
    assert works(store_at(minio_endpoint, "home"))


def test_web_identity(minio_endpoint: str, settings: Set, issuer: Issuer, tmp_path: Path) -> None:
    web_identity(settings, issuer, tmp_path)
    assert works(store_at(minio_endpoint, "web"))
    (form,) = issuer.forms
    assert form["RoleArn"] == "arn:aws:iam::123456789012:role/assay"
    assert form["RoleSessionName"] == "assay"
    assert issuer.requests == ["POST /"], "the token is in no URL, which logs would keep"


def test_the_container_s_agent(
    minio_endpoint: str, settings: Set, issuer: Issuer, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(issuer.token)
    settings(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{issuer.url}/container",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=tmp_path / "token",
    )
    assert works(store_at(minio_endpoint, "container"))


def test_instance_metadata_where_it_is_asked_for(
    minio_endpoint: str, settings: Set, issuer: Issuer
) -> None:
    settings(AWS_EC2_METADATA_SERVICE_ENDPOINT=issuer.url)
    assert works(store_at(minio_endpoint, "instance"))
    assert issuer.requests[0] == "PUT /latest/api/token"
    settings(AWS_EC2_METADATA_DISABLED="true")
    assert from_environment() is None


def test_the_environment_comes_before_a_role(
    minio_endpoint: str, settings: Set, issuer: Issuer, tmp_path: Path
) -> None:
    web_identity(settings, issuer, tmp_path)
    settings(AWS_ACCESS_KEY_ID=USER, AWS_SECRET_ACCESS_KEY=PASSWORD)
    assert works(store_at(minio_endpoint, "first"))
    assert not issuer.requests


def test_data_is_read_with_the_same_credentials(
    minio_endpoint: str, settings: Set, issuer: Issuer, tmp_path: Path
) -> None:
    web_identity(settings, issuer, tmp_path)
    settings(AWS_ENDPOINT_URL=minio_endpoint)
    store = store_at(minio_endpoint, "data")
    blob = store.put_bytes(DATA)
    location = f"{store.location(blob.digest)}?endpoint={minio_endpoint}"
    assert fetch(location, tmp_path).digest == blob.digest


# Renewal.


def test_credentials_are_renewed_while_a_store_is_in_use(
    minio_endpoint: str, settings: Set, issuer: Issuer, tmp_path: Path
) -> None:
    issuer.seconds = 2.0
    token = web_identity(settings, issuer, tmp_path)
    store = store_at(minio_endpoint, "renewed")
    assert works(store)
    # As Kubernetes does: another token in the same file.
    issuer.token = "second"  # noqa: S105
    token.write_text(issuer.token)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert works(store)
        time.sleep(0.05)
    assert 2 <= len(issuer.issued) <= 6, "renewed when it is time, and not for each request"
    assert len(set(issuer.issued)) == len(issuer.issued)


def test_many_threads_renew_once(
    minio_endpoint: str, settings: Set, issuer: Issuer, tmp_path: Path
) -> None:
    web_identity(settings, issuer, tmp_path)
    provider = from_environment()
    assert provider is not None
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: provider.retrieve().access_key, range(64)))
    assert len(found) == len(issuer.issued) == 1


def test_an_issuer_that_is_away_is_borne_until_the_credentials_expire(
    minio_endpoint: str,
    settings: Set,
    issuer: Issuer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "CREDENTIALS", retry.Policy(1, 0.01, 0.01))
    issuer.seconds = 4.0
    web_identity(settings, issuer, tmp_path)
    store = store_at(minio_endpoint, "away")
    assert works(store)
    issuer.fail = 503
    time.sleep(3.2)  # three quarters of their time are over
    with caplog.at_level(logging.WARNING):
        assert works(store)
    assert "not renewed yet" in caplog.text
    monkeypatch.setattr("assay.core.store.credentials.time", _Later(3600))
    with pytest.raises(StoreAccessError, match="does not respond"):
        works(store)


class _Later:
    """The time, so many seconds later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time(self) -> float:
        return time.time() + self._seconds


def test_a_replaced_profile_is_read_again(
    minio_endpoint: str, settings: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "profiles"
    file.write_text(keys("default").replace(USER, "somebody-who-left"))
    settings(AWS_SHARED_CREDENTIALS_FILE=file)
    store = store_at(minio_endpoint, "replaced")
    with pytest.raises(StoreAccessError):
        works(store)
    file.write_text(keys("default"))
    monkeypatch.setattr("assay.core.store.credentials.time", _Later(61))
    assert works(store)


def test_credentials_that_the_server_calls_expired_are_renewed_once(
    minio_endpoint: str,
    settings: Set,
    issuer: Issuer,
    tmp_path: Path,
    faults: Any,
    proxied: Callable[[str], str],
) -> None:
    web_identity(settings, issuer, tmp_path)
    store = open_store(proxied(f"s3://assay-tests/expired?endpoint={minio_endpoint}"))
    body = b"<Error><Code>ExpiredToken</Code></Error>"
    refusal = b"HTTP/1.1 400 X\r\nx-amz-request-id: 1\r\nConnection: close\r\n"
    refusal += b"Content-Length: %d\r\n\r\n" % len(body) + body
    faults.only, faults.answer = lambda head: head.startswith(b"PUT"), [refusal]
    assert works(store)
    assert len(issuer.issued) == 2
    faults.answer = [refusal] * 10
    with pytest.raises(StoreAccessError, match="ExpiredToken"):
        store.put_bytes(b"more")
    assert len(faults.answer) == 8


# Failures.


def test_a_refusal_holds_no_token(
    minio_endpoint: str, settings: Set, issuer: Issuer, tmp_path: Path
) -> None:
    web_identity(settings, issuer, tmp_path).write_text("a-token-of-somebody-else")
    with pytest.raises(StoreAccessError, match=r"HTTP 400, InvalidIdentityToken") as caught:
        store_at(minio_endpoint, "refused").put_bytes(DATA)
    assert "somebody-else" not in str(caught.value)


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_metadata_service_that_says_nothing_is_given_up(
    minio_endpoint: str, settings: Set
) -> None:
    with silent() as url:
        settings(AWS_EC2_METADATA_SERVICE_ENDPOINT=url)
        begin = time.monotonic()
        with pytest.raises(StoreAccessError, match="instance metadata service does not respond"):
            store_at(minio_endpoint, "silent").put_bytes(DATA)
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b"<html>", b'{"AccessKeyId": "a"}'])
def test_an_answer_without_credentials_is_one_line(
    minio_endpoint: str, settings: Set, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr("assay.core.store.credentials._ask", lambda *_: answer)
    settings(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:1/container")
    with pytest.raises(StoreAccessError, match="has no credentials"):
        store_at(minio_endpoint, "odd").put_bytes(DATA)


def test_a_container_s_token_is_sent_to_its_agent_only(settings: Set, minio_endpoint: str) -> None:
    settings(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://example.org/container")
    with pytest.raises(UsageError, match="must be https://"):
        store_at(minio_endpoint, "elsewhere").put_bytes(DATA)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[work]\nrole_arn = arn\nsource_profile = default\n", "export-credentials"),
        ("[other]\n", "'work' has no aws_access_key_id"),
        ("aws_secret_access_key = hunter2\n", "is not a file of profiles"),
    ],
)
def test_a_profile_that_cannot_be_used(
    minio_endpoint: str, settings: Set, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "profiles").write_text(content)
    settings(AWS_SHARED_CREDENTIALS_FILE=tmp_path / "profiles", AWS_PROFILE="work")
    with pytest.raises(UsageError, match=message) as caught:
        store_at(minio_endpoint, "unusable").put_bytes(DATA)
    assert "hunter2" not in str(caught.value)


def test_a_token_file_that_is_missing(
    minio_endpoint: str, settings: Set, issuer: Issuer, tmp_path: Path
) -> None:
    web_identity(settings, issuer, tmp_path).unlink()
    with pytest.raises(StoreAccessError, match=r"No such file.*service account"):
        store_at(minio_endpoint, "gone").put_bytes(DATA)
