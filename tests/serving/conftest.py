"""A tiny model, a journal in memory and a clock that stands still until it is moved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shotstream.serving.commands import Command, Playhead
from shotstream.serving.engine import Engine
from shotstream.serving.events import Limits, Receipt, Refused
from shotstream.serving.protocol import read_message
from shotstream.serving.telling import Telling
from shotstream.streaming.chunk import Chunk
from tests.serving.memory_journal import MemoryJournal


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Viewer:
    """Everything that one viewer is told."""

    def __init__(self) -> None:
        self.seen: list = []
        self.answers: list[Receipt | Refused] = []

    def __call__(self, event) -> None:
        self.seen.append(event)

    @property
    def chunks(self) -> list[Chunk]:
        return [event for event in self.seen if isinstance(event, Chunk)]

    def film(self) -> list[tuple]:
        return [
            (chunk.shot, chunk.take, chunk.index, chunk.last, chunk.frames.tobytes()) for chunk in self.chunks
        ]

    def of(self, kind: type) -> list:
        return [event for event in self.seen if isinstance(event, kind)]


class Studio:
    """An engine without its thread, and one viewer of every story."""

    def __init__(self, pipeline, journal: MemoryJournal | None = None, **limits) -> None:
        self.journal = journal or MemoryJournal()
        self.journal.pictures["fox"] = np.full((20, 20, 3), 200, np.uint8)
        self.clock = Clock()
        self.engine = Engine(
            self.journal,
            lambda setting, seed: pipeline.open(setting, seed),
            Limits(**limits),
            clock=self.clock,
        )
        self.viewers: dict[str, Viewer] = {}

    def begin(self, setting: str = "a fox", seed: int = 1) -> Telling:
        return self._watch(self.engine.begin(setting, seed))

    def open(self, story: str) -> Telling:
        return self._watch(self.engine.open(story))

    def _watch(self, opening) -> Telling:
        while not opening.done():  # no turns, which might make a chunk before anybody watches
            self.engine._do_job()
        telling = opening.result()
        viewer = self.viewers.setdefault(telling.story, Viewer())
        telling.listen(viewer)
        return telling

    def viewer(self, telling: Telling) -> Viewer:
        return self.viewers[telling.story]

    def send(self, telling: Telling, id: str | None = None, **fields) -> Receipt | Refused:
        """Send a command, and return what it is answered before the next chunk."""
        self.offer(telling, id, **fields)
        telling.attend()
        return self.viewer(telling).answers[-1]

    def offer(self, telling: Telling, id: str | None = None, **fields) -> None:
        viewer = self.viewer(telling)
        id = id or f"command {len(viewer.answers)} of {telling.story}"
        self.engine.offer(telling, command(id=id, **fields), viewer.answers.append)

    def run(self, turns: int = 100, watching: bool = True) -> None:
        """Let the engine work; a viewer who watches has shown everything that was made."""
        for _ in range(turns):
            worked = self.engine.turn()
            self.clock.now += 0.1
            for telling in list(self.engine._tellings.values()):
                if watching:
                    self.show_newest(telling)
            if not worked:
                return

    def show_newest(self, telling: Telling) -> None:
        chunks = self.viewer(telling).chunks if telling.story in self.viewers else []
        if chunks:
            newest = chunks[-1]
            frame = newest.first_frame + len(newest.frames) - 1
            self.engine.playhead(telling, Playhead(shot=newest.shot, take=newest.take, frame=frame))


def command(**fields) -> Command:
    import json

    message = read_message(json.dumps(fields))
    assert message.type not in ("hello", "playhead")
    return message  # type: ignore[return-value]


@pytest.fixture
def studio(pipeline) -> Studio:
    return Studio(pipeline)


@pytest.fixture
def make_studio(pipeline) -> Callable[..., Studio]:
    return lambda journal=None, **limits: Studio(pipeline, journal, **limits)
