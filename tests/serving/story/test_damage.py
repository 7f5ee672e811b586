"""What is lost or damaged of a story is noticed, made again from the chunk before, and the story goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import torch

from shotstream.serving.delivery.clips import pack_clip
from shotstream.serving.storage.integrity import check_library
from shotstream.serving.storage.stored import StoredChunk, StoredStory
from shotstream.serving.story.director import Director
from shotstream.serving.story.replay import replay
from tests.serving.conftest import Studio
from tests.serving.story.finished import finish

pytestmark = pytest.mark.unit


@pytest.fixture
def stored(studio: Studio) -> StoredStory:
    """Two shots: the first was taken twice and redirected, the second is cut short."""
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=3)
    studio.run(3)
    studio.send(live, type="redirect", prompt="sleeps")
    studio.run()
    studio.send(live, type="retake", shot=0)
    studio.run()
    studio.send(live, type="shoot", prompt="sleeps", chunks=4)
    studio.run(3)
    for chunk in studio.store.load(live.story).chunks:
        studio.store.keep_clip(live.story, chunk, pack_clip([b"a frame"] * chunk.frames))
    return studio.store.load(live.story)


def flip(chunk: StoredChunk) -> None:
    data = bytearray(chunk.path.read_bytes())
    data[-9] ^= 1
    chunk.path.write_bytes(data)


def swap(one: StoredChunk, other: StoredChunk) -> None:
    data = one.path.read_bytes()
    one.path.write_bytes(other.path.read_bytes())
    other.path.write_bytes(data)


def remove_take(chunks: list[StoredChunk]) -> None:
    for chunk in chunks:
        if (chunk.shot, chunk.take) == (chunks[-1].shot, chunks[-1].take):
            chunk.path.unlink()


def remove_stills_and_flip(chunks: list[StoredChunk]) -> None:
    """Of a take that is over, which is then told chunk by chunk."""
    shutil.rmtree(chunks[0].path.parents[1] / "stills")
    flip(chunks[4])


def again(studio: Studio, stored: StoredStory, pipeline) -> Director:
    return finish(replay(studio.store, stored, pipeline.open))


def remembered(story: Director) -> list[tuple]:
    return [(frame.shot, frame.take, frame.frame, frame.pixels.tobytes()) for frame in story.remembered]


DAMAGE: dict[str, Callable[[list[StoredChunk]], object]] = {
    "a flipped bit": lambda chunks: flip(chunks[-1]),
    "two chunks swapped": lambda chunks: swap(*chunks[-2:]),
    "a missing chunk": lambda chunks: chunks[-2].path.unlink(),
    "the newest take": remove_take,
    "the newest take's chunk is another take's": lambda chunks: shutil.copy(chunks[0].path, chunks[-2].path),
    "a take that is over": remove_stills_and_flip,
    "all files": lambda chunks: shutil.rmtree(chunks[0].path.parents[1]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_lost_is_made_again_bit_for_bit(studio: Studio, stored, pipeline, damage, caplog) -> None:
    before = remembered(again(studio, stored, pipeline))
    latents = [chunk.latents() for chunk in stored.chunks]
    damage(stored.chunks)
    assert remembered(again(studio, stored, pipeline)) == before
    if damage is DAMAGE["all files"]:
        return  # takes that are over are made again only where they are needed
    now = studio.store.load(stored.id)
    assert all(torch.equal(chunk.latents(), known) for chunk, known in zip(now.chunks, latents, strict=True))
    assert "made again and is the same, bit for bit" in caplog.text
    assert [found.kind for found in check_library(studio.store) if found.kind != "damaged still"] == []
    assert studio.store.history(stored.id)[-1]["type"] == "mend"


def test_a_story_whose_newest_chunk_is_damaged_goes_on(studio: Studio, stored, make_studio, pipeline) -> None:
    flip(stored.chunks[-1])
    other = make_studio(studio.store, lookahead_seconds=60)
    live = other.open(stored.id)
    other.run()
    assert other.send(live, "next", type="shoot", prompt="runs", chunks=2).type == "receipt"
    other.run()
    assert [card.chunks for card in live.snapshot.shots] == [3, 4, 2]
    assert again(studio, studio.store.load(stored.id), pipeline).session.script[2].chunks == 2


def test_a_damaged_still_is_made_anew(studio: Studio, stored, pipeline) -> None:
    before = remembered(again(studio, stored, pipeline))
    for still in (stored.chunks[0].path.parents[1] / "stills").iterdir():
        still.write_bytes(still.read_bytes()[:-20] + bytes(20))
    assert remembered(again(studio, stored, pipeline)) == before
    needed = {f"stills/{shot}-{take}-{frame}.png" for shot, take, frame, _ in before if not shot}
    assert not any(finding.where.endswith(tuple(needed)) for finding in check_library(studio.store))


def test_a_chunk_that_cannot_be_made_the_same_again_is_told(studio: Studio, stored, pipeline, caplog) -> None:
    with studio.store._transaction() as connection:
        connection.exec_driver_sql("UPDATE chunks SET sha256 = 'another machine made it' WHERE chunk = 1")
    again(studio, studio.store.load(stored.id), pipeline)
    assert "it was made again and is another one than it was" in caplog.text


def test_a_shared_take_of_a_branchs_parent_is_mended(studio: Studio, stored, pipeline) -> None:
    live = studio.engine.find(stored.id)
    assert live
    branch = studio.send(live, type="branch", shot=0).story
    told = studio.store.load(branch)
    before = remembered(again(studio, told, pipeline))
    shutil.rmtree(stored.chunks[0].path.parents[1] / "stills")
    flip(stored.chunks[3])
    assert remembered(again(studio, told, pipeline)) == before


def test_a_folder_that_is_removed_while_a_shot_runs_is_missed_and_made_again(studio: Studio, stored) -> None:
    live = studio.engine.find(stored.id)
    assert live
    latents = [chunk.latents() for chunk in stored.chunks]
    shutil.rmtree(stored.chunks[0].path.parents[1])
    refused = studio.send(live, type="shoot", prompt="runs", chunks=2)
    assert refused.type == "refused", "nothing is answered that goes nowhere"
    assert "was removed; put it back from a copy of the library, or resume" in refused.message
    assert studio.send(live, type="resume").type == "receipt"
    studio.run()
    now = studio.store.load(stored.id).chunks
    newest = [chunk for chunk in now if chunk.shot == 1]
    known = latents[len(now) - len(newest) : len(latents)]
    assert all(torch.equal(chunk.latents(), one) for chunk, one in zip(newest, known, strict=False))
    assert len(newest) == 4
