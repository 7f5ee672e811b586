"""The table of cures for 8-bit attention, on a small picture."""

from __future__ import annotations

import runpy
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import shotstream
from shotstream.benchmark.attention_rounding import ROUNDINGS

pytestmark = pytest.mark.system

SCRIPT = Path(shotstream.__file__).parents[2] / "benchmarks" / "attention_cures.py"


@pytest.fixture
def script(monkeypatch) -> dict[str, Any]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    return runpy.run_path(str(SCRIPT))


def test_every_way_has_a_row_and_every_source_a_column(script):
    sources = {
        "mini": partial(script["numbers_of_mini"], (32, 48), 2, (0, 5)),
        "random": partial(script["random_numbers"], 300, 2, 16),
    }
    head, _, exact, *rest = script["table"](sources).splitlines()
    assert head == "| rounded | mini | random |"
    assert exact.startswith("| bfloat16 | 0.")
    assert [row.split(" | ")[0].removeprefix("| ") for row in rest] == list(ROUNDINGS)


def test_the_pass_that_is_looked_at_sees_the_whole_window(script):
    [seen] = script["numbers_of_mini"]((32, 48), 4, (3,))
    frame = (32 // 16) * (48 // 16)
    assert len(seen.key) == len(seen.value) == (6 + 4 * 3) * frame
    assert len(seen.query) == 3 * frame
