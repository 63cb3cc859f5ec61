"""What a step's code identity covers: all that can change a result, and not more."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from assay.core import closure, distributions, imports
from assay.core import code_identity as code
from assay.core.closure import Closure, Own, closure_of
from assay.core.code_identity import CodeIdentity, Scope
from assay.core.distributions import locked, normal
from assay.errors import StepError

from simulators.forge import git

ROOT = Path(__file__).resolve().parents[2]
STEPS = sorted(
    f"assay.components.{path.parent.name}.step"
    for path in (ROOT / "components").rglob("step.py")
    if "\n@step" in path.read_text()
)
"""Modules of the library's steps."""


def name_of(module: str) -> str:
    return module.split(".")[-2]


BY_NAME = {name_of(module): f"{module}:{name_of(module)}" for module in STEPS}


def closure_by(module: str) -> Closure:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return closure_of(Own.of(module, Path(spec.origin)))


def distributions_of(found: Closure) -> set[str]:
    names = locked().of_imports(found.external)
    assert names is not None
    return set(names)


# What a file imports


FORMS = {
    "import a": {("a", "")},
    "import a.b, c as d  # why": {("a.b", ""), ("c", "")},
    "from a import b": {("a", "b")},
    "from a.b import c as d, e": {("a.b", "c"), ("a.b", "e")},
    "from a import (\n    b,  # with (brackets)\n    c as d,\n)": {("a", "b"), ("a", "c")},
    "from a import (b)": {("a", "b")},
    "from a import(b)": {("a", "b")},
    "from a import *": {("a", "*")},
    "from . import a": {(".", "a")},
    "from .import a": {(".", "a")},
    "from ..a import b": {("..a", "b")},
    "from .. a import b": {("..a", "b")},
    "from a . b import c": {("a.b", "c")},
    "def f():\n\tfrom a import b": {("a", "b")},
    "if x: import a": {("a", "")},
    "if x: from a import b": {("a", "b")},
    "x = 1; import a; from b import c": {("a", ""), ("b", "c")},
    "from a \\\n  import b": {("a", "b")},
    "from \\\n a import b": {("a", "b")},
    "import a, \\\n  b": {("a", ""), ("b", "")},
    "x = 1\r\nimport a\r\n": {("a", "")},
    "\ufeffimport a": {("a", "")},
    "class A: import a": {("a", "")},
    "try: import a\nexcept ImportError: pass": {("a", "")},
    "import importlib\nimportlib.import_module('a.b')": {("importlib", ""), ("a.b", "")},
    "from importlib import import_module\nN = 'a'\nimport_module(N)": {
        ("importlib", "import_module"), ("a", ""),
    },
    "__import__('a')": {("a", "")},
    "from importlib import resources\nresources.files('a.b')": {
        ("importlib", "resources"), ("a.b", ""),
    },
    "import sys\nx = [sys.executable, '-m', 'a.b', 'c']": {
        ("sys", ""), ("a.b", ""), ("a.b", "__main__"),
    },
    "x = ['python3', '-u', '-m', 'a']": {("a", ""), ("a", "__main__")},
    "x = ['git', '-m', 'python']": set(),
    "LOADED_BY_NAME: Final = ('a', 'b.c')\n__import__(x)": {("a", ""), ("b.c", "")},
    "x = {'python': '3'}": set(),
    "the_import = important = imports = 1": set(),
    "x = 'say import a'": set(),
}  # fmt: skip


@pytest.mark.parametrize("text", FORMS, ids=range(len(FORMS)))
def test_imports_in_every_form(text: str) -> None:
    found = imports.imports_of(text.encode())
    assert found.names == FORMS[text]
    assert not found.unresolved
    assert imports.parse(text.encode()).names == FORMS[text]


COMPUTED = [
    "import importlib\nimportlib.import_module(name)",
    "import importlib\nimportlib.import_module(f'a.{name}')",
    "import importlib\nimportlib.import_module('.a', package)",
    "from importlib import import_module as load\nload('a')",
    "import importlib\nload = importlib.import_module",
    "import importlib\ngetattr(importlib, 'import_module')('a')",
    "__import__(name)",
    "exec(text)",
    "x = eval",
    "import runpy\nrunpy.run_path(path)",
    "from importlib.metadata import entry_points\nentry_points()",
    "from importlib import metadata\nmetadata.entry_points()",
    "import importlib.util\nimportlib.util.spec_from_file_location('a', path)",
    "import pkgutil\npkgutil.walk_packages(path)",
    "from importlib import resources\nresources.files(package)",
    "from importlib import resources\nresources.read_text('a', 'b')",
    "from importlib.resources import read_text\nread_text('a', 'b')",
    "import sys\nx = [sys.executable, '-m', name]",
    "import sys\nx = [sys.executable, 'a.py']",
    "from sys import executable",
    "x = ['/usr/bin/python3.11', '-c', text]",
    "import a b",
]


