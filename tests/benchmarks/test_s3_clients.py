"""The store's own requests against libraries that could make them: `make bench`.

Each library does the whole work of the store: hashing, create-only writes, checked reads, packs. It
replaces the requests alone, in a store that is otherwise ours. Ratios are of medians in one run:
how fast the library is, where our own requests are 1.
"""

import base64
import contextlib
import io
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import IO, Any

import pytest

from assay.core.digest import hex_of, of_stream
from assay.core.manifest import Descriptor
from assay.core.store.base import Store, blob_key
from assay.core.store.client import client_for
from assay.core.store.minio import PARALLEL_PARTS, MinioStore
from assay.core.store.upload import PART_BYTES, part_bytes
from assay.core.tree import get_manifest, get_tree, put_tree, remove_tree
from assay.errors import IntegrityError

from measured import Row, keep
from servers import PASSWORD, USER, free_ports, require, serving

pytestmark = [pytest.mark.bench, pytest.mark.minio, pytest.mark.timeout(3600)]

RUNS = int(os.environ.get("ASSAY_BENCH_RUNS", "5"))
LARGE_BYTES = 512 << 20
SMALL_FILES, SMALL_BYTES = 10_000, 10_000
TYPE = "application/vnd.assay.dataset.v1"


class _Library(MinioStore):
    """Ours, but for the requests that move bytes."""

    secure = False
    certificate = ""

    def _key(self, blob: Descriptor) -> str:
        return self._prefix + blob_key(blob.digest)

    def _put_stream(self, stream: IO[bytes], path: Path, media_type: str) -> Descriptor:
        digest, size = of_stream(stream)
        blob = Descriptor(digest, size, media_type)
        if not self._is_current(blob):
            self.upload(blob, path)
        return blob

    def _fetch(self, blob: Descriptor, out: IO[bytes]) -> None:
        self.download(blob, out)
        out.seek(0)
        if of_stream(out) != (blob.digest, blob.size):
            raise IntegrityError(blob.digest)

    def prepare(self) -> None:
        raise NotImplementedError

    def upload(self, blob: Descriptor, path: Path) -> None:
        raise NotImplementedError

    def download(self, blob: Descriptor, out: IO[bytes]) -> None:
        raise NotImplementedError


class MinioPy(_Library):
    """Looks before it writes, because it has no conditions."""

    def prepare(self) -> None:
        self.client = client_for(
            f"s3://x?endpoint={self._endpoint.scheme}://{self._endpoint.netloc}"
        )

    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        if not self._is_current(blob):
            self.client.put_object(self._bucket, self._key(blob), io.BytesIO(data), len(data))

    def upload(self, blob: Descriptor, path: Path) -> None:
        self.client.fput_object(
            self._bucket,
            self._key(blob),
            str(path),
            part_size=PART_BYTES,
            num_parallel_uploads=PARALLEL_PARTS,
        )

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[tuple[int, Any]]:
        response = self.client.get_object(self._bucket, self._prefix + key)
        try:
            yield int(response.headers["content-length"]), response
        finally:
            response.close()
            response.release_conn()

    def download(self, blob: Descriptor, out: IO[bytes]) -> None:
        with self._open(blob_key(blob.digest)) as (_, stream):
            while chunk := stream.read(1 << 20):
                out.write(chunk)


class Boto3(_Library):
    def prepare(self) -> None:
        boto3 = pytest.importorskip("boto3")
        from boto3.s3.transfer import TransferConfig
        from botocore.config import Config

        self.client = boto3.client(
            "s3",
            endpoint_url=f"{self._endpoint.scheme}://{self._endpoint.netloc}",
            region_name="us-east-1",
            verify=self.certificate or None,
            config=Config(max_pool_connections=32, s3={"addressing_style": "path"}),
        )
        self.transfer = TransferConfig(
            multipart_threshold=PART_BYTES,
            multipart_chunksize=PART_BYTES,
            max_concurrency=PARALLEL_PARTS,
        )

    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        try:
            self.client.put_object(
                Bucket=self._bucket,
                Key=self._key(blob),
                Body=data,
                IfNoneMatch="*",
                ChecksumSHA256=base64.b64encode(bytes.fromhex(hex_of(blob.digest))).decode(),
            )
        except self.client.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"  # noqa: PT017

    def upload(self, blob: Descriptor, path: Path) -> None:
        self.client.upload_file(
            str(path),
            self._bucket,
            self._key(blob),
            ExtraArgs={"ChecksumAlgorithm": "SHA256"},
            Config=self.transfer,
        )

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[tuple[int, Any]]:
        answer = self.client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        with contextlib.closing(answer["Body"]) as stream:
            yield answer["ContentLength"], stream

    def download(self, blob: Descriptor, out: IO[bytes]) -> None:
        self.client.download_fileobj(self._bucket, self._key(blob), out, Config=self.transfer)


