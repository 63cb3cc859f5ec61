"""The log of a task that dies of an error that nobody foresaw: a traceback, and no secret."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SECRETS = ("hunter2", "SIGNATURE", "CREDENTIAL")
LOCATION = "https://u:hunter2@h/x?X-Amz-Signature=SIGNATURE&X-Amz-Credential=CREDENTIAL"

STEP = """
from assay.runtime.kfp import execute
from assay.core.step import Out, Record, step

@step
def mine(*, url: str, record: Out[Record]) -> None:
    try:
        raise KeyError(url)
    except KeyError as error:
        raise ValueError(f"cannot fetch {url}") from error

execute(mine, {"url": LOCATION}, "record")
"""
GUARDED = """
from assay.runtime.kfp import guard

def mine(url: str) -> None:
    raise ValueError(f"first line\\ncannot fetch {url}")

guard(mine, url=LOCATION)
"""
INTERRUPTED = STEP.replace("raise ValueError(", "raise KeyboardInterrupt(")
ESCAPED = """
from assay.runtime import task

def run() -> None:
    raise ValueError(f"cannot fetch {LOCATION}")

task._run = run
task.main()
"""


@pytest.mark.parametrize("work", [STEP, GUARDED, INTERRUPTED, ESCAPED])
def test_hold_the_place_of_the_bug_and_no_secret(tmp_path: Path, work: str) -> None:
    script = tmp_path / "work.py"
    script.write_text(f"import os\nLOCATION = os.environ['GIVEN']\n{work}")
    events = tmp_path / "events.jsonl"
    own = {
        "GIVEN": LOCATION,
        "ASSAY_STORE": (tmp_path / "store").as_uri(),
        "ASSAY_RUN": "run-7",
        "ASSAY_EVENTS": str(events),
    }
    done = subprocess.run(
        [sys.executable, script], env={**os.environ, **own}, capture_output=True, text=True
    )
    assert done.returncode == (-signal.SIGINT if work == INTERRUPTED else 1)
    assert "Traceback (most recent call last)" in done.stderr
    assert f'File "{script}"' in done.stderr
    assert "cannot fetch https://h/x" in done.stderr
    if work != ESCAPED:
        last = json.loads(events.read_text().splitlines()[-1])
        assert (last["state"], last["exit_code"]) == ("failed", 1)
        assert "cannot fetch https://h/x" in last["error"]
    for path in (tmp_path / "store").rglob("*"):
        assert path.is_dir() or not any(one in path.read_text() for one in SECRETS), path
    output = done.stdout + done.stderr + (events.read_text() if events.exists() else "")
    assert not [one for one in SECRETS if one in output]
