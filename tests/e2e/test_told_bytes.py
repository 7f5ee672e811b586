"""On one machine the same story has the same bytes in every process."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.long]


def test_two_processes_make_the_same_bytes():
    command = [sys.executable, "-m", "tests.e2e.told_bytes", "story"]
    root = Path(__file__).parents[2]
    first, second = (subprocess.run(command, cwd=root, capture_output=True, text=True) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert "frames: " in first.stdout
    assert first.stdout == second.stdout
