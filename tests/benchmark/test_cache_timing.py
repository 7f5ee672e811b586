from __future__ import annotations

import pytest
import torch

from shotstream.benchmark.cache_timing import SHOT, compare_ways, run_ways
from shotstream.benchmark.cache_ways import CACHED, CLONING, UNCACHED, make_ways
from shotstream.benchmark.chunk_loop import ChunkLoop, make_opening

pytestmark = pytest.mark.cpu


def test_three_ways_make_the_same_chunks_and_are_timed():
    record = compare_ways(
        chunks=3, repeats=2, layers=1, tokens=10, date="today", commit=None, hardware="this machine"
    )
    assert record.largest_difference <= 1e-4
    assert record.lengths == [1, 2, 3]
    assert record.ratios.keys() == {UNCACHED, CLONING}
    for way, ratios in record.ratios.items():
        for ratio, (least, most) in zip(ratios, record.spread[way], strict=True):
            assert 0 < least <= ratio <= most


def test_a_way_that_forgets_is_refused(tiny):
    class Forgetful(ChunkLoop):
        def commit(self, x0: torch.Tensor) -> None:
            pass

    loop = ChunkLoop(tiny.transformer, tiny.scheduler, (4, 4, 6))
    ways = make_ways(loop) | {UNCACHED: Forgetful(loop.transformer, loop.schedule, loop.cell)}
    opening = make_opening(loop.transformer, loop.cell, SHOT)
    with pytest.raises(ValueError, match="in chunk 1 of the same shot"):
        run_ways(ways, opening, 3, 0)
    ways[UNCACHED] = make_ways(loop)[UNCACHED]
    seconds, difference = run_ways(ways, opening, 3, 0)
    assert difference <= 1e-4
    assert [len(seconds[way]) for way in (CACHED, UNCACHED, CLONING)] == [3, 3, 3]
