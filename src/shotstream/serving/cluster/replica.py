"""One replica of a studio: the whole studio of one machine, for the stories that it has leases of.

It runs in a process of its own, listens to the ingress alone, and says every second that it is there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import torch
import uvicorn

from shotstream.machine.cluster import own_address
from shotstream.machine.free_space import free_memory
from shotstream.serving.protocol.events import Limits
from shotstream.serving.protocol.states import State
from shotstream.serving.quotas import Quotas
from shotstream.serving.served_model import ServedModel
from shotstream.serving.storage.leases import BEAT_SECONDS, ReplicaFigures
from shotstream.serving.storage.shared_store import SharedStore
from shotstream.serving.storage.stored import StoreError
from shotstream.serving.studio import Studio
from shotstream.serving.web.access import Access
from shotstream.serving.web.app import create_app
from shotstream.serving.web.server import allow_files, server_config

log = logging.getLogger(__name__)

SPARE = 0.9
"""Of the time of the engine, what stories may take; the rest is for opening and replaying."""
READY_SECONDS = 600.0
"""How long a model may take to be loaded and warmed up."""
_AT_REST = {State.IDLE, State.PAUSED, State.FAILED}


def story_bytes(model: ServedModel) -> int:
    """Memory that an open story takes on a GPU; 0 on other devices, where it is little beside the rest."""
    device = model.pipeline.transformer.device
    if device.type != "cuda":
        return 0
    model.warm_up()  # what is compiled first is no story's
    before = torch.cuda.memory_allocated(device)
    session = model.open("", 0)
    session.cut(model.examples()[0][0], chunks=1)
    session.next_chunk()
    taken = torch.cuda.memory_allocated(device) - before
    session.close()
    return taken


@dataclass(frozen=True)
class ReplicaSettings:
    """What replicas of one studio have in common; it can be pickled."""

    library: Path
    """A folder that all machines see under this name, unless `media` is given."""
    url: str | None
    """SQLAlchemy URL of the database; None for SQLite in the folder, on one machine."""
    open_model: Callable[[], ServedModel]
    """Loads the model, in the replica's process."""
    secret: str
    """What the ingress brings."""
    limits: Limits
    quotas: Quotas
    host: str = "127.0.0.1"
    """Address that a replica listens at; empty for the one by which its machine is known to Ray."""
    media: str | None = None
    """Address of the library's files; each machine then has a folder of its own. None for the folder."""


class Replica:
    """A replica, ready to be asked. Its methods may be called from any thread.

    It has no coroutine: Ray would run all methods on one event loop, and `wait` would hold up the others.

    Args:
        name: Its name, of which there is no second.
        settings: What it has in common with the others.

    Raises:
        StoreError: If the library cannot be used.
        ValueError: If the model cannot be loaded.
    """

    def __init__(self, name: str, settings: ReplicaSettings) -> None:
        allow_files()
        self.name, self._began = name, {}
        self._store = SharedStore(settings.library, settings.url, name, settings.media)
        self._model = settings.open_model()
        self._story_bytes = story_bytes(self._model)
        self._studio = Studio(self._store, self._model, settings.limits, settings.quotas)
        self._playing: list[float] = []
        self._idle: set[str] = set()
        self._ended, self._drained = Event(), Event()
        access = Access(settings.secret, rates=False)
        app = create_app(self._studio, access)
        config = server_config(app, access, lifespan="on", timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(config)
        self._listener = socket.create_server((settings.host or own_address(), 0))
        self.address = "{}:{}".format(*self._listener.getsockname()[:2])
        self._thread = Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="server", daemon=True
        )
        self._thread.start()
        self._wait_until_ready()
        self._store.leases.add(name, self.address, self.figures())
        Thread(target=self._beat, name="beat", daemon=True).start()

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + READY_SECONDS
        while not self._studio.ready:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise ValueError("A replica's model could not be warmed up; its log says why.")
            time.sleep(0.02)

    def figures(self) -> ReplicaFigures:
        """How much it does, and has room for."""
        made, seconds = self.work()
        factor = seconds / made / self._model.chunk_seconds if made else 0.0
        most = self._studio.limits.open_stories
        if made > 1:  # the first chunk may be slower
            most = min(most, max(1, int(SPARE / factor)))
        free = free_memory(self._model.pipeline.transformer.device)
        if free is not None and self._story_bytes:
            most = min(most, len(self._studio.engine.open_stories) + free // self._story_bytes)
        known = sum(self._playing) / len(self._playing) if self._playing else None
        return ReplicaFigures(most, self._studio.viewers, round(factor, 4), free, known)

    def work(self) -> tuple[int, float]:
        """How many chunks the engine has made, and in how many seconds."""
        samples = {
            sample.name: sample.value
            for metric in self._studio.metrics.chunk_seconds.collect()
            for sample in metric.samples
        }
        count = samples["shotstream_chunk_seconds_count"]
        return int(count), samples["shotstream_chunk_seconds_sum"]

    def wait(self) -> None:
        """Wait until it is drained: who asks is told at once if its process ends sooner."""
        self._drained.wait()

    def process(self) -> int:
        """The number of its process."""
        return os.getpid()

    def drain(self) -> None:
        """End after the running chunks; its stories can go on elsewhere when this returns."""
        self._store.leases.drain(self.name)
        self._ended.set()
        while open_stories := self._studio.engine.open_stories:
            for live in open_stories:
                self._studio.engine.let_go(live.story).result()
        asyncio.run(_settle(self._studio))
        self._store.leases.drop(self.name)
        self._server.should_exit = True  # whose sockets say that it starts again: viewers connect again
        self._thread.join()
        self._store.close()
        self._drained.set()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self._note_playing()
                self._release_unused()
                if not self._store.leases.beat(self.name, self.figures()):
                    log.error("replica %s was given up, and ends", self.name)
                    os._exit(1)
            except StoreError as error:
                log.warning("replica %s could not say that it is there: %s", self.name, error)

    def _note_playing(self) -> None:
        """Take the time that stories are told from their beginning to their rest."""
        states = {live.story: live.snapshot.state for live in self._studio.engine.open_stories}
        playing = {story for story, state in states.items() if state not in _AT_REST}
        now = time.monotonic()
        for story in self._began.keys() - playing:
            self._playing = [*self._playing[-99:], now - self._began.pop(story)]
        for story in playing:
            self._began.setdefault(story, now)

    def _release_unused(self) -> None:
        """Release stories that are neither open nor watched, and were neither a beat ago."""
        used = {live.story for live in self._studio.engine.open_stories} | self._studio.watched
        unused = self._store.leases.of(self.name) - used
        for story in unused & self._idle:
            self._store.leases.release(story, self.name)
        self._idle = unused


async def _settle(studio: Studio) -> None:
    """Wait for the clips of what was made: they are kept under the leases."""
    await studio.recorded()
