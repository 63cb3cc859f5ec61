"""`evaluation.md` and its figures, for approvers, from the evidence that the gate judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from assay.core.store import Store
from assay.core.tree import get_manifest, read_file
from assay.documents import Limits, read_json
from assay.errors import IntegrityError
from assay.evidence.format import FILE_NAME, MAX_EVIDENCE_BYTES, EvidenceDocument
from assay.evidence.labels import is_labelled, sort_key
from assay.governance.admission import Assessment
from assay.governance.makers import SHORT
from assay.governance.policy import ATTEMPTS, Decision, Kind
from assay.releases.layout import (
    CONFUSION_FIGURE,
    EVALUATION_FILE,
    METRICS_FIGURE,
    REGRESSION_FIGURE,
    ROC_FIGURE,
    SLICES_FIGURE,
)
from assay.releases.release import Release
from assay.reports import figures as drawings
from assay.reports.figures import Bar, figure_text, standalone_svg
from assay.reports.markdown import markdown_table, markdown_text
from assay.text import number

MAX_CURVE_BYTES: Final = 4 << 20
MAX_SLICES: Final = 40
"""Number of values in a figure; the table has all."""
MAX_CLASSES: Final = 30
SHORT_KEY: Final = 12
_NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of a release."""

    evaluation: EvidenceDocument
    comparison: EvidenceDocument | None
    measurements: EvidenceDocument | None
    monitoring: EvidenceDocument | None
    curves: Mapping[str, Any]
    """`classification.json` of the evaluation; empty for a regression."""

    @classmethod
    def of(cls, store: Store, release: Release) -> "Evidence":
        """Read the evidence that a release names.

        Raises:
            IntegrityError: An artifact does not match its digest, or is malformed.
            NotFoundError: An artifact is not in the store.
        """

        def document(kind: str) -> EvidenceDocument | None:
            digest = release.reports.get(kind)
            return evidence(store, digest) if digest else None

        curves = _file(store, release.reports["evaluation"], "classification.json", MAX_CURVE_BYTES)
        return cls(
            evaluation=evidence(store, release.reports["evaluation"]),
            comparison=document("comparison"),
            measurements=document("measurements"),
            monitoring=document("monitoring"),
            curves=_curves(curves) if curves else {},
        )


def _curves(data: bytes) -> Mapping[str, Any]:
    limits = Limits(MAX_CURVE_BYTES, depth=16, values=2_000_000)
    judged = read_json(data, "classification.json", limits, error=IntegrityError)
    if not isinstance(judged, dict):
        raise IntegrityError("classification.json: not an object")
    return judged


def evidence(store: Store, digest: str) -> EvidenceDocument:
    """The evidence of an artifact; empty for an artifact without any."""
    return EvidenceDocument.parse(_file(store, digest, FILE_NAME, MAX_EVIDENCE_BYTES))


def files(release: Release, judged: Evidence, assessment: Assessment) -> dict[str, bytes]:
    """Render `evaluation.md` and its figures; the same bytes every time.

    Args:
        release: The release.
        judged: Its evidence.
        assessment: What the checks found.

    Returns:
        Contents by file name.
    """
    drawn = _figures(judged)
    text = _page(release, judged, assessment, list(drawn))
    return {EVALUATION_FILE: text.encode(), **{name: svg.encode() for name, svg in drawn.items()}}


