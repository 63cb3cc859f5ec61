"""The bytes of HTML pages: reports are artifacts, so other bytes are another digest.

Each page is made by the functions that write it, from values that no clock, host or fit decides,
and from texts that mean something to HTML, to a terminal or to a reader's eye.
`pytest tests/golden --update-goldens` rewrites them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from assay.components.gate.views import report
from assay.components.run_report.history import RAN, STEP_CACHE, RunHistory, Stage
from assay.components.run_report.judge import Verdict
from assay.components.run_report.views import About, page_of
from assay.components.select_best.choice import choose
from assay.components.select_best.views import write as write_choice
from assay.core.attestation import Attestation, OutputReference, RunDetails
from assay.core.code_identity import CodeIdentity
from assay.evidence.format import EvidenceDocument, Interval
from assay.evidence.labels import label
from assay.governance.policy import replay
from assay.reports.figures import (
    Bar,
    figure_svg,
    figure_text,
    interval_bar,
    interval_bars,
    intervals,
    new_figure,
)
from assay.reports.page import (
    Section,
    cards,
    details,
    figures,
    heading,
    long_table,
    page,
    paragraph,
    table,
)
from assay.runtime.runs import DONE, TaskStatus

HERE: Final = Path(__file__).parent / "pages"
MODEL: Final = "sha256:" + "a" * 64
DATA: Final = "sha256:" + "b" * 64
HOSTILE: Final = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "a & b &lt; c &#x27;",
    "</title></style><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    '<a href="javascript:alert(1)">click</a>',
    "--><script>alert(1)</script><!--",
    "{{ 7 * 7 }} {% raw %} {# gone #}",
    "\u202etxt.exe\u2066 \u200b\ufeff",
    "\x1b[31mred\x07\x00\ud800",
    "two\nlines\r\n\tand a tab\n",
    "a_name_of_a_column_" * 40,
    "中文 Ünïcödé 🙂",
    "",
)
ORDINARY: Final = ("accuracy", "age of the person", "native_country", "<=50K")


def parts(text: str) -> list[str]:
    """Each part of a page, with the text wherever a text can stand."""
    odd = [None, float("nan"), float("inf"), 0.874512, 45222.0, 7, True, text]
    bars = [
        Bar(text, 0.8, 0.75, 0.85, threshold=0.7, allowed=">=", outcome="pass"),
        Bar(text, 0.6, 0.55, 0.65, threshold=0.7, allowed=">=", outcome="fail", words=text),
        Bar(text, None, 0.1, 0.2, threshold=0.7, allowed=">=", outcome=text),
    ]
    mixed = [
        Bar(text, 1.0, float("-inf"), float("inf")),
        Bar(text, 0.5, threshold=0.5, allowed="==", outcome="inconclusive"),
        Bar(text, float("nan"), threshold=1.0, allowed="<", outcome="skipped"),
        Bar(text, 0.2, 0.1, 0.3, threshold=0.25, allowed="<="),
    ]
    outcomes = [(word, text) for word in ("pass", "block", "inconclusive", "canceled", "Pass")]
    return [
        paragraph(text) + paragraph(text, soft=True) + heading(text),
        cards([(text, value) for value in odd] + [(text, "x" * 12, text), (text, 1.5, "")]),
        cards([]),
        table([text, "b"], [(value, text) for value in odd], align="r"),
        table([text, text, text], [(text, 1.0, "fail")], align="lrl", stacked=True),
        table(["a", "b"], outcomes),
        table(["a"], []),
        long_table([text, "b"], [(n, text) for n in range(13)], text, align="rl"),
        long_table([text], [(text,)], text, stacked=True),
        details(text, interval_bar(text, 1.0, outcome=text, threshold=0.0, allowed=text)),
        interval_bars(bars, mark=0.72, note=text) + interval_bars(bars[:1]),
        interval_bars(mixed, mark=float("nan")) + interval_bars([], note=text),
    ]


def drawing(text: str) -> str:
    """A figure whose texts come from users; without axes, which a new matplotlib may move."""
    figure, axes = new_figure()
    axes.set_axis_off()
    axes.text(0, 0, figure_text(text)[:20])
    return figure_svg(figure, text)


def all_parts() -> str:
    """A page of every part with usual texts."""
    sections = [Section(text, content) for text in ORDINARY for content in parts(text)]
    sections.append(Section("Figures", figures(drawing("one"), drawing("two")) + figures()))
    return page("Parts", sections, verdict="pass", subtitle="All of them", reasons=ORDINARY)


def hostile_texts() -> str:
    """A page of every part with texts that would like to be more than text."""
    sections = [Section(text, content) for text in HOSTILE for content in parts(text)]
    drawn = [drawing(text) for text in HOSTILE if text != "\x1b[31mred\x07\x00\ud800"]
    sections.append(Section("Figures", figures(*drawn)))
    return page(HOSTILE[0], sections, verdict=HOSTILE[1], subtitle=HOSTILE[4], reasons=HOSTILE)


def nothing() -> str:
    """The shortest page."""
    return page("Nothing", [])


def preview() -> str:
    """A page that says itself what the KFP UI shows of it before it is opened."""
    return page(HOSTILE[4], [], verdict="block", preview=f"{HOSTILE[7]} " * 9)


def decision() -> str:
    """The gate's page, with each outcome that a rule can have."""
    policy = f"""\
confidence: 0.95
gates:
  - metric: accuracy >= 0.9
    confidence: 0.95
    reason: {HOSTILE[4]!r}
  - metric: accuracy{{sex="<b>&"}} > 0.5
  - metric: f1 > 0.5
  - metric: regression_delta < 0.01
    when: production_exists == 1
"""
    names = ["accuracy", label("accuracy", sex="<b>&"), "production_exists"]
    document = EvidenceDocument(
        {"model": MODEL, "data": DATA},
        dict(zip(names, (0.88, 0.75, 0.0), strict=True)),
        {"accuracy": Interval(0.84, 0.91, 0.95), names[1]: Interval(0.6, 0.9, 0.95)},
    )
    return report(replay(policy.encode(), [document.to_bytes()]))


