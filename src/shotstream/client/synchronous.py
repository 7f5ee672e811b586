"""The client for programs that wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from shotstream.client.address import Address, answered, httpx, new_story, why_closed
from shotstream.client.feed import Clip, Feed
from shotstream.media.files import write_bytes
from shotstream.serving.protocol.events import Receipt, ShotCard
from shotstream.serving.protocol.states import State

from websockets.exceptions import ConnectionClosed  # isort: skip
from websockets.sync.client import ClientConnection, connect  # isort: skip


class Client:
    """A studio.

    Args:
        url: Its address, such as ``http://127.0.0.1:8000``.
        token: What it printed when it started; None where it asks for none.
        timeout_seconds: How long an answer may take.

    Raises:
        ValueError: If the address is none of HTTP.
    """

    def __init__(self, url: str, token: str | None = None, timeout_seconds: float = 60.0) -> None:
        self._address, self._timeout = Address(url, token), timeout_seconds
        self._http = httpx.Client(
            base_url=self._address.base, headers=self._address.headers, timeout=timeout_seconds
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def get(self, path: str) -> httpx.Response:
        """Ask for anything of the studio's HTTP API, such as ``/api/stories``.

        Raises:
            StudioError: If it is refused.
        """
        return answered(self._http.get(path))

    def stories(self) -> list[dict[str, Any]]:
        """List the newest stories of the library, as `GET /api/stories` does."""
        return self.get("/api/stories").json()

    @contextmanager
    def begin(self, setting: str, seed: int = 0, title: str = "") -> Iterator[StudioStory]:
        """Begin a story, and open it.

        Raises:
            StudioError: If it is refused.
        """
        body = answered(self._http.post("/api/stories", json=new_story(setting, seed, title))).json()
        with self.open(body["story"]) as story:
            yield story

    @contextmanager
    def open(self, story: str) -> Iterator[StudioStory]:
        """Open a story of the library; it goes on if it was left in the middle of a shot.

        Raises:
            StudioError: If there is no such story, or too many watch.
        """
        address = self._address
        try:
            with connect(address.live, additional_headers=address.headers, max_size=None) as socket:
                yield StudioStory(self, socket, Feed(story), self._timeout)
        except ConnectionClosed as closed:
            raise why_closed(closed) from closed


class StudioStory:
    """An open story; `Client.begin` and `Client.open` make it.

    Commands may be given in the middle of a loop over clips: they take effect between two chunks.
    """

    def __init__(self, client: Client, socket: ClientConnection, feed: Feed, timeout_seconds: float) -> None:
        self.feed = feed
        """What is known of the story."""
        self._client, self._socket, self._timeout = client, socket, timeout_seconds
        socket.send(feed.hello())
        while feed.welcome is None:
            self._hear()
        self.fps = feed.welcome.fps

    @property
    def id(self) -> str:
        """Its name in the library."""
        return self.feed.story

    @property
    def state(self) -> State:
        """What it is doing, as far as it has told."""
        return self.feed.state

    @property
    def shots(self) -> list[ShotCard]:
        """Its shots by number; `place` of each says where it stands in the film."""
        return [self.feed.cards[number] for number in sorted(self.feed.cards)]

    def direct(self, kind: str, **fields: Any) -> Receipt:
        """Give any command of docs/protocol.md, and wait for its receipt; fields that are None are left out.

        Raises:
            ProtocolError: If there is no such command.
            StudioError: If it is refused.
        """
        command = self.feed.command(kind, **fields)
        self._socket.send(command.model_dump_json(exclude_none=True))
        while command.id not in self.feed.answers:
            self._hear()
        return self.feed.accepted(self.feed.answers.pop(command.id))

    def shoot(
        self, prompt: str, seconds: float | None = None, seed: int | None = None, *, after: bool = False
    ) -> Iterator[Clip]:
        """Begin the next shot, which cuts a running one, and watch it.

        Args:
            prompt: What it shows.
            seconds: How long, rounded up to whole chunks; as long as the model learnt if None.
            seed: Its noise; the story's if None.
            after: Wait until all that runs and waits has ended, instead of cutting.

        Yields:
            Its clips as they are made; the next chunks are made while these are shown.

        Raises:
            StudioError: If it is refused, or the story stands still.
        """
        receipt = self.direct("shoot", prompt=prompt, seconds=seconds, seed=seed, after=after)
        assert receipt.applies_from
        yield from self.watch(receipt.applies_from.shot)

    def retake(
        self, shot: int, prompt: str | None = None, seed: int | None = None, takes: int | None = None
    ) -> Iterator[Clip]:
        """Make a shot anew, and watch it; numbers count from 0.

        Args:
            shot: Its number.
            prompt: What it shows; what it was told before if None.
            seed: Its noise; the former take's if None.
            takes: How many takes to make, one after another; the one that keeps the story best is chosen.

        Raises:
            StudioError: If it is refused, or the story stands still.
        """
        first_take = self.feed.next_take(shot)
        self.direct("retake", shot=shot, prompt=prompt, seed=seed, takes=takes)
        yield from self.watch(shot, first_take)

    def cut(self) -> Receipt:
        """End the running shot with what it has.

        Raises:
            StudioError: If none runs.
        """
        return self.direct("cut")

    def redirect(self, prompt: str) -> Receipt:
        """Give the running shot another prompt from its next chunk on.

        Raises:
            StudioError: If none runs.
        """
        return self.direct("redirect", prompt=prompt)

    def watch(self, shot: int, take: int = 0) -> Iterator[Clip]:
        """Watch a shot that runs or waits until it ends; of one that has ended nothing comes.

        Args:
            shot: Its number.
            take: The oldest take that is wanted.

        Raises:
            StudioError: If the story stands still.
        """
        while True:
            while clip := self.feed.next_clip(shot, take):
                self._socket.send(self.feed.playhead(clip, clip.first_frame))  # orders begin after it
                yield clip
                self._socket.send(self.feed.playhead(clip, clip.end_frame - 1))
            if self.feed.has_ended(shot):
                return
            self._hear()

    def film(self) -> bytes:
        """The whole film by now, MP4.

        Raises:
            StudioError: If there is none yet.
        """
        return self._client.get(f"/api/stories/{self.id}/film.mp4").content

    def file(self, name: str) -> bytes:
        """A file of the story as the page exports it.

        Args:
            name: ``story.yaml``, ``story.zip``, ``script.fountain``, ``script.md``, ``shots.csv``,
                ``timeline.otio``, ``subtitles.srt``, ...; docs/api.md lists them.

        Raises:
            StudioError: If there is none yet.
        """
        return self._client.get(f"/api/stories/{self.id}/{name}").content

    def save_film(self, path: Path) -> None:
        """Write the whole film by now.

        Raises:
            MediaError: If it cannot be written.
            StudioError: If there is none yet.
        """
        write_bytes(path, self.film())

    def _hear(self) -> None:
        self.feed.hear(self._socket.recv(self._timeout))
