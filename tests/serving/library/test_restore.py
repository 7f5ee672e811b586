"""A story that was journalled goes on bit for bit, in another session, after any of its chunks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import torch
from shotstream.serving.store import Store
from shotstream.serving.stored import ChunkMeta, StoredChunk, StoredCommand, StoredStory

from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import StorySession

pytestmark = pytest.mark.cpu

STORY = [
    {"type": "shoot", "prompt": "runs", "chunks": 3},
    None,
    {"type": "redirect", "prompt": "sleeps"},
    None,
    {"type": "shoot", "prompt": "a cat in the snow", "chunks": 2},
    {"type": "pin", "shot": 0, "frame": 2},
    None,
    {"type": "retake", "shot": 0},
    None,
    {"type": "extend", "chunks": 1},
    None,
    None,
]
"""What is asked for; None makes a chunk."""


def obey(session: StorySession, body: dict) -> None:
    asked = {name: value for name, value in body.items() if name != "type"}
    {"shoot": session.cut}.get(body["type"], getattr(session, body["type"], None))(**asked)


def tell(session: StorySession, store: Store, story: str) -> Iterator[Chunk]:
    """Tell the story, a chunk journalled before it is handed out."""
    taken = []
    for number, step in enumerate(STORY):
        if step is not None:
            obey(session, step)
            taken.append(StoredCommand(str(number), step))
            continue
        chunk = session.next_chunk()
        assert chunk is not None
        length = session._take.length_chunks
        meta = ChunkMeta(chunk.seed, length, chunk.prompt, chunk.first_frame, len(chunk.frames))
        store.append_chunk(story, chunk.shot, chunk.take, chunk.index, chunk.latents, meta, taken)
        taken = []
        yield chunk


def tell_again(told: StoredStory, session: StorySession) -> list[Chunk]:
    chunks = []
    for entry in told.entries:
        if isinstance(entry, StoredChunk):
            chunks.append(session.next_chunk(entry.latents()))
        else:
            obey(session, entry.body)
    return chunks


def same(one: Chunk, other: Chunk) -> bool:
    names = ("shot", "take", "index", "prompt", "first_frame", "last", "seed")
    facts = all(getattr(one, name) == getattr(other, name) for name in names)
    return facts and np.array_equal(one.frames, other.frames) and torch.equal(one.latents, other.latents)


@pytest.mark.parametrize("known", range(7))
def test_a_story_from_the_store_goes_on_as_it_would_have(store, pipeline, known):
    begun, whole = (store.create_story("a fox", 1, "tiny", (16, 32)) for _ in range(2))
    expected = list(tell(pipeline.open("a fox", seed=1), store, whole))
    list(islice(tell(pipeline.open("a fox", seed=1), store, begun), known))
    told = store.load(begun)
    session = pipeline.open(told.setting, seed=told.seed)
    chunks = tell_again(told, session)
    assert len(chunks) == known
    for step in STORY[len(told.entries) :]:
        if step is not None:
            obey(session, step)
        else:
            chunks.append(session.next_chunk())
    assert all(same(*pair) for pair in zip(chunks, expected, strict=True))
