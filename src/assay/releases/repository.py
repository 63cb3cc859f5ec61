"""The deployment repository: read at a commit, commit, merge, push with a lease.

Works on Git's objects alone, in a bare clone without a working tree: a hostile repository's links,
attributes and hooks never touch the disk. The whole history of one branch is cloned, because it
answers what was released before; a deployment repository is text.
"""

import contextlib
import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.core.attestation import COMMIT
from assay.core.settings import GIT_AUTHOR_EMAIL, GIT_AUTHOR_NAME
from assay.errors import IntegrityError, ReleaseConflictError, ServiceError, UsageError
from assay.releases.document import OWN_FILES
from assay.releases.runner import Runner, environment
from assay.releases.settings import Settings

if TYPE_CHECKING:
    from git import Repo

MAX_FILE_BYTES: Final = 8 << 20
BOT_NAME: Final = "Assay"
BOT_MAIL: Final = "assay@localhost"
_FIELDS: Final = ("%H", "%ct", "%an <%ae>", "%cn <%ce>", "%P", "%B")
_FORMAT: Final = "%x00".join(_FIELDS)
"""For `-z`: a commit holds no NUL, so that nothing in a message can end a field or a commit."""
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999; Git takes any number for a time."""


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
        """The value of a line `name: value` at the end of the message; "" without one."""
        found = re.findall(rf"(?m)^{re.escape(name)}: (.+)$", self.message)
        return found[-1].strip() if found else ""


class Repository:
    """A clone of the deployment repository for the length of one piece of work."""

    def __init__(self, settings: Settings, folder: Path, repo: "Repo", tip: str = "") -> None:
        self.settings = settings
        self._folder = folder
        self._repo = repo
        self._tip = tip
        runner = Runner(repo, settings)
        self._git, self._remote = runner.run, runner.remote

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: Settings) -> Iterator["Repository"]:
        """Clone it for the length of the block.

        Raises:
            ServiceError: It cannot be reached, or refuses these credentials.
        """
        from git import Repo

        with tempfile.TemporaryDirectory(prefix="assay-git-") as folder:
            clone = Repo.init(str(Path(folder, "clone")), bare=True)
            clone.git.update_environment(**environment(settings))
            clone.create_remote("origin", settings.url)
            repository = cls(settings, Path(folder), clone)
            repository.fetch()
            yield repository

    @classmethod
    @contextlib.contextmanager
    def of_checkout(cls, folder: Path, tip: str) -> Iterator["Repository"]:
        """What somebody has checked out, to read; its branch ends at the commit `tip`.

        Raises:
            UsageError: No checkout, no such commit, or one without its history.
        """
        from git import Repo
        from git.exc import InvalidGitRepositoryError

        settings = Settings(url=folder.resolve().as_uri())
        try:
            repo = Repo(str(folder))
        except InvalidGitRepositoryError as error:
            raise UsageError(f"{folder} is no Git checkout; give that of the repository") from error
        with repo, tempfile.TemporaryDirectory(prefix="assay-git-") as scratch:
            repo.git.update_environment(**environment(settings))
            repository = cls(settings, Path(scratch), repo)
            try:
                found = repository.commit_of(tip)
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
            repository._tip = found
            yield repository

    # Reading.

    @property
    def head(self) -> str:
        """The commit that the branch was at when it was last fetched; "" before the first one."""
        return self._tip or self.branch(self.settings.branch)

    def branch(self, name: str) -> str:
        """The commit of a remote branch as last fetched, or ""."""
        with contextlib.suppress(ServiceError):
            return self._git("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{name}")
        return ""

    def commit_of(self, name: str) -> str:
        """The commit that a name leads to.

        Raises:
            ServiceError: There is none.
        """
        return self._git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")

    def branches(self, prefix: str) -> list[str]:
        """Remote branches that begin with `prefix`."""
        root = "refs/remotes/origin/"
        found = self._git("for-each-ref", "--format=%(refname)", root)
        names = [line.removeprefix(root) for line in found.splitlines()]
        return [name for name in names if name.startswith(prefix)]

    def fetch(self) -> None:
        """See what others have pushed."""
        # With an asterisk, because an empty repository has no branch yet, which is no error.
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
        """A file at a commit (the branch's by default), or None where it is not.

        Raises:
            IntegrityError: Larger than a file of a release can be, or no plain file.
        """
        commit = commit or self.head
        entry = next(iter(self._tree(commit, path)), None) if commit else None
        if entry is None or entry[2] != path:
            return None
        return self._content(entry)

    def files(self, folder: str, commit: str = "") -> dict[str, bytes]:
        """The plain files of a folder at a commit, by name."""
        commit = commit or self.head
        found = self._tree(commit, f"{folder}/") if commit else []
        return {entry[2].removeprefix(f"{folder}/"): self._content(entry) for entry in found}

    def paths(self, folder: str, commit: str = "") -> list[str]:
        """Every file below a folder at a commit."""
        commit = commit or self.head
        if not commit:
            return []
        listing = self._git("ls-tree", "-r", "-z", "--name-only", _id(commit), f"{folder}/")
        return [name for name in listing.split("\0") if name]

    def history(self, path: str, branch: str = "") -> list[Revision]:
        """The commits of the branch itself that changed a file or folder, newest first.

        First parents only: what was on the branch, not what was tried on others.
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
            since: Without what is behind this commit. "": everything behind `until`.
            until: What is behind this commit, and itself, on whatever side.
        """
        # With parents no merge is left out: one may bring back what is older than `since`.
        place = [_id(until)] if not since else ["--parents", f"{_id(since)}..{_id(until)}"]
        return self._git("log", "--format=%H", "--full-history", *place, "--", *paths).split()

    def odd(self, folder: str, commit: str = "") -> dict[str, str]:
        """What below a folder is no plain file: by path, what it is."""
        commit = commit or self.head
        listing = self._git("ls-tree", "-r", "-z", _id(commit), "--", folder) if commit else ""
        kinds = {"120000": "a link", "160000": "a submodule"}
        found = (line.partition("\t") for line in listing.split("\0"))
        return {name: kinds[facts[:6]] for facts, _, name in found if facts[:6] in kinds}

    def messages(self, path: str) -> list[str]:
        """The messages of all commits behind the branch that changed a file or folder."""
        if not self.head:
            return []
        command = ["log", "-z", "--full-history", f"--format={_FORMAT}"]
        merged = _revisions(self._git(*command, "--end-of-options", self.head, "--", path))
        # Merges among them only where no side has the same files.
        found = {revision.commit: revision for revision in (*merged, *self.history(path))}
        return [revision.message for revision in found.values()]

    def revision(self, commit: str) -> Revision:
        """What a commit says of itself."""
        command = ["log", "-z", "-1", f"--format={_FORMAT}", "--end-of-options", _id(commit), "--"]
        (found,) = _revisions(self._git(*command))
        return found

    def contains(self, commit: str) -> bool:
        """Whether a commit was merged into the branch."""
        with contextlib.suppress(ServiceError):  # they share no commit
            return bool(self.head) and self._git("merge-base", self.head, _id(commit)) == commit
        return False

    def changed_in_folder(self) -> list[str]:
        """Files of a checkout that differ from the tip, committed or not."""
        text = self._git("diff", "--no-renames", "--name-only", "-z", _id(self.head), "--")
        return [name for name in text.split("\0") if name]

    # Writing. Nothing is seen by others before `push`.

    def commit(
        self,
        folder: str,
        files: Mapping[str, bytes],
        message: str,
        *,
        parent: str,
        author: str = "",
    ) -> str:
        """A commit whose folder holds exactly these of `OWN_FILES`; all else is the parent's.

        The parent itself is returned where that changes nothing.
        """
        own = {f"{folder}/{name}" for name in OWN_FILES}
        old = sorted(own.intersection(self.paths(folder, parent))) if parent else []
        with tempfile.TemporaryDirectory(prefix="index-", dir=self._folder) as scratch:
            index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
            if parent:
                self._git("read-tree", _id(parent), env=index)
            lines = [f"0 {'0' * 40}\t{path}" for path in old]
            for name, content in sorted(files.items()):
                blob = self._git("hash-object", "-w", "--stdin", istream=content)
                lines.append(f"100644 {blob}\t{folder}/{name}")
            entries = "".join(f"{line}\0" for line in lines).encode()
            self._git("update-index", "-z", "--index-info", istream=entries, env=index)
            tree = self._git("write-tree", env=index)
        if parent and tree == self._git("rev-parse", f"{parent}^{{tree}}"):
            return parent
        return self._commit_tree(tree, [parent] if parent else [], message, author)

    def begin(self) -> None:
        """Give an empty repository its first commit, so that there is something to merge into."""
        if self.head:
            return
        tree = self._git("mktree", istream=b"")
        first = self._commit_tree(tree, [], "Begin the deployment repository", "")
        with contextlib.suppress(ReleaseConflictError):  # somebody else began it
            self.push(first, self.settings.branch, expected="")
        self.fetch()

    def merge(self, commit: str, message: str, author: str) -> str:
        """A merge commit of the branch and `commit`.

        Raises:
            ReleaseConflictError: Both changed the same lines; names the files.
        """
        try:
            tree = self._git("merge-tree", "--write-tree", "--name-only", self.head, _id(commit))
        except ServiceError as error:
            listing = str(getattr(error.__cause__, "stdout", "")).splitlines()
            # The tree's name, the files in conflict, an empty line, and talk.
            named = itertools.takewhile(bool, (line.strip(" '") for line in listing[2:]))
            shown = ", ".join(sorted(set(named))) or "its files"
            raise ReleaseConflictError(
                f"cannot merge: {shown} changed on {self.settings.branch} since this was proposed; "
                "promote the model again, which proposes it anew, and look at it again"
            ) from error
        return self._commit_tree(tree.splitlines()[0], [self.head, commit], message, author)

    def same_tree(self, one: str, other: str) -> bool:
        """Whether two commits hold the same files."""
        trees = [self._git("rev-parse", f"{_id(commit)}^{{tree}}") for commit in (one, other)]
        return trees[0] == trees[1]

    def push(self, commit: str, branch: str, *, expected: str) -> None:
        """Put a remote branch at a commit, if it still is where it was seen.

        Args:
            commit: Where to.
            branch: Which.
            expected: Where it was last seen; "" when it was not there.

        Raises:
            ReleaseConflictError: Somebody else has moved it.
            ServiceError: It cannot be reached, or refuses.
        """
        self._remote(
            f"push {branch}",
            "push",
            f"--force-with-lease=refs/heads/{branch}:{expected}",
            "origin",
            f"{_id(commit)}:refs/heads/{branch}",
        )
        self._git("update-ref", f"refs/remotes/origin/{branch}", commit)

    def changed(self, base: str, commit: str) -> list[str]:
        """Files that a commit changes, seen from where it left `base`."""
        # A renamed file counts under both names: what is gone is changed as well.
        names = ["diff", "--no-renames", "--name-only", "-z"]
        text = self._git(*names, f"{_id(base)}...{_id(commit)}", "--")
        return [name for name in text.split("\0") if name]

    def delete(self, branch: str, *, expected: str) -> None:
        """Remove a remote branch, if it still is where it was seen; errors as for `push`."""
        self._remote(
            f"remove {branch}",
            "push",
            f"--force-with-lease=refs/heads/{branch}:{expected}",
            "origin",
            f":refs/heads/{branch}",
        )

    # Parts.

    def _commit_tree(self, tree: str, parents: list[str], message: str, author: str) -> str:
        name, mail = _identity(author)
        who = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": mail}
        who |= {f"GIT_COMMITTER_{key[11:]}": value for key, value in who.items()}
        arguments = [word for parent in parents for word in ("-p", parent)]
        return self._git("commit-tree", tree, *arguments, "-m", message, env=who)

    def _tree(self, commit: str, path: str) -> list[tuple[str, str, str, int]]:
        """(mode, blob, path, bytes) of the files that a path names."""
        text = self._git("ls-tree", "-l", "-z", _id(commit), "--", path)
        found = []
        for line in filter(None, text.split("\0")):
            facts, _, name = line.partition("\t")
            mode, kind, blob, size = facts.split()
            if kind == "blob":
                found.append((mode, blob, name, int(size)))
        return found

    def _content(self, entry: tuple[str, str, str, int]) -> bytes:
        mode, blob, name, size = entry
        if mode not in {"100644", "100755"}:
            raise IntegrityError(f"{name} in the deployment repository is a link, not a file")
        if size > MAX_FILE_BYTES:
            raise IntegrityError(f"{name}: {size} bytes, the limit is {MAX_FILE_BYTES}")
        data: bytes = self._repo.git.execute(
            ["git", "cat-file", "blob", blob], stdout_as_string=False, strip_newline_in_stdout=False
        )
        return data


def _id(commit: str) -> str:
    """`commit`, when it is a commit's full name and so can be nothing else to Git.

    Raises:
        IntegrityError: It is not.
    """
    if not COMMIT.fullmatch(commit):
        raise IntegrityError(f"{commit[:80]!r} is not the name of a commit")
    return commit


def _revisions(text: str) -> list[Revision]:
    """The commits that `git log -z` printed with `_FORMAT`."""
    # Git replaces what is not in a commit's encoding; what GitPython could not decode is a lone
    # surrogate, which no document can hold.
    fields = text.encode(errors="surrogateescape").decode(errors="replace").split("\0")
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
    found = re.fullmatch(r"([^<>\n]+) <([^<>\s]+)>", author)
    if found is None:
        raise UsageError(f"{author!r} names nobody; write 'Name <mail>'")
    return found[1], found[2]