def choice(folder: Path) -> str:
    """The page of a sweep whose candidates' parameters are hostile."""
    names = [f"sha256:{n:064x}" for n in range(8)]
    candidates = [
        EvidenceDocument(
            {"model": names[n], "data": DATA},
            {"accuracy": 0.8 + n / 100},
            {"accuracy": Interval(0.78 + n / 100, 0.82 + n / 100, 0.95)},
        )
        for n in range(8)
    ]
    tried = [{"estimator": "a.B", "hyperparameters": {"text": HOSTILE[n]}} for n in range(8)]
    write_choice(choose(names, candidates, tried, "accuracy"), folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def attested(step: str, outputs: Mapping[str, str], values: Mapping[str, Any]) -> Attestation:
    code = CodeIdentity(MODEL, MODEL, MODEL)
    made = {
        n: OutputReference(d, "application/vnd.assay.model.v1", True) for n, d in outputs.items()
    }
    about = RunDetails("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z")
    return Attestation(step, f"m:{step}", code, {}, {}, {}, made, values, False, about)


def run() -> str:
    """The page of a whole run."""
    names = ["accuracy", "roc_auc", "test_rows", *(label("accuracy", sex=t) for t in HOSTILE[:3])]
    evaluation = EvidenceDocument(
        {"model": MODEL, "data": DATA},
        dict(zip(names, (0.88, 0.9, 3000.0, 0.7, 0.8, 0.9), strict=True)),
        {"accuracy": Interval(0.86, 0.9, 0.95), names[3]: Interval(0.6, 0.8, 0.95)},
    )
    comparison = EvidenceDocument(
        {"model": MODEL, "production": DATA},
        {
            "production_exists": 1.0,
            "regression_delta": 0.02,
            "regression_margin": 0.01,
            "candidate_accuracy": 0.88,
            "production_accuracy": 0.9,
        },
        {"regression_delta": Interval(0.01, 0.03, 0.95)},
        verdict="block",
        reason=HOSTILE[0],
    )
    policy = (
        b"gates:\n  - metric: accuracy > 0.9\n    confidence: 0.95\n  - metric: roc_auc > 0.5\n"
    )
    history = RunHistory(
        tasks=[
            TaskStatus(HOSTILE[0], "1", "failed", 0.0, 1.5, error=HOSTILE[1], exit_code=3),
            TaskStatus("register", "2", "started", 0.0),
            TaskStatus("train", "3", DONE, 0.0, 2.0),
        ],
        stages=[
            Stage("train", RAN, 2.0, attestation=attested("train", {"model": MODEL}, {})),
            Stage(
                "evaluate", STEP_CACHE, 0.1,
                attestation=attested("evaluate", {"evaluation": DATA}, {}),
            ),
            Stage("gate", RAN, 0.5, attestation=attested("gate", {}, {"verdict": "block"})),
            Stage("register", RAN, 0.5, doubt=HOSTILE[4]),
        ],
        notes=list(HOSTILE),
        evaluation=evaluation,
        comparison=comparison,
        decision=replay(policy, [evaluation.to_bytes()]),
    )  # fmt: skip
    verdict = Verdict("blocked", 3, HOSTILE, HOSTILE[4], "7")
    return page_of(About("run-1", HOSTILE[4], "train", HOSTILE[3], "FAILED"), history, verdict)


def ground() -> str:
    """The page of `doctor`."""
    rows = [(text, "fail", text, text) for text in HOSTILE]
    checks = table(("check", "status", "found", "remedy"), rows)
    return page("Ground", [Section("Checks", checks)], verdict="block")


def release_figure() -> str:
    """A figure of intervals that goes into the deployment repository."""
    bars = [Bar(figure_text(text), 0.8 + n / 100, 0.75, 0.99) for n, text in enumerate(HOSTILE)]
    bars.append(Bar("lower is better", -0.1, -0.2, 0.3, 0.01, "<", "inconclusive"))
    return intervals(bars, HOSTILE[1], mark=0.0)


@pytest.mark.parametrize(
    "make",
    [all_parts, hostile_texts, nothing, preview, decision, choice, run, ground, release_figure],
    ids=lambda make: make.__name__,
)
def test_a_page_has_the_bytes_that_it_always_had(
    make: Callable[..., str], update_goldens: bool, tmp_path: Path
) -> None:
    made = (make(tmp_path) if make is choice else make()).encode()
    path = HERE / f"{make.__name__}.{'svg' if make is release_figure else 'html'}"
    if update_goldens:
        path.write_bytes(made)
    assert path.read_bytes() == made, "run: pytest tests/golden --update-goldens, if it is meant"
