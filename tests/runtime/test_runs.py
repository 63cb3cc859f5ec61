"""The records of a run: what was written is read again, and nothing else is believed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.digest import canonical_json
from assay.core.store import Store, open_store
from assay.errors import UsageError
from assay.runtime import runs
from assay.text import one_line

DIGEST = "sha256:" + "1" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}/store")


def a_task(name: str = "gate", started: float = 1.5, state: str = runs.DONE) -> runs.TaskStatus:
    step = runs.StepStatus(name, DIGEST, cached=True, seconds=0.5)
    return runs.TaskStatus(name, "ab", state, started, 2.0, (step,))


def a_run(**changed: Any) -> runs.RunStatus:
    record = runs.RunStatus(
        "r-1", "income · adult", "train-and-register", "income", "blocked", 4,
        ("accuracy is worse by 0.121",), "retrain", {"model": DIGEST}, finished=3.5,
    )  # fmt: skip
    return replace(record, **changed)


class TestWhatWasWrittenIsRead:
    def test_a_tasks_last_word_replaces_its_first(self, store: Store) -> None:
        runs.write_task(store, "r-1", replace(a_task(), state=runs.STARTED, steps=()))
        runs.write_task(store, "r-1", a_task())
        assert runs.tasks(store, "r-1") == [a_task()]

    def test_tasks_come_in_the_order_of_their_start(self, store: Store) -> None:
        for name, started in [("train", 2.0), ("gate", 3.0), ("split_data", 1.0)]:
            runs.write_task(store, "r-1", a_task(name, started))
        assert [one.task for one in runs.tasks(store, "r-1")] == ["split_data", "train", "gate"]

    def test_a_run_knows_nothing_of_another(self, store: Store) -> None:
        runs.write_task(store, "r-1", a_task())
        runs.write_outcome(store, a_run())
        assert runs.tasks(store, "r-2") == []
        assert runs.outcome(store, "r-2") is None
        assert runs.outcome(store, "r-1") == a_run()

    @given(
        reasons=st.lists(
            st.text(st.characters(codec="utf-8"), min_size=1).filter(one_line), max_size=40
        )
    )
    def test_whatever_the_reasons_a_record_fits_and_keeps_the_first(
        self, tmp_path_factory: pytest.TempPathFactory, reasons: list[str]
    ) -> None:
        store = open_store(f"file://{tmp_path_factory.mktemp('store')}")
        runs.write_outcome(store, a_run(reasons=tuple(reason * 50 for reason in reasons)))
        found = runs.outcome(store, "r-1")
        assert found is not None
        assert sum(len(one.encode()) for one in found.reasons) <= runs.MAX_TEXT_BYTES
        if reasons:
            assert found.reasons[0][:10] == one_line(reasons[0] * 50)[:10]

    def test_a_long_error_is_cut_and_says_so(self, store: Store) -> None:
        runs.write_task(store, "r-1", replace(a_task(state=runs.FAILED), error="é" * 5_000))
        (found,) = runs.tasks(store, "r-1")
        assert found.error.endswith("é…")


class TestWhatOthersWroteIsNotBelieved:
    @pytest.mark.parametrize(
        "change",
        [
            {"run": "r-2"},
            {"verdict": "registered"},
            {"exit_code": "4"},
            {"exit_code": True},
            {"digests": {"model": "latest"}},
            {"reasons": [1]},
            {"extra": 1},
            {"digests": []},
        ],
    )
    def test_a_record_that_was_altered_is_none(
        self, store: Store, change: dict[str, object]
    ) -> None:
        runs.write_outcome(store, a_run())
        (name,) = store.list_pointers("runs/")
        raw = {**_raw(a_run()), **change}
        store.write_pointer(name, canonical_json(raw))
        assert runs.outcome(store, "r-1") is None

    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"run":"r-1"}', b"\xff"])
    def test_neither_is_a_record_that_is_no_json(self, store: Store, data: bytes) -> None:
        runs.write_task(store, "r-1", a_task())
        (name,) = store.list_pointers("runs/")
        store.write_pointer(name, data)
        assert runs.tasks(store, "r-1") == []

    @pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "x" * 129, "a/b"])
    def test_an_id_that_cannot_be_one_is_refused(self, store: Store, name: str) -> None:
        if not name:
            assert runs.run_id("") == ""
            return
        with pytest.raises(UsageError, match="not the id of a run"):
            runs.tasks(store, name)


def _raw(record: runs.RunStatus) -> dict[str, object]:
    from dataclasses import asdict

    return {**asdict(record), "reasons": list(record.reasons)}
