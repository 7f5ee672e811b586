from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import shotstream
from shotstream.benchmark.record import Record

pytestmark = pytest.mark.system

SCRIPT = Path(shotstream.__file__).parents[2] / "benchmarks" / "gpu_table.sh"


def run(out: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """The script at tiny size, without the libraries for video and servers."""
    absent = out / "absent"
    absent.mkdir()
    for library in ("av", "fastapi", "skia", "uvicorn", "cv2"):
        (absent / f"{library}.py").write_text(f"raise ImportError('{library} is not here')\n")
    places = {"OUT": str(out), "PYTHONPATH": str(absent), "PYTHON": sys.executable}
    words = [SCRIPT, "--tiny"]
    return subprocess.run(words, env=os.environ | places | settings, capture_output=True, text=True)


def test_the_script_makes_the_table_without_video_and_server_libraries(tmp_path):
    done = run(tmp_path, MODES="transformer plain", SHOTS="2")
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "table.txt").read_text()
    assert "frames per second" in table
    assert "random weights" in table
    plain, transformer = (Record.read(tmp_path / f"{name}.json") for name in ("plain", "transformer"))
    assert plain.settings.shots == 2
    assert plain.unfinished is None
    assert transformer.settings.transformer_only
    assert transformer.loop is not None


def test_runs_that_are_stopped_or_left_out_are_told(tmp_path):
    slow = tmp_path / "slow_python"
    slow.write_text('#!/bin/sh\ncase "$2" in *find_spec*) exit 0 ;; esac\necho begun\nsleep 60\n')
    slow.chmod(0o755)
    done = run(tmp_path, MODES="plain compiled", LIMIT="2", BUDGET="11", PYTHON=str(slow))
    assert done.returncode == 1
    begun, stopped, left_out = (tmp_path / "table.txt").read_text().splitlines()[1:]
    assert begun == "begun"
    assert stopped == "== plain ended with status 124 (124 and 137: stopped)"
    assert left_out.startswith("== compiled: left out")