@pytest.mark.parametrize("text", COMPUTED)
def test_computed_imports_are_unresolved(text: str) -> None:
    assert imports.imports_of(text.encode()).unresolved
    assert imports.parse(text.encode()).unresolved


def test_the_scan_misses_nothing_that_the_syntax_tree_has_in_thousands_of_files() -> None:
    """What the scan answers for Python's own library and for what is installed here."""
    places = [sysconfig.get_paths()["stdlib"], *map(str, (ROOT / "src", ROOT / "components"))]
    purelib = Path(sysconfig.get_paths()["purelib"])
    places += [str(purelib / name) for name in ("mlflow", "sklearn", "kfp", "pandas/core")]
    files = sorted({path for place in places for path in Path(place).rglob("*.py")})
    scanned = 0
    for path in files[:: 1 if len(files) < 500 else 3]:
        source = path.read_bytes()
        quick = imports.scan(source)
        if quick is None:
            continue
        scanned += 1
        whole = imports.parse(source)
        if whole.unresolved.startswith("not valid Python"):
            continue  # examples of what is not
        assert quick.names >= whole.names, path
        assert not whole.unresolved, (path, whole.unresolved)
        assert not whole.by_location, path
    assert scanned > 800


def test_an_expression_as_deep_as_the_stack_is_searched_to_its_end() -> None:
    """Sums of hundreds of terms occur in generated code; each term is a level of the tree."""
    terms = " + ".join(["'x'"] * 900)
    for source in (f"y = {terms}", f"y = [{terms} + f(exec)]", f"y = 'p' + {terms}\nexec(y)"):
        answer = imports.parse(source.encode())
        assert bool(answer.unresolved) == ("exec" in source)


def test_an_expression_that_python_cannot_parse_is_unresolved() -> None:
    source = b"x = " + b"-" * 200_000 + b"1"
    assert "nested too deeply" in imports.parse(source).unresolved


def test_every_module_of_the_library_is_scanned_as_it_is_parsed() -> None:
    for path in [*(ROOT / "src/assay/core").rglob("*.py"), *(ROOT / "components").rglob("*.py")]:
        quick = imports.scan(path.read_bytes())
        assert quick is None or quick == imports.parse(path.read_bytes()), path


WITHIN = [
    "open(__file__)",
    "open(Path(__file__).parent / 'a.txt')",
    "(Path(__file__).resolve().parent / 'b' / 'a.txt').read_text()",
    "x = pathlib.Path(__file__).parent.joinpath('b', 'a.txt')",
    "f(Path(__file__).with_name('a.txt'))",
    "open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'a.txt'), 'rb')",
]
OUTSIDE = [
    "Path(__file__)",
    "X = Path(__file__).parent",
    "Path(__file__).parents[1] / 'a.txt'",
    "Path(__file__).parent.parent / 'a.txt'",
    "Path(__file__).parent / '../a.txt'",
    "Path(__file__).parent / '..' / 'a.txt'",
    "Path(__file__).parent / '/a.txt'",
    "Path(__file__).parent / name",
    "Path(__file__).parent / 'b' / name",
    "(Path(__file__).parent / 'a.txt').parent.parent",
    "Path(Path(__file__).parent / 'a.txt').parents[1]",
    "os.path.dirname(os.path.dirname(__file__))",
    "os.path.join(os.path.dirname(__file__), os.pardir, 'a.txt')",
    "os.path.dirname(os.path.join(os.path.dirname(__file__), 'a.txt'))",
    "f'{Path(__file__).with_name(\"a\")}/../b'",
    "other.__file__",
    "globals()['__file__']",
    "from mine.other import __file__ as f",
]


@pytest.mark.parametrize("text", WITHIN + OUTSIDE)
def test_whether_a_module_reads_by_its_location_outside_of_its_folder(text: str) -> None:
    found = imports.imports_of(text.encode())
    assert found.by_location
    assert bool(found.outside) == (text in OUTSIDE)


# What a step can import


@pytest.mark.parametrize("module", STEPS)
def test_the_closure_of_every_step_is_resolved(module: str) -> None:
    found = closure_by(module)
    if name_of(module) == "doctor":
        # It reads which stages are installed, so the whole library counts.
        assert found.unresolved.startswith("assay.cluster.stages")
        return
    assert not found.unresolved
    assert locked().of_imports(found.external) is not None
    assert {"assay", "assay.core.execution", "assay.core.step", "assay.core.tree"} <= found.modules
    assert not any(name.endswith("requirements.txt") for name in found.files)
    assert code.identity_of(f"{module}:step").scope is Scope.CLOSURE


