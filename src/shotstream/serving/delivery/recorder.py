"""The thread that makes clips: the engine goes on with the next chunk while this one is encoded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from queue import Queue
from threading import Event, Thread

from shotstream.serving.delivery.clips import encode_clip, is_whole, pack_clip
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoredChunk, StoreError
from shotstream.streaming.chunk import Chunk

log = logging.getLogger(__name__)

Send = Callable[[str, StoredChunk, list[bytes]], None]
"""Takes the messages of a new chunk of a story, on the recorder's thread. It must neither wait nor raise."""

_MOST_WAITING = 32
_MOST_PUT_ASIDE = 256
"""More than can wait at once, of all stories together."""
_LOOK_AGAIN_SECONDS = 0.5


class Recorder:
    """Encodes chunks in the order in which they come, keeps their clips, then hands them on.

    No viewer can hold it up. Where the engine is faster than the encoder, the engine waits: nothing that was
    made is left out. A clip that is lost or damaged is made again when its story is told again.

    Args:
        store: Keeps the clips: it knows whether their stories are still there.
        send: Is given every new clip.
    """

    def __init__(self, store: Store, send: Send) -> None:
        self._store, self._send = store, send
        self._queue: Queue[tuple[str, StoredChunk, Chunk] | Event | None] = Queue(_MOST_WAITING)
        self._aside: dict[tuple[str, int], None] = {}
        """Chunks that were put aside of late: (story, position)."""
        self._thread = Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def show(self, story: str, stored: StoredChunk, chunk: Chunk, *, again: bool) -> None:
        """Take a chunk; see `shotstream.serving.story.live_story.Show`."""
        if not (again and is_whole(stored)):
            self._queue.put((story, stored, chunk))

    def put_aside(self, chunks: Sequence[StoredChunk]) -> None:
        """Make no clips of these, of which some may wait; from the engine's thread, like `show`."""
        for chunk in chunks:
            self._aside[chunk.story, chunk.position] = None
        while len(self._aside) > _MOST_PUT_ASIDE:
            del self._aside[next(iter(self._aside))]

    def is_put_aside(self, stored: StoredChunk) -> bool:
        """Whether a chunk was put aside of late, so that nobody is to be sent its clip."""
        return (stored.story, stored.position) in self._aside

    def settle(self) -> None:
        """Wait until there is a clip of every chunk that was made by now."""
        done = Event()
        if self._thread.is_alive():
            self._queue.put(done)
            while not done.wait(_LOOK_AGAIN_SECONDS) and self._thread.is_alive():
                pass

    def close(self) -> None:
        """End when all clips are made."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (waiting := self._queue.get()) is not None:
            if isinstance(waiting, Event):
                waiting.set()
                continue
            try:
                self._record(*waiting)
            except Exception as error:  # of one chunk: the others have their clips
                log.error("a clip of story %s could not be made (%s)", waiting[0], type(error).__name__)
                log.debug("story %s", waiting[0], exc_info=error)

    def _record(self, story: str, stored: StoredChunk, chunk: Chunk) -> None:
        if self.is_put_aside(stored) or not stored.path.exists():  # its story was removed for good
            return
        messages = encode_clip(chunk)
        try:
            self._store.keep_clip(stored.story, stored, pack_clip(messages))
        except (OSError, StoreError) as error:
            log.warning("a clip of story %s could not be kept (%s)", story, type(error).__name__)
        self._send(story, stored, messages)
