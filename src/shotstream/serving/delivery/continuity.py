"""The thread that measures how well takes go on with their story, while the engine makes the next chunk."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from threading import Semaphore
from typing import Any, NamedTuple

import numpy as np

from shotstream.serving.protocol.events import TakeContinuity
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoredChunk, StoreError
from shotstream.streaming.best_take import FindMeter, TakeMeter, frames_of, prompts_of
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import StorySession

log = logging.getLogger(__name__)

Tell = Callable[[str, int, TakeContinuity], None]
"""Takes (story, shot, what was measured), on the thread that measures. It must neither wait nor raise."""

_MOST_LOOKS = 256
"""Of all stories together; of mini one takes 0.4 MiB. What is left out is looked at again in its stills."""
_MOST_WAITING = _MOST_RUNNING = 8
_MOST_REASONS = 6


class _Place(NamedTuple):
    story: str
    shot: int
    take: int


@dataclass
class _Running:
    """The take of a story that is made, or was made last."""

    place: _Place
    chunks: list[Chunk] = field(default_factory=list)


class ContinuityThread:
    """Measures every take when it is over, and keeps the result in the library.

    Earlier shots that it has not seen, such as after a restart, are known by the frames kept of them.
    Where many takes wait, new ones are left out: a score is missing then.

    Args:
        find_meter: Finds the meter; called once, on this thread, as that may take a while.
        store: Keeps what is measured.
        tell: Is given it.
    """

    def __init__(self, find_meter: FindMeter, store: Store, tell: Tell) -> None:
        self._find_meter, self._store, self._tell = find_meter, store, tell
        self._running: dict[str, _Running] = {}
        self._looks: OrderedDict[_Place, Any] = OrderedDict()
        self._worker = ThreadPoolExecutor(1, "continuity")
        self._room = Semaphore(_MOST_WAITING)

    def show(self, stored: StoredChunk, chunk: Chunk, session: StorySession | None) -> None:
        """Take a chunk, on the engine's thread; of a take that is over, begin to measure it.

        Args:
            stored: What is on the disk of it.
            chunk: The chunk.
            session: Its story as it stands; None where the chunk was made before and is told again.
        """
        place = _Place(stored.story, stored.shot, stored.take)
        running = self._running.get(stored.story)
        if running is None or running.place != place:
            self._running.pop(stored.story, None)
            running = self._running[stored.story] = _Running(place)
            if len(self._running) > _MOST_RUNNING:
                del self._running[next(iter(self._running))]
        del running.chunks[stored.chunk :]
        if len(running.chunks) != stored.chunk:  # its beginning is not known here
            return
        running.chunks.append(chunk)
        if session is None or not chunk.last or not self._room.acquire(blocking=False):
            return
        earlier = [
            (_Place(stored.story, record.shot, record.take), prompts_of(record))
            for record in session.earlier(stored.shot)
        ]
        prompt = prompts_of(session.script[stored.shot])
        self._worker.submit(self._measure, place, list(running.chunks), earlier, session.setting, prompt)

    def put_aside(self, chunks: Sequence[StoredChunk]) -> None:
        """Leave out chunks that are no longer part of their story; from the engine's thread."""
        for stored in chunks:
            running = self._running.get(stored.story)
            if running and running.place == (stored.story, stored.shot, stored.take):
                del running.chunks[stored.chunk :]

    def settle(self) -> None:
        """Wait until all is measured that was over by now."""
        self._worker.submit(lambda: None).result()

    def close(self) -> None:
        """End when all is measured."""
        self._worker.shutdown()

    @cached_property
    def _meter(self) -> TakeMeter:
        return self._find_meter()

    def _measure(
        self,
        place: _Place,
        chunks: Sequence[Chunk],
        earlier: Sequence[tuple[_Place, str]],
        setting: str,
        prompt: str,
    ) -> None:
        try:
            look = self._meter.look(frames_of(chunks), [chunk.first_frame for chunk in chunks])
            self._remember(place, look)
            before = [self._seen(other) for other, _ in earlier]
            found = self._meter.compare(look, before, setting, [*(told for _, told in earlier), prompt])
            measured = TakeContinuity(
                take=place.take,
                score=round(found.score, 3),
                reasons=list(found.reasons[:_MOST_REASONS]),
                not_measured=found.as_json().get("not_measured", []),
            )
            self._store.keep_continuity(place.story, place.shot, measured)
            self._tell(place.story, place.shot, measured)
        except (OSError, StoreError) as error:  # a full disk, or a story that is gone
            log.warning("a score of story %s could not be kept (%s)", place.story, type(error).__name__)
        except Exception as error:  # of one take: the others are measured
            log.error("a take of story %s could not be measured (%s)", place.story, type(error).__name__)
            log.debug("story %s", place.story, exc_info=error)
        finally:
            self._room.release()

    def _remember(self, place: _Place, look: Any) -> None:
        self._looks[place] = look
        while len(self._looks) > _MOST_LOOKS:
            self._looks.popitem(last=False)

    def _seen(self, place: _Place) -> Any:
        """The look at an earlier shot; None where nothing is kept of it."""
        if place not in self._looks:
            kept = self._store.take_stills(*place)
            if not kept:
                return None
            self._remember(place, self._meter.look(np.stack(kept), ()))
        return self._looks[place]
