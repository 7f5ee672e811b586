"""Tells a story again from the library: nothing is denoised, and it stands where it stood, bit for bit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby, islice

import numpy as np
from torch import Tensor

from shotstream.serving.delivery.clips import is_whole
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import (
    DamagedChunk,
    StoredChunk,
    StoredCommand,
    StoredStory,
    StoreError,
)
from shotstream.serving.story.director import Director
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import StorySession

log = logging.getLogger(__name__)

OpenSession = Callable[[str, int], StorySession]
"""Opens a session for a setting and a seed."""


class StoredTake:
    """The frames of a take that is over, as they are asked for.

    Those that are kept are read. Where another one is asked for, such as after a kill that took it, or where
    one is damaged, the take is decoded up to it, and the frame kept.

    Args:
        store: Keeps the frames.
        chunks: All chunks of the take, in order.
        decode: Makes frames of latents; see `StorySession.decode`.
    """

    def __init__(
        self,
        store: Store,
        chunks: Sequence[StoredChunk],
        decode: Callable[[Iterable[Tensor]], Iterator[np.ndarray]],
    ) -> None:
        self._store, self._chunks = store, chunks
        self._decoding = decode(chunk.latents() for chunk in chunks)
        self._frames: list[np.ndarray] = []
        """The first frames, as far as they had to be decoded."""

    def decode(self, chunk: StoredChunk) -> list[np.ndarray]:
        """The frames of one of its chunks, decoded after those before it."""
        end = chunk.first_frame + chunk.frames
        self._frames += islice(self._decoding, max(0, end - len(self._frames)))
        return self._frames[chunk.first_frame : end]

    def picture(self, frame: int) -> np.ndarray:
        """A frame by its number, uint8 ``[H, W, 3]``.

        Raises:
            DamagedChunk: If it must be made anew and latents are gone or damaged.
        """
        first = self._chunks[0]
        place = (first.shot, first.take, frame)
        picture = self._store.read_still(first.story, place)
        if picture is None:
            chunk = next(chunk for chunk in self._chunks if frame < chunk.first_frame + chunk.frames)
            picture = self.decode(chunk)[frame - chunk.first_frame]
            with suppress(OSError, StoreError):  # a full disk keeps no story from being opened
                self._store.write_still(first.story, place, picture)
        return picture

    def chunk(self, stored: StoredChunk, fps: float) -> Chunk:
        """One of its chunks, to be shown once more."""
        return Chunk(
            frames=np.stack(self.decode(stored)),
            shot=stored.shot,
            take=stored.take,
            seed=stored.seed,
            index=stored.chunk,
            first_frame=stored.first_frame,
            last=stored.last,
            prompt=stored.prompt,
            fps=fps,
            latents=stored.latents(),
        )


def replay(
    store: Store,
    stored: StoredStory,
    open_session: OpenSession,
    told: Callable[[StoredChunk, Chunk], None] = lambda stored, chunk: None,
) -> Generator[None, None, Director]:
    """Repeat the commands of a story and give back its chunks; a branch is told from its parent's.

    Only the newest take is told chunk by chunk, as it may go on; of the others what is remembered is read. A
    chunk whose latents are gone or damaged is made once more, from the chunk before it, and kept; a take that
    is over is told chunk by chunk, too, where that is needed. It stops after every chunk, so that other
    stories get their turns.

    Args:
        store: Has the parents and the uploaded pictures.
        stored: What is to be told.
        open_session: Gives the session of a story without a parent.
        told: Is given the chunks of the newest take, and all that have no whole clip.

    Returns:
        The story as it stood.

    Raises:
        ValueError: If commands and chunks do not belong together: another model, or a damaged library.
        LookupError: If a parent is missing.
    """
    mended: set[tuple[int, int]] = set()
    while True:
        try:
            return (yield from _replay(store, stored, open_session, told, mended))
        except (DamagedChunk, Refusal) as error:
            damage = error if isinstance(error, DamagedChunk) else error.__cause__
            if not isinstance(damage, DamagedChunk) or _take(damage.chunk) in mended:
                raise
            mended.add(_take(damage.chunk))


def _replay(
    store: Store,
    stored: StoredStory,
    open_session: OpenSession,
    told: Callable[[StoredChunk, Chunk], None],
    mended: set[tuple[int, int]],
) -> Generator[None, None, Director]:
    """As `replay`; the takes in `mended` are told chunk by chunk, too."""
    story = yield from _open(store, stored, open_session)
    attach_take_loader(story, store, stored.id)
    takes = {place: list(chunks) for place, chunks in groupby(stored.chunks, _take)}
    newest = next(reversed(takes), None)
    take, lacks_stills = None, False
    for entry in stored.told:
        if isinstance(entry, StoredCommand):
            story.apply(entry.command)
            continue
        if _take(entry) == newest or _take(entry) in mended:
            told(entry, _chunk_again(story, store, entry))
        else:
            if take is None or entry.chunk == 0:
                take = StoredTake(store, takes[_take(entry)], story.session.decode)
                lacks_stills = store.lacks_stills(entry.story, entry.shot, entry.take)
            if lacks_stills:  # a chunk at a time: the end of the take asks for frames
                take.decode(entry)
            story.recall(entry, take.picture)
            if not is_whole(entry):
                told(entry, take.chunk(entry, stored.made_with.fps))
        yield
    return story


def _chunk_again(story: Director, store: Store, entry: StoredChunk) -> Chunk:
    """Give back a chunk from its latents; make it once more where they are gone or damaged."""
    try:
        latents = entry.latents()
    except DamagedChunk as damage:
        chunk = story.replay_chunk(entry, None)
        same = store.mend_chunk(entry.story, entry, chunk)
        made = "the same, bit for bit" if same else "another one than it was, or of unknown checksum"
        log.warning("story %s: %s; it was made again and is %s", entry.story, damage, made)
        return chunk
    return story.replay_chunk(entry, latents)


def attach_take_loader(director: Director, store: Store, story: str) -> None:
    """Let a story find its former takes in the library."""
    decode = director.session.decode  # not the story itself: it would be kept for longer than it is open

    def find_take(shot: int, take: int) -> Callable[[int], np.ndarray]:
        return StoredTake(store, store.take_chunks(story, shot, take), decode).picture

    director.find_take = find_take


def _take(chunk: StoredChunk) -> tuple[int, int]:
    return chunk.shot, chunk.take


def _open(store: Store, stored: StoredStory, open_session: OpenSession) -> Generator[None, None, Director]:
    origin = stored.parent
    if origin is None:
        return Director(open_session(stored.setting, stored.seed), store.picture)
    parent = store.load(origin.story)
    told = yield from replay(store, parent.until(origin.entries), open_session)
    return told.branch(origin.shot, stored.seed)
