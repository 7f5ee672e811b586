"""Badly behaved viewers keep nothing from the others, nor from the engine; long form: ``make load-test``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

LOAD = Path(__file__).parents[3] / "benchmarks" / "studio_load.py"


def test_slow_silent_flooding_and_vanishing_viewers_harm_nobody(tmp_path):
    output = tmp_path / "record.json"
    words = ["--minutes", "0.15", "--stories", "2", "--viewers", "6", "-o", str(output)]
    ran = subprocess.run([sys.executable, str(LOAD), *words], capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr[-2000:]
    figures = json.loads(output.read_text())["figures"]
    kinds = {viewer["kind"]: viewer for viewer in figures["viewers"]}
    patient = [viewer for viewer in figures["viewers"] if viewer["kind"] == "patient"]
    assert len(patient) == 2
    for viewer in patient:
        assert viewer["frames"] > 0
        assert viewer["connections"] == 1
        assert viewer["dropped_frames"] == 0
        assert figures["missing_frames"][viewer["story"]] == 0
    assert figures["told_to_the_end"]
    assert figures["not_healthy"] == 0
    assert figures["health_seconds"]["max"] < 5
    assert figures["turn_seconds"]["max"] < 10, "the engine was blocked"
    assert figures["viewers_left_at_the_end"] == 0
    assert kinds["vanishing"]["connections"] > 1
