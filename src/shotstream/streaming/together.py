"""The next chunks of several stories, denoised in shared passes: weights are read once for all of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor

from shotstream.diffusion.samplers import sample_few_step
from shotstream.models.cache_rows import CacheRows
from shotstream.models.captions import Captions
from shotstream.streaming.chunk import Chunk, share_seconds
from shotstream.streaming.model import StoryModel
from shotstream.streaming.noise import noise
from shotstream.streaming.rollout import NextChunk, ShotRollout
from shotstream.streaming.session import StorySession

log = logging.getLogger(__name__)

Result = TypeVar("Result")


def next_chunks(sessions: Sequence[StorySession]) -> list[Chunk | Exception | None]:
    """Make the next chunk of each story; those that one model makes at one picture size share their passes.

    Only denoising is shared. Contexts, clean passes and decoding are done story by story, so that what a
    story holds is a function of its own latents alone. These may be rounded otherwise than if it is alone,
    see `keeps_bits`.

    Args:
        sessions: The stories, each once, anywhere in their shots.

    Returns:
        For each what `StorySession.next_chunk` returns, or the error it raises. Who fails leaves the others
        as they are, and can be asked again.

    Raises:
        ValueError: If a story is there twice.
    """
    if len(set(sessions)) < len(sessions):
        raise ValueError("a story makes one chunk at a time; give every session once")
    started = time.perf_counter()
    made: dict[StorySession, Chunk | Exception | None] = dict.fromkeys(sessions)
    groups: dict[Hashable, dict[StorySession, NextChunk]] = {}
    for session in sessions:
        begun = _attempt(session.begin_chunk)
        if isinstance(begun, NextChunk):
            groups.setdefault(_company(begun), {})[session] = begun
        else:
            made[session] = begun
    for group in groups.values():
        for session, x0 in zip(group, _denoise(list(group.values())), strict=True):
            made[session] = _attempt(session.end_chunk, x0) if isinstance(x0, Tensor) else x0
    chunks = [chunk for chunk in made.values() if isinstance(chunk, Chunk)]
    share_seconds(chunks, time.perf_counter() - started)
    return list(made.values())


@torch.no_grad()
def denoise_together(chunks: Sequence[NextChunk]) -> list[Tensor]:
    """Make the clean latents of several chunks in one pass per step.

    Args:
        chunks: Of one transformer, schedule and shape.

    Returns:
        The clean latents ``(1, F, C, h, w)`` of each.
    """
    rollouts = [chunk.rollout for chunk in chunks]
    transformer, schedule = rollouts[0].transformer, rollouts[0].schedule
    cache = CacheRows([rollout.cache for rollout in rollouts])
    captions = _rows([cast(Captions, rollout.captions) for rollout in rollouts])
    shots = [int(rollout.shot_index) for rollout in rollouts]

    def noise_at(step: int) -> Tensor:
        return torch.cat([chunk.noise_at(step) for chunk in chunks])

    def predict(x: Tensor, timestep: Tensor) -> Tensor:
        cache.begin_chunk(x.shape[1])
        step, latents = timestep[:1], x.to(transformer.dtype)  # one step for all: rounded as for one story
        flow = transformer(latents, step, captions, shot_index=shots, cache=cache, return_dict=False)[0]
        return schedule.to_x0(x, flow.to(x.dtype), step)

    x0 = sample_few_step(predict, noise_at, schedule, schedule.student_steps(transformer.device))
    return [row.clone() for row in x0.split(1)]  # what one story keeps must not hold the others'


@torch.no_grad()
def keeps_bits(
    pipeline: StoryModel, stories: int, height: int | None = None, width: int | None = None
) -> bool:
    """Try whether up to so many stories together get the very bits that each gets alone.

    That hangs on which kernels this device takes for how many rows, and not on the numbers in them: on a CPU
    products are mostly rounded alike unless there are very few rows for each thread.

    Args:
        pipeline: Where and as it is to run.
        stories: Most stories that are to share passes.
        height: Picture height in pixels; the trained one if None.
        width: Picture width in pixels; the trained one if None.
    """
    chunks = [_unseen_chunk(pipeline, pipeline.picture_size(height, width), seed) for seed in range(stories)]
    alone = [chunk.denoise() for chunk in chunks]
    return all(
        torch.equal(x0, expected)
        for count in range(2, stories + 1)
        for x0, expected in zip(denoise_together(chunks[:count]), alone, strict=False)
    )


def _unseen_chunk(pipeline: StoryModel, size: tuple[int, int], seed: int) -> NextChunk:
    """The first chunk of a shot without context, under a blank caption."""
    transformer, device = pipeline.transformer, pipeline._execution_device
    blank = torch.zeros(1, 1, 1, transformer.config["text_dim"], device=device, dtype=transformer.dtype)
    rollout = pipeline.new_rollout(pipeline.new_cache(*size), transformer.encode_captions(blank), 1)
    shape = (1, pipeline.tempo.chunk_frames, *pipeline.latent_shape(*size))
    return NextChunk(rollout, lambda step: noise((seed, step), shape, device=device), shape)


def _denoise(chunks: Sequence[NextChunk]) -> Sequence[Tensor | Exception]:
    """Denoise together or, should that fail, each alone: then only the one to blame fails."""
    if len(chunks) > 1:
        together = _attempt(denoise_together, chunks)
        if not isinstance(together, Exception):
            return together
        log.warning("%d stories cannot share a pass (%s)", len(chunks), type(together).__name__)
        log.debug("they go on one by one", exc_info=together)
    return [_attempt(chunk.denoise) for chunk in chunks]


def _company(chunk: NextChunk) -> Hashable:
    """What chunks that share passes have in common."""
    rollout = chunk.rollout
    if type(rollout) is not ShotRollout:  # it denoises in a way of its own
        return id(rollout)
    return id(rollout.transformer), id(rollout.schedule), chunk.shape


def _rows(captions: Sequence[Captions]) -> Captions:
    """Put captions below one another: B is their number."""
    layers = zip(*(caption.layers for caption in captions), strict=True)
    return Captions(
        tuple((torch.cat([k for k, _ in rows]), torch.cat([v for _, v in rows])) for rows in layers)
    )


def _attempt(work: Callable[..., Result], *given: object) -> Result | Exception:
    try:
        return work(*given)
    except Exception as error:  # whatever it is, the other stories go on
        return error
