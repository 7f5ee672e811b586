from __future__ import annotations

from contextlib import nullcontext
from typing import cast

import pytest
import torch
from torch import Tensor

from shotstream.benchmark.cache_ways import CloningCache
from shotstream.benchmark.chunk_loop import ChunkLoop, Opening, make_opening
from shotstream.benchmark.random_models import make_random_pipeline
from shotstream.benchmark.record import LoopCounts
from shotstream.benchmark.watch import LoopWatch, compilations, layer_elements, watch_loop
from shotstream.models.cache import DualCache

pytestmark = pytest.mark.cpu

CELL = (4, 4, 6)
TRAINED, SLIDING = 4, 6


def make_loop(pipeline, kind: type[ChunkLoop] = ChunkLoop) -> ChunkLoop:
    return kind(pipeline.transformer, pipeline.scheduler, pipeline.latent_shape(32, 48))


@pytest.fixture(scope="module")
def counts(tiny) -> LoopCounts:
    return watch_loop(make_loop(tiny), TRAINED)


def test_nothing_waits_for_the_device(counts):
    assert counts.synchronising == {}


def test_the_cache_is_neither_copied_nor_moved(counts):
    assert counts.cache_copies == {}
    assert counts.cache_moves == 0


def test_nothing_grows(counts):
    assert counts.growth_in_shot_bytes == 0
    assert counts.growth_over_shots_bytes == 0


def test_a_longer_shot_copies_its_context_once_and_leaves_nothing(tiny):
    counts = watch_loop(make_loop(tiny), SLIDING)
    assert sum(counts.cache_copies.values()) == 2  # when it first slides, in each of 2 watched shots
    assert counts.growth_over_shots_bytes == 0
    assert counts.cache_moves == 0


def test_nothing_crosses_between_host_and_device(monkeypatch):
    """The meta device stands in for an accelerator: what crosses there is what would cross."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # does not know meta
    pipeline = make_random_pipeline("tiny", torch.device("cpu"), torch.float32)
    pipeline.transformer.to("meta")
    crossing = watch_loop(make_loop(pipeline), 3).synchronising
    assert not [place for place in crossing if "copy" in place]


def test_compiled_blocks_are_compiled_in_the_first_shot_only():
    pipeline = make_random_pipeline("tiny", torch.device("cpu"), torch.float32)
    pipeline.transformer.compile_repeated_blocks(backend="eager")
    loop, before, found = make_loop(pipeline), compilations(), []
    for shot in range(7, 10):
        loop.open_shot(make_opening(loop.transformer, CELL, shot))
        for chunk in range(3):
            loop.commit(loop.denoise(shot, chunk))
        found.append(tuple(now - then for now, then in zip(compilations(), before, strict=True)))
    breaks, graphs = found[0]
    assert breaks == 0
    assert 0 < graphs < 8  # at 8 torch gives up and runs uncompiled
    assert found[1:] == [found[0]] * 2


# ---- the watch can fail ----


class Wasteful(ChunkLoop):
    """Keeps what it makes, moves its cache, and reads a number from the device."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.kept: list[object] = []

    def open_shot(self, opening: Opening) -> None:
        self.kept.append(self.cache)
        self.cache = self.transformer.new_cache(batch=1, tokens_per_frame=self.cache.tokens_per_frame)
        super().open_shot(opening)

    def commit(self, x0: Tensor) -> None:
        super().commit(x0)
        self.kept.append(x0.clone())
        x0.sum().item()
        torch.nonzero(x0 > 0)


def test_waiting_growth_and_moves_are_found(tiny, counts):
    found = watch_loop(make_loop(tiny, Wasteful), TRAINED)
    more = sum(found.synchronising.values()) - sum(counts.synchronising.values())
    assert more == 2 * TRAINED * 2  # item and nonzero
    chunk_bytes = 4 * 3 * 4 * 4 * 6
    assert found.growth_in_shot_bytes == (TRAINED - 2) * chunk_bytes
    assert found.growth_over_shots_bytes > TRAINED * chunk_bytes
    assert found.cache_moves == 1


def test_a_cache_that_clones_is_found(tiny):
    loop = make_loop(tiny)
    elements = layer_elements(loop.cache)
    loop.cache = cast(DualCache, CloningCache(3, loop.cache.tokens_per_frame, 3, TRAINED))
    watch = LoopWatch(torch.device("cpu"), elements // 2)
    with watch:
        loop.open_shot(make_opening(loop.transformer, CELL, 7))
        for chunk in range(TRAINED):
            loop.commit(loop.denoise(7, chunk))
    assert {place.split(" at ")[0] for place in watch.cache_copies} == {"aten.clone", "aten.cat"}


def test_copies_between_devices_are_found():
    watch = LoopWatch(torch.device("meta"), 10**9)
    with watch:
        torch.zeros(3).to("meta")
        torch.zeros(3).to("meta", non_blocking=True)
        torch.zeros(3).double()
    assert list(watch.synchronising.values()) == [1]
