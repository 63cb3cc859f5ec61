"""Files that people write: what is read, what is refused, and that neither takes long.

The attacks are files that somebody with write access to a repository, a store or a run form can
hand in: aliases that expand, depth, width, repeated keys, words that change their meaning.
"""

import ast
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.data.suite import parse_suite
from assay.documents import (
    Limits,
    closest,
    read_json,
    read_regular,
    read_yaml,
    some,
)
from assay.errors import UsageError
from assay.governance.policy import parse_policy
from assay.models.behaviour import parse_checks
from assay.monitoring import parse_plan
from assay.releases import release

ROOT = Path(__file__).parents[2]


def value(text: str, **options: Any) -> Any:
    return read_yaml(text.encode(), "file", **options).value


def refusal(work: Callable[[], Any]) -> str:
    with pytest.raises(UsageError) as caught:
        work()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 20_000
    return text


# What a word without quotes means.


@pytest.mark.parametrize(
    "word",
    ["no", "No", "NO", "yes", "on", "off", "y", "n", "2024-01-31", "2024-01-31 10:00:00", "12:30",
     "190:20:30", "1.2.3", "sha256:00", "=", "0x", "e5", "1e", "+", "-", ".", "a_1", "1:", "NaN"],
)  # fmt: skip
def test_a_word_stays_the_text_that_was_written(word: str) -> None:
    """YAML 1.1 makes `no` False, a date an object and `12:30` the number 750."""
    assert value(f"[{word!s}]" if word != "1:" else '["1:"]') == [word]
    assert value(f"{word}: 1" if word != "1:" else '"1:": 1') == {word: 1}


@pytest.mark.parametrize(
    ("word", "meant"),
    [("true", True), ("False", False), ("null", None), ("~", None), ("0", 0), ("-12", -12),
     ("+3", 3), ("1.0", 1.0), (".5", 0.5), ("5.", 5.0), ("1e-3", 0.001), ("1.0e+5", 1e5),
     ("2.5e5", 2.5e5), ("9007199254740993", 2**53 + 1)],
)  # fmt: skip
def test_numbers_and_truth_values_are_what_json_has(word: str, meant: Any) -> None:
    found = value(f"[{word}]")[0]
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    "word",
    ["01234", "09999", "-017", "0x1F", "0o17", "0b11", "1_000", "2024_01", "1e5", "1234e56",
     "01.50", ".inf", "-.inf", ".nan", "1e+999", "9" * 500],
)  # fmt: skip
def test_a_number_that_programs_read_differently_is_refused(word: str) -> None:
    """A postal code of Boston, 02139, is 1119 to YAML 1.1: the check would try another town."""
    message = refusal(lambda: value(f"a:\n  - {word}\n"))
    assert message.startswith("file line 2, column 5: ")
    assert value(f"['{word}']") == [word]


def test_words_in_a_file_of_checks_reach_the_check_as_they_were_written() -> None:
    text = b"checks:\n  - {name: no, kind: invariance, column: on, values: [yes, no, 2024-01-31]}\n"
    (check,) = parse_checks(text)
    assert (check.name, check.column, check.values) == ("no", "on", ("yes", "no", "2024-01-31"))


def test_output_of_pyyaml_is_read_back_unchanged() -> None:
    """Releases and MLflow's MLmodel are written by PyYAML, which leaves other words unquoted."""
    texts = ["1e5", "0912", "1234e56", "0o17", "no", "on", "017", "1_0", "2024-01-31", "12:30",
             "null", "", "~", "true", "1.5", ".nan", "=", "<<", "é", "a: b", "#"]  # fmt: skip
    shared = ["a", 1.5e-7]
    whole = {"texts": texts, "keys": dict.fromkeys(texts, 1), "twice": [shared, shared]}
    written = yaml.safe_dump(whole, allow_unicode=True)
    assert "*id" in written
    assert read_yaml(written.encode(), "file", person=False).value == whole


