"""Examples of pages run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch import nn

from tests.conftest import TIERS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PARTS = ("a training stage", "an autoencoder", "a metric", "a command", "a node for ComfyUI")


def example(part: str) -> str:
    """The only block of a section of CONTRIBUTING.md."""
    section = CONTRIBUTING.partition(f"## Add {part}\n")[2].partition("\n## ")[0]
    (code,) = BLOCK.findall(section)
    return code


def run(part: str) -> dict:
    names: dict = {"__name__": "example"}
    exec(compile(example(part), f"CONTRIBUTING.md, {part}", "exec"), names)
    return names


@pytest.mark.parametrize("part", PARTS)
def test_an_example_of_contributing_runs(part: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "assert " in example(part), "it says what comes of it"
    run(part)


def test_no_example_is_left_out() -> None:
    assert len(BLOCK.findall(CONTRIBUTING)) == len(PARTS)


def test_a_story_is_told_through_the_autoencoder_of_the_example(make_pipeline) -> None:
    autoencoder = run("an autoencoder")["SmallPictures"]()
    assert isinstance(autoencoder, nn.Module)
    session = make_pipeline(autoencoder).open("a fox", seed=1)
    frames = [chunk.frames.shape for chunk in (*session.shoot("a cat runs"), *session.shoot("a cat sleeps"))]
    assert {shape[1:] for shape in frames} == {(16, 32, 3)}
    assert sum(shape[0] for shape in frames) == 2 * 21


def test_the_tiers_of_contributing_are_those_that_pytest_asks_for() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", CONTRIBUTING, re.MULTILINE)) == TIERS