class Obstore(_Library):
    def prepare(self) -> None:
        self.lib = pytest.importorskip("obstore")
        from obstore.store import S3Store

        self.client = S3Store(
            self._bucket,
            endpoint=f"{self._endpoint.scheme}://{self._endpoint.netloc}",
            access_key_id=USER,
            secret_access_key=PASSWORD,
            region="us-east-1",
            virtual_hosted_style_request=False,
            checksum_algorithm="sha256",
            client_options={"allow_http": True, "allow_invalid_certificates": True},
        )

    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        with contextlib.suppress(self.lib.exceptions.AlreadyExistsError):
            self.lib.put(self.client, self._key(blob), data, mode="create", use_multipart=False)

    def upload(self, blob: Descriptor, path: Path) -> None:
        self.lib.put(
            self.client,
            self._key(blob),
            path,
            use_multipart=True,
            chunk_size=PART_BYTES,
            max_concurrency=PARALLEL_PARTS,
        )

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[tuple[int, Any]]:
        data = bytes(self.lib.get(self.client, self._prefix + key).bytes())
        yield len(data), io.BytesIO(data)

    def _fetch(self, blob: Descriptor, out: IO[bytes]) -> None:
        MinioStore._fetch(self, blob, out)  # in parts, each by `_receive`

    def _receive(
        self, key: str, blob: Descriptor, descriptor: int, begin: int, writing: Any
    ) -> None:
        end = min(begin + part_bytes(blob.size), blob.size)
        data = self.lib.get_range(self.client, self._prefix + key, start=begin, end=end)
        with writing:
            os.pwrite(descriptor, memoryview(data), begin)


CLIENTS: dict[str, type[MinioStore]] = {
    "assay": MinioStore,
    "minio-py": MinioPy,
    "boto3": Boto3,
    "obstore": Obstore,
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trees")
    for name in ("large", "small"):
        (folder / name).mkdir()
    with (folder / "large" / "file.bin").open("wb") as stream:
        for _ in range(LARGE_BYTES >> 20):
            stream.write(os.urandom(1 << 20))
    for number in range(SMALL_FILES):
        (folder / "small" / f"f{number:05d}.bin").write_bytes(os.urandom(SMALL_BYTES))
    return {"512 MB": folder / "large", "10,000 files in packs": folder / "small"}


@pytest.fixture(params=["http", "https"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A real MinIO server."""
    program = require("minio", "run: make minio")
    (port,) = free_ports(1)
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    url = f"{request.param}://127.0.0.1:{port}"
    command = [program, "server", "--quiet", "--address", f"127.0.0.1:{port}"]
    ready = f"{url}/minio/health/ready"
    if request.param == "https":
        certificate = certificates / "public.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", certificates / "private.key", "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        command += ["--certs-dir", str(certificates)]
        monkeypatch.setattr(_Library, "certificate", str(certificate))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    with serving(
        [*command, str(tmp_path / "data")],
        ready,
        tmp_path / "log",
        MINIO_ROOT_USER=USER,
        MINIO_ROOT_PASSWORD=PASSWORD,
    ):
        yield url


def seconds(work: Callable[[], object]) -> float:
    os.sync()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def clear(store: Store) -> None:
    for digest, _ in list(store.iter_blobs()):
        store.remove_blob(digest)


def upload(store: Store, tree: Path) -> str:
    return put_tree(store, tree, TYPE, {}).digest


def download(store: Store, digest: str, folder: Path) -> None:
    get_tree(store, get_manifest(store, digest), folder)


def lap(
    stores: dict[str, MinioStore], names: list[str], tree: Path, folder: Path
) -> dict[tuple[str, str], float]:
    """Seconds of each client, up and down, in this order."""
    found: dict[tuple[str, str], float] = {}
    made: set[str] = set()
    for name in names:
        found["up", name] = seconds(lambda name=name: made.add(upload(stores[name], tree)))  # type: ignore[misc]
    (digest,) = made
    for name in names:
        back = folder / f"back-{uuid.uuid4().hex}"
        found["down", name] = seconds(
            lambda name=name, back=back: download(stores[name], digest, back)  # type: ignore[misc]
        )
        remove_tree(back)
        clear(stores[name])
    return found


def test_libraries_at_the_same_work(
    server: str, trees: dict[str, Path], tmp_path: Path, bench_environment: Path
) -> None:
    # After our own libraries, which stay those of the lock.
    sys.path += [str(path) for path in bench_environment.glob("lib/python3*/site-packages")]
    bucket = f"bench-{uuid.uuid4().hex[:12]}"
    client_for(f"s3://x?endpoint={server}").make_bucket(bucket)
    stores = {
        name: kind.from_url(f"s3://{bucket}/{name}?endpoint={server}")
        for name, kind in CLIENTS.items()
    }
    for store in stores.values():
        if isinstance(store, _Library):
            store.prepare()
    times: dict[tuple[str, str], list[float]] = {}
    scheme = server.partition(":")[0]
    for what, tree in trees.items():
        for number in range(RUNS):
            first = number % len(stores)  # another one goes first each time
            names = [*stores][first:] + [*stores][:first]
            for (way, name), took in lap(stores, names, tree, tmp_path).items():
                times.setdefault((f"{way} {what}", name), []).append(took)
    rows = []
    for what in dict.fromkeys(what for what, _ in times):
        ours = median(times[what, "assay"])
        for name in list(CLIENTS)[1:]:
            theirs = median(times[what, name])
            rows.append(Row(f"{what}, speed beside {name}", ours, "s", theirs, theirs / ours))
    keep(f"s3-clients-{scheme}", f"The store's own requests and other S3 clients, {scheme}", rows)
    # Half of our time, on a busy machine too, is more than chance: see docs/adr/0019.
    assert all(row.ratio is not None and row.ratio > 0.5 for row in rows)
