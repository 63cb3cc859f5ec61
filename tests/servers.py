"""Starting the real servers that tests run against."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import minio
import pytest
import tenacity  # noqa: TID251 - tests wait for the servers that they start

USER, PASSWORD = "assay-test", "assay-test-secret"
BUCKET = "assay-tests"
START_SECONDS = 60


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below the range from which the system takes its own.

    From that range another process could be given a port before the server that it is meant for
    has bound it.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(range(12_000, 32_000), 500):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    pytest.fail("no free ports on 127.0.0.1")


def find(program: str) -> str | None:
    """The path of a server's program, from the PATH, this environment or Go's folder."""
    found = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    gopath = Path.home() / "go" / "bin" / program
    if found is None and gopath.exists():
        found = str(gopath)
    return found


def require(program: str, remedy: str) -> str:
    """The path of a server's program; missing, it fails where CI says it must run, else skips."""
    found = find(program)
    if found is None:
        message = f"{program} is not installed; {remedy}"
        if os.environ.get("ASSAY_REQUIRE_SERVERS"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextlib.contextmanager
def serving(command: list[str], url: str, log: Path, **environment: str) -> Iterator[None]:
    """Run a server, and all processes that it starts, until the block ends."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=stream,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        wait_for(url, process, log)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - our own server
        except urllib.error.HTTPError:
            return  # it answers, and that is all that is asked
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{process.args} did not start:\n{log.read_text()[-2000:]}")


@tenacity.retry(
    stop=tenacity.stop_after_delay(START_SECONDS), wait=tenacity.wait_fixed(0.3), reraise=True
)
def make_test_bucket(endpoint: str) -> None:
    """Make the tests' bucket; a server that answers may still be waiting for its own volumes."""
    client = minio.Minio(
        endpoint.removeprefix("http://"), USER, PASSWORD, region="us-east-1", secure=False
    )
    if not client.bucket_exists(bucket_name=BUCKET):
        client.make_bucket(bucket_name=BUCKET)
