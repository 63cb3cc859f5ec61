"""`assay init`: keys, settings and a deployment repository for a new project."""

import contextlib
import fcntl
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import click
import yaml

from assay.cli.console import HOME, SETTINGS, json_option, print_json
from assay.core.git import Git
from assay.core.signing import Role, Signer, Verifier
from assay.errors import UsageError

KEYS: Final = "keys"
RUNNER: Final = "keys/runner.pem"
APPROVER: Final = "keys/approver.pem"
PUBLIC: Final = "keys/keys.yaml"
REPOSITORY: Final = "deployments.git"
RUNS: Final = "Runs of this project <runs@localhost>"
IGNORED: Final = (f"{HOME}/", f"{KEYS}/*.pem", SETTINGS, f"{REPOSITORY}/")
_SCRATCH: Final = ".assay-init-"
_LOCK: Final = "lock"
MADE, KEPT, CHANGED = "made", "kept", "changed"

README: Final = """\
# Deployments

The content of the main branch is released: `models/MODEL/ENVIRONMENT/release.yaml`, written by
`assay release promote`. Merging a pull request approves it.

- `policy.yaml` governs every model: a release is judged again by it, whatever the policy of its
  run. `models/MODEL/policy.yaml` governs one model. Change policies in a pull request of their own.
- `keys.yaml` lists the public keys, their owners and what they may sign (`runner`, `approver`,
  `recorder`, `trigger`). `assay release sync` after a merge on a forge needs a `recorder`.
- `.github/workflows/release-lint.yaml` checks every pull request with `assay release lint`.

Protect the main branch: pull requests only, the check `release-lint` and an approval required, no
force pushes.
"""
POLICY_HEAD: Final = """\
# The governing policy: every release of this repository is judged again by it, whatever the policy
# of its run. This is a copy of Assay's default policy. Change it to the rules of your models.
"""


@dataclass(frozen=True, slots=True)
class Done:
    """A file or folder, and what `assay init` did with it."""

    path: str
    """Relative to the project."""
    state: str
    """`made`, `changed` or `kept`."""
    what: str


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--approver",
    default="",
    metavar="'NAME <MAIL>'",
    help="Owner of the approver's key (default: Git's user.name and user.email).",
)
@json_option
def command(folder: Path, approver: str, as_json: bool) -> None:
    """Create keys, settings and a deployment repository for the project in FOLDER.

    Existing files are kept; a further call creates what is missing, also after an interrupted one.
    Only you can read the private keys, and .gitignore lists them.
    """
    root = folder.absolute()
    try:
        done = init(root, approver)
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or root}: {error.strerror}") from error
    following = _next(folder)
    if as_json:
        print_json(
            {
                "folder": str(root),
                "files": [
                    {"path": item.path, "state": item.state, "what": item.what} for item in done
                ],
                "next": following,
            }
        )
        return
    for item in done:
        click.echo(f"{item.state:8}{item.path}: {item.what}")
    click.echo("\nnext")
    for line in following:
        click.echo(f"  {line}")


def init(root: Path, approver: str = "") -> list[Done]:
    """Create what is missing of a project; see the command.

    Raises:
        UsageError: There is no name for the approver, or existing files do not match each other.
        OSError: A file cannot be written.
    """
    from assay.releases.statement import person

    # Before anything is written, because it may fail.
    owner = approver or ("" if (root / PUBLIC).exists() else person())
    root.mkdir(parents=True, exist_ok=True)
    _remove_left(root)
    (root / KEYS).mkdir(mode=0o700, exist_ok=True)
    done = [
        _make_key(root, RUNNER, "private key that signs attestations of runs"),
        _make_key(root, APPROVER, "private key that signs approvals, overrides and revocations"),
    ]
    public = {name: _public_half(root / name) for name in (RUNNER, APPROVER)}
    listed = yaml.safe_dump(
        [
            {"owner": RUNS, "roles": [Role.RUNNER.value], "key": public[RUNNER]},
            {"owner": owner, "roles": [Role.APPROVER.value], "key": public[APPROVER]},
        ],
        sort_keys=False,
        allow_unicode=True,
    )
    if not (root / PUBLIC).exists():
        # Parse it first, so that no file is written that cannot be read.
        Verifier.from_yaml(listed.encode(), PUBLIC)
    done.append(_make_file(root, PUBLIC, listed, "public keys, their owners and roles"))
    _require_listed(root)
    done.append(_make_file(root, SETTINGS, _settings(root), "settings, for the shell to read"))
    done.append(_ignore(root))
    done.append(_make_repository(root, owner))
    return done


def _make_key(root: Path, name: str, what: str) -> Done:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _make_file(root, name, pem.decode(), what, mode=0o600)