def _page(release: Release, judged: Evidence, assessment: Assessment, drawn: list[str]) -> str:
    decision = assessment.judgement

    def picture(name: str, alt: str) -> str:
        return f"\n![{alt}]({name})\n" if name in drawn else ""

    rows = int(judged.evaluation.values.get("test_rows") or 0)
    parts = [
        f"# Evaluation of {markdown_text(release.model)} for {release.environment}\n",
        f"Decision: **{decision.verdict.value}**"
        + (f". {markdown_text(decision.reason)}" if decision.reason else "")
        + f". Judged on {rows:,} held-out rows.\n",
    ]
    if release.override is not None:
        parts.append(override_text(release))
    parts.append(assessment_text(assessment))
    parts += [
        "## Metrics\n",
        "An interval contains the true value with 95 % confidence.\n"
        if _level(judged) == 0.95  # noqa: PLR2004 - the usual level, spelt as people say it
        else "An interval contains the true value with the requested confidence.\n",
        markdown_table(
            ("metric", "value", "low", "high"), _metrics(judged.evaluation, labelled=False)
        ),
        picture(METRICS_FIGURE, "Metrics with intervals"),
        picture(ROC_FIGURE, "ROC curve"),
        picture(CONFUSION_FIGURE, "Confusion matrix"),
        "## Comparison with production\n",
        _comparison(judged.comparison),
        picture(REGRESSION_FIGURE, "Regression with interval"),
    ]
    if sliced := _metrics(judged.evaluation, labelled=True):
        parts += [
            "## Slices\n",
            markdown_table(("slice", "value", "low", "high"), sliced),
            picture(SLICES_FIGURE, "Metric by slice"),
        ]
    parts += ["## Silent failures\n", _monitoring(judged.monitoring)]
    if judged.measurements is not None:
        measured = sorted(judged.measurements.values.items())
        parts += [
            "## Speed and memory\n",
            "Measured on the machine that evaluated; production may differ.\n",
            markdown_table(("what", "value"), [(n, number(v)) for n, v in measured]),
        ]
    parts += [
        "## Rules of the policy\n",
        _rules(decision),
        _governed(assessment),
        "## Who made the evidence\n",
        _makers(assessment),
        "## Basis\n",
        _names(release),
    ]
    return "\n".join(part for part in parts if part)


def override_text(release: Release) -> str:
    """The warning that a release goes against the policy; "" for others."""
    given = release.override
    if given is None:
        return ""
    return (
        "> **Override.** This model did not pass its policy. "
        f"{markdown_text(given.by)} decided for it: {markdown_text(given.why)} "
        f"(until {given.until}, `{given.statement}`)\n"
    )


def _in_order(document: EvidenceDocument) -> list[tuple[str, float | None]]:
    """Names and values in the order for readers."""
    return [(name, document.values[name]) for name in sorted(document.values, key=sort_key)]


def assessment_text(assessment: Assessment) -> str:
    """Notes for approvers: the policy, the number of attempts, what could not be proved."""
    lines = []
    if assessment.governing is None:
        lines.append(
            "> **No governing policy.** The rules were chosen by the person who started the run. "
            "Put a policy.yaml "
            "into this repository to govern the model.\n"
        )
    else:
        lines.append(
            f"Judged again under the governing policy `{assessment.governing.place}`: "
            f"**{assessment.governed.verdict.value if assessment.governed else ''}**.\n"
        )
    counted = [document.values.get(ATTEMPTS) for document in assessment.documents.values()]
    attempts = max((count for count in counted if count is not None), default=None)
    lines.append(
        f"Models tried on this test data: **{attempts:.0f}**, this one among them.\n"
        if attempts is not None
        else "> **Attempts not counted.** No evidence says how many models were tried on this test "
        "data.\n"
    )
    lines += [f"> **Not shown:** {markdown_text(note)}.\n" for note in assessment.notes]
    lines += [
        f"> **A step of your own:** the {markdown_text(maker.what)} was made by "
        f"`{maker.entry_point}`, which the policy names.\n"
        for maker in assessment.makers
        if maker.own
    ]
    return "\n".join(lines)


def _governed(assessment: Assessment) -> str:
    if assessment.governing is None or assessment.governed is None:
        return ""
    lead = f"## Rules of the governing policy\n\n`{assessment.governing.place}`\n\n"
    return lead + _rules(assessment.governed)


def _makers(assessment: Assessment) -> str:
    rows = [
        (
            maker.what,
            maker.digest,
            maker.entry_point,
            maker.code[:SHORT],
            maker.signed_by[:SHORT_KEY] or "unsigned",
        )
        for maker in assessment.makers
    ]
    return markdown_table(("what", "digest", "step", "code", "signed by"), rows)


def _level(judged: Evidence) -> float:
    levels = {interval.confidence for interval in judged.evaluation.intervals.values()}
    return next(iter(levels)) if len(levels) == 1 else 0.0


