"""Viewers of a studio over WebSockets: one kind that behaves as the page does, and four that do not."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from shotstream.client import AsyncClient, AsyncStudioStory, StudioError
from shotstream.client.feed import Feed
from shotstream.serving.protocol.commands import ChunkPlace
from shotstream.serving.protocol.events import (
    Dropped,
    Event,
    Figures,
    Receipt,
    Refused,
    ShotChanged,
    Shown,
    StateChanged,
)
from shotstream.serving.protocol.messages import VideoHeader
from shotstream.serving.protocol.states import State

PROMPTS = [
    "Wide shot of the orange cat waving hello.",
    "Close up. The cat looks around.",
    "Medium shot. The orange cat walks along. The camera pans slowly.",
    "In a wide shot, the cat jumps up and down.",
    "Medium shot of the orange cat dancing happily.",
]
SHOT_SECONDS = 5.0
_FIRST_FRAMES_FEWER = 3
"""The first chunk of a shot of mini has so many frames fewer than the others."""
_GONE = (WebSocketException, OSError, EOFError, StudioError)

FrameKey = tuple[int, int, int]


class Viewer:
    """One that connects again whenever its connection ends.

    Args:
        url: The studio's address.
        story: Which story it watches.
        address: Its own address of this machine, so that limits of one client are no other's.
    """

    pause_seconds = 0.1
    """Between two connections."""
    most_waiting = 64
    """Messages that are read and not yet looked at."""

    def __init__(self, url: str, story: str, address: str) -> None:
        self.url, self.story, self.address = url, story, address
        self.connections, self.messages, self.dropped_frames = 0, 0, 0
        self.ends: Counter[str] = Counter()
        """How connections ended: close codes, or kinds of errors."""

    async def live(self) -> None:
        """Connect, behave, connect again, until cancelled."""
        while True:
            try:
                async with self._client() as client, client.connect() as socket:
                    self.connections += 1
                    await self.behave(socket)
                    self.ends["went away"] += 1
            except _GONE as error:
                received = getattr(error, "rcvd", None)
                self.ends[str(received.code) if received else type(error).__name__] += 1
            await asyncio.sleep(self.pause_seconds)

    def _client(self) -> AsyncClient:
        return AsyncClient(self.url, local_addr=(self.address, 0), max_queue=self.most_waiting)

    async def behave(self, socket: ClientConnection) -> None:
        """What it does with a connection."""
        raise NotImplementedError

    async def say(self, socket: ClientConnection, **message: Any) -> None:
        """Send a message."""
        await socket.send(json.dumps(message))

    async def greet(self, socket: ClientConnection) -> None:
        """Begin to watch."""
        await socket.send(Feed(self.story).hello())

    def figures(self) -> dict[str, Any]:
        """What it saw."""
        return {
            "kind": type(self).__name__.lower(),
            "story": self.story,
            "connections": self.connections,
            "messages": self.messages,
            "dropped_frames": self.dropped_frames,
            "ends": dict(self.ends),
        }


class Patient(Viewer):
    """Plays at the film's pace, says what it shows, and gives one shot after another, as the page does.

    Every fourth shot is redirected, every sixth cut by the next. `turn_seconds` are the times from when a
    chunk was wanted (less than the look-ahead was left to show) to when it came.
    """

    def __init__(self, url: str, story: str, address: str) -> None:
        super().__init__(url, story, address)
        self.directs = True
        self.frames: set[FrameKey] = set()
        self.state = State.IDLE
        self.turn_seconds: list[float] = []
        self.chunk_seconds: list[tuple[float, float]] = []
        """(when, how long it took to make) of the chunks that figures told of."""
        self.glass_seconds: list[float] = []
        self.refused: Counter[str] = Counter()
        self._fps, self._lookahead, self._chunk_frames = 12.0, 24, 12
        self._waiting: deque[FrameKey] = deque()
        """Frames that are here and not shown."""
        self._wanted_at: float | None = None
        self._shots = self._chunks_of_shot = self._chunks_made = 0
        self._unanswered: set[str] = set()
        self._speed = 0.0
        self._after: ChunkPlace | None = None

    async def behave(self, socket: ClientConnection) -> None:
        """Watch, play and direct at once."""
        async with self._client() as client:
            story = AsyncStudioStory(client, socket, Feed(self.story))
            await story.greet(self._after)
            self._begin(story)
            others = [asyncio.create_task(self._play(story)), asyncio.create_task(self._direct(story))]
            try:
                async for said in story.messages():
                    self.messages += 1
                    self._see(said) if isinstance(said, VideoHeader) else self._hear(said)
            finally:
                for task in others:
                    task.cancel()
        raise EOFError  # the server ended it

    def _begin(self, story: AsyncStudioStory) -> None:
        welcome = story.feed.welcome
        assert welcome
        self.state, self._fps = story.state, story.fps
        self._chunk_frames = round(welcome.chunk_seconds * self._fps)
        self._lookahead = round(welcome.limits.lookahead_seconds * self._fps)
        self._unanswered.clear()  # of a connection that was lost: the next shot is asked for anew

    def _see(self, video: VideoHeader) -> None:
        key = (video.shot, video.take, video.frame)
        if key in self.frames:
            return
        now = time.monotonic()
        if video.flags & 1 and self._wanted_at:
            self.turn_seconds.append(now - self._wanted_at)
            self._wanted_at = None
        self.frames.add(key)
        self._waiting.append(key)
        chunk, place = divmod(video.frame + _FIRST_FRAMES_FEWER, self._chunk_frames)
        if place == self._chunk_frames - 1:
            self._after = ChunkPlace(shot=video.shot, take=video.take, chunk=chunk)
            self._chunks_of_shot = chunk + 1
            self._want()

    def _want(self) -> None:
        running = self.state in (State.SHOOTING, State.HOLDING, State.CUTTING)
        if running and len(self._waiting) < self._lookahead:
            self._wanted_at = self._wanted_at or time.monotonic()
        elif not running:
            self._wanted_at = None

    def _hear(self, event: Event) -> None:
        match event:
            case StateChanged():
                self.state = event.state
                self._want()
            case ShotChanged():
                self._chunks_made = event.chunks
            case Figures() if event.frames_per_second not in (0, self._speed):
                self._speed = event.frames_per_second
                frames = self._chunk_frames - (_FIRST_FRAMES_FEWER if self._chunks_made == 1 else 0)
                self.chunk_seconds.append((time.monotonic(), frames / self._speed))
            case Shown():
                self.glass_seconds.append(event.prompt_to_glass_seconds)
            case Receipt():
                self._unanswered.discard(event.id)
            case Refused():
                self._unanswered.discard(event.id)
                self.refused[event.code] += 1
            case Dropped():
                self.dropped_frames += event.frames

    async def _play(self, story: AsyncStudioStory) -> None:
        """Show a frame at a time; one that comes late is shown at once, and the rest follows from there."""
        due = time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not self._waiting:
                due = time.monotonic() + 0.02
                continue
            key = self._waiting.popleft()
            self._want()
            await story.show(*key)
            due = max(due, time.monotonic() - 2 / self._fps) + 1 / self._fps

    async def _direct(self, story: AsyncStudioStory) -> None:
        redirected = 0
        while True:
            await asyncio.sleep(0.1)
            fresh, running = self._chunks_of_shot, self.state is State.SHOOTING
            if not self.directs or self._unanswered:
                continue
            ends = self.state is State.IDLE and len(self._waiting) <= self._fps
            if ends or (running and self._shots % 6 == 5 and fresh >= 3):
                self._shots, self._chunks_of_shot = self._shots + 1, 0
                prompt = PROMPTS[self._shots % 5]
                await self._command(story, "shoot", prompt=prompt, seconds=SHOT_SECONDS)
            elif running and self._shots % 4 == 3 and fresh >= 2 and redirected != self._shots:
                redirected = self._shots
                await self._command(story, "redirect", prompt=PROMPTS[(self._shots + 2) % 5])

    async def _command(self, story: AsyncStudioStory, kind: str, **fields: Any) -> None:
        command = story.feed.command(kind, **fields)
        self._unanswered.add(command.id)
        await story.send(command)

    def figures(self) -> dict[str, Any]:
        """What it saw, and what was refused."""
        return super().figures() | {"frames": len(self.frames), "refused": dict(self.refused)}


class Slow(Viewer):
    """Reads two messages a second."""

    most_waiting = 1

    async def behave(self, socket: ClientConnection) -> None:
        """Read a little."""
        system = socket.transport.get_extra_info("socket")
        system.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)  # it does not read ahead for us either
        await self.greet(socket)
        while True:
            message = await socket.recv()
            self.messages += 1
            if isinstance(message, str) and (event := json.loads(message))["type"] == "dropped":
                self.dropped_frames += event["frames"]
            await asyncio.sleep(0.5)


class Silent(Viewer):
    """Never reads anything; every other time it does not even say hello."""

    async def behave(self, socket: ClientConnection) -> None:
        """Sit there for a minute."""
        if self.connections % 2:
            await self.greet(socket)
        socket.transport.pause_reading()
        await asyncio.sleep(60)
        socket.transport.abort()


class Flooding(Viewer):
    """Talks as fast as it can: nonsense, frames that nobody made, commands that are refused."""

    async def behave(self, socket: ClientConnection) -> None:
        """Talk until it is cut off."""
        await self.greet(socket)
        while True:
            self.messages += 1
            match self.messages % 3:
                case 0:
                    await self.say(socket, type="playhead", shot=10**6, take=0, frame=0)
                case 1:
                    await self.say(socket, type="undo", id=f"flood {self.messages}")
                case 2:
                    await socket.send("x" * 30_000)
            await asyncio.sleep(0)  # to hear that it was cut off


class Vanishing(Viewer):
    """Watches for a moment and is gone without a word, again and again."""

    pause_seconds = 0.3

    async def behave(self, socket: ClientConnection) -> None:
        """Watch and vanish."""
        await self.greet(socket)
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, 1)):
                async for _ in socket:
                    self.messages += 1
        socket.transport.abort()


BADLY_BEHAVED = (Slow, Silent, Flooding, Vanishing)


async def misbehave(viewers: Sequence[Viewer], seconds: float) -> list[dict[str, Any]]:
    """Let viewers live for a while; return what they saw."""
    tasks = [asyncio.create_task(viewer.live()) for viewer in viewers]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=5)  # no longer for politeness
    return [viewer.figures() for viewer in viewers]


class Crowd:
    """Viewers in a process of their own, so that they cost the others' processes nothing.

    Args:
        viewers: Who they are.
        seconds: How long they stay.
    """

    def __init__(self, viewers: Sequence[Viewer], seconds: float) -> None:
        processes = multiprocessing.get_context("fork")
        self._figures, theirs = processes.Pipe(duplex=False)
        self._process = processes.Process(target=_live, args=(theirs, viewers, seconds), daemon=True)
        self._process.start()

    def figures(self) -> list[dict[str, Any]]:
        """Wait until they have gone; what they saw."""
        seen = self._figures.recv()
        self._process.join()
        return seen


def _live(theirs: Connection, viewers: Sequence[Viewer], seconds: float) -> None:
    theirs.send(asyncio.run(misbehave(viewers, seconds)))
