"""What viewers are still to be sent, and what is left out for those who are too slow."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from shotstream.serving.delivery.clips import read_clip
from shotstream.serving.protocol.events import Dropped
from shotstream.serving.storage.stored import StoredChunk

MOST_CLIPS = 8
"""New clips that wait for one viewer; of more, the oldest are left out."""
MOST_EVENTS = 512
"""Texts that wait for one viewer; with more it is too slow."""

MOST_REMEMBERED = 4096
"""Clips of which it is known that they were sent: an hour, for a clip comes twice within seconds or never."""

ClipKey = tuple[int, int, int]


class TooSlow(Exception):
    """A viewer takes so little that even the texts for it pile up."""


class Viewer:
    """The queue of one viewer, on the event loop: texts first, then stored clips, then new ones.

    Nothing here waits for the viewer, so none holds up another one, or the engine.

    Args:
        dropped: Is told how many frames were left out.
    """

    def __init__(self, dropped: Callable[[int], None] = lambda frames: None) -> None:
        self._texts: deque[str] = deque()
        self._stored: deque[StoredChunk] = deque()
        self._new: deque[tuple[ClipKey, list[bytes]]] = deque()
        self._seen: OrderedDict[ClipKey, None] = OrderedDict()
        self._wake = asyncio.Event()
        self._too_slow = False
        self._dropped = dropped

    def tell(self, text: str) -> None:
        """Queue a text."""
        self._too_slow = self._too_slow or len(self._texts) >= MOST_EVENTS
        if not self._too_slow:
            self._texts.append(text)
        self._wake.set()

    def replay(self, chunks: Sequence[StoredChunk]) -> None:
        """Queue what was made before; call it after the viewer gets new clips, so that none is missing."""
        self._stored.extend(chunks)
        self._wake.set()

    def show(self, stored: StoredChunk, messages: list[bytes]) -> None:
        """Queue a new clip."""
        self._new.append((_key(stored), messages))
        if len(self._new) > MOST_CLIPS:
            _, left_out = self._new.popleft()
            self._dropped(len(left_out))
            self.tell(Dropped(frames=len(left_out)).model_dump_json())
        self._wake.set()

    def put_aside(self, chunks: Sequence[StoredChunk]) -> None:
        """Send none of these that still wait; others will come in their places."""
        keys = {_key(chunk) for chunk in chunks}
        self._stored = deque(chunk for chunk in self._stored if _key(chunk) not in keys)
        self._new = deque(clip for clip in self._new if clip[0] not in keys)
        for key in keys:
            self._seen.pop(key, None)

    async def next(self) -> str | list[bytes]:
        """Wait for what comes next: a text, or the messages of a clip.

        Raises:
            TooSlow: If too much waits already.
        """
        while True:
            if self._too_slow:
                raise TooSlow
            if self._texts:
                return self._texts.popleft()
            clip = await self._next_clip()
            if clip:
                return clip
            if not (self._texts or self._stored or self._new or self._too_slow):
                self._wake.clear()
                await self._wake.wait()

    async def _next_clip(self) -> list[bytes] | None:
        """The oldest clip, unless it was sent already or is not there."""
        if self._stored and not self._comes_after_a_new_one(self._stored[0]):
            chunk = self._stored[0]
            key, messages = _key(chunk), await asyncio.to_thread(_read, chunk)
            if not self._stored or self._stored[0] is not chunk:  # it was put aside meanwhile
                return None
            if self._comes_after_a_new_one(chunk):
                return None
            self._stored.popleft()  # not before: who waits may be called away
        elif self._new:
            key, messages = self._new.popleft()
        else:
            return None
        if not messages or key in self._seen:
            return None
        self._seen[key] = None
        if len(self._seen) > MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return messages

    def _comes_after_a_new_one(self, stored: StoredChunk) -> bool:
        """Whether a clip that was not there when its turn came has been made meanwhile."""
        shot, take, chunk = _key(stored)
        return any(key[:2] == (shot, take) and key[2] < chunk for key, _ in self._new)


def _key(chunk: StoredChunk) -> ClipKey:
    return chunk.shot, chunk.take, chunk.chunk


def _read(chunk: StoredChunk) -> list[bytes] | None:
    try:
        return read_clip(chunk)
    except OSError:  # not encoded yet: it comes as a new one
        return None
