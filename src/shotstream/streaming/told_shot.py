"""A shot told to its end, the chunks that were made before by their latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from torch import Tensor

from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import StorySession

KnownLatents = Callable[[int], Sequence[Tensor]]
"""Gives for a shot, by its number from 0, what `tell_shot` may know of it."""


def tell_shot(
    session: StorySession, known: Sequence[Tensor] = (), redirects: Mapping[int, str] | None = None
) -> Iterator[Chunk]:
    """Yield the chunks of the shot that `session` has just cut to.

    Args:
        session: It stands afterwards where it would stand if nothing had been known, bit for bit.
        known: Clean latents ``[1, F, C, h, w]`` of chunks that were made before, from the first one on. They
            are not denoised again; a shot of which all are known is only decoded.
        redirects: Other prompts, each by the number of the first chunk that is made under it.

    Raises:
        ValueError: If latents are of another shape than the model makes.
    """
    take = session.running
    if take is not None and len(known) >= take.length_chunks:
        yield from _recall(session, known[: take.length_chunks], redirects or {})
        return
    rest = iter(known)
    while (chunk := session.next_chunk(next(rest, None))) is not None:
        yield chunk
        if redirects and chunk.index + 1 in redirects:
            session.redirect(redirects[chunk.index + 1])


def _recall(session: StorySession, known: Sequence[Tensor], redirects: Mapping[int, str]) -> Iterator[Chunk]:
    """Take in a whole shot."""
    take, timing = session.running, session.pipeline.timing
    assert take is not None
    frames = session.decode(known)
    for index, latents in enumerate(known):
        session.recall_chunk(frames.__getitem__)
        first = timing.first_frame(index)
        yield Chunk(
            frames=np.stack(frames[first : timing.frames(index + 1)]),
            shot=take.record.shot,
            take=take.record.take,
            seed=take.record.seed,
            index=index,
            first_frame=first,
            last=index + 1 == len(known),
            prompt=take.record.prompt_at(index),
            fps=timing.fps,
            latents=latents,
            adapters=take.record.adapters,
        )
        if index + 1 in redirects:
            session.redirect(redirects[index + 1])
