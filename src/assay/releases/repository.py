"""The deployment repository: read at a commit, commit, merge, push with a lease.

Works on Git's objects alone, in a bare clone without a working tree: a hostile repository's links,
attributes and hooks never reach the disk. The whole history of one branch is cloned, because it
shows earlier releases; a deployment repository is small.
"""

import contextlib
import itertools
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from assay.core.attestation import COMMIT
from assay.core.settings import DEPLOYMENTS_BRANCH, GIT_AUTHOR_EMAIL, GIT_AUTHOR_NAME
from assay.errors import IntegrityError, ReleaseConflictError, ServiceError, UsageError
from assay.releases.layout import OWN_FILES
from assay.releases.runner import Runner
from assay.releases.settings import Settings

_NO_BLOBS: Final = {"040000": "a folder", "160000": "a submodule"}
MAX_FILE_BYTES: Final = 8 << 20
BOT_NAME: Final = "Assay"
BOT_MAIL: Final = "assay@localhost"
_FIELDS: Final = ("%H", "%ct", "%an <%ae>", "%cn <%ce>", "%P", "%B")
_FORMAT: Final = "%x00".join(_FIELDS)
"""For `-z`: a commit has no NUL, so a message cannot end a field or a commit."""
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999; Git admits any number as a time."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit of the branch."""

    commit: str
    at: datetime
    author: str
    committer: str
    parents: tuple[str, ...]
    message: str

    def trailer(self, name: str) -> str:
        """The value of the trailer `name: value` of the message; "" without one."""
        result = re.findall(rf"(?m)^{re.escape(name)}: (.+)$", self.message)
        return result[-1].strip() if result else ""


