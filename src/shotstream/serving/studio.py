"""The studio: library, engine, recorder and viewers, as the event loop sees them."""

from __future__ import annotations

import asyncio
import logging
import shutil
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Semaphore
from typing import TypeVar

from shotstream.serving.delivery.clips import is_whole
from shotstream.serving.delivery.continuity import ContinuityThread
from shotstream.serving.delivery.recorder import Recorder
from shotstream.serving.delivery.viewers import Viewer
from shotstream.serving.engine import Engine
from shotstream.serving.prometheus import Metrics
from shotstream.serving.protocol.commands import ChunkPlace, Command, Playhead
from shotstream.serving.protocol.events import (
    ErrorMessage,
    Event,
    Limits,
    Receipt,
    Refused,
    Shown,
    Snapshot,
    in_film,
)
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.protocol.states import State
from shotstream.serving.quotas import QuotaKeeper, Quotas
from shotstream.serving.served_model import ServedModel
from shotstream.serving.storage.catalogue import Catalogue
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import MadeWith, NoStory, StoredChunk, StoreError
from shotstream.serving.story import storyboard
from shotstream.serving.story.live_story import LiveStory
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import ContextFrame
from shotstream.streaming.model import PromptWarning

log = logging.getLogger(__name__)

T = TypeVar("T")

_THREADS_ASIDE = 2
_MOST_TO_KEEP = 16
"""Times that stories begin to remember frames; what comes beyond is decoded when the story is told again."""
_GOES_ON = {State.SHOOTING, State.HOLDING, State.CUTTING, State.FAILED}
"""A story that was left in such a state goes on when somebody watches it again."""


def _why_not(story: str, error: Exception) -> str:
    """Why a story cannot be opened, as a sentence."""
    if not isinstance(error, ValueError | OSError):
        log.error("story %s cannot be told again (%s)", story, type(error).__name__)
        log.debug("story %s", story, exc_info=error)
    return str(error) or type(error).__name__


