"""When chunks are the same but for rounding."""

from __future__ import annotations

import numpy as np
import torch

from shotstream.streaming.chunk import Chunk

ROUNDING = 1e-4
"""Largest difference of latents, whose deviation is about 1: float32, through some chunks that follow."""


def assert_alike(made: object, expected: Chunk | None) -> None:
    """Check a chunk that was made together with others against the one made alone."""
    if expected is None:
        assert made is None
        return
    assert isinstance(made, Chunk), repr(made)
    facts = ("shot", "take", "seed", "index", "first_frame", "last", "prompt", "fps")
    assert [getattr(made, fact) for fact in facts] == [getattr(expected, fact) for fact in facts]
    assert torch.allclose(made.latents, expected.latents, rtol=0, atol=ROUNDING)
    assert np.abs(made.frames.astype(int) - expected.frames).max() <= 1
