"""A run on a cluster: what Argo says is read within bounds, and records never make it greener."""

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.cluster import workflow
from assay.cluster.follow import _Pods
from assay.cluster.runs import Sources, outcome, tasks_of
from assay.errors import ServiceError
from assay.runtime.runs import RunStatus, TaskStatus
from assay.text import one_line

from simulators.kfp_api import Pod, look, seen
from simulators.kfp_runs import RECORDED, RED, a_record

PACKED = ["as Argo has it", "packed"]


def manifest(*pods: Pod, packed: bool = False) -> str:
    return json.dumps(seen("RUNNING", *pods, packed=packed)["workflow"])


def status(**fields: Any) -> str:
    return json.dumps({"status": fields})


class TestPods:
    @pytest.mark.parametrize("packed", [False, True], ids=PACKED)
    def test_a_pod_is_named_by_its_task(self, packed: bool) -> None:
        found = workflow.pods(
            manifest(
                Pod("train", "Failed", f"{RED}no\n"), Pod("gate", "Pending", "x"), packed=packed
            )
        )
        assert [(pod.task, pod.message) for pod in workflow.failed(found)] == [
            ("train", "Error (exit code 1): error: no\n")
        ]
        assert workflow.waiting(found) == {"gate": "x"}
        assert {"root-driver", "train-driver"} <= {pod.task for pod in found}

    def test_attempts_of_what_succeeded_are_forgiven(self) -> None:
        killed = "main: OOMKilled (exit code 137)"
        assert not workflow.failed(workflow.pods(manifest(Pod("train", attempts=(killed,)))))
        red = workflow.pods(manifest(Pod("train", "Failed", killed, attempts=(killed,))))
        assert len(workflow.failed(red)) == 2

    def test_what_unpacks_to_more_than_a_workflow_is_not_unpacked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nodes = json.loads(manifest(Pod("train", "Failed", "x" * 5000)))["status"]["nodes"]
        packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
        assert workflow.failed(workflow.pods(status(compressedNodes=packed)))
        monkeypatch.setattr(workflow, "MAX_BYTES", 4000)
        assert workflow.pods(status(compressedNodes=packed)) == ()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            "[]",
            "{}",
            status(nodes=[1, 2]),
            status(nodes={"a": 1}),
            status(nodes={"a": {"type": "Retry", "phase": "Succeeded", "children": 3}}),
            status(compressedNodes="no base64 at all!"),
            status(compressedNodes=base64.b64encode(b"no gzip").decode()),
            status(compressedNodes=base64.b64encode(gzip.compress(b"no JSON", mtime=0)).decode()),
            status(compressedNodes=base64.b64encode(gzip.compress(b"{}", mtime=0)[:-9]).decode()),
            status(compressedNodes=7),
            "{" * 100_000,
        ],
    )
    def test_what_is_no_workflow_has_no_pods(self, text: str) -> None:
        assert workflow.pods(text) == ()

    @given(
        node=st.dictionaries(
            st.sampled_from(["type", "phase", "message", "displayName", "boundaryID", "children"]),
            st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()), st.just("Pod")),
        )
    )
    def test_no_node_stops_the_reading(self, node: dict[str, Any]) -> None:
        for pod in workflow.pods(status(nodes={"a": node})):
            assert one_line(pod.task) == pod.task


def ended(told: Sources, state: str = "FAILED", *tasks: dict[str, Any]) -> Any:
    return outcome({"run_id": "r", **look(state, *tasks)}, {}, told)


def a_task(name: str, state: str, started: float, error: str = "", code: int = 0) -> TaskStatus:
    return TaskStatus(name, f"p{started}", state, started, 1.0, error=error, exit_code=code)


class TestTheReason:
    def test_the_first_failed_task_is_the_reason(self) -> None:
        output = Sources(
            tasks=[
                a_task("train", "done", 1.0),
                a_task("gate", "failed", 2.0, "recall fell", 4),
                a_task("run_report", "failed", 3.0, "no webhook", 8),
            ]
        )
        found = ended(output)
        assert (found.verdict, found.exit_code, found.error) == ("blocked", 4, "recall fell")
        assert found.reason_from == "tasks"

    def test_a_failed_attempt_that_a_later_one_mended_is_none(self) -> None:
        output = Sources(
            tasks=[
                a_task("resolve_production", "failed", 1.0, "MLflow does not answer", 8),
                a_task("resolve_production", "done", 2.0),
                a_task("register", "failed", 3.0, "the store is full", 7),
            ]
        )
        assert ended(output).error == "register: the store is full"
        assert ended(output).exit_code == 7

    def test_a_task_that_was_killed_says_nothing_and_its_pod_does(self) -> None:
        pods = workflow.pods(manifest(Pod("train", "Failed", "main: OOMKilled (exit code 137)")))
        found = ended(Sources(tasks=[a_task("train", "started", 1.0)], pods=pods))
        assert found.error == "train: OOMKilled (exit code 137)"
        assert found.reason_from == "workflow"

    def test_a_components_own_words_count_before_the_kubelets(self) -> None:
        pods = workflow.pods(
            manifest(
                Pod("run-report", "Failed", "The node was low on resource: memory."),
                Pod("gate", "Failed", f"{RED}blocked: recall fell"),
            )
        )
        assert ended(Sources(pods=pods)).exit_code == 4

    def test_what_nobody_says_is_said_so(self) -> None:
        found = ended(Sources())
        assert (found.reason_from, found.exit_code) == ("none", 1)
        assert "KFP gave no reason" in found.error


