"""What a process of its own took: seconds, processor seconds, memory."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

STEP: Final = """
import importlib, json, sys
from assay.core.execution import CacheMode, Context, execute
from assay.core.store import open_store
name, url, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
step = getattr(importlib.import_module(f"assay.components.{name}.step"), name)
print(json.dumps(dict(execute(step, arguments, Context(open_store(url), CacheMode.OFF)).outputs)))
"""
"""Executes a step without the cache; arguments: its name, the store's URL, and its own as JSON."""
_PEAK: Final = """
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""
"""The peak memory of a process in KiB; that of wait4 includes what its parent had."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took."""

    wall: float
    """Seconds."""
    cpu: float
    """User and system seconds."""
    megabytes: float
    """Peak resident memory."""
    said: dict[str, Any]
    """Its output."""


def run(script: str, *words: str) -> Cost:
    """Run a script in a process of its own; it prints one line of JSON."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script + _PEAK, *words], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begin
    assert process.returncode == 0, words[0]
    said, peak = text.splitlines()
    return Cost(wall, used.ru_utime + used.ru_stime, int(peak) / 1024, json.loads(said))
