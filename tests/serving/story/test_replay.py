"""Of takes that are over, only what is remembered is read; what is lost of that is made anew."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from shotstream.serving.delivery.clips import pack_clip
from shotstream.serving.storage.stored import StoredChunk, StoredStory
from shotstream.serving.story.director import Director
from shotstream.serving.story.replay import replay
from tests.serving.conftest import Studio
from tests.serving.story.finished import finish

pytestmark = pytest.mark.unit


@pytest.fixture
def stored(studio: Studio) -> StoredStory:
    """Two shots, of which the first was taken twice, and their clips."""
    live = studio.begin()
    for fields in ({"type": "shoot", "prompt": "runs"}, {"type": "retake", "shot": 0}, {"type": "shoot"}):
        studio.send(
            live, **{"prompt": "sleeps", "chunks": 3, **fields} if fields["type"] == "shoot" else fields
        )
        studio.run()
    stored = studio.store.load(live.story)
    for chunk in stored.chunks:
        studio.store.keep_clip(stored.id, chunk, pack_clip([b"a frame"] * chunk.frames))
    return studio.store.load(live.story)


def replay_chunk(studio: Studio, stored: StoredStory, pipeline, shown: list | None = None) -> Director:
    told = [] if shown is None else shown
    return finish(replay(studio.store, stored, pipeline.open, lambda kept, chunk: told.append(chunk)))


def remembered(story: Director) -> list[tuple]:
    return [(frame.shot, frame.take, frame.frame, frame.pixels.tobytes()) for frame in story.remembered]


def test_latents_of_former_takes_are_not_read(studio: Studio, stored: StoredStory, pipeline) -> None:
    before = remembered(studio.engine.find(stored.id).director)
    former = [chunk for chunk in stored.chunks if chunk.shot == 0]
    for chunk in former:
        chunk.path.rename(chunk.path.with_suffix(".away"))
    shown: list = []
    assert remembered(replay_chunk(studio, stored, pipeline, shown)) == before
    assert [(chunk.shot, chunk.index) for chunk in shown] == [(1, 0), (1, 1), (1, 2)]


def test_what_was_not_kept_is_decoded_once_and_kept(studio: Studio, stored: StoredStory, pipeline) -> None:
    before = remembered(studio.engine.find(stored.id).director)
    stills = sorted((studio.store.folder / "stories" / stored.id / "stills").iterdir())
    pictures = {still: still.read_bytes() for still in stills if still.name.startswith("0-1-")}
    assert pictures
    for still in pictures:
        still.unlink()
    assert remembered(replay_chunk(studio, stored, pipeline)) == before
    assert {still: still.read_bytes() for still in pictures if still.exists()} == pictures


def test_what_was_not_kept_is_decoded_a_chunk_at_a_time(
    studio: Studio, stored: StoredStory, pipeline, monkeypatch
) -> None:
    """Between two chunks other stories have their turns."""
    shutil.rmtree(studio.store.folder / "stories" / stored.id / "stills")
    former, decoded = [chunk for chunk in stored.chunks if chunk.shot == 0], []
    read = StoredChunk.latents
    monkeypatch.setattr(StoredChunk, "latents", lambda chunk: decoded.append(chunk.position) or read(chunk))
    steps = replay(studio.store, stored, lambda *of: pipeline.open(*of))
    for chunk in former:
        next(steps)
        assert decoded[-1] == chunk.position
    assert decoded == [chunk.position for chunk in former]


def test_stills_that_cannot_be_kept_keep_no_story_from_being_told(
    studio: Studio, stored: StoredStory, pipeline
) -> None:
    before = remembered(studio.engine.find(stored.id).director)
    stills = studio.store.folder / "stories" / stored.id / "stills"
    shutil.rmtree(stills)
    stills.touch()  # nothing can be written into a file
    assert remembered(replay_chunk(studio, stored, pipeline)) == before


def test_a_former_chunk_without_a_clip_is_shown_again(studio: Studio, stored: StoredStory, pipeline) -> None:
    lost = stored.chunks[1]
    lost.clip.unlink()
    shown: list = []
    replay_chunk(studio, stored, pipeline, shown)
    first = studio.viewers[stored.id].chunks[1]
    assert (shown[0].shot, shown[0].take, shown[0].index, shown[0].first_frame) == (
        0,
        0,
        1,
        first.first_frame,
    )
    assert np.array_equal(shown[0].frames, first.frames)
    assert (shown[0].last, shown[0].prompt, shown[0].fps) == (first.last, first.prompt, first.fps)
