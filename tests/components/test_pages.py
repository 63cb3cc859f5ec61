"""Pages as people see them: in a real browser, in the frames of the KFP UI.

`PICTURES=folder pytest tests/components/test_pages.py` also draws each page for people to look at.
"""

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assay import data as dataset
from assay import models
from assay.components.check_monitoring.step import check_monitoring
from assay.components.compare.step import compare
from assay.components.evaluate.step import evaluate
from assay.components.gate.step import gate
from assay.components.select_best.choice import choose
from assay.components.select_best.views import write as write_choice
from assay.components.validate_data.step import validate_data
from assay.core.digest import of_bytes
from assay.core.step import (
    Checks,
    Comparison,
    Dataset,
    Evaluation,
    Evidence,
    Measurements,
    Model,
    Monitoring,
    MonitoringPlan,
    Out,
    Policy,
    Suite,
    Validation,
)
from assay.data.suite import draft as draft_suite
from assay.evidence.format import EvidenceDocument, Interval
from assay.monitoring import draft

from browser import COMPARE, PANEL, POPPED_OUT, Seen, alone, picture, show

pytestmark = pytest.mark.slow

WIDTHS = (COMPARE, PANEL, POPPED_OUT)
SMALLEST = 11
"""Pixels of the smallest text."""
PAGES = (
    "model", "model of text", "validation", "validation against other rows", "validation alone",
    "evaluation", "evaluation of many classes", "evaluation of numbers", "evaluation of another",
    "comparison",
    "comparison of too few", "no production", "monitoring", "no monitoring", "pass", "block",
    "inconclusive", "choice",
)  # fmt: skip
POLICY = """\
confidence: 0.95
gates:
  - metric: accuracy >= 0.8
    confidence: 0.95
    reason: Below that nobody would use it.
  - metric: accuracy{sex="Female"} >= 0.8
  - metric: regression_delta < 0.01
    when: production_exists == 1
    confidence: 0.95
  - metric: safety_violations == 0
    reason: An older person with the same answers must not be told less.
"""
CHECKS = """\
checks:
  - name: more_education_never_hurts
    kind: direction
    column: education_num
    delta: 2
    expect: not_decrease
  - name: sex_is_no_reason
    kind: invariance
    column: sex
    values: [Female, Male]
"""


