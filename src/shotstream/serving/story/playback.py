"""What of a story has been shown: how far ahead it is, and how long commands take to reach the screen."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from shotstream.serving.protocol.commands import Playhead
from shotstream.serving.storage.stored import StoredChunk

_MOST_AWAITED = 64


@dataclass(frozen=True)
class PendingCommand:
    """A command whose first frame is still to be shown."""

    id: str
    frame: tuple[int, int, int]
    """(shot, take, frame)."""
    came_at_seconds: float
    """When it came in, on any clock that runs evenly."""


class PlaybackTracker:
    """Frames in the order in which they were made, and the furthest of them that any viewer has shown.

    With several viewers the furthest counts, so that none can hold up the others; looking at former shots
    changes nothing.
    """

    def __init__(self) -> None:
        self.made_frames = 0
        self.shown_frames = 0
        self._starts: dict[tuple[int, int], int] = {}
        """Place of frame 0 of every (shot, take)."""
        self._awaited: deque[PendingCommand] = deque(maxlen=_MOST_AWAITED)

    @property
    def lookahead_frames(self) -> int:
        """Made and not yet shown."""
        return self.made_frames - self.shown_frames

    def made(self, chunk: StoredChunk) -> None:
        """Take in a new chunk."""
        self._starts.setdefault((chunk.shot, chunk.take), self.made_frames - chunk.first_frame)
        self.made_frames += chunk.frames

    def put_aside(self, chunks: Sequence[StoredChunk]) -> None:
        """Take out the newest chunks, which nobody has shown."""
        self.made_frames -= sum(chunk.frames for chunk in chunks)
        self.shown_frames = min(self.shown_frames, self.made_frames)

    def shown_of(self, shot: int, take: int) -> int:
        """How many frames of the newest take were shown."""
        start = self._starts.get((shot, take))
        return 0 if start is None else max(0, self.shown_frames - start)

    def all_shown(self) -> None:
        """What is made so far is nobody's look-ahead: the story was told before."""
        self.shown_frames = self.made_frames

    def expect(self, awaited: PendingCommand) -> None:
        """Measure when a command reaches the screen; the oldest of too many is forgotten."""
        self._awaited.append(awaited)

    def expect_nothing(self) -> None:
        """Measure none of the commands that are still to be seen."""
        self._awaited.clear()

    def shown(self, playhead: Playhead, at_seconds: float) -> list[tuple[str, float]]:
        """A viewer shows this frame.

        Args:
            playhead: Which one; what was never made is overlooked.
            at_seconds: When, on the clock of `PendingCommand`.

        Returns:
            (id, seconds from the prompt to the screen) of every command that is on the screen by now.
        """
        place = self._place(playhead.shot, playhead.take, playhead.frame)
        if place is None or place >= self.made_frames:
            return []
        self.shown_frames = max(self.shown_frames, place + 1)
        reached = [awaited for awaited in self._awaited if self._is_shown(awaited)]
        for awaited in reached:
            self._awaited.remove(awaited)
        return [(awaited.id, at_seconds - awaited.came_at_seconds) for awaited in reached]

    def _is_shown(self, awaited: PendingCommand) -> bool:
        place = self._place(*awaited.frame)
        return place is not None and place < self.shown_frames

    def _place(self, shot: int, take: int, frame: int) -> int | None:
        start = self._starts.get((shot, take))
        return None if start is None else start + frame