class Repository:
    """A clone of the deployment repository for one command.

    Args:
        settings: URL, branch and login.
        folder: The clone.
        scratch: Folder for temporary files.
    """

    def __init__(self, settings: Settings, folder: Path, scratch: Path) -> None:
        self.settings = settings
        self._scratch = scratch
        self._tip = ""
        runner = Runner(folder, settings)
        self._git, self._remote, self._blob = runner.run, runner.remote, runner.content

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: Settings) -> Iterator["Repository"]:
        """Clone it for the length of the block.

        Raises:
            ServiceError: It cannot be reached, or refuses these credentials.
        """
        with tempfile.TemporaryDirectory(prefix="assay-git-") as folder:
            clone = Path(folder, "clone")
            clone.mkdir()
            repository = cls(settings, clone, Path(folder))
            repository._git("init", "--quiet", "--bare")
            repository._git("remote", "add", "--", "origin", settings.url)
            repository.fetch()
            yield repository

    @classmethod
    @contextlib.contextmanager
    def of_checkout(cls, folder: Path, tip: str) -> Iterator["Repository"]:
        """An existing checkout, to read; its branch ends at the commit `tip`.

        Raises:
            UsageError: It is not a checkout, lacks the commit, or lacks its history.
        """
        settings = Settings(url=folder.resolve().as_uri(), branch=DEPLOYMENTS_BRANCH.get())
        # A folder inside another repository is not a checkout.
        if not (folder / ".git").exists():
            raise UsageError(f"{folder} is not a Git checkout; give that of the repository")
        with tempfile.TemporaryDirectory(prefix="assay-git-") as scratch:
            repository = cls(settings, folder, Path(scratch))
            try:
                result = repository.commit_of(tip)
                shallow = repository._git("rev-parse", "--is-shallow-repository")
            except ServiceError as error:
                raise UsageError(
                    f"{folder}: no commit {tip!r}; give a branch or commit that it has"
                ) from error
            if shallow == "true":
                raise UsageError(
                    f"{folder} was checked out without its history; fetch all of it "
                    "(fetch-depth: 0 on GitHub, GIT_DEPTH: 0 on GitLab)"
                )
            repository._tip = result
            yield repository

    # Reading.

    @property
    def head(self) -> str:
        """The commit that the branch was at when it was last fetched; "" before the first one."""
        return self._tip or self.branch(self.settings.branch)

    def branch(self, name: str) -> str:
        """The commit of a remote branch as last fetched, or ""."""
        with contextlib.suppress(ServiceError):
            result = f"refs/remotes/origin/{name}"
            return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", result)
        return ""

    def commit_of(self, name: str) -> str:
        """The commit that a name refers to.

        Raises:
            ServiceError: No such commit.
        """
        return self._git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")

    def branches(self, prefix: str) -> list[str]:
        """Remote branches that begin with `prefix`."""
        root = "refs/remotes/origin/"
        result = self._git("for-each-ref", "--format=%(refname)", root)
        # Not `splitlines`: Git admits other line separators in a name, such as U+2028.
        names = [line.removeprefix(root) for line in result.split("\n")]
        return [name for name in names if name.startswith(prefix)]

    def fetch(self) -> None:
        """Fetch what others have pushed."""
        # With an asterisk, because an empty repository has no branch yet, which is not an error.
        self._remote(
            "fetch it",
            "fetch",
            "--prune",
            "--no-tags",
            "origin",
            f"+refs/heads/{self.settings.branch}*:refs/remotes/origin/{self.settings.branch}*",
            "+refs/heads/assay/*:refs/remotes/origin/assay/*",
        )

    def read(self, path: str, commit: str = "") -> bytes | None:
        """A file at a commit (by default the tip of the branch), or None if it does not exist.

        Raises:
            IntegrityError: Larger than a file of a release may be, or not a regular file.
        """
        commit = commit or self.head
        entry = next(iter(self._tree(commit, path)), None) if commit else None
        if entry is None or entry[2] != path:
            return None
        return self._content(entry)

    def files(self, folder: str, commit: str = "") -> dict[str, bytes]:
        """The regular files of a folder at a commit, by name."""
        commit = commit or self.head
        entries = self._tree(commit, f"{folder}/") if commit else []
        result = (entry for entry in entries if entry[0] not in _NO_BLOBS)
        return {entry[2].removeprefix(f"{folder}/"): self._content(entry) for entry in result}

    def paths(self, folder: str, commit: str = "") -> list[str]:
        """Every file below a folder at a commit."""
        commit = commit or self.head
        if not commit:
            return []
        listing = self._git("ls-tree", "-r", "-z", "--name-only", _id(commit), "--", f"{folder}/")
        return _names(listing)

    def history(self, path: str, branch: str = "") -> list[Revision]:
        """The commits of the branch itself that changed a file or folder, newest first.

        First parents only: what was on the branch itself.
        """
        tip = branch or self.head
        if not tip:
            return []
        command = ["log", "-z", "--first-parent", f"--format={_FORMAT}"]
        return _revisions(self._git(*command, "--end-of-options", tip, "--", path))

    def line(self) -> list[str]:
        """The commits of the branch itself, along first parents, the oldest first."""
        if not self.head:
            return []
        return self._git("rev-list", "--first-parent", "--reverse", _id(self.head)).split()

    def changing(self, paths: Iterable[str], since: str, until: str) -> list[str]:
        """The commits that changed one of some files, the newest first.

        Args:
            paths: Which files.
            since: Ancestors of this commit are left out; "" for none.
            until: This commit and its ancestors, along all parents.

        Returns:
            The ids of the commits.
        """
        # With --parents no merge is left out, which may restore content older than `since`.
        place = [_id(until)] if not since else ["--parents", f"{_id(since)}..{_id(until)}"]
        return self._git("log", "--format=%H", "--full-history", *place, "--", *paths).split()

    def odd(self, folder: str, commit: str = "") -> dict[str, str]:
        """Entries below a folder that are not regular files: by path, what they are."""
        commit = commit or self.head
        listing = self._git("ls-tree", "-r", "-z", _id(commit), "--", folder) if commit else ""
        kinds = {"120000": "a link", "160000": "a submodule"}
        result = (line.partition("\t") for line in _names(listing))
        return {name: kinds[mode[:6]] for mode, _, name in result if mode[:6] in kinds}

    def messages(self, path: str) -> list[str]:
        """The messages of all commits of the branch's history that changed a file or folder."""
        if not self.head:
            return []
        command = ["log", "-z", "--full-history", f"--format={_FORMAT}"]
        merged = _revisions(self._git(*command, "--end-of-options", self.head, "--", path))
        # Merges are among them only where no parent has the same files.
        result = {revision.commit: revision for revision in (*merged, *self.history(path))}
        return [revision.message for revision in result.values()]

    def revision(self, commit: str) -> Revision:
        """The data of a commit."""
        command = ["log", "-z", "-1", f"--format={_FORMAT}", "--end-of-options", _id(commit), "--"]
        (result,) = _revisions(self._git(*command))
        return result

    def contains(self, commit: str) -> bool:
        """Whether a commit was merged into the branch; False for ""."""
        with contextlib.suppress(ServiceError):  # they share no commit
            return (
                bool(self.head and commit)
                and self._git("merge-base", self.head, _id(commit)) == commit
            )
        return False

    def changed_in_folder(self) -> list[str]:
        """Files that a merge of a checkout would change at the tip, committed or not."""
        tip = self._differing(self.head)
        bases = self._bases(self.commit_of("HEAD"))
        # A merge keeps what only the tip has changed.
        since = set(self._differing(bases[0])) if len(bases) == 1 else set(tip)
        return [name for name in tip if name in since]

    def _differing(self, commit: str) -> list[str]:
        command = ["diff", "--no-renames", "--ignore-submodules=none", "--name-only", "-z"]
        return _names(self._git(*command, _id(commit), "--"))

    # Writing. Nothing is visible to others before `push`.

    def commit(
        self,
        folder: str,
        files: Mapping[str, bytes],
        message: str,
        *,
        parent: str,
        author: str = "",
    ) -> str:
        """Make a commit whose folder has exactly these of `OWN_FILES`; other files are unchanged.

        Args:
            folder: Of the release.
            files: Contents by name.
            message: Of the commit.
            parent: "" for none.
            author: `Name <mail>`; by default Assay.

        Returns:
            The commit; the parent itself if nothing changes.

        Raises:
            UsageError: The author is not `Name <mail>`.
        """
        own = {f"{folder}/{name}" for name in OWN_FILES}
        old = sorted(own.intersection(self.paths(folder, parent))) if parent else []
        with tempfile.TemporaryDirectory(prefix="index-", dir=self._scratch) as scratch:
            index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
            if parent:
                self._git("read-tree", _id(parent), env=index)
            lines = [f"0 {'0' * 40}\t{path}" for path in old]
            for name, content in sorted(files.items()):
                blob = self._git("hash-object", "-w", "--stdin", stdin=content)
                lines.append(f"100644 {blob}\t{folder}/{name}")
            entries = "".join(f"{line}\0" for line in lines).encode()
            self._git("update-index", "-z", "--index-info", stdin=entries, env=index)
            tree = self._git("write-tree", env=index)
        if parent and tree == self._git("rev-parse", f"{_id(parent)}^{{tree}}"):
            return parent
        return self._commit_tree(tree, [parent] if parent else [], message, author)

    def begin(self) -> None:
        """Give an empty repository its first commit, which a proposal can be merged into."""
        if self.head:
            return
        tree = self._git("mktree")
        # The first commit is the repository's identity, so two of the same second must differ.
        message = f"Begin the deployment repository\n\nRepository: {secrets.token_hex(16)}"
        first = self._commit_tree(tree, [], message, "")
        with contextlib.suppress(ReleaseConflictError):  # another process was first
            self.push(first, self.settings.branch, expected="")
        self.fetch()

    def merge(self, commit: str, message: str, author: str) -> str:
        """Make a merge commit of the branch and `commit`.

        Args:
            commit: What to merge.
            message: Of the merge commit.
            author: `Name <mail>`.

        Returns:
            The merge commit.

        Raises:
            ReleaseConflictError: Both changed the same lines; names the files.
            IntegrityError: They have several merge bases, from which Git may take any file.
        """
        bases = self._bases(commit)
        if len(bases) > 1:
            raise IntegrityError(
                f"cannot merge: {commit[:12]} and {self.settings.branch} have {len(bases)} merge "
                "bases, so that the changes it makes depend on which one is compared; promote the "
                "model again, which makes a new proposal"
            )
        try:
            tree = self._git("merge-tree", "--write-tree", "--name-only", self.head, _id(commit))
        except ServiceError as error:
            listing = getattr(error.__cause__, "output", b"").decode(errors="replace").split("\n")
            # The tree's name, the files in conflict, an empty line, and messages.
            named = itertools.takewhile(bool, (line.strip() for line in listing[1:]))
            shown = ", ".join(sorted(set(named))) or "its files"
            raise ReleaseConflictError(
                f"cannot merge: {shown} changed on {self.settings.branch} since this was proposed; "
                "promote the model again, and review the new proposal"
            ) from error
        return self._commit_tree(tree.partition("\n")[0], [self.head, commit], message, author)

    def same_tree(self, left: str, right: str) -> bool:
        """Whether two commits hold the same files."""
        trees = [self._git("rev-parse", f"{_id(commit)}^{{tree}}") for commit in (left, right)]
        return trees[0] == trees[1]

    def push(self, commit: str, branch: str, *, expected: str) -> None:
        """Set a remote branch to a commit, if it is unchanged since it was seen.

        Args:
            commit: The new commit.
            branch: Which.
            expected: The commit that it was last seen at; "" when it did not exist.

        Raises:
            ReleaseConflictError: It was changed by others.
            ServiceError: It cannot be reached, or refuses.
        """
        parts = branch.split("/")
        for above in ("/".join(parts[:count]) for count in range(1, len(parts))):
            if self.branch(above):
                raise ServiceError(
                    f"the branch {above} prevents the branch {branch}, because it would have to "
                    "be a folder; remove it"
                )
        if below := self.branches(f"{branch}/"):
            raise ServiceError(
                f"the branch {below[0]} makes {branch} a folder, which must be a branch; remove it"
            )
        self._remote(
            f"push {branch}",
            "push",
            f"--force-with-lease=refs/heads/{branch}:{expected}",
            "origin",
            f"{_id(commit)}:refs/heads/{branch}",
        )
        self._git("update-ref", f"refs/remotes/origin/{branch}", commit)

    def changed(self, before: str, commit: str) -> list[str]:
        """Paths at which two commits differ."""
        # Compare their trees, because there may be several merge bases. A renamed file counts with
        # both names, because the old one is changed too.
        names = ["diff-tree", "-r", "--no-renames", "--ignore-submodules=none", "--name-only", "-z"]
        return _names(self._git(*names, _id(before), _id(commit), "--"))

    def delete(self, branch: str, *, expected: str) -> None:
        """Remove a remote branch, if it is unchanged since it was seen; errors as for `push`."""
        self._remote(
            f"remove {branch}",
            "push",
            f"--force-with-lease=refs/heads/{branch}:{expected}",
            "origin",
            f":refs/heads/{branch}",
        )

    # Parts.

    def _bases(self, commit: str) -> list[str]:
        """The merge bases of the branch and a commit."""
        with contextlib.suppress(ServiceError):  # they share no commit
            return self._git("merge-base", "--all", self.head, _id(commit)).split()
        return []

    def _commit_tree(self, tree: str, parents: list[str], message: str, author: str) -> str:
        name, mail = _identity(author)
        who = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": mail}
        who |= {f"GIT_COMMITTER_{key[11:]}": value for key, value in who.items()}
        arguments = [word for parent in parents for word in ("-p", parent)]
        return self._git(
            "commit-tree", tree, *arguments, "-F", "-", env=who, stdin=f"{message}\n".encode()
        )

    def _tree(self, commit: str, path: str) -> list[tuple[str, str, str, int]]:
        """(mode, object, path, bytes) of what a path names: files, folders, submodules."""
        text = self._git("ls-tree", "-l", "-z", _id(commit), "--", path)
        result = []
        for line in filter(None, text.split("\0")):
            entry, _, name = line.partition("\t")
            mode, kind, blob, size = entry.split()
            result.append((mode, blob, name, int(size) if kind == "blob" else 0))
        return result

    def _content(self, entry: tuple[str, str, str, int]) -> bytes:
        mode, blob, name, size = entry
        if mode not in {"100644", "100755"}:
            what = _NO_BLOBS.get(mode, "a link")
            raise IntegrityError(f"{name} in the deployment repository is {what}, not a file")
        if size > MAX_FILE_BYTES:
            raise IntegrityError(f"{name}: {size} bytes, the limit is {MAX_FILE_BYTES}")
        return self._blob(blob)


