from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple, cast

import pytest
import torch
from torch import Tensor

from shotstream.benchmark.chunk_loop import ChunkLoop, Opening, make_opening
from shotstream.benchmark.random_models import make_random_pipeline
from shotstream.benchmark.record import LoopCounts
from shotstream.benchmark.watch import LoopWatch, compilations, layer_elements, watch_loop
from shotstream.models.cache import DualCache

pytestmark = pytest.mark.system

CELL = (4, 4, 6)
TRAINED, SLIDING = 4, 6


class CloningSlot(NamedTuple):
    """One layer's part of a pass."""

    stored: list[Tensor]
    """Keys and values of the passes before, each [B, tokens, H, d]; empty at first."""
    passed: list[Tensor]
    """Where this pass leaves them together with its own."""

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return all that the pass attends to."""
        before = [tensor.clone() for tensor in self.stored] or [key[:, :0], value[:, :0]]
        self.passed[:] = torch.cat([before[0], key], 1), torch.cat([before[1], value], 1)
        return self.passed[0], self.passed[1]


class CloningCache:
    """A cache as one would write it first, with the part of `DualCache`'s interface that a shot needs.

    Each pass clones what is stored and concatenates its own keys and values to it.
    """

    def __init__(self, layers: int, tokens_per_frame: int, chunk_frames: int, window_chunks: int) -> None:
        self.device = torch.device("cpu")
        self.batch, self.tokens_per_frame = 1, tokens_per_frame
        self.chunk_frames, self.window_frames = chunk_frames, chunk_frames * window_chunks
        self.sink_chunks = 0
        self.layers = layers
        self.open_shot()

    def open_shot(self) -> None:
        """Forget everything."""
        self.stored: list[list[Tensor]] = [[] for _ in range(self.layers)]
        self.passed: list[list[Tensor]] = [[] for _ in range(self.layers)]
        self.first_frame = self.frames = 0

    def fill_context(self, frames: int) -> None:
        """Announce the context pass; what it leaves is kept when the first chunk begins."""
        self.open_shot()
        self.frames = frames

    def begin_chunk(self, frames: int) -> None:
        """Announce a pass over the running chunk."""
        if self.first_frame == 0:
            self.first_frame, self.stored = self.frames, self.passed
        self.frames = frames

    @property
    def oldest_frame(self) -> int:
        """Position in time of the window's oldest chunk: no chunk ever leaves here."""
        return 0

    def commit(self) -> None:
        """Keep what the last pass read and wrote."""
        self.stored = self.passed
        self.first_frame += self.frames

    def slots(self) -> list[CloningSlot]:
        """Every layer's slot for the pass about to run."""
        self.passed = [[] for _ in range(self.layers)]
        return [CloningSlot(*layer) for layer in zip(self.stored, self.passed, strict=True)]


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
