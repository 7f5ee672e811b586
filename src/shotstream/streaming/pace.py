"""How fast a story is told, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from shotstream.streaming.chunk import Chunk


@dataclass
class Pace:
    """How fast chunks come: the time of making them in full quality counts, not that of writing files."""

    frames: int = 0
    """Frames that were made."""
    generating_seconds: float = 0.0
    """Time that they took."""
    first_frame_seconds: float = 0.0
    """From the start until the first frames can be shown."""
    fps: float = 0.0
    """Frames per second at which the film is shown."""

    def watch(
        self, chunks: Iterable[Chunk], is_new: Callable[[Chunk], bool] = lambda chunk: True
    ) -> Iterator[Chunk]:
        """Pass `chunks` on and measure the time that each new one took."""
        started = time.perf_counter()
        for chunk in chunks:
            self.fps = chunk.fps
            if is_new(chunk):
                self.generating_seconds += time.perf_counter() - started
                self.first_frame_seconds = self.first_frame_seconds or self.generating_seconds
                self.frames += len(chunk.frames)
            yield chunk
            started = time.perf_counter()

    def wait(self, chunks: Sequence[Chunk]) -> None:
        """Wait for chunks in full quality: the next shot needs them, so that this time counts too."""
        started = time.perf_counter()
        try:
            for chunk in chunks:
                chunk.full_frames()
        finally:
            self.generating_seconds += time.perf_counter() - started

    def seconds_left(self, frames: int) -> float | None:
        """How long `frames` more will take at this pace; None before the first."""
        return self.generating_seconds / self.frames * frames if self.frames else None

    def facts(self) -> dict[str, float]:
        """First-frame time, frames per second, and how many times faster than the film is shown."""
        if not self.frames:
            return {}
        speed = self.frames / self.generating_seconds
        return {
            "first_frame_seconds": round(self.first_frame_seconds, 3),
            "frames_per_second": round(speed, 2),
            "times_real_time": round(speed / self.fps, 2),
        }

    def summary(self) -> str:
        """The facts in a line; empty before the first frame."""
        facts = self.facts()
        if not facts:
            return ""
        speed, times = facts["frames_per_second"], facts["times_real_time"]
        if speed < 1:
            pace = f"{self.generating_seconds / self.frames:.1f} s a frame"
        else:
            pace = f"{speed:.1f} frames/s ({times:.1f}x real time)"
        return f"{pace}, first frame after {facts['first_frame_seconds']:.2f} s"