def test_train_covers_models_and_not_releases() -> None:
    found = closure_by(BY_NAME["train"].partition(":")[0])
    assert {"assay.models.build", "assay.models.files", "assay.data.parquet"} <= found.modules
    rooms = {name.split(".")[1] for name in found.modules if "." in name}
    assert not rooms & {"releases", "governance", "cluster", "runtime", "monitoring", "pipelines"}
    names = distributions_of(found)
    assert {"numpy", "scikit-learn", "skops", "mlflow", "sqlalchemy"} <= names
    assert not names & {"pygithub", "python-gitlab", "evidently", "great-expectations", "kfp"}


def test_the_templates_belong_to_the_steps_that_write_pages() -> None:
    templates = Path(closure.__file__).parents[1] / "reports/templates"
    paths = {f"assay/reports/templates/{path.name}" for path in templates.iterdir()}
    paths = {path for path in paths if not path.endswith(("__pycache__", "__init__.py"))}
    assert len(paths) >= 4
    for name in ("gate", "evaluate", "run_report", "promote"):
        found = closure_by(f"assay.components.{name}.step")
        assert paths <= set(found.files)
        assert {"jinja2", "markupsafe"} <= distributions_of(found)
    found = closure_by("assay.components.snapshot_data.step")
    assert not paths & set(found.files)
    assert "assay.reports.markdown" in found.modules


def test_data_files_belong_to_the_modules_beside_them() -> None:
    found = closure_by(BY_NAME["promote"].partition(":")[0])
    assert "assay/releases/release.schema.json" in found.files
    assert "assay/cluster/default.yaml" not in found.files
    preflight = Own.of(
        BY_NAME["preflight"].partition(":")[0],
        ROOT / "components/data_processing/preflight/step.py",
    )
    assert "default_policy.yaml" in preflight.files
    assert not {"component.py", "README.md", "metadata.yaml"} & set(preflight.files)


@dataclass
class Tree:
    """A package outside of the library."""

    root: Path

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.relative_to(self.root).parents:
            if str(folder) != ".":
                (self.root / folder / "__init__.py").touch()
        path.write_text(text)
        return path

    def closure(self, name: str) -> Closure:
        module = name.removesuffix(".py").replace("/", ".")
        return closure_of(Own.of(module, self.root / name))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


STEP = "from assay.core.step import step\n"


def test_a_step_of_a_users_own_covers_its_folder_and_what_it_imports_from_assay(
    tree: Tree,
) -> None:
    tree.write("mine/clean/step.py", f"{STEP}def f():\n    from assay.reports import page\n")
    tree.write("mine/clean/__init__.py", "def g():\n    from . import helper, component\n")
    tree.write("mine/clean/helper.py", "import numpy\n")
    tree.write("mine/clean/for_kfp.py", "from assay.runtime import kfp\n")
    tree.write("mine/clean/component.py", "from assay.runtime import kfp\n")
    (tree.root / "mine/clean/words.txt").write_text("x")
    own = Own.of("mine.clean.step", tree.root / "mine/clean/step.py")
    assert set(own.files) == {"__init__.py", "helper.py", "for_kfp.py", "step.py", "words.txt"}
    found = tree.closure("mine/clean/step.py")
    assert not found.unresolved
    assert "assay.reports.page" in found.modules
    assert "mine" in found.modules
    assert not any(name.startswith("assay.runtime") for name in found.modules)
    assert "numpy" in distributions_of(found)


def test_modules_of_the_same_package_elsewhere_are_followed(tree: Tree) -> None:
    tree.write("mine/clean/step.py", f"{STEP}from mine.common import tools\nfrom .. import more\n")
    tree.write("mine/common/tools.py", "from assay.reports import page\n")
    tree.write("mine/more.py", "from mine.clean import step\n")
    (tree.root / "mine/common/data.json").write_text("{}")
    found = tree.closure("mine/clean/step.py")
    assert not found.unresolved
    assert {"mine.common.tools", "mine.more", "assay.reports.page"} <= found.modules
    assert {"mine/common/tools.py", "mine/common/data.json", "mine/more.py"} <= set(found.files)
    assert not any(name.startswith("mine/clean") for name in found.files)


