"""One story never makes others wait; long form: SHOTSTREAM_LONG=1, on a machine with nothing else to do."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from benchmarks.studio_process import StudioProcess, free_port
from benchmarks.studio_viewers import Patient

from shotstream.serving.storage.store import Store
from tests.serving.web.conftest import LONG

pytestmark = [pytest.mark.unit, pytest.mark.skipif(not LONG, reason="long: SHOTSTREAM_LONG=1")]

SETTING = "An orange cat wearing a top hat is in a meadow on a sunny day."
LATER_SECONDS = 0.5
"""How much longer a chunk that is wanted may take to come than where nothing else happens."""
MORE_BYTES = 64 * 2**20
"""What memory may grow by more than where nothing else happens: a story that is told again, and its film."""


def fill(library: Path, told: str) -> None:
    """Make a library of 5,000 stories."""
    with Store(library) as store:
        made_with = store.summary(told).made_with
        for seed in range(5_000):
            store.create_story(SETTING, seed, made_with)


def tell_long(studio: StudioProcess) -> str:
    """Tell a story of 53 chunks; nobody watches."""
    story = studio.begin_story(SETTING, 1)
    for number, chunks in enumerate((20, 20, 13)):
        shot = {
            "type": "shoot",
            "id": str(number),
            "prompt": "The cat waves.",
            "chunks": chunks,
            "after": True,
        }
        studio.ask(f"/api/stories/{story}/commands", shot)
    while json.loads(studio.ask(f"/api/stories/{story}"))["snapshot"]["state"] != "idle":
        time.sleep(0.5)
    return story


def disturb(studio: StudioProcess, long: str, done: threading.Event) -> None:
    """Have the long story told again, its film exported, and all stories listed, page after page."""
    number = 0
    while not done.is_set():
        number += 1
        story = f"http://127.0.0.1:{studio.port}/api/stories/{long}"
        urllib.request.urlopen(urllib.request.Request(story, method="DELETE")).close()  # it is closed
        studio.ask(f"/api/stories/{long}/undelete", {})
        studio.ask(f"/api/stories/{long}/commands", {"type": "pause", "id": f"again {number}"})
        with urllib.request.urlopen(f"{story}/film.mp4") as film:
            film.read()
        page = "/api/stories"
        while page and not done.is_set():
            with urllib.request.urlopen(f"http://127.0.0.1:{studio.port}{page}") as listed:
                listed.read()
                link = listed.headers.get("Link")
            page = f"/api/stories{link[1 : link.index('>')]}" if link else ""


async def watch(studio: StudioProcess, seconds: float) -> list[Patient]:
    """Eight viewers of four stories, each of which is given one shot after another."""
    url = f"http://127.0.0.1:{studio.port}"
    stories = [studio.begin_story(SETTING, seed) for seed in range(4)]
    viewers = [Patient(url, story, f"127.0.1.{place + 1}") for place, story in enumerate(stories)]
    others = [Patient(url, story, f"127.0.2.{place + 1}") for place, story in enumerate(stories)]
    for other in others:
        other.directs = False
    tasks = [asyncio.create_task(viewer.live()) for viewer in (*viewers, *others)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return viewers


def test_four_stories_go_on_while_a_fifth_is_told_again_listed_and_exported(tmp_path) -> None:
    library = tmp_path / "library"
    first = StudioProcess(library, free_port())
    first.wait_ready()
    long = tell_long(first)
    first.stop()
    fill(library, long)
    studio = StudioProcess(library, free_port())
    studio.wait_ready()
    done = threading.Event()
    try:
        asyncio.run(watch(studio, 15))  # from here on as many stories are open as may be
        began = studio.resident_bytes
        calm = asyncio.run(watch(studio, 60))
        before = studio.resident_bytes
        disturbing = threading.Thread(target=disturb, args=(studio, long, done))
        disturbing.start()
        viewers = asyncio.run(watch(studio, 60))
        done.set()
        disturbing.join(60)
        grown = studio.resident_bytes - before
        usual_growth = before - began  # young stories remember more with every shot
    finally:
        done.set()
        studio.stop()
    usual, longest = (max(max(viewer.turn_seconds) for viewer in watched) for watched in (calm, viewers))
    print(
        f"a chunk came after {longest:.2f} s at most, {usual:.2f} s before; "
        f"grown by {grown / 2**20:.0f} MiB, {usual_growth / 2**20:.0f} MiB before"
    )
    assert longest < usual + LATER_SECONDS
    assert grown < max(0, usual_growth) + MORE_BYTES
