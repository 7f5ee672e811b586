"""The client for programs that do something else meanwhile (asyncio)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from shotstream.client.address import Address, answered, httpx, new_story, why_closed
from shotstream.client.feed import Clip, Feed
from shotstream.serving.protocol.commands import ChunkPlace, Command, Playhead
from shotstream.serving.protocol.events import Event, Receipt, ShotCard
from shotstream.serving.protocol.messages import VideoHeader
from shotstream.serving.protocol.states import State

from websockets.asyncio.client import ClientConnection, connect  # isort: skip
from websockets.exceptions import ConnectionClosed  # isort: skip


class AsyncClient:
    """A studio.

    Args:
        url: Its address, such as ``http://127.0.0.1:8000``.
        token: What it printed when it started; None where it asks for none.
        timeout_seconds: How long an answer over HTTP may take.
        connection: More for `websockets.asyncio.client.connect`, such as ``local_addr`` or ``max_queue``.

    Raises:
        ValueError: If the address is none of HTTP.
    """

    def __init__(
        self, url: str, token: str | None = None, timeout_seconds: float = 60.0, **connection: Any
    ) -> None:
        self._address, self._connection = Address(url, token), {"max_size": None, **connection}
        self._http = httpx.AsyncClient(
            base_url=self._address.base, headers=self._address.headers, timeout=timeout_seconds
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        await self._http.aclose()

    async def get(self, path: str) -> httpx.Response:
        """Ask for anything of the studio's HTTP API, such as ``/api/stories``.

        Raises:
            StudioError: If it is refused.
        """
        return answered(await self._http.get(path))

    async def stories(self) -> list[dict[str, Any]]:
        """List the newest stories of the library, as `GET /api/stories` does."""
        return (await self.get("/api/stories")).json()

    @asynccontextmanager
    async def begin(self, setting: str, seed: int = 0, title: str = "") -> AsyncIterator[AsyncStudioStory]:
        """Begin a story, and open it.

        Raises:
            StudioError: If it is refused.
        """
        body = answered(await self._http.post("/api/stories", json=new_story(setting, seed, title))).json()
        async with self.open(body["story"]) as story:
            yield story

    @asynccontextmanager
    async def open(self, story: str, after: ChunkPlace | None = None) -> AsyncIterator[AsyncStudioStory]:
        """Open a story of the library; it goes on if it was left in the middle of a shot.

        Args:
            story: Its id.
            after: The newest chunk that is here already: what came after it is sent again.

        Raises:
            StudioError: If there is no such story, or too many watch.
        """
        try:
            async with self.connect() as socket:
                opened = AsyncStudioStory(self, socket, Feed(story))
                await opened.greet(after)
                yield opened
        except ConnectionClosed as closed:
            raise why_closed(closed) from closed

    def connect(self) -> connect:
        """A bare socket, to be entered with ``async with``: for who speaks the protocol by themselves."""
        address = self._address
        return connect(address.live, additional_headers=address.headers, **self._connection)


class AsyncStudioStory:
    """An open story; `AsyncClient.begin` and `AsyncClient.open` make it.

    One task listens: it iterates over `shoot`, `retake`, `watch` or `messages`, or waits for `direct`. What
    other tasks want meanwhile they `send`, and find the answer in `feed.answers`.
    """

    def __init__(self, client: AsyncClient, socket: ClientConnection, feed: Feed) -> None:
        self.feed, self.socket = feed, socket
        self._client = client

    async def greet(self, after: ChunkPlace | None = None) -> None:
        """Say hello and wait for welcome; `AsyncClient.open` has done it."""
        await self.socket.send(self.feed.hello(after))
        while self.feed.welcome is None:
            await self._hear()

    @property
    def id(self) -> str:
        """Its name in the library."""
        return self.feed.story

    @property
    def fps(self) -> float:
        """Frames per second."""
        assert self.feed.welcome
        return self.feed.welcome.fps

    @property
    def state(self) -> State:
        """What it is doing, as far as it has told."""
        return self.feed.state

    @property
    def shots(self) -> list[ShotCard]:
        """Its shots by number; `place` of each says where it stands in the film."""
        return [self.feed.cards[number] for number in sorted(self.feed.cards)]

    async def send(self, command: Command) -> None:
        """Give a command that `feed.command` has made, without waiting for the answer."""
        await self.socket.send(command.model_dump_json(exclude_none=True))

    async def direct(self, kind: str, **fields: Any) -> Receipt:
        """Give any command of docs/protocol.md, and wait for its receipt; fields that are None are left out.

        Raises:
            ProtocolError: If there is no such command.
            StudioError: If it is refused.
        """
        command = self.feed.command(kind, **fields)
        await self.send(command)
        while command.id not in self.feed.answers:
            await self._hear()
        return self.feed.accepted(self.feed.answers.pop(command.id))

    async def shoot(
        self, prompt: str, seconds: float | None = None, seed: int | None = None, *, after: bool = False
    ) -> AsyncIterator[Clip]:
        """Begin the next shot, which cuts a running one, and watch it; see `synchronous.StudioStory.shoot`.

        Raises:
            StudioError: If it is refused, or the story stands still.
        """
        receipt = await self.direct("shoot", prompt=prompt, seconds=seconds, seed=seed, after=after)
        assert receipt.applies_from
        async for clip in self.watch(receipt.applies_from.shot):
            yield clip

    async def retake(
        self, shot: int, prompt: str | None = None, seed: int | None = None, takes: int | None = None
    ) -> AsyncIterator[Clip]:
        """Make a shot anew, and watch it; see `synchronous.StudioStory.retake`.

        Raises:
            StudioError: If it is refused, or the story stands still.
        """
        first_take = self.feed.next_take(shot)
        await self.direct("retake", shot=shot, prompt=prompt, seed=seed, takes=takes)
        async for clip in self.watch(shot, first_take):
            yield clip

    async def cut(self) -> Receipt:
        """End the running shot with what it has.

        Raises:
            StudioError: If none runs.
        """
        return await self.direct("cut")

    async def redirect(self, prompt: str) -> Receipt:
        """Give the running shot another prompt from its next chunk on.

        Raises:
            StudioError: If none runs.
        """
        return await self.direct("redirect", prompt=prompt)

    async def watch(self, shot: int, take: int = 0) -> AsyncIterator[Clip]:
        """Watch a shot that runs or waits until it ends; of one that has ended nothing comes.

        Args:
            shot: Its number.
            take: The oldest take that is wanted.

        Raises:
            StudioError: If the story stands still.
        """
        while True:
            while clip := self.feed.next_clip(shot, take):
                await self.socket.send(self.feed.playhead(clip, clip.first_frame))  # orders begin after it
                yield clip
                await self.socket.send(self.feed.playhead(clip, clip.end_frame - 1))
            if self.feed.has_ended(shot):
                return
            await self._hear()

    async def messages(self) -> AsyncIterator[Event | VideoHeader]:
        """All that comes, as it comes: for who shows single frames; clips are passed over.

        Raises:
            StudioError: If it says that a message of ours makes no sense.
        """
        async for message in self.socket:
            said = self.feed.hear(message)
            self.feed.clips.clear()
            yield said

    async def show(self, shot: int, take: int, frame: int) -> None:
        """Say that a frame is shown: `shoot`, `retake` and `watch` do so by themselves."""
        await self.socket.send(Playhead(shot=shot, take=take, frame=frame).model_dump_json())

    async def film(self) -> bytes:
        """The whole film by now, MP4.

        Raises:
            StudioError: If there is none yet.
        """
        return (await self._client.get(f"/api/stories/{self.id}/film.mp4")).content

    async def file(self, name: str) -> bytes:
        """A file of the story as the page exports it, such as ``script.fountain``; docs/api.md lists them.

        Raises:
            StudioError: If there is none yet.
        """
        return (await self._client.get(f"/api/stories/{self.id}/{name}")).content

    async def _hear(self) -> None:
        self.feed.hear(await self.socket.recv())