# What must not be in a file.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: key 'a' is given twice"),
        ("a: {b: 1, b: 2}", "line 1, column 11: key 'b' is given twice"),
        ("a: 1\n'a': 2", "line 2, column 1: key 'a' is given twice"),
        ("a: &x 1", "line 1, column 4: anchors"),
        ("a: &x [1]\nb: *x", "line 2, column 4: aliases"),
        ("a: !!python/object/apply:os.system [id]", "line 1, column 4: tags"),
        ("a: !!str 1", "line 1, column 4: tags"),
        ("a: {<<: {b: 1}}", "line 1, column 5: merge keys"),
        ("? [1]\n: 2", "line 1, column 3: a key must be text"),
        ("a: 1\n---\nb: 2", "line 2, column 1: not YAML: a second document"),
        ("%YAML 1.1\n---\na: 1", "directives"),
        ("a: [1", "line 2, column 1: not YAML"),
        ("a: \x07", "line 1, column 4: not YAML: a character"),
        ('a: "\\0"', "line 1, column 4: a NUL"),
        ("a:\n\t- b", "line 2, column 1: not YAML"),
    ],
)
def test_ambiguous_syntax_is_refused(text: str, message: str) -> None:
    assert message in refusal(lambda: value(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "a": 2}', "line 2, column 2: key 'a' is given twice"),
        ('{"a": {"b": 1, "\\u0062": 2}}', "line 1, column 16: key 'b' is given twice"),
        ('{"a": NaN}', "line 1, column 7: NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ('{"a": 1e999}', "line 1, column 7: '1e999' is too large"),
        ('{"a": ' + "9" * 5000 + "}", "a number of 5000 characters"),
        ('{"a": "\\ud800"}', "half of a surrogate"),
        ('{"\\u0000": 1}', "NUL"),
        ('{"a": 1', "line 1, column 8: not JSON"),
        ("", "line 1, column 1: not JSON"),
        ('{"a": 1} x', "line 1, column 10: not JSON: Extra data"),
        ("{'a': 1}", "line 1, column 2: not JSON"),
    ],
)
def test_json_is_read_strictly(text: str, message: str) -> None:
    assert message in refusal(lambda: read_json(text, "file"))


def test_json_of_other_programs_is_read() -> None:
    text = '\ufeff{"a": [1, 2.5, true, null, "\\ud83d\\ude00 \\u00e9", {"a": {}}], "": "x"}'
    found = read_json(text.encode(), "file")
    assert found == {"a": [1, 2.5, True, None, "😀 é", {"a": {}}], "": "x"}


def test_invalid_utf_8_is_reported_with_its_position() -> None:
    for read in (read_yaml, read_json):
        message = refusal(lambda read=read: read(b"{\n  \xff", "file"))  # type: ignore[misc]
        assert message == "file line 2, column 3: not UTF-8"


def test_offenders_are_named_up_to_a_number() -> None:
    message = refusal(lambda: value("\n".join(f"- 0{number}" for number in range(10, 90))))
    assert message.count("line ") == 20
    assert message.endswith("and 60 more")
    assert some(range(3), str, 2) == ["0", "1", "and 1 more"]


# Files that would take for ever.


def _alias_bomb(levels: int) -> bytes:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


def _seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    with pytest.raises(UsageError) as caught:
        work()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 20_000
    return time.process_time() - began


