"""The way from a prompt to its frames does not grow unnoticed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.law

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "trace_calls.py"


def test_the_way_to_the_frames_does_not_grow() -> None:
    spec = importlib.util.spec_from_file_location("trace_calls", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    traces = script.measure()
    assert {"streaming/session.py", "models/transformer.py"} <= set(traces["chunk"].files)
    assert set(traces["chunk"].files) <= set(traces["story"].files)
    assert len(traces["chunk"].files) <= 20
    assert traces["chunk"].functions <= 80
    assert len(traces["story"].files) <= 32
