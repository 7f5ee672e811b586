"""What a pass sees of the dual cache, and the host's book of what lies where in it.

Legend: B batch, H heads, d head size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor


class CacheSlot(NamedTuple):
    """One layer's place in the cache for one pass: where it writes, and how far it reads.

    Under autograd nothing is written: the pass reads a copy with its own keys and values put in, so that
    gradients flow through these only, and a later pass cannot change what the graph has saved.
    """

    keys: Tensor
    """The layer's storage [B, capacity, H, d], rotated keys."""
    values: Tensor
    start: int
    """First token of the pass's own slot."""
    stop: int
    end: int
    """Tokens that can be read: one slice from 0."""
    in_place: bool
    """Whether the pass writes; false while autograd records."""

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Put a pass's own keys and values [B, tokens, H, d] in, and return all that it attends to."""
        if self.in_place:
            self.keys[:, self.start : self.stop] = in_range(key, self.keys.dtype)
            self.values[:, self.start : self.stop] = in_range(value, self.values.dtype)
            return self.keys[:, : self.end], self.values[:, : self.end]
        return self._joined(self.keys, key), self._joined(self.values, value)

    def _joined(self, stored: Tensor, own: Tensor) -> Tensor:
        return torch.cat([stored[:, : self.start], own, stored[:, self.stop : self.end]], 1)


def in_range(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Bring numbers into the range of an 8-bit format, beyond which there are none."""
    largest = torch.finfo(dtype).max
    return x.clamp(-largest, largest) if dtype.itemsize == 1 else x


class Span(NamedTuple):
    """A run of latent frames in the storage."""

    start: int
    frames: int

    @property
    def stop(self) -> int:
        """First frame after the span."""
        return self.start + self.frames


@dataclass
class CacheLayout:
    """What lies where, in latent frames; the frames in use are always one run from 0."""

    context_frames: int = 0
    filling_context: bool = False
    """Whether the next pass is the context pass."""
    next_frame: int = 0
    """Position in time of the running chunk, or of the next one."""
    offset_frames: int = 0
    """How far context and sink have been turned forward."""
    chunks: list[Span] = field(default_factory=list)
    """Committed chunks, oldest first."""
    running: Span | None = None
    written: bool = False
    """Whether a pass has written the running chunk."""

    def __post_init__(self) -> None:
        self.chunks = [Span(*span) for span in self.chunks]  # plain lists after a trip through JSON
        self.running = Span(*self.running) if self.running else None

    @property
    def used_frames(self) -> int:
        """Frames that can be read, the running slot included."""
        spans = [*self.chunks, self.running] if self.running else self.chunks
        return max((span.stop for span in spans), default=self.context_frames)

    @property
    def own(self) -> Span | None:
        """Where the next pass writes."""
        return Span(0, self.context_frames) if self.filling_context else self.running

    def close(self, gap: Span) -> None:
        """Move the chunks behind a freed span up to it."""
        self.chunks = [
            Span(span.start - gap.frames, span.frames) if span.start > gap.start else span
            for span in self.chunks
        ]
