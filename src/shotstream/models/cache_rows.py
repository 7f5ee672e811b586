"""Caches of several stories as the rows of one pass."""

from __future__ import annotations

from collections.abc import Sequence

from shotstream.models.cache import DualCache
from shotstream.models.cache_layout import SlotRows


class CacheRows:
    """Stands in for one cache in passes over the running chunks of several stories.

    Nothing is copied: each row is read and written in its own story's cache. The stories may be at different
    places of their shots and see different lengths; their chunks are of one length and one picture size.

    Args:
        caches: One for each row.

    Raises:
        ValueError: If one is for several rows, or they are for pictures of different sizes.
    """

    def __init__(self, caches: Sequence[DualCache]) -> None:
        sizes = [(cache.batch, cache.tokens_per_frame) for cache in caches]
        if any(size != (1, sizes[0][1]) for size in sizes):
            raise ValueError(
                f"caches of (batch, tokens per frame) {sizes} cannot share a pass; join those of batch 1 and "
                "of one picture size"
            )
        self.caches = tuple(caches)
        self.batch = len(sizes)
        self.tokens_per_frame = sizes[0][1]

    def begin_chunk(self, frames: int) -> None:
        """Reserve the slot of every running chunk; see `DualCache.begin_chunk`."""
        for cache in self.caches:
            cache.begin_chunk(frames)

    @property
    def first_frame(self) -> tuple[int, ...]:
        """Position in time of the first latent frame of the next pass, in each cache."""
        return tuple(cache.first_frame for cache in self.caches)

    @property
    def frames(self) -> int:
        """Latent frames that the next pass must have; 0 if it was not announced to all alike."""
        frames = {cache.frames for cache in self.caches}
        return frames.pop() if len(frames) == 1 else 0

    def slots(self) -> list[SlotRows]:
        """Return every layer's slots for the pass about to run."""
        return [SlotRows(rows) for rows in zip(*(cache.slots() for cache in self.caches), strict=True)]