class Channel:
    """One story and its viewers; it lives on the event loop."""

    def __init__(self, story: str, loop: asyncio.AbstractEventLoop, metrics: Metrics) -> None:
        self.story = story
        self.live: LiveStory | None = None
        """The story in the engine, once it is needed there and while it is watched."""
        self.viewers: set[Viewer] = set()
        self.opening: asyncio.Task[None] | None = None
        """Kept while it runs."""
        self._loop, self._metrics = loop, metrics

    def hear(self, event: Event) -> None:
        """Take an event, on the engine's thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._loop.call_soon_threadsafe(self.tell, event)

    def tell(self, event: Event) -> None:
        """Pass an event on to all viewers."""
        if isinstance(event, Shown):
            self._metrics.prompt_to_glass_seconds.observe(event.prompt_to_glass_seconds)
        text = event.model_dump_json()
        for viewer in self.viewers:
            viewer.tell(text)

    def show(self, stored: StoredChunk, messages: list[bytes]) -> None:
        """Pass a clip on to all viewers."""
        for viewer in self.viewers:
            viewer.show(stored, messages)


class Studio:
    """All that a server does with stories; its methods belong to the event loop, and wait for no viewer.

    Args:
        store: The library.
        model: What tells the stories.
        limits: What is refused.
        quotas: How much the library may hold.
    """

    def __init__(
        self, store: Store, model: ServedModel, limits: Limits | None = None, quotas: Quotas | None = None
    ) -> None:
        self.store, self.model, self.limits = store, model, limits or Limits()
        self.catalogue, self.quotas = Catalogue(store), QuotaKeeper(store, quotas)
        self.metrics = Metrics()
        self.engine = Engine(
            store,
            lambda setting, seed: model.open(
                setting, seed, model.chunks_ahead(self.limits.lookahead_seconds)
            ),
            model.made_with,
            self.limits,
            show=self._show,
            keep=self._keep,
            put_aside=self._put_aside,
            quotas=self.quotas,
        )
        self._recorder = Recorder(store, self._send)
        find = model.find_meter
        self._continuity = ContinuityThread(find, store, self.engine.measured) if find else None
        self._channels: dict[str, Channel] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._aside = ThreadPoolExecutor(_THREADS_ASIDE, "aside")
        self._exporter = ThreadPoolExecutor(1, "exporter")
        self.exports = store.exports
        self._still_writer = ThreadPoolExecutor(1, "still_writer")
        self._to_keep = Semaphore(_MOST_TO_KEEP)
        self.ready = False
        """Whether the model is warm."""

    async def start(self) -> None:
        """Sweep away what kills have left in the library, warm up the model, start the threads."""
        self._loop = asyncio.get_running_loop()
        warnings.filterwarnings("ignore", category=PromptWarning)  # directors are told; Python would print it
        try:
            for sentence in (await asyncio.to_thread(self.store.sweep)).sentences:
                log.warning("library %s: %s", self.store.folder, sentence)
            await asyncio.to_thread(self._empty_exports)
            await asyncio.to_thread(self.quotas.measure)
            await asyncio.to_thread(self.model.warm_up)
        except Exception:
            log.exception("the studio cannot start")
            self.engine.close()  # whoever waits for it is told
            raise
        self._recorder.start()
        self.engine.start()
        self.ready = True

    def _empty_exports(self) -> None:
        """Remove what a kill has left of films that were being sent."""
        shutil.rmtree(self.exports, ignore_errors=True)
        self.exports.mkdir(parents=True, exist_ok=True)

    async def close(self) -> None:
        """End after the running chunk; the library, which stays open, has everything."""
        self.ready = False
        await asyncio.to_thread(self.engine.close)
        await asyncio.to_thread(self._recorder.close)
        if self._continuity:
            await asyncio.to_thread(self._continuity.close)
        await asyncio.to_thread(self._still_writer.shutdown)
        for threads in (self._aside, self._exporter):
            threads.shutdown(wait=False, cancel_futures=True)

    # ---- stories ----

    async def begin(self, setting: str, seed: int, title: str = "") -> str:
        """Begin a story; return its id.

        Raises:
            Refusal: If the setting is too long or too many stories are open.
            OSError: If it cannot be saved.
        """
        try:
            live = await asyncio.wrap_future(self.engine.begin(setting, seed, title))
        except (Refusal, StoreError, OSError):
            raise
        except Exception as error:  # the model's
            raise Refusal("not_now", f"no story can be begun: {_why_not('to be begun', error)}") from error
        return live.story

    async def snapshot(self, story: str) -> Snapshot:
        """A story as it stands: from the engine if it is open there, else from the library.

        Raises:
            NoStory: If there is no such story.
        """
        live = self.engine.find(story)
        return live.snapshot if live else await asyncio.to_thread(self.store.snapshot, story)

    async def made_with(self, story: str) -> MadeWith:
        """What a story was told by.

        Raises:
            NoStory: If there is no such story.
        """
        return (await asyncio.to_thread(self.store.summary, story)).made_with

    async def direct(self, story: str, command: Command) -> Receipt | Refused:
        """Hand a command to a story, and wait for its answer.

        Raises:
            NoStory: If there is no such story.
        """
        answer: asyncio.Future[Receipt | Refused] = asyncio.get_running_loop().create_future()

        def reply(said: Receipt | Refused) -> None:
            if not answer.done():  # who asked may have been called away
                answer.set_result(said)

        await self.offer(story, command, reply)
        return await answer

    async def offer(self, story: str, command: Command, reply: Callable[[Receipt | Refused], None]) -> None:
        """Hand a command to a story; `reply` takes the answer, on the event loop.

        Raises:
            NoStory: If there is no such story.
        """
        loop = asyncio.get_running_loop()
        try:
            live = await self._open(story)
        except Refusal as refusal:
            reply(Refused(id=command.id, code=refusal.code, message=str(refusal)))
        except NoStory:
            raise
        except Exception as error:  # the model's, too
            reply(Refused(id=command.id, code="not_now", message=_why_not(story, error)))
        else:

            def answer_here(answer: Receipt | Refused) -> None:
                loop.call_soon_threadsafe(reply, answer)

            self.engine.offer(live, command, answer_here)

    async def _open(self, story: str) -> LiveStory:
        """Find a story in the engine, or have it told again there."""
        live = self.engine.find(story)
        if live is None:
            live = await asyncio.wrap_future(self.engine.open(story))
        self._attach(story, live)
        return live

    async def move_to_trash(self, story: str) -> None:
        """Delete a story, so that it can be brought back: it ends in the engine too.

        Raises:
            NoStory: If there is no such story.
            StoreError: If it cannot be saved.
        """
        await asyncio.to_thread(self.store.delete, story)
        await asyncio.wrap_future(self.engine.let_go(story))
        if channel := self._channels.get(story):
            channel.live = None
            channel.tell(
                ErrorMessage(message="the story was put away; it can be brought back from the library")
            )

    # ---- watching ----

    async def join(self, story: str, viewer: Viewer) -> Snapshot:
        """Let a viewer see a story from now on; one that was left in the middle of a shot goes on.

        Args:
            story: Its id.
            viewer: Is sent events and clips until `leave`.

        Raises:
            NoStory: If there is no such story.
            Refusal: If too many watch already.
        """
        self.check_viewers()
        snapshot = await self.snapshot(story)
        channel = self._channels.get(story)
        if channel is None:
            channel = self._channels[story] = Channel(story, asyncio.get_running_loop(), self.metrics)
        channel.viewers.add(viewer)
        self.metrics.viewers.inc()
        live = self.engine.find(story)
        if live and self._attach(story, live):
            return live.snapshot  # not before: what changed since then was told to nobody
        if snapshot.state in _GOES_ON:
            channel.opening = asyncio.create_task(self._go_on(channel, snapshot))
        return snapshot

    async def missed(self, story: str, after: ChunkPlace | None) -> list[StoredChunk]:
        """What a viewer is still to see, from the library: call it after `join`.

        A story of which a kill took newest clips is told again, so that they are made.

        Args:
            story: Its id.
            after: The newest chunk that the viewer has; without it, it is shown the newest take.

        Raises:
            NoStory: If there is no such story.
        """
        missed, all_there = await asyncio.to_thread(self._missed, story, after)
        channel = self._channels.get(story)
        if channel and not all_there and not channel.opening and not self.engine.find(story):
            channel.opening = asyncio.create_task(self._go_on(channel, await self.snapshot(story)))
        return missed

    async def recorded(self) -> None:
        """Wait until all that was made by now can be watched: a clip comes a little after its chunk."""
        await self.aside(self._recorder.settle)

    async def measured(self) -> None:
        """Wait until every take is measured that was over by now."""
        if self._continuity:
            await self.aside(self._continuity.settle)

    async def make_whole(self, chunks: Sequence[StoredChunk]) -> None:
        """Wait until chunks have whole clips: those that are missing or damaged are made again.

        Raises:
            Refusal: If a story cannot be opened for that now.
            ValueError: If another model told it, or latents are damaged, too.
        """
        await self.recorded()
        lacking = await self.aside(lambda: {chunk.story for chunk in chunks if not is_whole(chunk)})
        for story in lacking:
            await asyncio.wrap_future(self.engine.make_clips(story))
        await self.recorded()

    async def aside(self, work: Callable[..., T], *arguments: object) -> T:
        """Do what takes long on threads of its own: however much of it waits, viewers' clips are read."""
        return await asyncio.get_running_loop().run_in_executor(self._aside, work, *arguments)

    async def export(self, work: Callable[..., T], *arguments: object) -> T:
        """Do what makes a film on a thread of its own: one at a time, so that chunks are made beside it."""
        return await asyncio.get_running_loop().run_in_executor(self._exporter, work, *arguments)

    def check_viewers(self) -> None:
        """See whether another viewer may come.

        Raises:
            Refusal: If not.
        """
        if self.viewers >= self.limits.viewers:
            raise Refusal("limit", f"{self.viewers} viewers are here, the most there can be; come later")

    @property
    def viewers(self) -> int:
        """How many watch, all stories together."""
        return sum(len(channel.viewers) for channel in self._channels.values())

    def viewers_of(self, story: str) -> int:
        """How many watch a story."""
        channel = self._channels.get(story)
        return len(channel.viewers) if channel else 0

    @property
    def watched(self) -> set[str]:
        """The stories that somebody watches."""
        return set(self._channels)

    def leave(self, story: str, viewer: Viewer) -> None:
        """Send a viewer nothing more."""
        channel = self._channels.get(story)
        if channel is None or viewer not in channel.viewers:
            return
        channel.viewers.discard(viewer)
        self.metrics.viewers.dec()
        if not channel.viewers:
            if channel.live:
                channel.live.unlisten(channel.hear)
            del self._channels[story]

    def playhead(self, story: str, playhead: Playhead) -> None:
        """Say what a viewer shows."""
        if live := self.engine.find(story):
            self.engine.playhead(live, playhead)

    async def _go_on(self, channel: Channel, before: Snapshot) -> None:
        try:
            live = await self._open(channel.story)
        except Exception as error:  # as above
            channel.tell(ErrorMessage(message=f"the story does not go on: {_why_not(channel.story, error)}"))
            return
        finally:
            channel.opening = None
        for change in storyboard.changes(before, live.snapshot):
            channel.tell(change)

    def _attach(self, story: str, live: LiveStory) -> bool:
        """Let the viewers of a story, if there are any, hear what the engine says of it.

        Returns:
            Whether they do; not if it was closed there just now.
        """
        channel = self._channels.get(story)
        if channel and channel.live is not live and live.listen(channel.hear):
            channel.live = live
        return channel is not None and channel.live is live

    def _missed(self, story: str, after: ChunkPlace | None) -> tuple[list[StoredChunk], bool]:
        """The chunks, and whether all their clips are there and whole."""
        missed = self._chunks_after(story, after)
        return missed, all(is_whole(chunk) for chunk in missed)

    def _chunks_after(self, story: str, after: ChunkPlace | None) -> list[StoredChunk]:
        made = self.store.load(story).chunks
        places = [(chunk.shot, chunk.take, chunk.chunk) for chunk in made]
        if after and (after.shot, after.take, after.chunk) in places:
            return made[places.index((after.shot, after.take, after.chunk)) + 1 :]
        cards = in_film(self.store.snapshot(story).shots)
        takes = [(card.number, card.take) for card in cards if card.frames]
        newest = places[-1][:2] if places and places[-1][:2] in takes else takes[-1] if takes else None
        return self.store.take_chunks(story, *newest) if newest else []

    # ---- from the engine's thread, and the recorder's ----

    def _show(self, story: str, stored: StoredChunk, chunk: Chunk, *, again: bool) -> None:
        if not again:
            self.metrics.chunk_seconds.observe(chunk.seconds["total"])
        self._recorder.show(story, stored, chunk, again=again)
        if self._continuity:
            live = None if again else self.engine.find(story)
            self._continuity.show(stored, chunk, live and live.director.session)

    def _put_aside(self, story: str, chunks: Sequence[StoredChunk]) -> None:
        self._recorder.put_aside(chunks)
        if self._continuity:
            self._continuity.put_aside(chunks)
        assert self._loop
        with suppress(RuntimeError):  # as below
            self._loop.call_soon_threadsafe(self._drop, story, chunks)

    def _drop(self, story: str, chunks: Sequence[StoredChunk]) -> None:
        if channel := self._channels.get(story):
            for viewer in channel.viewers:
                viewer.put_aside(chunks)

    def _keep(self, story: str, frames: Sequence[ContextFrame]) -> None:
        if self._to_keep.acquire(blocking=False):
            self._still_writer.submit(self._keep_stills, story, frames)

    def _keep_stills(self, story: str, frames: Sequence[ContextFrame]) -> None:
        try:
            for frame in frames:
                self.store.keep_still(story, frame)
        except (OSError, StoreError) as error:
            log.warning("stills of story %s could not be kept (%s)", story, type(error).__name__)
        finally:
            self._to_keep.release()

    def _send(self, story: str, stored: StoredChunk, messages: list[bytes]) -> None:
        assert self._loop
        with suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._loop.call_soon_threadsafe(self._pass_on, story, stored, messages)

    def _pass_on(self, story: str, stored: StoredChunk, messages: list[bytes]) -> None:
        channel = self._channels.get(story)
        if channel and not self._recorder.is_put_aside(stored):
            channel.show(stored, messages)
