"""The tutorial's commands, run literally, one block after the other in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
BLOCK: Final = re.compile(r"^(?:<!-- exit: (\d+) -->\n)?```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_does_what_the_text_says(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text())
    assert len(blocks) >= 6
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "GIT_AUTHOR_NAME": "Tutorial Approver",
        "GIT_AUTHOR_EMAIL": "approver@localhost",
        "GIT_COMMITTER_NAME": "Tutorial Approver",
        "GIT_COMMITTER_EMAIL": "approver@localhost",
    }
    settings = ""
    for code, text in blocks:
        done = subprocess.run(
            ["bash", "-e", "-c", settings + text],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == int(code or 0), f"{text}\n{done.stdout}\n{done.stderr}"
        # Every block is a shell of its own, in which the settings of the first still count.
        settings = ". ./assay.env\n"


def test_a_rejected_and_a_blocked_run_are_in_it() -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text())
    assert [code for code, _ in blocks if code] == ["3", "4"]
