"""The flat script for readers runs, learns, and leaves a picture."""

import re
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples/flat_teacher.py"

pytestmark = pytest.mark.system


def test_it_learns_and_leaves_a_picture(monkeypatch, capsys, tmp_path):
    picture = tmp_path / "teacher.png"
    sizes = {"--steps": "41", "--stories": "4", "--batch": "4", "--picture": str(picture)}
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *(word for pair in sizes.items() for word in pair)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    first, *_, last = (float(loss) for loss in re.findall(r"loss ([0-9.]+)", capsys.readouterr().out))
    assert last < 0.8 * first
    assert picture.stat().st_size > 10_000


def test_it_is_short():
    assert len(SCRIPT.read_text().splitlines()) < 150
