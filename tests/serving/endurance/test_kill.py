"""The studio is killed at random moments while a story is told: nothing that was seen is lost, and the story
goes on as if nothing had been.

It is ended by SIGKILL, SIGTERM and SIGHUP in turn. Before, the library is copied by `back_up` while the
story goes on, and after one by SIGTERM or SIGHUP by plain copying: the copies lack nothing, either.

The short form forks the studio from a process that has read the libraries. ``make kill-test`` starts it anew
every time, 50 times, and writes its figures after every kill to ``out/kill_test.json``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.studio_process import StudioProcess, free_port

from shotstream.machine.device import choose_dtype
from shotstream.serving.protocol.events import Receipt
from shotstream.serving.storage.backup import back_up
from shotstream.serving.storage.integrity import check_library, open_to_read
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoredCommand, StoredStory, Swept
from shotstream.serving.story.director import Director
from shotstream.streaming.pipeline import ShotStreamPipeline
from tests.serving.endurance.forked import ForkedStudio
from tests.serving.endurance.script import SCRIPT, SETTING
from tests.serving.endurance.surviving_client import ChunkKey, SurvivingClient

pytestmark = pytest.mark.system

LONG = "SHOTSTREAM_LONG" in os.environ
KILLS = 50 if LONG else 3
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP]
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as under nohup, where a studio ignores it, too
    SIGNALS.remove(signal.SIGHUP)
START: type[StudioProcess] = StudioProcess if LONG else ForkedStudio
FIGURES = Path("out/kill_test.json")
MOST_RESTART_SECONDS = 10.0
"""From a process's start to the first frame that is new, at most, on a machine that is idle else."""
MOST_SECONDS = 900
"""What takes longer hangs."""
LONGEST_LIFE_SECONDS = 1.5
"""From the first new frame to the kill, at most."""
LONGEST_START_SECONDS = 8.0
"""From the process's start to a kill that does not wait for frames, at most."""


Promised = tuple[dict[ChunkKey, set[int]], dict[str, dict[str, Any]]]
"""Frames and receipts that a client has."""


def _back_up(library: Path, target: Path) -> None:
    """Be `shotstream library backup`."""
    with open_to_read(library) as reader:
        assert back_up(reader, target).missing == []


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
        self.kills = self.early_kills = self.copies = 0

    async def kill_once(self) -> None:
        """Start the studio, direct for a while, copy the library, kill it, look at what is left."""
        studio, number = START(self.store, self.port), SIGNALS[self.kills % len(SIGNALS)]
        backup = self.store.with_name(f"backup {self.kills}")
        promised: Promised = ({}, {})
        try:
            director = await asyncio.to_thread(self._director, studio)
            directing = asyncio.create_task(director.direct(self.port))
            early = LONG and bool(self.restarts) and self.chance.random() < 0.2
            await self._wait(studio, director, directing, early)
            if not early:
                promised = dict(director.frames), dict(director.receipts)
                await asyncio.to_thread(_back_up, self.store, backup)
        finally:
            if number == signal.SIGKILL:
                studio.kill()
            else:
                await asyncio.to_thread(studio.stop, number)
        await asyncio.wait({directing}, timeout=2)
        if directing.done():
            directing.result()
        directing.cancel()
        self.kills, self.early_kills = self.kills + 1, self.early_kills + early
        if not early:
            self.check_copy(backup, director, promised)
        if number != signal.SIGKILL:
            assert not self.store.joinpath("library.db-wal").exists(), "the database is one file after a stop"
            copy = self.store.with_name(f"copy {self.kills}")
            shutil.copytree(self.store, copy)
            self.check_copy(copy, director, (director.frames, director.receipts))
        self.check(director, sweeping=self.kills % 2 == 0)

    def check_copy(self, copy: Path, director: SurvivingClient, promised: Promised) -> None:
        """See that a copy is whole and lacks nothing of what the client had, then remove it."""
        with Store(copy) as store:
            assert check_library(store) == []
            stored = store.load(director.story)
            places = [(chunk.shot, chunk.take, chunk.chunk) for chunk in stored.chunks]
            assert list(promised[0]) == places[: len(promised[0])]
            assert promised[1].keys() <= {entry.command.id for entry in stored.commands}
        shutil.rmtree(copy)
        self.copies += 1

    async def finish(self) -> None:
        """Tell the last story to its end."""
        studio = START(self.store, self.port)
        try:
            await asyncio.wait_for(self.directors[-1].direct(self.port), MOST_SECONDS)
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
                swept = store.sweep()
                assert not swept.missing
                assert len(swept.lost) <= 1
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
            "copies that lacked nothing": self.copies,
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
        asyncio.run(asyncio.wait_for(trial.kill_once(), MOST_SECONDS))
        _report(trial)
    asyncio.run(trial.finish())
    began = time.monotonic()
    with Store(tmp_path / "library") as store:
        dtype = choose_dtype(torch.device("cpu")).value  # as the studio does
        pipeline = ShotStreamPipeline.from_pretrained("mini", dtype=dtype)
        compared = [compare(store, store.load(director.story), pipeline) for director in trial.directors]
    print(
        f"{sum(compared)} chunks made once more without a break are the same, bit for bit: "
        f"{time.monotonic() - began:.0f} s"
    )
    assert sum(compared) >= len(SCRIPT)
    calm = [restart for restart in trial.restarts if restart["load_average"] <= (os.cpu_count() or 1)]
    assert all(restart["new_frame_seconds"] <= MOST_RESTART_SECONDS for restart in calm)


def compare(store: Store, stored: StoredStory, pipeline: ShotStreamPipeline) -> int:
    """Tell a story from its commands alone, in one go: every chunk has the same bits; return how many.

    Chunks that were put aside are no part of it, and no command takes anything back here.
    """
    story = Director(pipeline.open(stored.setting, stored.seed), store.picture)
    latents: dict[tuple[int, int], list[torch.Tensor]] = {}
    story.find_take = lambda *place: list(story.session.decode(latents[place])).__getitem__
    for entry in stored.told:
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
