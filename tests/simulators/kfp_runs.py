"""Runs as a real KFP 2.17 told of them: its states, null errors, Argo's messages."""

from dataclasses import dataclass, field

from assay.runtime.runs import RunStatus, TaskStatus

from simulators.kfp_api import Look, Pod, look, seen

DIGEST = "sha256:" + "5" * 64
RED = "main: Error (exit code 1): error: "
"""How Argo puts a container's termination message."""
WORSE = "accuracy is worse by 0.121 (0.112 to 0.131); allowed 0.010"
PULL = 'ImagePullBackOff: Back-off pulling image "registry.example.org/assay-train:0.2.0"'
UNMOUNTED = 'CreateContainerConfigError: secret "assay-runner" not found'
DEADLINE = "Pod was active on the node longer than the specified deadline"
DRIVER = "the log of the pod train-driver says why"


@dataclass(frozen=True)
class Recorded:
    """A run, and what is to be said of it."""

    looks: list[Look]
    code: int
    line: str
    """What the command prints of the end, without the link."""
    from_kfp: str = "workflow"
    """Whose word that is where there is no store."""
    record: RunStatus | None = None
    """What its exit task wrote; none where KFP never started it."""
    recorded_line: str = ""
    """The line with the record."""
    recorded_from: str = "record"
    tasks: list[TaskStatus] = field(default_factory=list)
    waits: str = ""
    """What is said of a pod while the run is followed."""


def a_record(verdict: str, code: int, *reasons: str, version: str = "") -> RunStatus:
    """A record, for a run whose id is not known yet."""
    return RunStatus(
        "", "income · adult", "train-and-register", "income", verdict, code, reasons,
        "retrain with more rows" if code else "", {"model": DIGEST}, version, 7.0,
    )  # fmt: skip


def _judged(*pods: Pod, packed: bool = False) -> list[Look]:
    done = tuple(Pod(pod.task) for pod in pods[:-1])
    return [
        look("PENDING"),
        seen("RUNNING", *done, Pod(pods[-1].task, "Running"), packed=packed),
        # The exit task runs although the others failed.
        seen("RUNNING", *pods, Pod("run-report", "Running"), packed=packed),
        seen("FAILED", *pods, Pod("run-report"), packed=packed),
    ]


RECORDED = {
    "green": Recorded(
        [
            look("PENDING"),
            seen("RUNNING", Pod("validate-data"), Pod("train", "Running")),
            seen("SUCCEEDED", Pod("validate-data"), Pod("train"), Pod("register")),
        ],
        0,
        "PASSED",
        from_kfp="none",
        record=a_record("passed", 0, version="3"),
        recorded_line="PASSED\nregistered, according to the run's status: income version 3",
    ),
    "rejected": Recorded(
        _judged(Pod("validate-data", "Failed", f"{RED}rejected: 3 of 12 expectations failed\n")),
        3,
        "REJECTED 3 of 12 expectations failed",
        record=a_record("rejected", 3, "age has 14 values below 0", "sex has nulls"),
        recorded_line=(
            "REJECTED age has 14 values below 0\n"
            "reason: sex has nulls\n"
            "next: retrain with more rows"
        ),
    ),
    "blocked": Recorded(
        _judged(
            Pod("validate-data"),
            Pod("train"),
            Pod("gate", "Failed", f"{RED}blocked: {WORSE} (report: {DIGEST})\n"),
            packed=True,
        ),
        4,
        f"BLOCKED {WORSE} (report: {DIGEST})",
        record=a_record("blocked", 4, WORSE),
        recorded_line=f"BLOCKED {WORSE}\nnext: retrain with more rows",
    ),
    "inconclusive": Recorded(
        _judged(
            Pod("train", attempts=("main: OOMKilled (exit code 137)",)),
            Pod("gate", "Failed", f"{RED}inconclusive: 12 rows are too few"),
        ),
        5,
        "INCONCLUSIVE 12 rows are too few",
        record=a_record("inconclusive", 5, "12 rows are too few"),
        recorded_line="INCONCLUSIVE 12 rows are too few\nnext: retrain with more rows",
    ),
    "canceled": Recorded(
        [
            seen("RUNNING", Pod("validate-data"), Pod("train", "Running")),
            seen("CANCELING", Pod("validate-data"), Pod("train", "Running")),
            seen("FAILED", Pod("train", "Failed", "workflow shutdown with strategy:  Terminate")),
        ],
        1,
        "CANCELED the run was canceled",
        from_kfp="none",
    ),
    "driver-failed": Recorded(
        [
            seen("RUNNING", Pod("validate-data"), Pod("train-driver", "Pending")),
            seen(
                "FAILED",
                Pod("validate-data"),
                Pod("train-driver", "Error", "main: Error (exit code 1)"),
                Pod("train", "Omitted"),
            ),
        ],
        1,
        f"FAILED KFP's driver of train failed: Error (exit code 1); {DRIVER}",
        # The exit task finds tasks that ended well, and no reason.
        record=a_record("failed", 1, "no task says why"),
        recorded_line=(
            f"FAILED KFP's driver of train failed: Error (exit code 1); {DRIVER}\n"
            "reason: no task says why\n"
            "next: retrain with more rows"
        ),
        recorded_from="workflow",
    ),
    "image-missing": Recorded(
        [
            *[seen("RUNNING", Pod("train", "Pending", PULL))] * 3,
            seen("FAILED", Pod("train", "Failed", DEADLINE)),
        ],
        1,
        f"FAILED train: {DEADLINE}\nreason: its pod had waited: {PULL}",
        waits=f"train\twaits\t{PULL}",
    ),
    "secret-missing": Recorded(
        [
            *[seen("RUNNING", Pod("register", "Pending", UNMOUNTED))] * 3,
            seen("FAILED", Pod("register", "Failed", DEADLINE)),
        ],
        1,
        f"FAILED register: {DEADLINE}\nreason: its pod had waited: {UNMOUNTED}",
        waits=f"register\twaits\t{UNMOUNTED}",
    ),
    "killed": Recorded(
        _judged(Pod("train", "Failed", "main: OOMKilled (exit code 137)")),
        1,
        "FAILED train: OOMKilled (exit code 137)",
    ),
    "wrong-parameter": Recorded(
        _judged(Pod("train", "Failed", f"{RED}no column 'y'; did you mean 'Y'?")),
        1,
        "FAILED train: no column 'y'; did you mean 'Y'?",
        tasks=[
            TaskStatus("train", "a", "failed", 1.0, 2.0, error="no column 'y'", exit_code=2),
        ],
    ),
}
