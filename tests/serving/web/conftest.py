"""The studio on the web with a tiny model: over real sockets, or straight to the app's own handlers."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import av
import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from shotstream.serving.protocol.events import Limits
from shotstream.serving.protocol.messages import HEADER_BYTES, VideoHeader
from shotstream.serving.served_model import ServedModel
from shotstream.serving.studio import Studio
from shotstream.serving.web.access import Access
from shotstream.serving.web.app import create_app
from shotstream.serving.web.server import server_config
from tests.serving.conftest import MEMORY, Library
from tests.waiting import eventually, until

LONG = bool(os.environ.get("SHOTSTREAM_LONG"))
NO_RATES = Access(rates=False)


@dataclass
class Server:
    """A studio that listens."""

    studio: Studio
    store: Library
    app: FastAPI
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def live(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/live"

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20, **options)

    def watch(self, story: str | None = None, after: dict | None = None, **options) -> Watcher:
        return Watcher(self, story, after, **options)

    def metric(self, name: str) -> float:
        """A figure of `/metrics`."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


@contextmanager
def serving(
    library: Library,
    model: ServedModel,
    access: Access = NO_RATES,
    limits: Limits | None = None,
    wait: bool = True,
    **config,
) -> Iterator[Server]:
    """Serve a library as `shotstream studio` does."""
    studio = Studio(library, model, limits)
    app = create_app(studio, access)
    options = {"timeout_graceful_shutdown": 1, "log_config": None, **config}
    server = uvicorn.Server(server_config(app, access, **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: studio.ready or not wait)
            yield Server(studio, library, app, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


class Watcher:
    """A browser: it says hello, takes everything, and says what it shows."""

    def __init__(
        self, server: Server, story: str | None, after: dict | None, shows: bool = True, **options
    ) -> None:
        self._open = ExitStack()
        self.socket = self._open.enter_context(
            connect(server.live, max_size=None, max_queue=None, compression=None, **options)
        )
        self.events: list[dict] = []
        self._looked_at: dict[str, int] = {}
        self.clips: dict[tuple[int, int], list[tuple[VideoHeader, bytes]]] = {}
        self.shows = shows
        hello = {"type": "hello", "protocol": 1, "story": story, "after": after}
        self.say(**{name: value for name, value in hello.items() if value is not None})
        self.welcome = self.until("welcome")
        self.story: str = self.welcome["story"]

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def say(self, **fields) -> None:
        self.socket.send(json.dumps(fields))

    def hear(self, seconds: float = 60) -> dict | None:
        """Take one message; a part of a clip is kept."""
        message = self.socket.recv(seconds)
        if isinstance(message, str):
            self.events.append(json.loads(message))
            return self.events[-1]
        header = VideoHeader.unpack(message)
        self.clips.setdefault((header.shot, header.take), []).append((header, message[HEADER_BYTES:]))
        if self.shows and header.flags:
            self.say(type="playhead", shot=header.shot, take=header.take, frame=header.frame)
        return None

    def until(self, type: str, **fields) -> dict:
        """Take messages until one of these fields, after the one of its type that was waited for last."""
        wanted = {"type": type, **fields}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for place, event in enumerate(self.events):
                if place >= self._looked_at.get(type, 0) and wanted.items() <= event.items():
                    self._looked_at[type] = place + 1
                    return event
            self.hear()
        raise AssertionError(f"{wanted} never came")

    def direct(self, type: str, id: str | None = None, **fields) -> dict:
        """Give a command and wait for its answer."""
        id = id or f"{type} {time.monotonic_ns()}"
        self.say(type=type, id=id, **fields)
        while True:
            event = self.hear()
            if event and event["type"] in ("receipt", "refused") and event["id"] == id:
                return event

    def shoot(self, prompt: str = "a fox runs", **fields) -> list[tuple[VideoHeader, bytes]]:
        """Shoot a shot and watch all of it; return its frames."""
        receipt = self.direct("shoot", prompt=prompt, **fields)
        assert receipt["type"] == "receipt", receipt
        return self.watch_shot(receipt["applies_from"]["shot"])

    def watch_shot(self, shot: int) -> list[tuple[VideoHeader, bytes]]:
        """Watch a shot to its last frame."""
        while not (frames := self.newest(shot)) or not frames[-1][0].flags & 2:
            self.hear()
        return frames

    def newest(self, shot: int) -> list[tuple[VideoHeader, bytes]]:
        """What came of the newest take of a shot."""
        takes = [take for number, take in self.clips if number == shot]
        return self.clips[shot, max(takes)] if takes else []

    def closed(self) -> int:
        """Take all that still comes, and return the code of the end."""
        with suppress(ConnectionClosed):
            while True:
                self.hear()
        assert self.socket.close_code is not None
        return self.socket.close_code


class Direct:
    """A socket without a network: the app's own handler, and a viewer that can stop taking anything."""

    def __init__(self, app: FastAPI, **headers: str) -> None:
        self.said: asyncio.Queue[dict] = asyncio.Queue()
        self.events: list[dict] = []
        self.clips: list[tuple[int, int, int]] = []
        """(shot, take, frame) of everything that came."""
        self.code: int | None = None
        self.takes = asyncio.Event()
        self.takes.set()
        self.said.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/api/live", "raw_path": b"/api/live", "query_string": b""}
        named = {"host": "127.0.0.1", **headers}
        scope["headers"] = [(name.encode(), value.encode()) for name, value in named.items()]
        scope |= {"client": ("127.0.0.1", 1), "subprotocols": [], "asgi": {"version": "3.0"}, "app": app}
        self.task = asyncio.create_task(app(scope, self.said.get, self._take))

    async def _take(self, message: dict) -> None:
        await self.takes.wait()
        if message["type"] == "websocket.close":
            self.code = message["code"]
        elif text := message.get("text"):
            self.events.append(json.loads(text))
        elif data := message.get("bytes"):
            self.clips.append(VideoHeader.unpack(data)[1:4])

    def say(self, **fields) -> None:
        self.said.put_nowait({"type": "websocket.receive", "text": json.dumps(fields)})

    def go(self) -> None:
        """Vanish without a word."""
        self.said.put_nowait({"type": "websocket.disconnect", "code": 1006})

    def of(self, type: str) -> list[dict]:
        return [event for event in self.events if event["type"] == type]


def run_app(
    library: Library, model: ServedModel, body: Callable[[FastAPI], Awaitable[None]], **limits
) -> None:
    """Run something beside a started app, in its event loop."""

    async def run() -> None:
        app = create_app(Studio(library, model, Limits(**limits)), NO_RATES)
        async with app.router.lifespan_context(app):
            await eventually(lambda: app.state.studio.ready)
            await asyncio.wait_for(body(app), 20)

    asyncio.run(run())


def frames_of(film: bytes) -> list[np.ndarray]:
    with av.open(BytesIO(film)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="session")
def model(pipeline) -> ServedModel:
    return ServedModel(pipeline, "tiny", "0" * 64)


@pytest.fixture
def library() -> Iterator[Library]:
    with TemporaryDirectory(dir=MEMORY) as folder, Library(Path(folder) / "library") as library:
        yield library


@pytest.fixture(scope="session")
def server(model) -> Iterator[Server]:
    """One for all tests that do no harm."""
    with (
        TemporaryDirectory(dir=MEMORY) as folder,
        Library(Path(folder) / "library") as library,
        serving(library, model, limits=Limits(open_stories=64)) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def told(server: Server) -> str:
    """A story of two shots, 2 and 3 chunks long, the second one taken twice."""
    with server.client() as client:
        story = client.post("/api/stories", json={"setting": "a red fox in the snow", "seed": 7}).json()[
            "story"
        ]
    with server.watch(story) as viewer:
        viewer.shoot("the fox runs", chunks=2)
        viewer.shoot("the fox sleeps", chunks=1, seed=5)
        viewer.direct("retake", shot=1)
        while (1, 1) not in viewer.clips:
            viewer.hear()
        viewer.watch_shot(1)
        until(lambda: server.studio.engine.open_stories and _idle(server, story))
    return story


def _idle(server: Server, story: str) -> bool:
    return httpx.get(f"{server.url}/api/stories/{story}").json()["snapshot"]["state"] == "idle"
