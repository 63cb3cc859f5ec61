"""The allow-list of locations that a run may read.

The user who starts a run chooses the location, but the pod of a task has access to resources that
the user may not have: its own files, services of the cluster, metadata of the cloud provider.
`ASSAY_SOURCES` lists the allowed locations, separated by commas:

| entry | allows |
|---|---|
| `file:///data` | files in that folder; `file:///` allows every file |
| `https` | web servers with a public address, by https |
| `https://host/prefix` | URLs with that prefix, whatever the address of the host |
| `http://host:8080/prefix` | the same, unencrypted |
| `s3://bucket/prefix?endpoint=https://host:9000` | objects below the prefix; without a bucket, all objects of the server |

The default is `file:///,https` and web servers of this machine; in a cluster nothing is allowed by
default. The server of the store and that of `AWS_ENDPOINT_URL` are always allowed, and only these
two get the credentials of the environment. Datasets in the store are given by digest.
"""  # noqa: E501 - a table's rows

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from assay.core.settings import IMAGE, KUBERNETES_HOST, S3_ENDPOINT, SOURCES, STORE
from assay.errors import DataError, UsageError
from assay.printable import public

_DEFAULT: Final = ("file:///", "https")
_OWN_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS: Final = {"http": 80, "https": 443}
_TRANSLATED: Final = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96"))
)
"""IPv6 networks whose last 32 bits are an IPv4 address (RFC 6052, 8215, 2765, 4291)."""
_FORM: Final = "write file:///folder, https, https://host/path or s3://bucket?endpoint=https://host"


def in_cluster() -> bool:
    """Whether this process is a task in a cluster, according to Kubernetes or the pipeline."""
    return bool(KUBERNETES_HOST.get() or IMAGE.get())


@dataclass(frozen=True, slots=True)
class Access:
    """How an allowed location may be read."""

    any_address: bool
    """Whether its host may have a private address."""
    credentials: bool = False
    """Whether requests use the credentials of the environment."""


@dataclass(frozen=True, slots=True)
class _Entry:
    scheme: str
    host: str
    """With port; empty for every host."""
    path: str
    bucket: str = ""


def require_admitted(location: str) -> Access:
    """Check that a location is on the allow-list.

    Args:
        location: A path or a well-formed URL.

    Returns:
        How it may be read.

    Raises:
        UsageError: The location is not allowed.
    """
    entries = _entries()
    parts = urlsplit(location)
    # The parsed scheme is compared, because schemes are not case-sensitive.
    if "://" not in location or parts.scheme == "file":
        return _local(location, entries)
    if parts.scheme == "s3":
        return _bucket(location, entries)
    if _is_default() and parts.hostname in _OWN_MACHINE:
        return Access(any_address=True)
    return _web(location, entries)


def require_public(host: str, port: int) -> None:
    """Refuse a host with an address that is not public.

    Raises:
        UsageError: An address is loopback, private, link-local or otherwise not public.
        OSError: The name cannot be resolved.
    """
    for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        require_public_address(str(address[0]), host)


def require_public_address(address: str, host: str) -> None:
    """Refuse an address that is not public.

    Raises:
        UsageError: The address is not public. The message omits it, because it is confidential.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    addresses = _within(parsed)
    if not all(each.is_global and not each.is_multicast for each in addresses):
        raise UsageError(
            f"{host}: its address is not public; an administrator can admit it by name in "
            f"{SOURCES.name}"
        )


def _within(address: Any) -> list[Any]:
    """An address, and the IPv4 addresses that it is translated or tunnelled to."""
    if address.version == 4:  # noqa: PLR2004 - of the protocol
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    addresses = [address]
    if address.sixtofour is not None:
        addresses.append(address.sixtofour)
    if address.is_site_local:
        addresses.append(ipaddress.IPv4Address(0))
    if any(address in network for network in _TRANSLATED):
        addresses.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return addresses


def _local(location: str, entries: list[_Entry]) -> Access:
    text = unquote(urlsplit(location).path) if "://" in location else location
    try:
        # Links are resolved first, because a link could lead out of the folder.
        path = Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"cannot read {text[:200]!r}: not a path: {error}") from error
    for entry in entries:
        if entry.scheme == "file" and path.is_relative_to(entry.path or "/"):
            return Access(any_address=True)
    raise _refused(f"the file {text[:200]}")


def _bucket(location: str, entries: list[_Entry]) -> Access:
    parts = urlsplit(location)
    own = S3_ENDPOINT.get()
    endpoint = parse_qs(parts.query).get("endpoint", [""])[-1] or own
    host = _host(endpoint)
    trusted = {_host(url) for url in (own, _endpoint(STORE.get())) if url}
    if host in trusted:
        return Access(any_address=True, credentials=True)
    for entry in entries:
        if entry.scheme != "s3" or entry.host != host:
            continue
        if not entry.bucket or (
            entry.bucket == parts.netloc and _below(_plain(parts.path), entry.path)
        ):
            return Access(any_address=True)
    raise _refused(public(location))


def _web(location: str, entries: list[_Entry]) -> Access:
    parts = urlsplit(location)
    host, path = _host(location), _plain(parts.path)
    same_scheme = [entry for entry in entries if entry.scheme == parts.scheme]
    if any(entry.host == host and _below(path, entry.path) for entry in same_scheme):
        return Access(any_address=True)
    if parts.scheme in _PORTS and any(not entry.host for entry in same_scheme):
        return Access(any_address=False)
    raise _refused(public(location))


def _is_default() -> bool:
    """Whether the default of a process outside of a cluster applies."""
    return not SOURCES.is_set and not in_cluster()


def _entries() -> list[_Entry]:
    """The allow-list.

    Raises:
        UsageError: Entries are malformed; the message lists all of them.
    """
    entries, wrong = [], []
    for text in _DEFAULT if _is_default() else SOURCES.get():
        parts = urlsplit(text)
        if text in _PORTS:
            entries.append(_Entry(text, "", ""))
        elif parts.scheme == "file" and not parts.netloc:
            entries.append(_Entry("file", "", str(Path(unquote(parts.path) or "/").resolve())))
        elif parts.scheme in _PORTS and parts.hostname and "@" not in parts.netloc:
            entries.append(_Entry(parts.scheme, _host(text), _plain(parts.path)))
        elif parts.scheme == "s3" and _host(_endpoint(text)):
            entries.append(_Entry("s3", _host(_endpoint(text)), _plain(parts.path), parts.netloc))
        else:
            wrong.append(public(text))
    if wrong:
        raise UsageError(f"{SOURCES.name}: {', '.join(wrong)}: not an entry; {_FORM}")
    return entries


def _endpoint(url: str) -> str:
    return parse_qs(urlsplit(url).query).get("endpoint", [""])[-1]


def _host(url: str) -> str:
    """Scheme, host and port of a URL; empty if it is not one."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname and port else ""


def _plain(path: str) -> str:
    return unquote(path).strip("/")


def _below(path: str, folder: str) -> bool:
    if not folder:
        return True
    # A server, or one in front of it, could take these for a way out of the folder: dots with
    # parameters behind them, back-slashes, and all of it encoded once more.
    again = path
    while (plain := unquote(again)) != again:
        again = plain
    if any(part.startswith("..") for part in re.split(r"[/\\]", again)):
        return False
    return path == folder or path.startswith(f"{folder}/")


def _refused(what: str) -> UsageError:
    return UsageError(
        f"{what}: not among the allowed sources ({SOURCES.name}, and the servers of "
        "ASSAY_STORE and AWS_ENDPOINT_URL); copy the data to one of them, or give a dataset's "
        "digest"
    )
