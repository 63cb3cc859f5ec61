"""`changelog.md`: changes since the current release of the environment.

It can be read in two minutes: equal properties are left out, and long lists are cut with a count.
"""

import difflib
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assay.core.attestation import COMMIT, Attestation, about
from assay.core.git import Git, GitError
from assay.core.manifest import Manifest
from assay.core.provenance import best
from assay.core.settings import SOURCE_REPOSITORY
from assay.core.step import Services
from assay.core.store import Store
from assay.core.tree import get_manifest, read_file
from assay.errors import AssayError
from assay.evidence.format import EvidenceDocument
from assay.evidence.labels import is_labelled
from assay.governance.admission import Assessment
from assay.governance.comparison import json_file, schema
from assay.governance.policy import MAX_POLICY_BYTES
from assay.releases.evaluation import Evidence, assessment_text, override_text
from assay.releases.release import Release
from assay.reports.markdown import markdown_table, markdown_text
from assay.text import number, visible

MAX_ROWS: Final = 12
"""Of earlier table; what is more is counted."""
MAX_COMMITS: Final = 20
MAX_LINES: Final = 40
MAX_TEXT_BYTES: Final = 1 << 20
SHIFT: Final = 0.01
"""Change of a mean, as a share of the column's range, or of a value's share, that is reported."""
CLONE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class ReleaseContent:
    """A release with its attestation and evidence."""

    release: Release
    model: Manifest
    training: Attestation | None
    evidence: Evidence
    data: Manifest | None
    policy: str

    @classmethod
    def of(
        cls, services: Services, release: Release, training: Attestation | None = None
    ) -> "ReleaseContent":
        """Read all of it from the store.

        Args:
            services: The store, and whose signatures count.
            release: The release.
            training: How the model was made, if admission has checked it.

        Returns:
            The release with all that the changelog compares.

        Raises:
            IntegrityError: A blob does not match its digest.
            NotFoundError: A blob is not in the store.
        """
        store = services.store
        if training is None:
            training = best(about(store, release.digest, services.verifier))
        data = training.inputs.get("data") if training else ""
        return cls(
            release,
            get_manifest(store, release.digest),
            training,
            Evidence.of(store, release),
            get_manifest(store, str(data)) if data else None,
            _text_file(store, release.policy, "policy.yaml", MAX_POLICY_BYTES),
        )


def changelog(
    services: Services,
    release: Release,
    current: Release | None,
    assessment: Assessment,
) -> str:
    """`changelog.md` for a release that would replace `current`.

    Args:
        services: The store, and whose signatures count.
        release: The proposed release.
        current: The release in the environment; None for the first.
        assessment: Results of the checks.

    Returns:
        Markdown.

    Raises:
        IntegrityError: A blob of the proposed release does not match its digest.
        NotFoundError: A blob of it is not in the store.
    """
    title = f"# Changes of {markdown_text(release.model)} in {release.environment}\n"
    warning = "\n".join(filter(None, [override_text(release), assessment_text(assessment)]))
    new = ReleaseContent.of(services, release, assessment.training)
    if current is None:
        return "\n".join([title, warning, _first(new)])
    try:
        old = ReleaseContent.of(services, current)
    except AssayError as error:
        # The attestations of the current release may be missing; the rest is still reported.
        why = markdown_text(str(error))
        lost = f"The current release in {release.environment} cannot be compared: {why}\n"
        return "\n".join([title, warning, lost, _first(new)])
    if old.release.digest == new.release.digest:
        same = "The model is the current one; the release of it differs.\n"
        return "\n".join([title, warning, same, _release_changes(old, new)])
    sections = [
        ("Metrics", _metrics(old.evidence.evaluation, new.evidence.evaluation)),
        ("Data", _data(services.store, old, new)),
        ("Parameters", _parameters(old, new)),
        ("Code", _code(old, new)),
        ("Dependencies", _dependencies(services.store, old, new)),
        ("Policy", _policy(old, new)),
    ]
    changed = [(name, text) for name, text in sections if text]
    same_names = [name.lower() for name, text in sections if not text]
    head = (
        f"From `{old.release.digest}`\nto `{new.release.digest}`.\n\n"
        f"Changed: {', '.join(name.lower() for name, _ in changed) or 'nothing that is recorded'}."
        + (f" Equal: {', '.join(same_names)}." if same_names else "")
        + "\n"
    )
    return "\n".join([title, warning, head, *(f"## {name}\n\n{text}" for name, text in changed)])


