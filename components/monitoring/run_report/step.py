"""run_report: the work."""

import sys
from typing import TYPE_CHECKING, Final

from assay.core.settings import NOTIFY_URL
from assay.core.step import Out, Record, Services, Values, step

if TYPE_CHECKING:
    from assay.components.run_report.history import RunHistory
    from assay.components.run_report.judge import Verdict
    from assay.components.run_report.message import Message
    from assay.components.run_report.views import About

MAX_NAME: Final = 120
"""Characters of each name in the run's record, which has to fit into a pointer."""


@step(side_effects=True)
def run_report(
    *,
    services: Services,
    model_name: str,
    state: str,
    pipeline: str = "",
    name: str = "",
    error: str = "",
    message_format: str = "slack",
    record: Out[Record],
) -> Values:
    """Report the result of the run, and notify a webhook; for an exit handler.

    Everything comes from the records that the run's stages left in the store and from the
    attestations that these name. Nothing raises: what cannot be read is a sentence in the report,
    and a message that does not arrive is a warning and the value `outcome`.

    The webhook's URL is a secret and comes from `ASSAY_NOTIFY_URL`; records and messages name its
    host only.

    Args:
        services: The store, and the keys that attestations are verified with.
        model_name: Name in the MLflow registry.
        state: How the run ended, in KFP's words.
        pipeline: Name of the pipeline. Empty: what the status says.
        name: Name of the run, such as dsl.PIPELINE_JOB_NAME_PLACEHOLDER. Empty: from the status.
        error: KFP's error message.
        message_format: Of the message: slack, alertmanager or json.
        record: The report: `report.html`, `summary.md`, `metrics.json` and `record.json`.

    Returns:
        verdict (str): Of the run.
        exit_code (int): Of `assay submit` for this run.
        outcome (str): What became of the message.
    """
    from assay.components.run_report import history, judge, views
    from assay.components.run_report.message import Message
    from assay.core.digest import canonical_json

    run, notes = _run_id()
    run_history = history.read(services, run, "run_report") if run else history.RunHistory()
    run_history.notes[:0] = notes
    verdict = judge.judge(run_history, state, model_name, error)
    about = views.About(run, name, pipeline, model_name, state)
    _write_outcome(services, about, run_history, verdict)
    (record.path / "report.html").write_text(views.page_of(about, run_history, verdict), "utf-8")
    (record.path / "summary.md").write_text(views.summary(about, run_history, verdict), "utf-8")
    (record.path / "metrics.json").write_text(views.metrics_json(run_history), "utf-8")
    message = Message(model_name, verdict.verdict, pipeline, name, verdict.reasons, verdict.version)
    outcome = _send(message, message_format)
    document = {
        **views.document(about, run_history, verdict),
        "format": message_format,
        "outcome": outcome,
    }
    (record.path / "record.json").write_bytes(canonical_json(document))
    for line in views.lines(verdict):
        _print(line)
    return {"verdict": verdict.verdict, "exit_code": verdict.exit_code, "outcome": outcome}


def _run_id() -> tuple[str, list[str]]:
    """The id of the run, and notes for the report if it is unknown."""
    from assay.errors import UsageError
    from assay.runtime import runs

    try:
        run = runs.run_id()
    except UsageError as error:
        return "", [str(error)]
    return run, [] if run else ["ASSAY_RUN is not set, so no stage's record can be found"]


def _write_outcome(
    services: Services, about: "About", run_history: "RunHistory", verdict: "Verdict"
) -> None:
    """Store the result of the run, for `assay submit` and `assay runs`."""
    import time

    from assay.errors import AssayError
    from assay.runtime import runs

    if not about.run:
        return
    record = runs.RunStatus(
        run=about.run,
        name=about.name[:MAX_NAME],
        pipeline=about.pipeline[:MAX_NAME],
        model_name=about.model_name[:MAX_NAME],
        verdict=verdict.verdict,
        exit_code=verdict.exit_code,
        reasons=verdict.reasons,
        remedy=verdict.remedy,
        digests=run_history.digests(),
        version=verdict.version,
        finished=time.time(),
    )
    try:
        runs.write_outcome(services.store, record)
    except AssayError as error:
        run_history.notes.append(f"what came of the run was not recorded: {error}")


def _send(message: "Message", message_format: str) -> str:
    """Notify the webhook, if there is one; what became of the message."""
    from assay.components.run_report.message import body
    from assay.components.run_report.webhook import post

    content, note = body(message, message_format)
    url = NOTIFY_URL.get()
    sent = post(url, content) if url else None
    outcome = sent.text if sent else f"not sent: {NOTIFY_URL.name} is not set"
    for warning in [note, *([outcome] if sent and not sent.arrived else [])]:
        if warning:
            _print(f"warning: run_report: {warning}")
    return outcome


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the pod's log
