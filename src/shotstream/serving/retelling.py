"""Tells a story again from its journal: nothing is denoised, and it stands where it stood, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

from shotstream.serving.directed import DirectedStory
from shotstream.serving.journal import Journal, StoredStory
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import StorySession

OpenSession = Callable[[str, int], StorySession]
"""Opens a session for a setting and a seed."""


def retell(
    journal: Journal,
    stored: StoredStory,
    open_session: OpenSession,
    told: Callable[[Chunk], None] = lambda chunk: None,
) -> Generator[None, None, DirectedStory]:
    """Repeat the commands of a story and give back its chunks; a branch is told from its parent's.

    It stops after every chunk, so that other stories get their turns; see `finish`.

    Args:
        journal: Has the parents and the uploaded pictures.
        stored: What is to be told.
        open_session: Gives the session of a story without a parent.
        told: Is shown every chunk of the story itself.

    Returns:
        The story as it stood.

    Raises:
        ValueError: If commands and chunks do not belong together: another model, or a damaged library.
        LookupError: If a parent is missing.
    """
    session = yield from _open(journal, stored, open_session)
    story = DirectedStory(session, journal.picture)
    commands = list(stored.commands)
    for number, known in enumerate([*stored.chunks, None]):
        while commands and commands[0].chunks_before <= number:
            story.follow(commands.pop(0).command)
        if known is None:
            break
        if not story.machine.running:
            raise ValueError(f"chunk {number} belongs to no shot; the library is damaged")
        chunk = story.make_chunk(0, known)
        if chunk.last != known.last:
            raise ValueError(
                f"chunk {number} is not where its shot ended; was the story told by another model?"
            )
        told(chunk)
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
    journal: Journal, stored: StoredStory, open_session: OpenSession
) -> Generator[None, None, StorySession]:
    origin = stored.origin
    if origin is None:
        return open_session(stored.setting, stored.seed)
    parent = journal.load(origin.story)
    shared = replace(
        parent, commands=parent.commands[: origin.commands], chunks=parent.chunks[: origin.chunks]
    )
    told = yield from retell(journal, shared, open_session)
    return told.session.branch(origin.shot, seed=stored.seed)