def _first(new: ReleaseContent) -> str:
    rows = [
        (name, number(value), *_interval(new.evidence.evaluation, name))
        for name, value in sorted(new.evidence.evaluation.values.items())
        if not is_labelled(name)
    ]
    parameters = dict(new.training.parameters) if new.training else {}
    shown = [(name, _short(value)) for name, value in sorted(parameters.items()) if value]
    return "\n".join(
        [
            f"The first release here: `{new.release.digest}`. There is no earlier one.\n",
            markdown_table(("metric", "value", "interval"), rows),
            "## Parameters\n",
            markdown_table(("parameter", "value"), shown),
        ]
    )


def _release_changes(old: ReleaseContent, new: ReleaseContent) -> str:
    pairs = [
        ("monitoring plan", old.release.monitoring, new.release.monitoring),
        ("decision", old.release.decision, new.release.decision),
        ("policy", old.release.policy, new.release.policy),
        ("registry version", old.release.registry_version, new.release.registry_version),
    ]
    rows = [
        (name, earlier or "–", later or "–") for name, earlier, later in pairs if earlier != later
    ]
    return markdown_table(("what", "now", "proposed"), rows) + "\n" + _policy(old, new)


def _metrics(old: EvidenceDocument, new: EvidenceDocument) -> str:
    rows = []
    for name in sorted({*old.values, *new.values}):
        if is_labelled(name):
            continue
        earlier, later = old.values.get(name), new.values.get(name)
        if earlier == later:
            continue
        moved = f"{later - earlier:+.4g}" if earlier is not None and later is not None else "–"
        before, after = _with_interval(old, name), _with_interval(new, name)
        rows.append((name, before, after, moved, _overlap(old, new, name)))
    if not rows:
        return ""
    text = _table(("metric", "now", "proposed", "change", "intervals"), rows)
    sliced = _worst_slice(old, new)
    apart = (
        "Each was measured on its own test rows; the comparison in evaluation.md is on the same.\n"
    )
    return f"{text}\n{sliced}{apart}"


def _overlap(old: EvidenceDocument, new: EvidenceDocument, name: str) -> str:
    earlier, later = old.intervals.get(name), new.intervals.get(name)
    if earlier is None or later is None:
        return "–"
    return "overlap" if earlier.low <= later.high and later.low <= earlier.high else "apart"


def _worst_slice(old: EvidenceDocument, new: EvidenceDocument) -> str:
    moves = [
        (abs(value - before), name, before, value)
        for name, value in new.values.items()
        if is_labelled(name)
        and value is not None
        and (before := old.values.get(name)) is not None
        and value != before
    ]
    if not moves:
        return ""
    _, name, before, value = max(moves)
    return (
        f"Largest move of a slice: {markdown_text(name)}, {number(before)} → {number(value)}.\n\n"
    )


def _data(store: Store, old: ReleaseContent, new: ReleaseContent) -> str:
    if old.data is None or new.data is None or old.data.digest == new.data.digest:
        return ""
    earlier, later = schema(store, old.data) or {}, schema(store, new.data) or {}
    rows = [
        ("training data", old.data.digest, new.data.digest),
        ("rows", f"{earlier.get('rows', 0):,}", f"{later.get('rows', 0):,}"),
    ]
    before = {column["name"]: column["type"] for column in earlier.get("columns", [])}
    after = {column["name"]: column["type"] for column in later.get("columns", [])}
    rows += [(f"column {n}", "–", f"new, {after[n]}") for n in sorted(set(after) - set(before))]
    rows += [(f"column {n}", before[n], "gone") for n in sorted(set(before) - set(after))]
    both = sorted(set(before) & set(after))
    rows += [(f"column {n}", before[n], after[n]) for n in both if before[n] != after[n]]
    shifts = _shifts(_statistics(store, old.data), _statistics(store, new.data))
    text = _table(("what", "now", "proposed"), rows)
    if shifts:
        heads = ("column", "what", "now", "proposed")
        text += "\nDistribution, largest moves first:\n\n" + _table(heads, shifts)
    elif before:
        text += f"\nDistribution: no mean moved by more than {SHIFT:.0%} of its column's range.\n"
    return text