RECORDS = st.builds(
    a_record,
    st.sampled_from(["passed", "rejected", "blocked", "inconclusive", "failed", "canceled"]),
    st.integers(-(2**40), 2**40),
    st.text(max_size=20),
)


@given(
    state=st.sampled_from(["SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"]),
    record=st.none() | RECORDS,
    code=st.integers(-(2**40), 2**40),
    name=st.sampled_from(sorted(RECORDED)),
)
def test_only_what_kfp_calls_succeeded_is_green(
    state: str, record: RunStatus | None, code: int, name: str
) -> None:
    """Records, messages and exit codes are what others wrote; the shell cuts codes to a byte."""
    pods = workflow.pods(json.dumps(RECORDED[name].looks[-1]["workflow"]))
    red = a_task("x", "failed", 1.0, "e", code)
    found = ended(Sources(record, [red], pods), state)
    green = state == "SUCCEEDED" and (
        record is None or (record.verdict == "passed" and record.exit_code == 0)
    )
    assert (found.exit_code == 0) is (found.verdict == "passed") is green
    assert 0 <= found.exit_code < 10
    assert green is not bool(found.reasons)
    assert all(one_line(reason) == reason for reason in found.reasons)


def test_tasks_are_shown_with_what_is_known_of_them() -> None:
    pods = (
        Pod("train", "Failed", f"{RED}no memory"),
        Pod("gate-driver", "Pending", "Unschedulable: 0/3 nodes are available"),
        Pod("compare-driver", "Error", "main: Error (exit code 1)"),
    )
    run = seen("RUNNING", *pods)
    spec = {
        "components": {"comp-train": {"executorLabel": "e"}},
        "deploymentSpec": {"executors": {"e": {}}},
        "root": {"dag": {"tasks": {"train": {"componentRef": {"name": "comp-train"}}}}},
    }
    found = {task.name: task for task in tasks_of(run, spec, workflow.pods(manifest(*pods)))}
    assert set(found) == {"train", "gate-driver", "compare-driver"}, "and no groups"
    assert found["train"].error == "no memory"
    assert found["gate-driver"].waits == "Unschedulable: 0/3 nodes are available"
    assert found["compare-driver"].error == "Error (exit code 1)"


class TestWhenPodsAreLookedAt:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [0.0]
        monkeypatch.setattr("assay.cluster.follow.time.monotonic", lambda: now[0])
        return now

    def times(self, clock: list[float], get: Callable[[], str], seconds: int) -> list[float]:
        """When they are, of a run that shows no change, at a look each second."""
        asked: list[float] = []

        def ask() -> str:
            asked.append(clock[0])
            return get()

        pods, run = _Pods(ask, 20.0), seen("RUNNING", Pod("train", "Running"))
        for second in range(seconds):
            clock[0] = float(second)
            pods.look(run)
        return asked

    def test_less_and_less_while_a_task_works(self, clock: list[float]) -> None:
        asked = self.times(clock, lambda: manifest(Pod("train", "Running")), 1000)
        assert asked == [20.0, 60.0, 140.0, 300.0, 620.0, 940.0]

    def test_steadily_while_a_pod_waits(self, clock: list[float]) -> None:
        asked = self.times(clock, lambda: manifest(Pod("train", "Pending", "x")), 100)
        assert asked == [20.0, 40.0, 60.0, 80.0]

    def test_that_it_is_refused_stops_nothing(self, clock: list[float]) -> None:
        def get() -> str:
            raise ServiceError("HTTP 500")

        assert self.times(clock, get, 100) == [20.0, 60.0]

    def test_at_once_when_a_task_fails(self, clock: list[float]) -> None:
        red = Pod("train", "Failed", "x")
        pods = _Pods(lambda: manifest(red), 20.0)
        pods.look(seen("RUNNING", replace(red, phase="Running")))
        assert not pods.found
        pods.look(seen("RUNNING", red))
        assert workflow.failed(pods.found)
