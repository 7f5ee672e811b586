"""Three ways to make the same chunks: with the dual cache, without any, and with one that clones.

Legend: B batch, F latent frames, C channels, h and w latent height and width, H heads, d head size.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor

from shotstream.benchmark.chunk_loop import ChunkLoop, Opening
from shotstream.diffusion.samplers import sample_few_step
from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions

CACHED, UNCACHED, CLONING = "dual cache", "no cache", "cloning cache"


class Way(Protocol):
    """A way to make a shot's chunks."""

    def open_shot(self, opening: Opening) -> None:
        """Cut."""
        ...

    def denoise(self, shot: int, chunk: int) -> Tensor:
        """Make the next chunk [1, F, C, h, w]."""
        ...

    def commit(self, x0: Tensor) -> None:
        """Let later chunks see it."""
        ...


class UncachedWay:
    """Every step runs context, earlier chunks and the noisy chunk through the block-causal form again.

    Only the last chunk's flow is kept of it.
    """

    def __init__(self, loop: ChunkLoop) -> None:
        self._loop = loop
        self._earlier: list[Tensor] = []
        self._opening: Opening

    def open_shot(self, opening: Opening) -> None:
        """Cut."""
        self._opening, self._earlier = opening, []

    @torch.no_grad()
    def denoise(self, shot: int, chunk: int) -> Tensor:
        """Make the next chunk [1, F, C, h, w]."""
        schedule = self._loop.schedule

        def predict(x: Tensor, timestep: Tensor) -> Tensor:
            return schedule.to_x0(x, self._flow(x, timestep), timestep)

        noise_at = partial(self._loop.noise, shot, chunk)
        return sample_few_step(predict, noise_at, schedule, schedule.student_steps())

    def commit(self, x0: Tensor) -> None:
        """Let later chunks see it."""
        self._earlier.append(x0)

    def _flow(self, x: Tensor, timestep: Tensor) -> Tensor:
        opening = self._opening
        latents = torch.cat([opening.latents, *self._earlier, x], 1)
        context, total, own = opening.latents.shape[1], latents.shape[1], x.shape[1]
        timesteps = torch.cat([x.new_zeros(total - own), timestep.float().expand(own)]).unsqueeze(0)
        caption_index, count = opening.caption_index, opening.captions.count
        assert caption_index is not None
        assert isinstance(opening.shot_index, Tensor)
        rest = torch.ones(total - context, dtype=torch.long, device=x.device)
        flow = self._loop.transformer(
            latents,
            timesteps,
            Captions.join([opening.captions, opening.own_caption]),
            shot_index=torch.cat([opening.shot_index, rest * opening.own_index]),
            caption_index=torch.cat([caption_index, rest * count]),
            context_frames=context,
            return_dict=False,
        )[0]
        return flow[:, -own:]


class CloningCache:
    """A cache as one would write it first, with the part of `DualCache`'s interface that a shot needs.

    Each pass clones what is stored and concatenates its own keys and values to it.
    """

    def __init__(self, layers: int, tokens_per_frame: int, chunk_frames: int, window_chunks: int) -> None:
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

    def commit(self) -> None:
        """Keep what the last pass read and wrote."""
        self.stored = self.passed
        self.first_frame += self.frames

    def slots(self) -> list[CloningSlot]:
        """Every layer's slot for the pass about to run."""
        self.passed = [[] for _ in range(self.layers)]
        return [CloningSlot(*layer) for layer in zip(self.stored, self.passed, strict=True)]


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


def make_ways(loop: ChunkLoop) -> dict[str, Way]:
    """Make the three ways around one network; `loop` is the first of them."""
    config, dual = loop.transformer.config, loop.cache
    cloning = CloningCache(
        config["num_layers"], dual.tokens_per_frame, dual.chunk_frames, config["window_chunks"]
    )
    return {
        CACHED: loop,
        UNCACHED: UncachedWay(loop),
        CLONING: ChunkLoop(loop.transformer, loop.schedule, loop.cell, cast(DualCache, cloning)),
    }