HOSTILE: dict[str, Callable[[int], Callable[[], Any]]] = {
    "aliases in a release": lambda n: lambda: release.parse_release(_alias_bomb(n // 2500)),
    "aliases in checks": lambda n: lambda: parse_checks(_alias_bomb(n // 2500)),
    "deep release": lambda n: lambda: release.parse_release(b"a: " + b"[" * n),
    "deep checks": lambda n: lambda: parse_checks(b"checks: " + b"[" * n),
    "deep block checks": lambda n: lambda: parse_checks(b"checks: " + b"- " * n),
    "deep policy": lambda n: lambda: parse_policy(b"gates: " + b"{a: " * n),
    "deep suite": lambda n: lambda: parse_suite(b'{"expectations": ' + b"[" * n),
    "unknown keys in a policy": lambda n: lambda: parse_policy(_keys(n) + b"gates: []\n"),
    "unknown keys in a plan": lambda n: lambda: parse_plan(_keys(n) + b"format: x\n"),
    "unknown keys in checks": lambda n: lambda: parse_checks(
        _keys(n) + b"checks: [{name: a, kind: golden, cases: []}]\n"
    ),
    "unknown keys in a check": lambda n: lambda: parse_checks(
        b"checks:\n- name: a\n  kind: golden\n" + _keys(n, b"  ")
    ),
    "unknown keys of suite items": lambda n: lambda: parse_suite(
        b'{"expectations": [{"type": "expect_column_to_exist", %s}]}'
        % b", ".join(b'"typo%d": 1' % number for number in range(n))
    ),
    "unknown arguments of suite items": lambda n: lambda: parse_suite(
        b'{"expectations": [{"type": "expect_column_to_exist", "kwargs": {%s}}]}'
        % b", ".join(b'"colum%d": 1' % number for number in range(n))
    ),
    "unknown types in a suite": lambda n: lambda: parse_suite(
        b'{"expectations": [%s]}'
        % b", ".join(b'{"type": "expect_colum_%d"}' % number for number in range(min(n, 9_000)))
    ),
    "repeated columns of a plan": lambda n: lambda: parse_plan(
        b"format: assay-monitoring/1\ndetectors:\n- name: a\n  metric: psi\n  columns: [%s]\n"
        % b", ".join([b"a"] * n)
    ),
    "an escaped text of a policy": lambda n: lambda: parse_policy(
        b'gates: [{metric: "' + b"\\\n   " * n + b'"}]'
    ),
    "labels of one rule": lambda n: lambda: parse_policy(
        b"gates: [{metric: 'f1{%s} = 1'}]" % b",".join(b'a%d="1"' % k for k in range(n // 10))
    ),
    "a number with many digits": lambda n: lambda: parse_checks(
        b"checks: [{name: a, kind: golden, rows: %s}]" % (b"9" * n)
    ),
    "quotes without end": lambda n: lambda: parse_suite(b'{"a": "' + b'\\"' * n),
}  # fmt: skip


def _keys(count: int, indent: bytes = b"") -> bytes:
    return b"".join(b"%sgate%d: 1\n" % (indent, number) for number in range(count))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_time_that_grows_with_its_size(name: str) -> None:
    make = HOSTILE[name]
    _seconds(make(1_000))  # what is imported and compiled once
    quarter, whole = _seconds(make(15_000)), _seconds(make(60_000))
    assert whole < 10
    # Four times as much: four times as long where it is read once, sixteen where it is not.
    assert whole < 8 * max(quarter, 0.3)


def test_an_alias_counts_as_everything_that_it_refers_to() -> None:
    message = refusal(lambda: read_yaml(_alias_bomb(9), "MLmodel", person=False))
    assert "more values than the limit of 200,000" in message
    message = refusal(lambda: value("a: &a [*a]", person=False))
    assert "refers to no node before it" in message


def test_limits_count_bytes_depth_and_values() -> None:
    assert "5 bytes, the limit is 4" in refusal(lambda: value("a: 12", limits=Limits(size=4)))
    limits = Limits(depth=2, values=4)
    assert value("[[1, 2]]", limits=limits) == [[1, 2]]
    for read in (read_yaml, read_json):
        deep = refusal(lambda read=read: read(b"[[[1]]]", "file", limits))  # type: ignore[misc]
        assert deep == "file line 1, column 3: nested too deep; the limit is 2 levels"
        wide = refusal(lambda read=read: read(b"[[1, 2, 3]]", "file", limits))  # type: ignore[misc]
        assert wide == "file line 1, column 9: more values than the limit of 4"


def test_similar_names_are_looked_for_among_a_bounded_number() -> None:
    many = [f"column{number}" for number in range(200_000)]
    began = time.process_time()
    assert closest("column1999999", many) is not None
    assert closest("x" * 1_000_000, many) is None
    assert time.process_time() - began < 3
    assert closest("recal", ["recall", "precision"]) == "recall"


# Files that are none.


def test_a_pipe_or_device_or_folder_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path, message in [
        (tmp_path / "pipe", "it is a pipe"),
        (Path("/dev/zero"), "it is a device"),
        (tmp_path, "it is a folder"),
        (Path("/proc/self/environ"), "a virtual file of the kernel"),
        (tmp_path / "loop", "cannot read"),
        (tmp_path / "nothing", "No such file"),
        (Path("a\0b"), "not a path"),
    ]:
        assert message in refusal(lambda path=path: read_regular(path, 100, "policy"))  # type: ignore[misc]


def test_a_file_is_read_no_further_than_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    assert "larger than the limit of 100 bytes" in refusal(
        lambda: read_regular(path, 100, "policy")
    )
    path.write_bytes(b"a" * 100)
    assert read_regular(path, 100, "policy") == b"a" * 100


# Nobody reads around the reader.

OUTSIDE = {
    "src/assay/documents/json_values.py": "the reader itself",
    "src/assay/core/digest.py": "canonical JSON, which is compared with its one spelling",
    "src/assay/releases/release.py": "the package's own schema",
    "src/assay/cluster/profile.py": "the package's own schema and defaults",
    "src/assay/cluster/stages.py": "the library's own schema",
    "src/assay/governance/policy/names.py": "the library's own list",
    "src/assay/data/schema.py": "what write() wrote, bounded; any text may name a column",
    "src/assay/data/parts.py": "what write() wrote, bounded; any text may name a column",
    "src/assay/models/mlflow_folder.py": "what MLflow wrote in this process a moment before",
    "src/assay/models/canonical.py": "skops' schema, whose size and entries were checked before",
    "src/assay/models/trust.py": "texts in skops' schema, whose size was checked; faults caught",
    "src/assay/runtime/compiled.py": "what KFP's compiler wrote in this process",
    "src/assay/cluster/size.py": "what KFP's compiler wrote in this process",
    "src/assay/core/execution.py": "a value of this process, canonical and back",
    "src/assay/core/imports.py": "source code that is imported anyway; literals only",
    "src/assay/core/signing.py": "a value of this process, copied",
    "src/assay/cluster/doctor/services.py": "an envelope that this process signed",
    "src/assay/runtime/fork_server.py": "between processes of one run, by their own socket",
    "src/assay/cli/registration.py": "what this version's steps wrote into the store",
    "src/assay/data/parquet_types.py": "pandas' note in a Parquet file; bounded, faults caught",
    "components/data_processing/validate_data/json_schema.py": "a cell that holds JSON",
    "components/data_processing/validate_data/texts.py": "a cell that holds JSON, as GX reads it",
    "src/assay/runtime/events.py": "what tasks of this run wrote",
    "src/assay/cli/reproduce.py": "the answer of a process that this one started",
    "src/assay/core/maintenance/names.py": "asks what a blob is; bounded, faults are caught",
    "images/build.py": "answers of the build tools",
}
"""Files that parse YAML or JSON by themselves, and why they may."""
PARSERS = {
    "json": {"loads", "load", "JSONDecoder"},
    "yaml": {"load", "load_all", "safe_load", "safe_load_all", "full_load", "unsafe_load",
             "compose", "compose_all", "parse", "scan"},
    "tomllib": {"load", "loads"},
    "pickle": {"load", "loads", "Unpickler"},
    "marshal": {"load", "loads"},
    "ast": {"literal_eval"},
}  # fmt: skip


def test_untrusted_text_is_parsed_by_the_reader_only() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("src", "components", "pipelines", "images")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if _parses(ast.parse(path.read_text()))
    }
    assert found <= set(OUTSIDE), "read it with assay.documents"
    assert set(OUTSIDE) <= found, "no longer parses anything; take it out of the list"


def _parses(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in PARSERS.get(node.value.id, ()):
                return True
        elif isinstance(node, ast.ImportFrom):
            if {alias.name for alias in node.names} & PARSERS.get(node.module or "", set()):
                return True
        elif isinstance(node, ast.Name) and node.id in {"eval", "exec"}:
            return True
    return False
