"""The studio is killed at random moments while a story is told: nothing that was seen is lost, and the story
goes on as if nothing had been.

The short form forks the studio from a process that has read the libraries. ``make kill-test`` starts it anew
every time, 50 times, and writes its figures after every kill to ``out/kill_test.json``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from benchmarks.studio_process import StudioProcess, free_port

from shotstream.serving.protocol.events import Receipt
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoredCommand, StoredStory, Swept
from shotstream.serving.story.director import Director
from shotstream.streaming.pipeline import ShotStreamPipeline
from tests.serving.endurance.forked import ForkedStudio
from tests.serving.endurance.script import SCRIPT, SETTING
from tests.serving.endurance.surviving_client import ChunkKey, SurvivingClient

pytestmark = pytest.mark.cpu

LONG = "SHOTSTREAM_LONG" in os.environ
KILLS = 50 if LONG else 3
START: type[StudioProcess] = StudioProcess if LONG else ForkedStudio
FIGURES = Path("out/kill_test.json")
MOST_RESTART_SECONDS = 10.0
"""From a process's start to the first frame that is new, at most."""
LONGEST_LIFE_SECONDS = 1.5
"""From the first new frame to the kill, at most."""
LONGEST_START_SECONDS = 8.0
"""From the process's start to a kill that does not wait for frames, at most."""


class Trial:
    """Stories in one library, told by one server after another."""

    def __init__(self, folder: Path) -> None:
        self.store, self.port = folder / "library", free_port()
        self.chance = random.Random(0)
        self.directors: list[SurvivingClient] = []
        self.kept: set[ChunkKey] = set()
        """Chunks of the running story that were in the library at the last kill."""
        self.restarts: list[dict[str, float]] = []
        """What it took from a process's start to the first frame that it made."""
        self.kills = self.early_kills = 0

    async def kill_once(self) -> None:
        """Start the studio, direct for a while, kill it, look at what is left."""
        studio = START(self.store, self.port)
        try:
            director = await asyncio.to_thread(self._director, studio)
            directing = asyncio.create_task(director.direct(self.port))
            early = LONG and bool(self.restarts) and self.chance.random() < 0.2
            await self._wait(studio, director, directing, early)
        finally:
            studio.kill()
        await asyncio.wait({directing}, timeout=2)
        if directing.done():
            directing.result()
        directing.cancel()
        self.kills, self.early_kills = self.kills + 1, self.early_kills + early
        self.check(director, sweeping=self.kills % 2 == 0)

    async def finish(self) -> None:
        """Tell the last story to its end."""
        studio = START(self.store, self.port)
        try:
            await asyncio.wait_for(self.directors[-1].direct(self.port), 180)
        finally:
            studio.stop()
        self.check(self.directors[-1], sweeping=True)

    def _director(self, studio: StudioProcess) -> SurvivingClient:
        """Whose story is told: a new one after the end of the last."""
        if not self.directors or self.directors[-1].done:
            studio.wait_ready()
            seed = len(self.directors)
            self.directors.append(SurvivingClient(studio.begin_story(SETTING, seed), SCRIPT))
            self.kept = set()
        return self.directors[-1]

    async def _wait(
        self, studio: StudioProcess, director: SurvivingClient, directing: asyncio.Task[None], early: bool
    ) -> None:
        """Wait until it is time to kill."""
        if early:
            await asyncio.sleep(self.chance.uniform(0, LONGEST_START_SECONDS))
            return
        while not (new := director.came_at.keys() - self.kept) and not directing.done():
            await asyncio.sleep(0.01)
        if new and self.kept:
            first = min(director.came_at[key] for key in new) - studio.started_at
            welcome = director.welcomed_at - studio.started_at
            told_again = len(self.kept)
            self.restarts.append(
                {
                    "welcome_seconds": welcome,
                    "new_frame_seconds": first,
                    "processor_seconds": studio.processor_seconds,
                    "chunks_told_again": told_again,
                    "load_average": os.getloadavg()[0],
                }
            )
        with suppress(TimeoutError):
            life = self.chance.uniform(0, LONGEST_LIFE_SECONDS)
            await asyncio.wait_for(asyncio.shield(directing), life)

    def check(self, director: SurvivingClient, *, sweeping: bool) -> None:
        """What came to the client is in the library, in the same order; else the server sweeps."""
        with Store(self.store) as store:
            if sweeping:
                assert not store.sweep().missing
                assert store.sweep() == Swept()
            stored = store.load(director.story)
            places = [(chunk.shot, chunk.take, chunk.chunk) for chunk in stored.chunks]
            assert list(director.frames) == places[: len(director.frames)]
            kept = {entry.command.id: entry.receipt for entry in stored.commands}
            for name, receipt in director.receipts.items():
                assert kept[name] == Receipt.model_validate_json(json.dumps(receipt))
            for chunk, place in zip(stored.chunks, places, strict=True):
                if place not in self.kept:
                    assert chunk.latents().isfinite().all()
            self.kept = set(places)

    def figures(self) -> dict[str, object]:
        """What there is to tell."""
        return {
            "kills": self.kills,
            "of them before the first new frame": self.early_kills,
            "stories": len(self.directors),
            "chunks seen": sum(len(director.frames) for director in self.directors),
            "receipts": sum(len(director.receipts) for director in self.directors),
            "restart to first new frame, seconds": _spread(self.restarts, "new_frame_seconds"),
            "processor time of it, seconds": _spread(self.restarts, "processor_seconds"),
            "restarts": self.restarts,
        }


