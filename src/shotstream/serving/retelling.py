"""Tells a story again from the library: nothing is denoised, and it stands where it stood, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

from shotstream.serving.directed import DirectedStory
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoredChunk, StoredCommand, StoredStory
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import StorySession

OpenSession = Callable[[str, int], StorySession]
"""Opens a session for a setting and a seed."""


def retell(
    store: Store,
    stored: StoredStory,
    open_session: OpenSession,
    told: Callable[[StoredChunk, Chunk], None] = lambda stored, chunk: None,
) -> Generator[None, None, DirectedStory]:
    """Repeat the commands of a story and give back its chunks; a branch is told from its parent's.

    It stops after every chunk, so that other stories get their turns; see `finish`.

    Args:
        store: Has the parents and the uploaded pictures.
        stored: What is to be told.
        open_session: Gives the session of a story without a parent.
        told: Is given every chunk of the story itself, as it is kept and as it is told.

    Returns:
        The story as it stood.

    Raises:
        ValueError: If commands and chunks do not belong together: another model, or a damaged library.
        LookupError: If a parent is missing.
    """
    story = yield from _open(store, stored, open_session)
    newest = (stored.chunks[-1].shot, stored.chunks[-1].take) if stored.chunks else None
    for number, entry in enumerate(stored.entries):
        if isinstance(entry, StoredCommand):
            story.follow(entry.command)
            continue
        if not story.machine.running:
            raise ValueError(f"entry {number} is a chunk of no shot; the library is damaged")
        chunk = story.tell_again(entry, over=(entry.shot, entry.take) != newest)
        told_place = (chunk.shot, chunk.take, chunk.index, chunk.first_frame, chunk.last)
        if told_place != (entry.shot, entry.take, entry.chunk, entry.first_frame, entry.last):
            raise ValueError(
                f"entry {number} is chunk {entry.chunk + 1} of shot {entry.shot + 1}, but the story leads to "
                f"chunk {chunk.index + 1} of shot {chunk.shot + 1}; the library is damaged, or another model "
                "told it"
            )
        told(entry, chunk)
        yield
    return story


def finish(retelling: Generator[None, None, DirectedStory]) -> DirectedStory:
    """Tell all the rest at once."""
    while True:
        try:
            next(retelling)
        except StopIteration as end:
            return end.value


def _open(
    store: Store, stored: StoredStory, open_session: OpenSession
) -> Generator[None, None, DirectedStory]:
    origin = stored.parent
    if origin is None:
        return DirectedStory(open_session(stored.setting, stored.seed), store.picture)
    parent = store.load(origin.story)
    shared = replace(parent, entries=parent.entries[: origin.entries])
    told = yield from retell(store, shared, open_session)
    return told.branch(origin.shot, stored.seed)
