"""Retries: what is repeated, how often, and how long the pauses are."""

import ast
import copy
import time
from dataclasses import replace
from pathlib import Path

import pytest

from assay.core import retry
from assay.core.retry import Policy, TransientError
from assay.core.store import s3_errors
from assay.core.store.wire import StatusError
from assay.errors import StoreUnavailableError

ROOT = Path(__file__).parents[2]
QUICK = Policy(attempts=4, first_wait=0.001, longest_wait=0.004)


class Service:
    """Fails so often, and counts."""

    def __init__(self, faults: int, error: Exception) -> None:
        self.faults, self.error, self.calls = faults, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.faults:
            raise copy.copy(self.error)
        return "answer"


def test_a_call_is_repeated_until_it_succeeds() -> None:
    service = Service(3, TransientError("busy"))
    assert retry.call(QUICK, service) == "answer"
    assert service.calls == 4


def test_the_last_fault_is_raised_after_all_attempts() -> None:
    service = Service(99, TransientError("busy"))
    with pytest.raises(TransientError, match="busy"):
        retry.call(QUICK, service)
    assert service.calls == 4


def test_a_permanent_error_is_raised_at_once() -> None:
    service = Service(1, ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        retry.call(QUICK, service)
    assert service.calls == 1


def test_each_error_is_judged_once() -> None:
    judged: list[BaseException] = []

    def transient(error: BaseException) -> bool:
        judged.append(error)
        return len(judged) == 1

    service = Service(2, TransientError("busy"))
    with pytest.raises(TransientError):
        retry.call(QUICK, service, transient)
    assert (service.calls, len(judged)) == (2, 2)


def test_no_attempt_begins_after_the_deadline() -> None:
    service = Service(99, TransientError("busy"))
    begin = time.monotonic()
    with pytest.raises(TransientError):
        retry.call(
            Policy(retry.UNLIMITED, first_wait=0.02, longest_wait=0.02, seconds=0.2), service
        )
    assert 0.1 < time.monotonic() - begin < 2
    assert 5 < service.calls < 50


@pytest.mark.parametrize(("asked", "least", "most"), [(0.1, 0.1, 1), (3600, 0.2, 1)])
def test_a_server_that_asks_for_a_pause_gets_it_up_to_the_policy(
    asked: float, least: float, most: float
) -> None:
    service = Service(1, TransientError("limited", wait=asked))
    begin = time.monotonic()
    retry.call(replace(QUICK, longest_wait=0.2), service)
    assert least <= time.monotonic() - begin < most


def test_a_decorated_function_is_repeated_for_its_classes_only() -> None:
    service = Service(2, KeyError("moved"))
    assert retry.repeated(QUICK, KeyError)(service)() == "answer"
    with pytest.raises(KeyError):
        retry.repeated(QUICK, ValueError)(Service(1, KeyError("moved")))()


@pytest.mark.parametrize(
    ("policy", "text"),
    [(retry.STORE, "8 attempts or 60 s"), (retry.GIT, "5 attempts"), (retry.KFP, "600 s")],
)
def test_the_text_of_a_policy_has_its_limits(policy: Policy, text: str) -> None:
    assert str(policy) == text


@pytest.mark.parametrize(
    ("status", "transient"),
    [(200, False), (400, False), (404, False), (408, True), (429, True), (500, True), (501, False),
     (503, True), (505, False), (507, False), (520, True)],
)  # fmt: skip
def test_statuses(status: int, transient: bool) -> None:
    assert (status in retry.TRANSIENT_STATUS) == transient


def test_only_this_module_knows_the_retry_library() -> None:
    folders = ("src/assay", "components", "pipelines")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    users = {
        path.relative_to(ROOT).as_posix()
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tenacity"))
        or (isinstance(node, ast.Import) and any(a.name == "tenacity" for a in node.names))
    }
    assert users == {"src/assay/core/retry.py"}


@pytest.mark.parametrize("code", sorted(s3_errors.TABLE))
def test_each_row_of_the_table_decides_retry_error_and_remedy(code: str) -> None:
    row = s3_errors.TABLE[code]
    error = StatusError(400, code, None)  # type: ignore[arg-type]
    assert s3_errors.is_transient(error) == (row.error is StoreUnavailableError)
    made = s3_errors.to_store_error(error, url="s3://b", bucket="b", limits="8 attempts")
    assert type(made) is row.error
    assert code in str(made)
    if not row.transient:
        assert row.meaning in str(made)
        assert row.remedy.format(bucket="b") in str(made)


@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [(409, "", True), (503, "", True), (507, "", False), (403, "", False), (501, "", False),
     (503, "Unheard", True), (400, "Unheard", False), (507, "XMinioStorageFull", False)],
)  # fmt: skip
def test_codes_without_a_row_are_handled_by_their_status(
    status: int, code: str, transient: bool
) -> None:
    error = StatusError(status, code, None)  # type: ignore[arg-type]
    assert s3_errors.is_transient(error) == transient