@pytest.mark.parametrize("step", ["mine/clean/step.py", "mine/nested/clean/step.py"])
def test_packages_above_the_step_need_no_init(tree: Tree, step: str) -> None:
    module = step.removesuffix(".py").replace("/", ".")
    package = module.rpartition(".")[0]
    path = tree.write(
        step, f"import mine\nfrom {package} import helper\nfrom mine.common import tools\n"
    )
    (path.parent / "helper.py").write_text("from assay.reports import page\n")
    tree.write("mine/common/tools.py", "import numpy\n")
    for folder in ("mine", "mine/nested"):
        (tree.root / folder / "__init__.py").unlink(missing_ok=True)
    (tree.root / "mine/words.txt").touch()
    found = tree.closure(step)
    assert not found.unresolved
    assert {f"{package}.helper", "mine.common.tools", "assay.reports.page"} <= found.modules
    assert {"mine/common/tools.py", "mine/words.txt"} <= set(found.files)
    assert code._identity(module, path).scope is Scope.CLOSURE
    path.write_text("from mine import absent\n")
    assert "mine, which does not exist" in tree.closure(step).unresolved


def test_star_imports_take_in_all_submodules(tree: Tree) -> None:
    tree.write("mine/clean/step.py", "from mine.common import *\n")
    tree.write("mine/common/a.py", "from assay.reports import page\n")
    assert "assay.reports.page" in tree.closure("mine/clean/step.py").modules


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import importlib\nimportlib.import_module(name)\n", "mine.clean.step, line 2"),
        ("from mine import absent\nimport mine.absent\n", "mine.absent, which does not exist"),
        ("from assay.absent import x\n", "assay.absent, which does not exist"),
        ("from .... import x\n", "above its outermost package"),
        ("from mine.common import located\n", "mine.common.located, line 1: __file__"),
    ],
)
def test_after_an_unresolved_import_the_identity_covers_everything(
    tree: Tree, text: str, said: str
) -> None:
    path = tree.write("mine/clean/step.py", text)
    tree.write("mine/common/located.py", "X = __file__\n")
    assert said in tree.closure("mine/clean/step.py").unresolved
    assert covers_everything(code._identity("mine.clean.step", path))


def test_data_that_a_step_reads_above_its_folder_is_covered(tree: Tree) -> None:
    path = tree.write(
        "mine/clean/step.py", "T = (Path(__file__).parents[1] / 'conf' / 'a.txt').read_text()\n"
    )
    data = tree.write("mine/conf/a.txt", "1")
    before = code._identity("mine.clean.step", path)
    assert before.scope is Scope.LIBRARY
    data.write_text("2")
    closure.forget()
    assert code._identity("mine.clean.step", path).modules != before.modules


def test_python_files_next_to_a_step_outside_of_a_package_are_covered(tree: Tree) -> None:
    path = tree.root / "lone.py"
    path.write_text("import helper\n")
    (tree.root / "helper.py").write_text("F = 1\n")
    before = code._identity("lone", path)
    (tree.root / "data.csv").touch()
    assert code._identity("lone", path) == before
    (tree.root / "helper.py").write_text("F = 2\n")
    assert code._identity("lone", path).step != before.step


@pytest.mark.parametrize("changed", ["mine/models/a.py", "mine/models/a.json", "mine/b.py"])
def test_after_an_unresolved_import_the_identity_covers_the_whole_package_of_the_step(
    tree: Tree, changed: str
) -> None:
    path = tree.write("mine/clean/step.py", "import importlib\nimportlib.import_module(name)\n")
    tree.write(changed, "1")
    (tree.root / "mine/.#a.py").symlink_to("nowhere")
    before = code._identity("mine.clean.step", path)
    (tree.root / changed).write_text("2")
    (tree.root / "beside.txt").touch()
    closure.forget()
    after = code._identity("mine.clean.step", path)
    assert after.modules != before.modules
    assert (after.step, after.distributions) == (before.step, before.distributions)


@pytest.mark.parametrize("text", ["import helper\n", "import yarl_but_not_quite\n"])
def test_after_an_unknown_import_the_identity_covers_everything(tree: Tree, text: str) -> None:
    """A module beside a lone step may import whatever it likes."""
    path = tree.root / "lone.py"
    path.write_text(text)
    (tree.root / "helper.py").write_text("import assay.releases.log\n")
    assert covers_everything(code._identity("lone", path))


def covers_everything(identity: CodeIdentity) -> bool:
    return identity.scope is Scope.LIBRARY and identity.distributions == distributions.digest_of(
        None
    )


def test_a_step_may_use_its_own_location_and_declare_what_it_loads_by_name(tree: Tree) -> None:
    path = tree.write(
        "mine/clean/step.py",
        "from typing import Final\n\nLOADED_BY_NAME: Final = ('assay.reports.page', 'sklearn')\n"
        "WORDS = open(__file__)\n__import__(name)\n",
    )
    found = tree.closure("mine/clean/step.py")
    assert not found.unresolved
    assert "assay.reports.page" in found.modules
    assert "scikit-learn" in distributions_of(found)
    assert code._identity("mine.clean.step", path).scope is Scope.CLOSURE


