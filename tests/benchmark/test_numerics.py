"""Every way to compute stays as near to float32 as docs/numerics.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shotstream.benchmark.numerics import WAYS, distance, measure

pytestmark = pytest.mark.system

SIZE = (64, 96)
"""A quarter of the trained one: CPUs without instructions for bfloat16 are slow."""
PAGE = Path(__file__).parents[2] / "docs" / "numerics.md"


@pytest.fixture(autouse=True)
def _forget_compiled():
    yield
    torch.compiler.set_stance("default")
    torch._dynamo.reset()


@pytest.mark.parametrize("name", WAYS)
def test_ways_stay_within_their_bounds(name: str):
    way = WAYS[name]
    found = measure(way, size=None if name == "compiled" else SIZE)  # what is compiled is for one size
    assert found.cosine >= way.least_cosine
    assert found.error <= way.largest_error


def test_the_page_has_every_way_and_its_bounds():
    page = PAGE.read_text()
    for way in WAYS.values():
        row = next(line for line in page.splitlines() if line.startswith(f"| {way.title} |"))
        assert f"| {way.least_cosine} | {way.largest_error} |" in row


def test_distance_is_that_of_the_worst_chunk():
    same, other = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])
    found = distance([same, other], [same, same])
    assert found.cosine == pytest.approx(0.5**0.5)
    assert found.error == 1.0
