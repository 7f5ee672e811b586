"""The shot of a story that is made, or was made last."""

from __future__ import annotations

from dataclasses import dataclass, field

from shotstream.serving.protocol.commands import UploadedPicture
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
    references: list[UploadedPicture] = field(default_factory=list)
    """Pictures that are still to be referred to before its first chunk, as its plan says."""

    @property
    def made(self) -> int:
        """Chunks made so far."""
        return self.record.chunks

    def take_reference(self, upload: str, prompt: str | None) -> None:
        """Take in that a picture is referred to by now."""
        wanted = UploadedPicture(upload=upload, prompt=prompt)
        if wanted in self.references:
            self.references.remove(wanted)