def _id(commit: str) -> str:
    """Check that `commit` is the full id of a commit, which Git cannot interpret otherwise.

    Raises:
        IntegrityError: It is not.
    """
    if not COMMIT.fullmatch(commit):
        raise IntegrityError(f"{commit[:80]!r} is not the id of a commit")
    return commit


REPLACED: Final = "\ufffd"
"""In a path: bytes that are not UTF-8."""


def readable(path: str) -> str:
    """A printable path; it differs from Git's if that is not UTF-8."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _names(listing: str) -> list[str]:
    """The paths that a command printed with `-z`."""
    return [readable(name) for name in listing.split("\0") if name]


def _revisions(text: str) -> list[Revision]:
    """The commits that `git log -z` printed with `_FORMAT`."""
    fields = readable(text).split("\0")
    count = len(_FIELDS)
    return [
        Revision(
            commit,
            datetime.fromtimestamp(min(int(seconds), _LATEST) if seconds.isdecimal() else 0, UTC),
            author,
            committer,
            tuple(parents.split()),
            message.rstrip("\n"),
        )
        for commit, seconds, author, committer, parents, message in (
            fields[start : start + count] for start in range(0, len(fields) - count + 1, count)
        )
    ]


def _identity(author: str) -> tuple[str, str]:
    if not author:
        name = GIT_AUTHOR_NAME.get() or BOT_NAME
        return name, GIT_AUTHOR_EMAIL.get() or BOT_MAIL
    result = re.fullmatch(r"([^<>\n]+) <([^<>\s]+)>", author)
    if result is None:
        raise UsageError(f"{author!r} is not an author; write 'Name <mail>'")
    return result[1], result[2]
