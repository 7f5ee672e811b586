"""How much attention each remembered frame and the running shot get: the clean pass of a chunk, observed.

The pass is made once more with attention probabilities, which other passes never compute, and then everything
stands as it stood. So it costs nothing when it is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from shotstream.streaming.context_frames import FrameKey
from shotstream.streaming.rollout import ShotRollout

_QUERIES = 512
"""Tokens of which attention is computed at a time: a large picture's all at once would not fit."""


class AttentionShares(NamedTuple):
    """How much of a chunk's self-attention goes where."""

    frames: tuple[FrameKey, ...]
    """The remembered frames, in the order of the columns; the last column is the running shot's."""
    layers: np.ndarray
    """A row for each layer, a column for each frame and the shot: float64 ``[layers, frames + 1]``."""

    @property
    def overall(self) -> np.ndarray:
        """Mean over the layers ``[frames + 1]``."""
        return self.layers.mean(0)

    def __str__(self) -> str:
        shares = zip(self.frames, self.overall, strict=False)
        lines = [f"shot {key.shot + 1}, frame {key.frame + 1}: {share:.1%}" for key, share in shares]
        return "\n".join([*lines, f"this shot: {self.overall[-1]:.1%}"])


def attention_shares(session: Any, chunk: int | None = None) -> AttentionShares:
    """Measure where a chunk of the running shot looks; nothing of the story changes.

    Every row sums to 1: attention of all the chunk's tokens and all heads, averaged.

    Args:
        session: A `StorySession`; as its method the argument is left out.
        chunk: Number of the chunk, one that the next chunk would see; the newest if None.

    Raises:
        ValueError: If no shot is running, or the chunk is not made or no longer in the window.
    """
    take = session.running
    if take is None or take.rollout is None:
        raise ValueError("no shot is running that has a chunk; make one, and ask before the next cut")
    made = take.record.chunks
    chunk = made - 1 if chunk is None else chunk
    kept = take.rollout.latents_in_view
    if not made - len(kept) <= chunk < made:
        raise ValueError(
            f"chunk {chunk} cannot be looked into: of this shot chunks {made - len(kept)} to {made - 1} are "
            "in the window, numbered from 0"
        )
    session.pipeline.adapters.merge(take.record.adapters)
    place = chunk - (made - len(kept))
    layers = _observe(take.rollout, kept[:place], kept[place])
    return AttentionShares(take.record.made_from.context, layers)


@torch.no_grad()
def _observe(rollout: ShotRollout, before: list[Tensor], x0: Tensor) -> np.ndarray:
    """The clean pass over a chunk after those before it; the rollout stands afterwards where it stood."""
    state = rollout.cache.state_dict()
    seen: list[np.ndarray] = []
    try:
        rollout.repeat_clean_passes(before)
        context_frames = rollout.cache.context_frames
        with _observed(rollout.transformer, context_frames, rollout.cache.tokens_per_frame, seen.append):
            rollout.clean_pass(x0, keep=False)
    finally:
        rollout.cache.load_state_dict(state)
    return np.stack(seen)


@contextmanager
def _observed(
    transformer: Any, context_frames: int, tokens: int, tell: Callable[[np.ndarray], None]
) -> Iterator[None]:
    """Have every layer's attention to the cache told, in their order."""
    layers = [block.attn1 for block in transformer.blocks]
    for layer in layers:
        layer._attend_to_cache = partial(_attend, layer._attend_to_cache, context_frames, tokens, tell)
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for layer in layers:
            del layer._attend_to_cache


def _attend(
    attend: Callable[[Tensor, Tensor, Tensor], Tensor],
    context_frames: int,
    tokens: int,
    tell: Callable[[np.ndarray], None],
    query: Tensor,
    keys: Tensor,
    values: Tensor,
) -> Tensor:
    """Attend as always, and tell how much goes to every context frame and to the shot."""
    shares = torch.zeros(keys.shape[1], dtype=torch.float64, device=keys.device)
    heads = query.shape[2]
    for head in range(heads):
        wanted, there = query[0, :, head].float(), keys[0, :, head].float()
        for part in wanted.split(_QUERIES):
            shares += (part @ there.T * part.shape[-1] ** -0.5).softmax(-1).double().sum(0)
    shares /= query.shape[1] * heads
    context = shares[: context_frames * tokens].unflatten(0, (context_frames, tokens)).sum(1)
    tell(torch.cat([context, shares[context_frames * tokens :].sum()[None]]).cpu().numpy())
    return attend(query, keys, values)
