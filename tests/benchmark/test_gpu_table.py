from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import shotstream
from shotstream.benchmark.record import Record

pytestmark = pytest.mark.cpu

SCRIPT = Path(shotstream.__file__).parents[2] / "benchmarks" / "gpu_table.sh"


def test_the_script_makes_the_table_without_video_and_server_libraries(tmp_path):
    absent = tmp_path / "absent"
    absent.mkdir()
    for library in ("av", "fastapi", "skia", "uvicorn", "cv2"):
        (absent / f"{library}.py").write_text(f"raise ImportError('{library} is not here')\n")
    places = {"OUT": str(tmp_path), "PYTHONPATH": str(absent), "MODES": "plain", "PYTHON": sys.executable}
    done = subprocess.run([SCRIPT, "--tiny"], env=os.environ | places, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "table.txt").read_text()
    assert "frames per second" in table
    assert "random weights" in table
    plain, transformer = (Record.read(tmp_path / f"{name}.json") for name in ("plain", "transformer"))
    assert plain.settings.shots == 5
    assert transformer.settings.transformer_only
    assert transformer.loop is not None