def _metrics(document: EvidenceDocument, *, labelled: bool) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, value in _in_order(document):
        if is_labelled(name) is labelled:
            bounds = document.intervals.get(name)
            low, high = (number(bounds.low), number(bounds.high)) if bounds else (_NONE, _NONE)
            # A slice that is too small has an interval and no value; its note says so.
            shown = number(value) if value is not None else document.notes.get(name, _NONE)
            rows.append((name, shown, low, high))
    return rows


def _comparison(document: EvidenceDocument | None) -> str:
    if document is None or document.values.get("production_exists") == 0:
        return "No model was in production when it was judged, so nothing was compared.\n"
    lead = f"Verdict: **{document.verdict}**. {markdown_text(document.reason)}\n\n"
    shown = [(name, number(value), *_bounds(document, name)) for name, value in _in_order(document)]
    how = (
        "A regression above 0 means that the candidate is worse than production by so much; "
        "both models judged the same rows.\n\n"
    )
    return lead + how + markdown_table(("what", "value", "low", "high"), shown)


def _monitoring(document: EvidenceDocument | None) -> str:
    if document is None or not document.values:
        return "No monitoring plan was judged, so nothing is known about the detection of faults.\n"
    shown = [(name, number(value), *_bounds(document, name)) for name, value in _in_order(document)]
    how = (
        "Faults were put into held-out rows; `time_to_detect_rows_p95` is after how many rows 95 % "
        "of them had raised an alarm. `monitoring.yaml` says who receives it.\n\n"
    )
    return how + markdown_table(("what", "value", "low", "high"), shown)


def _bounds(document: EvidenceDocument, name: str) -> tuple[str, str]:
    bounds = document.intervals.get(name)
    return (number(bounds.low), number(bounds.high)) if bounds else (_NONE, _NONE)


def _rules(decision: Decision) -> str:
    rows = [
        (row.text, row.outcome.value, number(row.value), row.explanation)
        for row in decision.rows
        if row.kind is Kind.RULE
    ]
    return markdown_table(("rule", "outcome", "seen", "why"), rows)


def _names(release: Release) -> str:
    rows = [
        ("model", release.digest),
        ("registry version", release.registry_version),
        ("evaluation run", release.evaluation_run or _NONE),
        ("decision", release.decision),
        ("policy", release.policy),
        ("data", release.data or _NONE),
        *((kind, digest) for kind, digest in sorted(release.reports.items())),
    ]
    return markdown_table(("what", "name"), rows)


def _figures(judged: Evidence) -> dict[str, str]:
    drawn = {}
    if overall := _bars(judged.evaluation, labelled=False):
        drawn[METRICS_FIGURE] = drawings.intervals(overall, "Metrics")
    if roc := judged.curves.get("roc"):
        svg = drawings.roc(roc["fpr"], roc["tpr"], "ROC curve", width=3.8, height=3.6)
        drawn[ROC_FIGURE] = standalone_svg(svg)
    confusion = judged.curves.get("confusion_matrix")
    if confusion and len(confusion["labels"]) <= MAX_CLASSES:
        labels = [figure_text(label) for label in confusion["labels"]]
        svg = drawings.confusion(
            labels, confusion["matrix"], "Confusion matrix",
            rotation=30, align="right", width=4.2, height=3.6,
        )  # fmt: skip
        drawn[CONFUSION_FIGURE] = standalone_svg(svg)
    if sliced := _bars(judged.evaluation, labelled=True):
        drawn[SLICES_FIGURE] = drawings.intervals(sliced[:MAX_SLICES], "Slices")
    if judged.comparison is not None:
        deltas = [bar for bar in _bars(judged.comparison, labelled=None) if "delta" in bar.label]
        if deltas:
            title = "Regression (below 0: better)"
            drawn[REGRESSION_FIGURE] = drawings.intervals(deltas, title, mark=0.0)
    return drawn


def _bars(document: EvidenceDocument, *, labelled: bool | None) -> list[Bar]:
    """The values that have an interval."""
    return [
        Bar(figure_text(name), value, bounds.low, bounds.high)
        for name, value in _in_order(document)
        if value is not None
        and (labelled is None or is_labelled(name) is labelled)
        and (bounds := document.intervals.get(name)) is not None
    ]


def _file(store: Store, artifact: str, name: str, limit: int) -> bytes:
    return read_file(store, get_manifest(store, artifact), name, limit) or b""
