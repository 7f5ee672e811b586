"""The shot of a story that is made, or was made last."""

from __future__ import annotations

from dataclasses import dataclass

from shotstream.streaming.take import TakeRecord


@dataclass
class LiveShot:
    """The shot that is made, or was made last and can be extended."""

    record: TakeRecord
    """The session's own as soon as it has a chunk."""
    length_chunks: int
    asked_chunks: int
    """The length without what holding has added."""
    settled_chunks: int = 0
    """Chunks that were made before the newest command: they stay."""

    @property
    def made(self) -> int:
        """Chunks made so far."""
        return self.record.chunks
