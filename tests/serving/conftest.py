"""A tiny model, a library in memory and a clock that stands still until it is moved."""

from __future__ import annotations

import atexit
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from shotstream.media.files import DiskFull
from shotstream.serving.engine import Engine
from shotstream.serving.protocol.commands import Command, Playhead
from shotstream.serving.protocol.events import Limits, Receipt, Refused
from shotstream.serving.protocol.messages import read_message
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import MadeWith, StoredChunk
from shotstream.serving.story.live_story import LiveStory
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import ContextFrame

MADE_WITH = MadeWith("tiny", 16, 16, 8.0)
FOX = "159ecc12ddcecdf4c52b63f728453586"
"""Name of an uploaded picture."""
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""Where a library's waiting for the disk takes no time."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Viewer:
    """Everything that one viewer is told."""

    def __init__(self) -> None:
        self.seen: list = []
        self.chunks: list[Chunk] = []
        self.answers: list[Receipt | Refused] = []

    def __call__(self, event) -> None:
        self.seen.append(event)

    def film(self) -> list[tuple]:
        return [
            (chunk.shot, chunk.take, chunk.index, chunk.last, chunk.frames.tobytes()) for chunk in self.chunks
        ]

    def of(self, kind: type) -> list:
        return [event for event in self.seen if isinstance(event, kind)]


class Library(Store):
    """A library that may be told that its disk is full."""

    full = False

    def _transaction(self):
        if self.full:
            raise DiskFull("the disk is full; free some space")
        return super()._transaction()

    def copy(self) -> Library:
        """The library as a crash would leave it now."""
        folder = self.folder.with_name(f"copy {secrets.token_hex(4)}")
        shutil.copytree(self.folder, folder)
        return Library(folder)


class Studio:
    """An engine without its thread, and one viewer of every story."""

    def __init__(self, pipeline, library: Library, **limits) -> None:
        self.store = library
        assert library.add_picture(np.full((20, 20, 3), 200, np.uint8)) == FOX
        self.clock = Clock()
        self.engine = Engine(
            library,
            lambda setting, seed: pipeline.open(setting, seed, rewind_chunks=4),
            MADE_WITH,
            Limits(**limits),
            show=self._show,
            keep=self._keep,
            put_aside=self._put_aside,
            clock=self.clock,
        )
        self.viewers: dict[str, Viewer] = {}
        self.order: list[str] = []
        """The story of every chunk that was made."""
        self.put_aside = 0
        """How many of them were put aside."""

    def _show(self, story: str, stored: StoredChunk, chunk: Chunk, *, again: bool) -> None:
        assert torch.equal(stored.latents(), chunk.latents), "it is on the disk before it is shown"
        if not again:
            self.order.append(story)
            self.viewers.setdefault(story, Viewer()).chunks.append(chunk)

    def _put_aside(self, story: str, chunks: Sequence[StoredChunk]) -> None:
        made = self.viewers[story].chunks
        places = [(chunk.shot, chunk.take, chunk.index) for chunk in made[-len(chunks) :]]
        assert places == [(chunk.shot, chunk.take, chunk.chunk) for chunk in chunks]
        del made[-len(chunks) :]
        self.put_aside += len(chunks)

    def _keep(self, story: str, frames: Sequence[ContextFrame]) -> None:
        for frame in frames:
            self.store.keep_still(story, frame)

    def begin(self, setting: str = "a fox", seed: int = 1) -> LiveStory:
        return self._watch(self.engine.begin(setting, seed))

    def open(self, story: str) -> LiveStory:
        return self._watch(self.engine.open(story))

    def _watch(self, opening) -> LiveStory:
        while not opening.done():  # no turns, which might make a chunk before anybody watches
            self.engine._do_job()
        live = opening.result()
        viewer = self.viewers.setdefault(live.story, Viewer())
        live.listen(viewer)
        return live

    def viewer(self, live: LiveStory) -> Viewer:
        return self.viewers[live.story]

    def send(self, live: LiveStory, id: str | None = None, **fields) -> Receipt | Refused:
        """Send a command, and return what it is answered before the next chunk."""
        answered = len(self.viewer(live).answers)
        self.offer(live, id, **fields)
        while len(self.viewer(live).answers) == answered:
            live.attend()
        return self.viewer(live).answers[-1]

    def offer(self, live: LiveStory, id: str | None = None, **fields) -> None:
        viewer = self.viewer(live)
        id = id or f"command {len(viewer.answers)} of {live.story}"
        self.engine.offer(live, command(id=id, **fields), viewer.answers.append)

    def run(self, turns: int = 100, watching: bool = True) -> None:
        """Let the engine work; a viewer who watches has shown everything that was made."""
        for _ in range(turns):
            worked = self.engine.turn()
            self.clock.now += 0.1
            for live in list(self.engine._open_stories.values()):
                if watching:
                    self.show_newest(live)
            if not worked:
                return

    def show_newest(self, live: LiveStory) -> None:
        chunks = self.viewer(live).chunks if live.story in self.viewers else []
        if chunks:
            newest = chunks[-1]
            frame = newest.first_frame + len(newest.frames) - 1
            self.engine.playhead(live, Playhead(shot=newest.shot, take=newest.take, frame=frame))


def command(**fields) -> Command:
    import json

    message = read_message(json.dumps(fields))
    assert message.type not in ("hello", "playhead")
    return message  # type: ignore[return-value]


@cache
def _empty_library() -> Path:
    folder = TemporaryDirectory(dir=MEMORY)
    atexit.register(folder.cleanup)
    Library(Path(folder.name)).close()
    return Path(folder.name)


@contextmanager
def studios(pipeline) -> Iterator[Callable[..., Studio]]:
    """Make studios, each with a library of its own unless one is given."""
    with TemporaryDirectory(dir=MEMORY) as folder, ExitStack() as libraries:

        def make(library: Library | None = None, **limits) -> Studio:
            if library is None:
                made = Path(folder) / str(len(list(Path(folder).iterdir())))
                shutil.copytree(_empty_library(), made)  # making its tables takes longer
                library = Library(made)
            return Studio(pipeline, libraries.enter_context(library), **limits)

        yield make


@pytest.fixture
def make_studio(pipeline) -> Iterator[Callable[..., Studio]]:
    with studios(pipeline) as make:
        yield make


@pytest.fixture
def studio(make_studio) -> Studio:
    return make_studio()
