from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotstream.serving.delivery.clips import pack_clip
from shotstream.serving.delivery.viewers import MOST_CLIPS, MOST_EVENTS, TooSlow, Viewer
from shotstream.serving.storage.stored import StoredChunk

pytestmark = pytest.mark.system


def chunk(number: int, folder: Path = Path("nowhere")) -> StoredChunk:
    path = folder / "chunks" / f"0-0-{number}-{number}.safetensors"
    return StoredChunk(0, 0, number, 0, "a fox", 2 * number, 2, False, path)


def clip(number: int) -> list[bytes]:
    return [bytes([number]), b"rest"]


def write(chunk: StoredChunk) -> None:
    chunk.clip.parent.mkdir(parents=True, exist_ok=True)
    chunk.clip.write_bytes(pack_clip(clip(chunk.chunk)))


async def everything(viewer: Viewer) -> list:
    """All that is there now."""
    said = []
    while viewer._texts or viewer._stored or viewer._new:
        with suppress(TimeoutError):  # what is left was sent already, or is not kept yet
            said.append(await asyncio.wait_for(viewer.next(), 0.1))
    return said


@pytest.fixture
def kept(tmp_path: Path) -> list[StoredChunk]:
    """Five chunks of the library, the fourth without a clip."""
    chunks = [chunk(number, tmp_path) for number in range(5)]
    for number in (0, 1, 2, 4):
        write(chunks[number])
    return chunks


def test_texts_first_then_what_was_made_before_then_what_is_new(kept) -> None:
    viewer = Viewer()
    viewer.show(chunk(7), clip(7))
    viewer.replay(kept[:3])
    viewer.tell("a")
    assert asyncio.run(everything(viewer)) == ["a", clip(0), clip(1), clip(2), clip(7)]


def test_a_clip_is_sent_once(kept) -> None:
    viewer = Viewer()
    viewer.show(kept[2], clip(2))
    viewer.replay(kept[:3])
    viewer.show(kept[2], clip(2))
    assert asyncio.run(everything(viewer)) == [clip(0), clip(1), clip(2)]


def test_a_clip_that_is_not_kept_yet_comes_as_a_new_one(kept) -> None:
    async def watch() -> None:
        viewer = Viewer()
        viewer.replay(kept[2:4])
        assert await everything(viewer) == [clip(2)]
        viewer.show(kept[3], clip(3))
        assert await everything(viewer) == [clip(3)]

    asyncio.run(watch())


def test_what_was_kept_meanwhile_does_not_overtake_what_is_new(kept) -> None:
    viewer = Viewer()
    viewer.replay(kept[2:])
    viewer.show(kept[3], clip(3))  # it was not kept when its turn came; the one after it was
    assert asyncio.run(everything(viewer)) == [clip(2), clip(3), clip(4)]


def test_of_too_many_new_clips_the_oldest_are_left_out_whole() -> None:
    dropped: list[int] = []
    viewer = Viewer(dropped.append)
    for number in range(MOST_CLIPS + 2):
        viewer.show(chunk(number), clip(number))
    assert dropped == [2, 2]
    notice = '{"type":"dropped","frames":2}'
    clips = [clip(number) for number in range(2, MOST_CLIPS + 2)]
    assert asyncio.run(everything(viewer)) == [notice, notice, *clips]


def test_too_many_texts_end_it() -> None:
    viewer = Viewer()
    for number in range(MOST_EVENTS):
        viewer.tell(str(number))
    assert len(asyncio.run(everything(viewer))) == MOST_EVENTS
    for number in range(MOST_EVENTS + 1):
        viewer.tell(str(number))
    with pytest.raises(TooSlow):
        asyncio.run(viewer.next())


def test_who_is_called_away_misses_nothing(kept) -> None:
    viewer = Viewer()
    viewer.replay(kept[:3])
    viewer.tell("a")
    seen = []

    async def impatiently() -> None:
        while len(seen) < 4:
            waiting = asyncio.ensure_future(viewer.next())
            await asyncio.sleep(0)
            waiting.cancel()
            try:
                seen.append(await waiting)
            except asyncio.CancelledError:
                seen.append(await viewer.next())

    asyncio.run(impatiently())
    assert seen == ["a", clip(0), clip(1), clip(2)]


STEPS = st.lists(st.sampled_from(["tell", "replay", "show", "show", "take"]), max_size=60)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(0, 12))
def test_whatever_happens(steps: list[str], before: int) -> None:
    """Each clip at most once, clips in order, no text lost, nothing lost that was not said to be."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(before):
            write(chunk(number, folder))
        told, shown, said = [], before, []
        dropped: list[int] = []

        async def live() -> None:
            nonlocal shown
            viewer = Viewer(dropped.append)
            for step in steps:
                if step == "tell":
                    told.append(f"text {len(told)}")
                    viewer.tell(told[-1])
                elif step == "replay":
                    viewer.replay([chunk(number, folder) for number in range(before)])
                elif step == "show":
                    viewer.show(chunk(shown), clip(shown))
                    shown += 1
                elif viewer._texts or viewer._stored or viewer._new:
                    with suppress(TimeoutError):
                        said.append(await asyncio.wait_for(viewer.next(), 0.1))
            said.extend(await everything(viewer))

        asyncio.run(live())
    texts = [text for text in said if isinstance(text, str) and text.startswith("text")]
    numbers = [messages[0][0] for messages in said if isinstance(messages, list)]
    assert texts == told
    assert len(numbers) == len(set(numbers))
    new, old = [n for n in numbers if n >= before], [n for n in numbers if n < before]
    assert new == sorted(new)
    assert old == (list(range(before)) if "replay" in steps else [])
    assert len(new) + len(dropped) == shown - before