# Distributions


def test_steps_outside_of_the_library_depend_on_all_locked_distributions(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a distribution loads because it is there is known of the library's imports alone."""
    path = tree.write("mine/clean/step.py", "import numpy\n")
    before = code._identity("mine.clean.step", path), code.identity_of(BY_NAME["train"])
    lock = locked()
    changed = replace(lock, versions={**lock.versions, "pygithub": {"99.0"}})
    monkeypatch.setattr(distributions, "locked", lambda: changed)
    after = code._identity("mine.clean.step", path), code.identity_of(BY_NAME["train"])
    assert after[0].distributions != before[0].distributions
    assert after[0].modules == before[0].modules
    assert after[0].scope is Scope.CLOSURE
    assert after[1] == before[1]


def test_optional_requirements_of_pandas_are_covered() -> None:
    """Such as scipy, for Kendall's correlation."""
    names = locked().of_imports(["pandas"])
    assert names is not None
    assert {"matplotlib", "scipy", "sqlalchemy"} <= names


def test_the_lock_says_what_each_distribution_requires() -> None:
    """Against the metadata of what is installed here; a lock may know of more."""
    lock = locked()
    assert lock.requires is not None
    seen = 0
    for name, versions in lock.versions.items():
        try:
            installed = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        assert installed.version in versions
        for text in installed.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert normal(needed.name) in lock.requires.get(name, ()), (name, text)
                seen += 1
    assert seen > 250


def test_every_import_name_leads_to_a_distribution_that_has_it() -> None:
    lock = locked()
    provided = importlib.metadata.packages_distributions()
    for top, names in provided.items():
        found = lock.of_imports([top])
        if found is not None:
            direct = lock.distribution_of(top)
            assert direct in map(normal, names), top
    # And every import of the library is known.
    for path in [*(ROOT / "src/assay").rglob("*.py"), *(ROOT / "components").rglob("*.py")]:
        for module, name in imports.imports_of(path.read_bytes()).names:
            top = module.partition(".")[0]
            if top not in {"assay", *sys.stdlib_module_names}:
                assert lock.of_imports([f"{module}.{name}"]) is not None, (path, module)


LOCK = """\
alpha==1.0 \\
    --hash=sha256:00
    # via kfp-assay (pyproject.toml)
beta-two==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:00
    # via
    #   alpha
    #   kfp-assay (pyproject.toml)
beta-two==2.1 ; python_full_version >= '3.12' \\
    --hash=sha256:00
    # via
    #   alpha
gamma==3.0 \\
    --hash=sha256:00
    # via beta-two
delta==4.0 \\
    --hash=sha256:00
    # via kfp-assay (pyproject.toml)
"""


def test_requirements_are_followed_and_a_lock_without_them_gives_everything() -> None:
    lock = distributions.parse(LOCK)
    assert lock.versions["beta-two"] == {"2.0", "2.1"}
    assert lock.of_imports(["alpha.x"]) == {"alpha", "beta-two", "gamma"}
    assert lock.of_imports(["delta"]) == {"delta"}
    assert lock.of_imports(["delta", "unknown"]) is None
    bare = "\n".join(line for line in LOCK.splitlines() if "#" not in line)
    assert distributions.parse(bare).of_imports(["alpha"]) is None
    one_missing = LOCK.replace("    # via beta-two\n", "")
    assert distributions.parse(one_missing).of_imports(["alpha"]) is None


def test_versions_within_the_closure_are_covered_and_after_a_stray_all_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def digest(text: str, strays: list[str], names: Any = "alpha") -> str:
        lock = distributions.parse(text)
        monkeypatch.setattr(distributions, "locked", lambda: lock)
        monkeypatch.setattr(distributions, "_strays", lambda: strays)
        return distributions.digest_of(names and lock.of_imports([names]))

    same = digest(LOCK, [])
    assert digest(LOCK.replace("delta==4.0", "delta==4.1"), []) == same
    assert digest(LOCK, ["delta==4.2"]) == same
    assert digest(LOCK.replace("gamma==3.0", "gamma==3.1"), []) != same
    stray = digest(LOCK, ["gamma==9"])
    assert stray != same
    assert digest(LOCK, ["delta==4.2", "gamma==9"]) != stray
    assert digest(LOCK.replace("delta==4.0", "delta==4.1"), [], None) != digest(LOCK, [], None)


def test_a_distribution_ahead_of_the_installed_one_strays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by `PYTHONPATH`."""
    distributions.forget()
    before = distributions.digest_of(["scikit-learn"])
    (tmp_path / "scikit_learn-9.9.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    distributions.forget()
    assert "scikit-learn==9.9" in distributions._strays()
    assert distributions.digest_of(["scikit-learn"]) != before
    monkeypatch.undo()
    distributions.forget()
    assert distributions.digest_of(["scikit-learn"]) == before


# Code that no lock knows


@pytest.fixture
def importable(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    """A tree on Python's path."""
    monkeypatch.syspath_prepend(tree.root)
    yield tree
    forget()


def forget() -> None:
    """Read all files again."""
    code.installed()


CLASSES = "from sklearn.tree import DecisionTreeClassifier as Tree\nfrom own_tools.deep import f\n"


def distribution(root: Path, name: str, version: str, *files: str, needs: str = "") -> None:
    """What pip writes of an installed distribution."""
    for old in root.glob(f"{name}-*.dist-info"):
        shutil.rmtree(old)
    info = root / f"{name}-{version}.dist-info"
    info.mkdir()
    record = [
        f"{file},sha256={hashlib.sha256((root / file).read_bytes()).hexdigest()},1"
        for file in files
    ]
    record += [f"{info.name}/RECORD,,", "../../bin/tool,sha256=0,1"]
    (info / "RECORD").write_text("\n".join(record))
    required = f"Requires-Dist: {needs}>=1; python_version>'3'\n" * bool(needs)
    (info / "METADATA").write_text(f"Name: {name}\n{required}Requires-Dist: x; extra == 'y'\n\n")


def test_the_code_of_admitted_classes_counts_for_the_steps_that_load_them(
    importable: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class was changed, and train and evaluate answered from the cache."""
    root = importable.root
    importable.write("own_models/trees.py", CLASSES)
    importable.write("own_tools/deep.py", "from assay.reports import page\n")
    loads = [BY_NAME[name] for name in ("train", "evaluate", "compare", "check_monitoring")]
    without = {name: code.identity_of(name) for name in (*loads, BY_NAME["split_data"])}

    def changed(change: Callable[[], object]) -> bool:
        """Whether a change is one for all steps that load models; none is for another step."""
        before = {name: code.identity_of(name) for name in without}
        change()
        forget()
        after = {name: code.identity_of(name) for name in without}
        assert after[BY_NAME["split_data"]] == without[BY_NAME["split_data"]]
        for name, first in without.items():
            # Evidence counts where the classes are not installed.
            assert after[name].has_sources_of(first)
            assert not after[name].missing
        differ = {before[name].digest != after[name].digest for name in loads}
        assert len(differ) == 1
        return differ.pop()

    assert changed(
        lambda: monkeypatch.setenv("ASSAY_ALLOWED_CLASSES", "own_models.trees.Own,absent.Class")
    )
    assert changed(lambda: (root / "own_models/trees.py").write_text(f"{CLASSES}X = 1\n"))
    assert changed(lambda: (root / "own_tools/deep.py").write_text("X = 1\n"))
    assert changed(lambda: (root / "own_tools/component.py").write_text("X = 1\n"))
    assert not changed(lambda: (root / "beside.py").write_text("X = 1\n"))
    # Now as a distribution, whose files are not read.
    files = ("own_models/trees.py", "own_models/__init__.py")
    assert changed(lambda: distribution(root, "own_models", "1.0", *files, needs="own-tools"))
    (root / "own_models/trees.py").write_text(f"{CLASSES}X = 2\n")
    assert changed(lambda: distribution(root, "own_models", "1.0", *files, needs="own-tools"))
    assert changed(lambda: distribution(root, "own_models", "2.0", *files, needs="own-tools"))
    assert not changed(lambda: distribution(root, "other", "1.0", "own_tools/deep.py"))
    assert changed(lambda: distribution(root, "own_tools", "1.0", "own_tools/deep.py"))
    assert changed(lambda: distribution(root, "own_tools", "1.1", "own_tools/deep.py"))
    monkeypatch.delenv("ASSAY_ALLOWED_CLASSES")
    assert {name: code.identity_of(name) for name in without} == without


@pytest.mark.parametrize("step", ["lone.py", "mine/clean.py"])
@pytest.mark.parametrize(
    ("text", "helper"),
    [
        ("from helpers import f\n", "helpers/__init__.py"),
        ("from helpers import f\n", "helpers/deep/tools.py"),
        ("import spaced.sub.mod as m\n", "spaced/sub/mod.py"),
        ("from spaced import sub\n", "spaced/sub/mod.py"),
        ("from spaced.sub.mod import f\n", "spaced/sub/mod.py"),
        ("import first\n", "second/tools.py"),
    ],
)
def test_packages_beside_a_users_step_count(
    importable: Tree, step: str, text: str, helper: str
) -> None:
    """Only the files beside were in the key: with other helpers the step answered as before."""
    root = importable.root
    path = root / step
    path.parent.mkdir(exist_ok=True)
    if step != "lone.py":
        (path.parent / "__init__.py").touch()
    path.write_text(f"{STEP}{text}")
    for file in ("helpers/deep/tools.py", "second/tools.py", "alone/x.py"):
        importable.write(file, "import assay.reports.page\nfrom mine import clean\n")
    (root / "first.py").write_text("from second.tools import f\n")
    (root / "spaced/sub").mkdir(parents=True)
    (root / "spaced/sub/mod.py").touch()
    name = step.removesuffix(".py").replace("/", ".")
    (root / "mine").mkdir(exist_ok=True)
    (root / "mine/__init__.py").touch()
    before = code._identity(name, path)
    assert not before.missing
    (root / "alone/x.py").write_text("X = 2\n")
    forget()
    assert code._identity(name, path) == before
    (root / helper).write_text("X = 2\n")
    forget()
    assert code._identity(name, path).modules != before.modules


def test_a_distribution_that_is_not_locked_counts_for_a_users_step(importable: Tree) -> None:
    path = importable.write("mine/clean.py", f"{STEP}import own_tools.deep\n")
    importable.write("own_tools/deep.py", "X = 1\n")
    found = set()
    for version in ("1.0", "2.0"):
        distribution(importable.root, "own_tools", version, "own_tools/deep.py")
        forget()
        found.add(code._identity("mine.clean", path).distributions)
    assert len(found) == 2
    # One that is locked, and has another name than its modules, counts with all that are locked.
    path.write_text(f"{STEP}import dateutil.parser\n")
    assert not code._identity("mine.clean", path).missing


def test_a_link_to_a_folder_above_is_refused_in_one_line(tree: Tree) -> None:
    """Its files were listed until the path was too long."""
    path = tree.write("mine/clean/step.py", STEP)
    (path.parent / "more").mkdir()
    for place, target in (("loop", "."), ("more/up", "../../.."), ("more/round", "../more")):
        link = path.parent / place
        link.symlink_to(target)
        with pytest.raises(StepError, match=f"{place} is a link to .*, a folder that it is in"):
            code._identity("mine.clean.step", path)
        link.unlink()
    (path.parent / "data").mkdir()
    (path.parent / "data/a.txt").touch()
    (path.parent / "more/data").symlink_to("../data")
    (path.parent / ".#step.py").symlink_to("nowhere")
    own = Own.of("mine.clean.step", path)
    assert {"data/a.txt", "more/data/a.txt"} <= own.files.keys()


# What is loaded while a step runs


@dataclass
class Runs:
    """Steps, each in a process of its own under an audit hook."""

    folder: Path
    environment: Mapping[str, str]
    files: dict[str, list[str]] = field(default_factory=dict)

    def run(self, name: str, entry_point: str = "", **arguments: Any) -> dict[str, Any]:
        done = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("audited.py")),
                entry_point or BY_NAME[name],
                (self.folder / "store").as_uri(),
            ],
            input=json.dumps(arguments),
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert bool(answer["error"]) == (name in REFUSED), (name, answer["error"])
        self.files[name] = sorted({*self.files.get(name, ()), *answer["files"]})
        return {**answer["values"], **answer["outputs"]}


POLICY = "gates: [{metric: accuracy > 0.5}]"
CHECKS = "checks: [{name: up, kind: direction, column: a, delta: 1, expect: not_decrease}]"
MONITORING = """\
format: assay-monitoring/1
detectors:
- {name: a, metric: psi, columns: [a], threshold: 0.1, window: 20, receiver: on-call}
- {name: b, metric: positive_rate, threshold: 0.1, window: 20, receiver: on-call}
"""
REFUSED = {"promote", "rollback", "rollback_drill"}
"""Nothing was ever released here; they look for it and say so."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return run_all(tmp_path_factory.mktemp("audited"))


def run_all(folder: Path) -> Runs:
    """Every step of the library, on a small table: what one makes the next one gets."""
    lines = [
        f"{i % 7},{(i * 37) % 11},{'yes' if (i % 7 > 3) != (i % 9 == 0) else 'no'}"
        for i in range(400)
    ]
    (folder / "data.csv").write_text("\n".join(["a,b,label", *lines, ""]))
    deployments = folder / "deployments.git"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(deployments))
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ASSAY_", "MLFLOW_", "COV_", "PYTEST_"))
    }
    environment = {
        **clean,
        "HOME": str(folder),
        "PYTHONHASHSEED": "0",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "ASSAY_DEPLOYMENTS": str(deployments),
        "ASSAY_STORE": (folder / "store").as_uri(),
        "ASSAY_RUN": "audited",
        "KUBECONFIG": str(folder / "none"),
    }
    runs = Runs(folder, environment)
    suite = {"name": "s", "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a"}}
    ]}  # fmt: skip
    made = runs.run(
        "preflight", data="data.csv", target="label", model_name="churn", policy=POLICY,
        suite=json.dumps(suite), checks=CHECKS, monitoring=MONITORING,
    )  # fmt: skip
    plan = {name: made[f"{name}_artifact"] for name in ("policy", "suite", "checks", "monitoring")}
    data = runs.run("snapshot_data", data=str(folder / "data.csv"))["dataset"]
    runs.run("plan_parts", data=data)
    selected = runs.run("select_parts", data=data, parts="0-0")["selected"]
    runs.run("gather_parts", parts=[selected])
    parts = runs.run("split_data", data=data, target="label", test_fraction=0.4)
    runs.run("validate_data", data=parts["test"], reference=parts["train"], suite=plan["suite"])
    model = runs.run("train", data=parts["train"], target="label")["model"]
    runs.run("predict_data", model=model, data=parts["test"])
    judged = runs.run(
        "evaluate", model=model, test_data=parts["test"], checks=plan["checks"], slices=["a"],
        resamples=100, latency_rows=20,
    )  # fmt: skip
    runs.run(
        "check_monitoring", model=model, test_data=parts["test"], plan=plan["monitoring"], starts=1
    )
    first = runs.run("compare", candidate=model, test_data=parts["test"], resamples=100)
    runs.run(
        "compare", candidate=model, production=model, test_data=parts["test"],
        candidate_rows=parts["train"], production_rows=parts["train"], slices=["a"], resamples=100,
    )  # fmt: skip
    decided = runs.run(
        "gate", model=model, policy=plan["policy"], test_data=parts["test"], data=data,
        evidence=[judged["evaluation"], judged["measurements"], first["comparison"]],
    )  # fmt: skip
    given = {"model": model, "model_name": "churn"}
    runs.run(
        "register", **given, decision=decided["decision"], evaluation=judged["evaluation"],
        measurements=judged["measurements"], data=data,
    )  # fmt: skip
    # Not before: a model that was chosen on the rows it is judged on is not registered.
    runs.run("select_best", models=[model], evaluations=[judged["evaluation"]])
    runs.run("resolve_production", **given, test_data=parts["test"])
    runs.run("release_evidence", **given)
    runs.run("run_report", model_name="churn", state="SUCCEEDED")
    runs.run("promote", **given, environment="dev")
    runs.run("rollback", model_name="churn", environment="dev", by="Ann <a@example.org>", why="x")
    runs.run("rollback_drill", model_name="churn")
    runs.run("doctor")
    foreign = runs.run(
        "receive", "assay.runtime.foreign:receive", path=str(folder / "data.csv"), uri=""
    )
    runs.run("import_artifact", artifact=foreign["foreign"], target="label")
    return runs


