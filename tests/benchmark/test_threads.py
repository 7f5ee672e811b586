"""The script that measures demo and studio beside busy loops, in its short form."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import pytest

import shotstream

pytestmark = pytest.mark.system

BENCHMARKS = Path(shotstream.__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch) -> dict:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return runpy.run_path(str(BENCHMARKS / "threads.py"))


@pytest.mark.long
def test_the_short_form_measures_demo_and_studio_alone_and_beside_busy_loops(
    script, monkeypatch, tmp_path: Path, capsys
):
    record = tmp_path / "record.json"
    monkeypatch.setattr(sys, "argv", ["threads.py", "--tiny", "-o", str(record)])
    script["main"]()
    found = json.loads(record.read_text())
    assert "OMP_NUM_THREADS sets another number" in found["doctor"]
    measured = {(row["what"], row["load"], row["threads"]): row["runs"] for row in found["measured"]}
    assert set(measured) == {
        (what, load, "default") for what in ("demo", "studio") for load in ("idle", "loaded")
    }
    assert all(run["frames_per_second"] > 0 for runs in measured.values() for run in runs)
    assert {"first_frame_seconds", "chunk_seconds"} <= measured["studio", "idle", "default"][0].keys()
    assert "frames/s" in capsys.readouterr().out


def test_loops_end_with_their_block_and_threads_are_set_for_it(script, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    started = []
    popen = script["subprocess"].Popen
    monkeypatch.setattr(
        script["subprocess"], "Popen", lambda *words: started.append(popen(*words)) or started[-1]
    )
    with script["busy_loops"](2):
        assert [loop.poll() for loop in started] == [None, None]
    assert all(loop.poll() is not None for loop in started)
    with script["thread_count"]("1"):
        assert os.environ["OMP_NUM_THREADS"] == "1"
    with script["thread_count"]("default"):
        assert "OMP_NUM_THREADS" not in os.environ
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_nothing_is_begun_once_the_time_is_over(script, tmp_path: Path):
    measurement = script["Measurement"](tmp_path, True, 0)
    measurement.round()
    assert measurement.found == {}