def _statistics(store: Store, manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Mean, bounds and shares of values of each column over all parts."""
    raw = json_file(store, manifest, "statistics.json")
    held = schema(store, manifest) or {}
    rows = [int(part["rows"]) for part in held.get("parts", [])]
    result: dict[str, dict[str, Any]] = {}
    for place, part in enumerate(raw.get("parts", []) if isinstance(raw, dict) else []):
        for name, column in part["columns"].items():
            present = (rows[place] if place < len(rows) else 1) - column["nulls"]
            sums = result.setdefault(name, {"n": 0, "sum": 0.0, "exact": True, "values": {}})
            sums["n"] += present
            if "mean" in column:
                sums["sum"] += column["mean"] * present
                sums["min"] = min(sums.get("min", column["min"]), column["min"])
                sums["max"] = max(sums.get("max", column["max"]), column["max"])
            else:
                sums["exact"] = False
            for value, count in column.get("values", []):
                sums["values"][str(value)] = sums["values"].get(str(value), 0) + count
    return result


def _shifts(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, ...]]:
    moves: list[tuple[float, tuple[str, ...]]] = []
    for name in sorted(set(old) & set(new)):
        earlier, later = old[name], new[name]
        if not earlier["n"] or not later["n"]:
            continue
        if earlier["exact"] and later["exact"] and "min" in earlier:
            means = earlier["sum"] / earlier["n"], later["sum"] / later["n"]
            width = max(earlier["max"], later["max"]) - min(earlier["min"], later["min"])
            moved = abs(means[1] - means[0]) / width if width else 0.0
            if moved > SHIFT:
                moves.append((moved, (name, "mean", number(means[0]), number(means[1]))))
            continue
        for value in sorted({*earlier["values"], *later["values"]}):
            shares = [column["values"].get(value, 0) / column["n"] for column in (earlier, later)]
            moved = abs(shares[1] - shares[0])
            if moved > SHIFT:
                row = (name, f"share of {value}", f"{shares[0]:.1%}", f"{shares[1]:.1%}")
                moves.append((moved, row))
    return [row for _, row in sorted(moves, key=lambda move: -move[0])]


def _parameters(old: ReleaseContent, new: ReleaseContent) -> str:
    if old.training is None or new.training is None:
        return ""
    earlier, later = old.training.parameters, new.training.parameters
    rows = [
        (name, _short(earlier.get(name)), _short(later.get(name)))
        for name in sorted({*earlier, *later})
        if earlier.get(name) != later.get(name)
    ]
    return _table(("parameter", "now", "proposed"), rows) if rows else ""


def _code(old: ReleaseContent, new: ReleaseContent) -> str:
    if old.training is None or new.training is None:
        return ""
    earlier, later = old.training, new.training
    parts = [
        (name, one_part, other_part)
        for name, one_part, other_part in (
            ("step", earlier.code.step, later.code.step),
            ("library", earlier.code.modules, later.code.modules),
        )
        if one_part != other_part
    ]
    commits = (earlier.git_commit, later.git_commit)
    if not parts and commits[0] == commits[1]:
        return ""
    text = _table(("code of", "now", "proposed"), parts) if parts else ""
    if commits[0] == commits[1]:
        return text
    if not all(commits):
        return f"{text}\nNot every attestation names a commit.\n"
    dirty = (
        " Built from files that differed from the commit." if later.git and later.git.dirty else ""
    )
    listing = _commits(later.git.repository if later.git else "", *commits)
    return f"{text}\nCommits `{commits[0][:12]}` to `{commits[1][:12]}`:{dirty}\n\n{listing}"


def _commits(repository: str, old: str, new: str) -> str:
    """`git log` between two commits, if the source repository is admitted and can be reached.

    An attestation may name any repository. It is fetched only if `ASSAY_SOURCE_REPOSITORY` lists
    it.
    """
    admitted = SOURCE_REPOSITORY.get()
    named = repository.removeprefix("git+")
    if not admitted:
        return (
            "The log of the source repository is left out: ASSAY_SOURCE_REPOSITORY lists no "
            "repository.\n"
        )
    url = named if named in admitted else admitted[0]
    if not (COMMIT.fullmatch(old) and COMMIT.fullmatch(new)):
        return "The attestations name no commits, so there is no log to show.\n"
    with suppress(GitError), tempfile.TemporaryDirectory(prefix="assay-source-") as folder:
        git = Git(Path(folder), seconds=CLONE_SECONDS)
        git.run("init", "--quiet", "--bare")
        git.run("fetch", "--no-tags", "--end-of-options", url, "+refs/heads/*:refs/heads/*")
        options = ("-z", "--no-merges", "--format=%h %s (%an)")
        text = git.text("log", *options, "--end-of-options", f"{old}..{new}", "--")
        lines = [line for line in text.split("\0") if line]
        if not lines:
            return "No commits between the two on any branch.\n"
        shown = [f"- {markdown_text(line)}" for line in lines[:MAX_COMMITS]]
        if len(lines) > MAX_COMMITS:
            shown.append(f"- … and {len(lines) - MAX_COMMITS} more")
        return "\n".join(shown) + "\n"
    return "The source repository could not be reached, so its log is left out.\n"


def _dependencies(store: Store, old: ReleaseContent, new: ReleaseContent) -> str:
    earlier, later = (_requirements(store, side.model) for side in (old, new))
    rows = [
        (name, earlier.get(name, "–"), later.get(name, "–"))
        for name in sorted({*earlier, *later})
        if earlier.get(name) != later.get(name)
    ]
    if rows:
        return _table(("package", "now", "proposed"), rows)
    locked = [side.training.code.distributions for side in (old, new) if side.training]
    if len(set(locked)) > 1:
        return "The training environment's locked packages differ; the model's own are equal.\n"
    return ""


def _requirements(store: Store, model: Manifest) -> dict[str, str]:
    text = _text_file(store, model.digest, "requirements.txt", MAX_TEXT_BYTES)
    pairs = re.findall(r"(?m)^([\w.\[\]-]+)==([^\s;]+)", text)
    return {name.lower(): version for name, version in pairs}


def _policy(old: ReleaseContent, new: ReleaseContent) -> str:
    if old.policy == new.policy:
        return ""
    lines = list(
        difflib.unified_diff(
            old.policy.splitlines(), new.policy.splitlines(), "now", "proposed", lineterm="", n=1
        )
    )
    cut = [f"… and {len(lines) - MAX_LINES} more lines"] if len(lines) > MAX_LINES else []
    # A policy's own back-quotes must not end the block.
    body = "\n".join(visible(line).replace("```", "'''") for line in lines[:MAX_LINES] + cut)
    return f"```diff\n{body}\n```\n"


def _table(headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    text = markdown_table(headers, rows[:MAX_ROWS])
    more = len(rows) - MAX_ROWS
    return f"{text}\n… and {more} more.\n" if more > 0 else text


def _with_interval(document: EvidenceDocument, name: str) -> str:
    return f"{number(document.values.get(name))} {_interval(document, name)[0]}".strip(" –")


def _interval(document: EvidenceDocument, name: str) -> tuple[str]:
    bounds = document.intervals.get(name)
    return (f"[{number(bounds.low)}, {number(bounds.high)}]" if bounds else "–",)


def _short(value: Any) -> str:
    text = "–" if value is None else value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004 - a table's cell


def _text_file(store: Store, artifact: str, name: str, limit: int) -> str:
    return (read_file(store, get_manifest(store, artifact), name, limit) or b"").decode(
        errors="replace"
    )