def test_the_studio_is_killed_and_goes_on_bit_for_bit(tmp_path):
    trial = Trial(tmp_path)
    while trial.kills < KILLS:
        asyncio.run(asyncio.wait_for(trial.kill_once(), 180))
        _report(trial)
    asyncio.run(trial.finish())
    began = time.monotonic()
    with Store(tmp_path / "library") as store:
        pipeline = ShotStreamPipeline.from_pretrained("mini")
        compared = [compare(store, store.load(director.story), pipeline) for director in trial.directors]
    print(
        f"{sum(compared)} chunks made once more without a break are the same, bit for bit: "
        f"{time.monotonic() - began:.0f} s"
    )
    assert sum(compared) >= len(SCRIPT)
    assert _spread(trial.restarts, "new_frame_seconds")["max"] <= MOST_RESTART_SECONDS


def compare(store: Store, stored: StoredStory, pipeline: ShotStreamPipeline) -> int:
    """Tell a story from its commands alone, in one go: every chunk has the same bits; return how many."""
    story = Director(pipeline.open(stored.setting, stored.seed), store.picture)
    latents: dict[tuple[int, int], list[torch.Tensor]] = {}
    story.find_take = lambda *place: story.session.decode(latents[place]).__getitem__
    for entry in stored.entries:
        if isinstance(entry, StoredCommand):
            story.apply(entry.command)
        else:
            story.prepare_chunk(most_chunks=1000)
            made = story.session.next_chunk()
            assert made is not None
            story.made(made)
            place = (stored.id, entry.shot, entry.take, entry.chunk)
            assert (stored.id, made.shot, made.take, made.index) == place
            assert torch.equal(made.latents, entry.latents()), f"{place} is another one"
            latents.setdefault((made.shot, made.take), []).append(made.latents)
    return len(stored.chunks)


def _spread(restarts: list[dict[str, float]], of: str) -> dict[str, float]:
    seconds = [restart[of] for restart in restarts]
    return {"p50": round(statistics.median(seconds), 2), "max": round(max(seconds), 2)} if seconds else {}


def _report(trial: Trial) -> None:
    figures = trial.figures()
    if LONG:
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps({name: figure for name, figure in figures.items() if name != "restarts"}), flush=True)