@functools.cache
def owners() -> dict[str, str]:
    """The distribution of each file that is installed here."""
    return {
        str(item.locate()): normal(one.metadata["Name"])
        for one in importlib.metadata.distributions()
        for item in one.files or ()
    }


def source_of(path: str) -> str:
    """The file that a compiled one was made of."""
    return importlib.util.source_from_cache(path) if path.endswith(".pyc") else path


READ_OTHER_STAGES = {"register", "promote", "doctor"}
"""They read, and do not run, the files of other stages and of what these import: to compare the
code that made evidence with that of this installation, or to list the stages. Of them only the
distributions are checked here. No cache answers for them."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [*BY_NAME, "receive"])
def test_a_step_loads_nothing_outside_of_its_closure(runs: Runs, name: str) -> None:
    assert name in runs.files, "run it in the fixture"
    module = BY_NAME.get(name, "assay.runtime.foreign:").partition(":")[0]
    found = closure_by(module)
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    own = str(Path(spec.origin).parent)
    covered = {os.path.realpath(path) for path in found.files.values()}
    names = distributions_of(found) if not found.unresolved else set(locked().versions)
    if found.unresolved:
        covered |= {path for _, path in closure.library_files()}
    library = tuple(f"{ROOT / folder}/" for folder in ("src/assay", "components", "pipelines"))
    outside = set()
    for path in {os.path.realpath(source_of(path)) for path in runs.files[name]}:
        if path.startswith(library):
            read = name in READ_OTHER_STAGES
            if path not in covered and not path.startswith(f"{own}/") and not read:
                outside.add(path)
        elif (
            path.endswith((".py", ".so")) and owners().get(path) in locked().versions.keys() - names
        ):
            # What a library loads because it is there counts too, if it is locked.
            outside.add(owners()[path])
    outside.discard(str(ROOT / "src/assay/requirements.txt"))
    assert not outside, sorted(outside)