class Gallery:
    """Makes every page from the steps that write them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self.pages: dict[str, str] = {}

    def new(self) -> Path:
        self._number += 1
        made = self._folder / str(self._number)
        made.mkdir()
        return made

    def keep(self, name: str, folder: Path) -> Path:
        self.pages[name] = (folder / "report.html").read_text()
        markdown = (folder / "summary.md").read_text()
        assert len(markdown) < 100_000
        assert not [line for line in markdown.splitlines() if line.startswith(("- ", "* "))]
        return folder

    def evidence(self, folder: Path) -> Evidence:
        return Evidence(folder, f"sha256:{self._number:064x}")

    def validate(self, name: str, data: Dataset, **given: Any) -> Path:
        out = Out[Validation](self.new())
        validate_data(data=data, validation=out, **given)
        return self.keep(name, out.path)

    def evaluate(self, name: str, model: Model, data: Dataset, **given: Any) -> Path:
        out, measured = Out[Evaluation](self.new()), Out[Measurements](self.new())
        bound = {"resamples": 200, "latency_rows": 20, **given}
        checks = bound.pop("checks", None)
        evaluate(
            model=model, test_data=data, checks=checks, evaluation=out, measurements=measured,
            **evaluate.bind_parameters(bound),
        )  # fmt: skip
        return self.keep(name, out.path)

    def compare(self, name: str, **given: Any) -> Path:
        out = Out[Comparison](self.new())
        inputs = {
            k: given.pop(k)
            for k in ("candidate", "production", "test_data", "candidate_rows", "production_rows")
            if k in given
        }
        compare(**inputs, comparison=out, **compare.bind_parameters({"resamples": 200, **given}))
        return self.keep(name, out.path)

    def gate(
        self, name: str, policy: str, model: Model, evidence: list[Path], **given: Any
    ) -> None:
        folder = self.new()
        (folder / "policy.yaml").write_text(policy)
        found = []
        for each in evidence:
            self._number += 1
            found.append(self.evidence(each))
        out = Out[Any](self.new())
        gate(
            model=model.digest, policy=Policy(folder, "sha256:" + "9" * 64), evidence=found,
            decision=out, **given,
        )  # fmt: skip
        self.keep(name, out.path)


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory,
    few_rows: Dataset,
    written: Any,
    fitted: Any,
    income: Model,
    adult: Dataset,
) -> dict[str, str]:
    """Every page, of real and of unkind tables, by name."""
    made = Gallery(tmp_path_factory.mktemp("pages"))
    later = _later(adult, written, 3000)
    _unkind(made, written, fitted)
    _data(made, adult, few_rows, later, written)
    _monitoring(made, income, _later(adult, written, 6500))
    _choice(made)
    made.keep("model", income.path)
    (folder := made.new()).joinpath("checks.yaml").write_text(CHECKS)
    checks = Checks(folder, "sha256:" + "6" * 64)
    slices = ["sex", "race", "education"]
    evaluated = made.evaluate("evaluation", income, later, slices=slices, checks=checks)
    ages = fitted(few_rows, target="age", hyperparameters={"max_iter": 10})
    made.evaluate("evaluation of numbers", ages, later, slices=["sex"])
    worse = fitted(few_rows, target="income", hyperparameters={"max_iter": 1})
    rivals = {"candidate": worse, "production": income, "candidate_rows": few_rows}
    rivals["production_rows"] = few_rows
    compared = made.compare("comparison", **rivals, test_data=later, slices=slices)
    made.compare("comparison of too few", **rivals, test_data=few_rows)
    first = made.compare("no production", candidate=income, test_data=later)
    lenient = POLICY.replace("0.8", "0.5").replace("safety_violations == 0", "test_rows > 10")
    made.gate("pass", lenient, income, [evaluated, first])
    made.gate("inconclusive", POLICY.replace("0.8", "0.845"), income, [evaluated, first])
    many = POLICY + "".join(f"  - metric: own_{n} > 0\n" for n in range(20))
    poor = made.evaluate("evaluation of another", worse, later, slices=slices, checks=checks)
    made.gate("block", many, worse, [poor, compared], production=income.digest)
    return made.pages


def _unkind(made: Gallery, written: Any, fitted: Any) -> None:
    """A table whose names and labels are as long as names get."""
    generator = random.Random(1)
    long = "a_column_whose_name_is_longer_than_any_column_of_a_page_may_become_in_a_narrow_frame"
    labels = [f"class number {n} with a long name" for n in range(20)]
    rows = [(generator.gauss(0, 1), generator.choice(labels)) for _ in range(1500)]
    table = written(pa.table({long: [x for x, _ in rows], "kind": [label for _, label in rows]}))
    forest = fitted(
        table, target="kind", estimator="sklearn.ensemble.RandomForestClassifier",
        hyperparameters={"n_estimators": 5, "max_depth": 3},
    )  # fmt: skip
    made.keep("model of text", forest.path)
    made.evaluate("evaluation of many classes", forest, table)
    made.validate("validation alone", table)


def _data(made: Gallery, adult: Dataset, few_rows: Dataset, later: Dataset, written: Any) -> None:
    (folder := made.new()).joinpath("suite.json").write_text(
        json.dumps(draft_suite(adult.path, "income"))
    )
    suite = Suite(folder, "sha256:" + "5" * 64)
    made.validate("validation", few_rows, suite=suite, target="income")
    older = _older(later, written)
    made.validate("validation against other rows", older, suite=suite, reference=few_rows)


def _monitoring(made: Gallery, model: Model, data: Dataset) -> None:
    plan = draft(models.load(model.path).info, 16_000, "ml-on-call@example.org")
    (folder := made.new()).joinpath("monitoring.yaml").write_text(plan.to_yaml())
    given = MonitoringPlan(folder, "sha256:" + "7" * 64)
    for name, inputs in (("monitoring", {"plan": given}), ("no monitoring", {})):
        out = Out[Monitoring](made.new())
        check_monitoring(model=model, test_data=data, starts=4, monitoring=out, **inputs)
        made.keep(name, out.path)


def _choice(made: Gallery) -> None:
    names = [f"sha256:{n:064x}" for n in range(8)]
    candidates = [
        EvidenceDocument(
            {"model": names[n], "data": "sha256:" + "d" * 64},
            {"accuracy": 0.8 + n / 100},
            {"accuracy": Interval(0.78 + n / 100, 0.82 + n / 100, 0.95)},
        )
        for n in range(8)
    ]
    tried = [
        {
            "estimator": "sklearn.ensemble.RandomForestClassifier",
            "hyperparameters": {"n_estimators": 10 * n + 10, "max_depth": 3, "min_samples_leaf": n},
        }
        for n in range(8)
    ]
    folder = made.new()
    write_choice(choose(names, candidates, tried, "accuracy"), folder)
    made.keep("choice", folder)


def _later(adult: Dataset, written: Any, rows: int) -> Dataset:
    """Rows of Adult that the models were not trained on."""
    batch = next(dataset.iter_batches(adult.path))
    return written(pa.Table.from_batches([batch.slice(2000, rows)]))  # type: ignore[no-any-return]


def _older(data: Dataset, written: Any) -> Dataset:
    """The same people 30 years later, and half of them without an occupation."""
    frame = dataset.read(data.path)
    frame["age"] += 30
    frame["hours_per_week"] = frame["hours_per_week"] // 2
    frame.loc[: len(frame) // 2, "occupation"] = None
    schema = dataset.arrow_schema(data.path)
    return written(pa.Table.from_pandas(frame, schema, preserve_index=False))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def seen(
    pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], Seen]:
    if folder := os.environ.get("PICTURES"):
        for name, page in pages.items():
            for width in WIDTHS:
                file = Path(folder) / f"{name.replace(' ', '-')}-{width}.png"
                picture(page, width, 2400 if width < POPPED_OUT else 1600, file)
    return show(pages, tmp_path_factory.mktemp("seen"), WIDTHS)


@pytest.fixture(params=[(name, width) for name in PAGES for width in WIDTHS], ids=str)
def one(request: pytest.FixtureRequest, seen: dict[tuple[str, int], Seen]) -> Seen:
    assert set(seen) == {(name, width) for name in PAGES for width in WIDTHS}
    return seen[request.param]


def test_a_page_fits_its_frame_and_nothing_is_cut(one: Seen) -> None:
    assert one.width <= one.frame
    assert one.cut == []


def test_texts_are_large_enough_to_be_read(one: Seen) -> None:
    assert one.svg >= SMALLEST
    assert one.text >= SMALLEST


def test_a_page_is_light_and_in_standards_mode(one: Seen) -> None:
    assert one.paper == "rgb(255, 255, 255)"
    assert one.mode == "CSS1Compat"


def test_a_page_of_its_own_is_in_standards_mode(pages: dict[str, str], tmp_path: Path) -> None:
    assert alone(pages["evaluation"], tmp_path) == "CSS1Compat"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_with_what_it_says_and_needs_nothing_else(
    name: str, pages: dict[str, str]
) -> None:
    page = pages[name]
    preview = page.encode()[:255].decode()
    assert preview.startswith("<!-- Assay")
    assert preview.endswith(" -->")
    for word in ("<script", "http://", "@import", "prefers-color-scheme", "url(http"):
        assert word not in page.replace("http://www.w3.org", "")


def test_real_pages_have_the_bytes_that_they_always_had(
    pages: dict[str, str], update_goldens: bool
) -> None:
    """But for what matplotlib draws, whose places follow from the last digit of a float."""
    shown = {name: re.sub(r"<svg [^>]*xmlns.*?</svg>", "<svg>", page, flags=re.DOTALL)
             for name, page in pages.items()}  # fmt: skip
    made = "".join(f"{name}: {of_bytes(text.encode())}\n" for name, text in shown.items())
    golden = Path(__file__).parent / "pages.golden"
    if update_goldens:
        golden.write_text(made)
    assert made == golden.read_text(), f"run: pytest {__file__} --update-goldens, if it is meant"


def test_previews_say_what_was_found(pages: dict[str, str]) -> None:
    told = {name: page[:255].rstrip("-> ").removeprefix("<!-- ") for name, page in pages.items()}
    assert told["evaluation"].startswith("Assay evaluation of income (sha256:")
    assert "): accuracy 0.8" in told["evaluation"]
    assert "accuracy is worse by 0.0" in told["comparison"]
    assert told["pass"].endswith(": pass. Every rule that applies holds.")
    assert ": block. accuracy is 0.7" in told["block"]
