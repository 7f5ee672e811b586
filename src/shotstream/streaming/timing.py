"""How long a shot is: seconds, frames and chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ShotTiming:
    """The clock of a model: a shot of n chunks has ``1 + r(cn - 1)`` frames.

    >>> ShotTiming(fps=16, temporal_ratio=4, chunk_frames=3).frames(7)
    81
    """

    fps: float
    """Frames per second."""
    temporal_ratio: int
    """r: pixel frames per latent frame after the first."""
    chunk_frames: int
    """c: latent frames per chunk."""

    def frames(self, chunks: int) -> int:
        """Number of frames of a shot of `chunks` chunks."""
        return 1 + self.temporal_ratio * (self.chunk_frames * chunks - 1)

    def first_frame(self, chunk: int) -> int:
        """Number of a chunk's first frame in its shot."""
        return self.frames(chunk) if chunk else 0

    def seconds(self, chunks: int) -> float:
        """Length of a shot of `chunks` chunks in seconds."""
        return self.frames(chunks) / self.fps

    def chunks(self, seconds: float, *, after: int = 0) -> int:
        """The fewest chunks that last `seconds`.

        Args:
            seconds: Wanted length.
            after: Chunks that the shot has already; what comes after them is to last `seconds`.

        Raises:
            ValueError: If `seconds` is not above 0 and finite.
        """
        if not 0 < seconds < math.inf:
            raise ValueError(f"a shot cannot last {seconds} seconds; give a number above 0")
        frames = seconds * self.fps + (self.frames(after) if after else 0)
        total = ((frames - 1) / self.temporal_ratio + 1) / self.chunk_frames
        return max(1, math.ceil(total - 1e-6) - after)


def check_picture_size(height: int, width: int, rows: int, columns: int) -> None:
    """Complain about pictures that are not made of whole patches.

    Args:
        height: Pixels.
        width: Pixels.
        rows: Pixels of a patch, downwards.
        columns: Pixels of a patch, across.

    Raises:
        ValueError: Naming the nearest size that can be made.
    """
    nearest = [step * max(1, round(side / step)) for side, step in ((height, rows), (width, columns))]
    if nearest != [height, width]:
        raise ValueError(
            f"pictures of {height}x{width} cannot be made; the height must be a multiple of {rows} and the "
            f"width of {columns}, and the nearest that can is {nearest[0]}x{nearest[1]}"
        )
