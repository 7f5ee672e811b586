"""A client that directs a script and outlives its server: it says again what was not answered."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from shotstream.serving.delivery.clips import LAST_OF_SHOT
from shotstream.serving.protocol.messages import VideoHeader

ChunkKey = tuple[int, int, int]
"""(shot, take, chunk)."""


@dataclass(frozen=True)
class Step:
    """A command, and when it is given: after so many more chunks, or as soon as no shot runs."""

    fields: dict[str, Any]
    after_chunks: int | None = None


@dataclass
class SurvivingClient:
    """What one client knows of its story; it lives on while servers come and go."""

    story: str
    script: list[Step]
    frames_of_chunk: int = 12
    frames: dict[ChunkKey, set[int]] = field(default_factory=dict)
    """Frames that came in; chunks in the order of their first frames."""
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    unanswered: dict[str, dict[str, Any]] = field(default_factory=dict)
    came_at: dict[ChunkKey, float] = field(default_factory=dict)
    """When the first frame of each chunk came, on the clock `time.monotonic`."""
    welcomed_at: float = 0.0
    state: str = "idle"
    done: bool = False
    _next_step: int = 0
    _chunks_before: int = 0
    _shot_seen: int | None = None
    """The shot that was seen to its end last."""
    _newest: ChunkKey | None = None
    """The newest chunk with all its frames."""

    async def direct(self, port: int) -> None:
        """Wait for the server; direct until the script has ended or the server is gone."""
        socket = await self._connected(port)
        try:
            await self._say(socket, self._hello())
            async for message in socket:
                await self._hear(socket, message)
                if self.done:
                    return
        except ConnectionClosed:
            return  # the server was killed
        finally:
            await socket.close()

    async def _connected(self, port: int) -> ClientConnection:
        while True:
            try:
                return await connect(f"ws://127.0.0.1:{port}/api/live", open_timeout=120)
            except (OSError, InvalidMessage):  # it does not listen yet, or was killed meanwhile
                await asyncio.sleep(0.05)

    def _hello(self) -> dict[str, Any]:
        hello: dict[str, Any] = {"type": "hello", "protocol": 1, "story": self.story}
        if self._newest:
            hello["after"] = dict(zip(("shot", "take", "chunk"), self._newest, strict=True))
        return hello

    async def _hear(self, socket: ClientConnection, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self._look(socket, VideoHeader.unpack(message))
        else:
            await self._read(socket, json.loads(message))
        if self._next_step < len(self.script):
            await self._go_on(socket)
        elif not self.unanswered:
            last = self.receipts[f"{self.story} {len(self.script) - 1}"]["applies_from"]["shot"]
            self.done = self.state == "idle" and self._shot_seen == last

    async def _read(self, socket: ClientConnection, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "welcome":
            self.welcomed_at, self.state = time.monotonic(), event["snapshot"]["state"]
            for command in self.unanswered.values():
                await self._say(socket, command)
            await self._ask_again(socket)
        elif kind == "state":
            self.state = event["state"]
        elif kind == "receipt":
            del event["type"]
            assert self.receipts.setdefault(event["id"], event) == event, "a receipt says what it said before"
            self.unanswered.pop(event["id"], None)
        elif kind == "refused":
            self.refusals.append(self.unanswered.pop(event["id"]) | {"refused": event["message"]})
        assert kind not in ("error", "dropped"), event

    async def _ask_again(self, socket: ClientConnection) -> None:
        """Send the newest answered command once more: its receipt must be the same and nothing may happen."""
        if self.receipts:
            newest = list(self.receipts)[-1]
            number = int(newest.split()[-1])
            await self._say(socket, self.script[number].fields | {"id": newest})

    async def _look(self, socket: ClientConnection, video: VideoHeader) -> None:
        shorter = 3  # the first chunk of a shot, by so many frames
        chunk = (video.frame + shorter) // self.frames_of_chunk
        key = (video.shot, video.take, chunk)
        frames = self.frames.setdefault(key, set())
        self.came_at.setdefault(key, time.monotonic())
        frames.add(video.frame)
        if len(frames) == self.frames_of_chunk - (shorter if chunk == 0 else 0):
            self._newest = key
            await self._say(
                socket,
                {"type": "playhead", "shot": video.shot, "take": video.take, "frame": video.frame},
            )
        if video.flags & LAST_OF_SHOT:
            self._shot_seen = video.shot

    async def _go_on(self, socket: ClientConnection) -> None:
        """Give the next command if its time has come."""
        if self.unanswered:
            return
        step = self.script[self._next_step]
        enough = step.after_chunks is not None and len(self.frames) - self._chunks_before >= step.after_chunks
        if self.state == "idle" or enough:
            command = step.fields | {"id": f"{self.story} {self._next_step}"}
            self._next_step, self._chunks_before = self._next_step + 1, len(self.frames)
            self.unanswered[command["id"]] = command
            await self._say(socket, command)

    async def _say(self, socket: ClientConnection, message: dict[str, Any]) -> None:
        await socket.send(json.dumps(message))
