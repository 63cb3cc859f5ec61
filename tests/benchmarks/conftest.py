"""What the benchmarks compare with, in an environment of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def bench_environment() -> Path:
    """A virtual environment with the programs and libraries of requirements/bench.txt."""
    home = ROOT / ".bench" / "environment"
    lock = ROOT / "requirements" / "bench.txt"
    ready = home / "ready"
    if not ready.exists() or ready.read_bytes() != lock.read_bytes():
        uv, python = str(Path(sys.executable).parent / "uv"), str(home / "bin" / "python")
        subprocess.run([uv, "venv", "--quiet", "--clear", str(home)], check=True)
        subprocess.run(
            [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(lock)],
            check=True,
        )
        ready.write_bytes(lock.read_bytes())
    return home
