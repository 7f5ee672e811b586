"""No viewer holds up another one, or the engine."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise

import httpx
import pytest
from fastapi import FastAPI

from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.delivery.viewers import MOST_CLIPS, MOST_EVENTS
from shotstream.serving.protocol.events import ErrorMessage
from tests.serving.web.conftest import Direct, run_app
from tests.waiting import eventually

pytestmark = pytest.mark.system


async def begin(app: FastAPI, story: str | None = None) -> tuple[Direct, str]:
    viewer = Direct(app)
    viewer.say(type="hello", protocol=1, **({"story": story} if story else {}))
    await eventually(lambda: viewer.of("welcome"))
    return viewer, viewer.of("welcome")[0]["story"]


async def shoot(viewer: Direct, shot: int, chunks: int) -> None:
    """Shoot a shot, playback everything that comes of it, and wait for its end."""

    def taken() -> bool:
        if viewer.of("refused"):  # busy: say it again
            viewer.events.remove(viewer.of("refused")[0])
            viewer.say(type="shoot", id=f"shot {shot}", prompt="a fox runs", chunks=chunks)
        return any(receipt["id"] == f"shot {shot}" for receipt in viewer.of("receipt"))

    viewer.say(type="shoot", id=f"shot {shot}", prompt="a fox runs", chunks=chunks)
    await eventually(taken)

    def done() -> bool:
        if viewer.clips:
            newest, take, frame = viewer.clips[-1]
            viewer.say(type="playhead", shot=newest, take=take, frame=frame)
        cards = [card for card in viewer.of("shot") if card["number"] == shot]
        made = bool(cards) and cards[-1]["state"] == "done"
        return made and len([clip for clip in viewer.clips if clip[0] == shot]) == cards[-1]["frames"]

    deadline = asyncio.get_running_loop().time() + 10
    while not done():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.04)  # no flood of playheads


def test_a_slow_viewer_loses_whole_clips_and_another_one_nothing(library, model) -> None:
    async def watch(app: FastAPI) -> None:
        fast, story = await begin(app)
        slow, _ = await begin(app, story)
        slow.takes.clear()
        await shoot(fast, 0, chunks=MOST_CLIPS + 6)
        assert len(fast.clips) == fast.of("shot")[-1]["frames"]
        slow.takes.set()
        await eventually(lambda: slow.clips and slow.clips[-1] == fast.clips[-1])
        starts = [chunk.first_frame for chunk in library.take_chunks(story, 0, 0)]
        seen = [frame for _, _, frame in slow.clips]
        missing = [clip[2] for clip in fast.clips if clip not in slow.clips]
        assert sum(event["frames"] for event in slow.of("dropped")) == len(missing) > 0
        ends = [start - 1 for start in starts[1:]]
        for before, frame in pairwise(seen):
            assert frame == before + 1 or (before in ends and frame in starts), "whole clips only"
        assert not fast.of("dropped")

    run_app(library, model, watch)


def test_a_viewer_that_takes_nothing_is_let_go(library, model) -> None:
    async def watch(app: FastAPI) -> None:
        fast, story = await begin(app)
        slow, _ = await begin(app, story)
        slow.takes.clear()
        for _ in range(MOST_EVENTS + 8):
            app.state.studio._channels[story].tell(ErrorMessage(message="something"))
            await asyncio.sleep(0)
        slow.takes.set()
        await eventually(lambda: slow.code == 4008)
        await shoot(fast, 0, chunks=2)
        assert fast.code is None

    run_app(library, model, watch)


def test_silent_flooding_and_vanishing_viewers_hold_up_nobody(library, model) -> None:
    async def watch(app: FastAPI) -> None:
        good, story = await begin(app)
        silent, _ = await begin(app, story)
        silent.takes.clear()
        flooding, _ = await begin(app, story)
        vanishing, _ = await begin(app, story)
        Direct(app)  # never says hello
        for number in range(200):
            flooding.say(type="redirect", id=str(number), prompt="a cat sleeps")
        vanishing.say(type="pin", id="last", shot=0, frame=0)
        vanishing.go()
        await shoot(good, 0, chunks=4)
        await eventually(lambda: len(flooding.of("receipt")) + len(flooding.of("refused")) == 200)
        await eventually(vanishing.task.done)
        await eventually(lambda: len(app.state.studio._channels[story].viewers) == 3)
        await shoot(good, 1, chunks=2)

    run_app(library, model, watch)


def test_exports_that_take_long_hold_up_no_viewer(library, model, monkeypatch) -> None:
    going_on = threading.Event()
    of = StoryFilm.of
    monkeypatch.setattr(StoryFilm, "of", lambda *arguments: going_on.wait(20) and of(*arguments))

    async def watch(app: FastAPI) -> None:
        first, story = await begin(app)
        await shoot(first, 0, chunks=2)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            films = [asyncio.create_task(client.get(f"/api/stories/{story}/film.mp4")) for _ in range(50)]
            await asyncio.sleep(0.1)
            try:
                late, _ = await begin(app, story)
                await eventually(lambda: late.clips == first.clips)
            finally:
                going_on.set()
            assert {film.status_code for film in await asyncio.gather(*films)} == {200}

    run_app(library, model, watch)


def test_viewers_that_left_leave_nothing_behind(library, model) -> None:
    async def watch(app: FastAPI) -> None:
        studio = app.state.studio
        first, story = await begin(app)
        others = [(await begin(app, story))[0] for _ in range(5)]
        await shoot(first, 0, chunks=1)
        live = studio.engine.find(story)
        assert len(live._listeners) == 1, "a channel listens once, however many watch"
        for viewer in (first, *others):
            viewer.go()
        await eventually(lambda: all(viewer.task.done() for viewer in (first, *others)))
        assert not studio._channels
        assert not live._listeners

    run_app(library, model, watch)