def _make_file(root: Path, name: str, text: str, what: str, mode: int = 0o644) -> Done:
    """Write a file atomically, unless the path exists, even as a broken link.

    Raises:
        UsageError: The path is an empty file.
    """
    target = root / name
    if not os.path.lexists(target):
        with _written(root, text, mode) as scratch, contextlib.suppress(FileExistsError):
            # A hard link is created atomically and replaces nothing.
            target.hardlink_to(scratch)
            return Done(name, MADE, what)
    if target.is_file() and target.stat().st_size == 0:
        raise UsageError(f"{target} is empty; remove it, and run again: assay init")
    return Done(name, KEPT, what)


def _public_half(private: Path) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = private.read_bytes()
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{private} is not an unencrypted private key in PEM form; move it away, and run: "
            "assay init"
        ) from error
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def _require_listed(root: Path) -> None:
    """Refuse keys that an existing list of public keys does not contain."""
    known = {key.key_id for key in Verifier.from_yaml((root / PUBLIC).read_bytes(), PUBLIC).keys}
    unknown = [
        name
        for name in (RUNNER, APPROVER)
        if Signer.from_pem((root / name).read_bytes()).key_id not in known
    ]
    if unknown:
        raise UsageError(
            f"{root / PUBLIC} does not list the public half of {', '.join(unknown)}; add it, with "
            f"owner and roles (openssl pkey -in {root / unknown[0]} -pubout prints it)"
        )


def _settings(root: Path) -> str:
    values = {
        "ASSAY_STORE": (root / HOME / "store").as_uri(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{root / HOME / 'mlflow.db'}",
        "ASSAY_SIGNING_KEY": str(root / RUNNER),
        "ASSAY_VERIFY_KEYS": str(root / PUBLIC),
        "ASSAY_DEPLOYMENTS": str(root / REPOSITORY),
    }
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()]
    return "# Settings of this project; load them with: . ./assay.env\n" + "".join(lines)


def _ignore(root: Path) -> Done:
    path, what = root / ".gitignore", "keeps keys, settings and the store out of Git"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    missing = [name for name in IGNORED if name not in lines]
    if not missing:
        return Done(path.name, KEPT, what)
    state = CHANGED if path.exists() else MADE
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
    with _written(root, "\n".join([*lines, *missing]) + "\n", mode) as scratch:
        # Follow a link to the file.
        scratch.replace(path.resolve())
    return Done(path.name, state, what)


def _make_repository(root: Path, owner: str) -> Done:
    what = "deployment repository (bare): README, governing policy, public keys, CI"
    if (root / REPOSITORY).exists():
        return Done(REPOSITORY, KEPT, what)
    with _scratch(root) as scratch:
        tree = scratch / "tree"
        for name, text in _repository_files(root).items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        _commit(tree, scratch / REPOSITORY, owner)
        # Atomically.
        (scratch / REPOSITORY).rename(root / REPOSITORY)
    return Done(REPOSITORY, MADE, what)


def _repository_files(root: Path) -> dict[str, str]:
    default = resources.files("assay.components.preflight").joinpath("default_policy.yaml")
    rules = default.read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(place for place, line in enumerate(rules) if not line.startswith("#"))
    lint = resources.files("assay.cli").joinpath("release-lint.yaml").read_text(encoding="utf-8")
    return {
        "README.md": README,
        "policy.yaml": POLICY_HEAD + "".join(rules[first:]),
        "keys.yaml": (root / PUBLIC).read_text(encoding="utf-8"),
        ".github/workflows/release-lint.yaml": lint,
        "models/.gitkeep": "",
    }


def _commit(tree: Path, bare: Path, owner: str) -> None:
    name, _, mail = (owner or RUNS).rstrip(">").partition(" <")
    who = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": mail}
    who |= {"GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": mail}
    git = Git(tree)
    git.run("init", "--quiet", "--initial-branch=main")
    git.run("add", "--all")
    git.run("commit", "--quiet", "-m", "Deployment repository, created by assay init", env=who)
    git.run("clone", "--quiet", "--bare", "--", str(tree), str(bare))
    # It contains the path of the scratch folder.
    Git(bare).run("remote", "remove", "origin")


@contextlib.contextmanager
def _written(root: Path, text: str, mode: int) -> Iterator[Path]:
    """A complete, synced temporary file, to be renamed or linked."""
    with _scratch(root) as folder:
        path = folder / "file"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        yield path


@contextlib.contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    # In the folder of its destination, so that a rename is enough. A lock shows that it is in use;
    # the system releases the lock when the process ends.
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=root))
    try:
        with (folder / _LOCK).open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(root: Path) -> None:
    """Remove the scratch folders of killed calls."""
    for folder in root.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError), (folder / _LOCK).open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)


def _next(folder: Path) -> list[str]:
    lines = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    data = "-p data=data.csv -p target=y -p model_name=mine -p suite=suite.json"
    return [
        *lines,
        f". ./{SETTINGS}",
        "assay suite draft data.csv --target y -o suite.json",
        f"assay run train-and-register {data}",
        "assay release promote mine dev",
        f"ASSAY_SIGNING_KEY={APPROVER} assay release approve mine dev",
    ]
