"""The one thread that owns the model, and gives every open story its turn."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

from shotstream.serving.delivery.clips import is_whole
from shotstream.serving.protocol.commands import Command, Playhead
from shotstream.serving.protocol.events import Limits, TakeContinuity
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.protocol.states import State
from shotstream.serving.quotas import QuotaKeeper
from shotstream.serving.storage.catalogue import Catalogue
from shotstream.serving.storage.other_model import say_other_model
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import MadeWith, StoredStory, StoreError
from shotstream.serving.story import storyboard
from shotstream.serving.story.director import Director
from shotstream.serving.story.live_story import (
    FIGURES_EVERY_SECONDS,
    Keep,
    LiveStory,
    PutAside,
    Reply,
    Show,
    keep_nothing,
    leave_there,
    show_nobody,
)
from shotstream.serving.story.playback import PlaybackTracker
from shotstream.serving.story.replay import OpenSession, StoredTake, attach_take_loader, replay
from shotstream.streaming.session import StorySession

log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Generator[None, None, T]
"""Something to be done on the engine's thread, with turns for stories between its steps."""

_MOST_JOBS = 64
_DONE = object()


class Engine:
    """Serves the open stories in turn: a chunk of each that may work, commands of all between two chunks.

    Another thread hands in work through bounded queues and never waits: stories are opened by way of a
    ``Future``, commands are answered through a callback, and what is too much is refused at once.

    Args:
        store: The library; only this thread tells its stories.
        open_session: Opens a session of the model for a setting and a seed.
        made_with: What the model is.
        limits: What is refused.
        show: Is given every chunk that is made, once it is on the disk; of stories that are told again those
            of the newest take, and all that have no clip.
        keep: Is given the frames that stories begin to remember.
        put_aside: Is given chunks that are no longer part of their story.
        quotas: Sees whether there may be more stories, and more of one; by default there may.
        clock: Seconds that run evenly.
    """

    def __init__(
        self,
        store: Store,
        open_session: OpenSession,
        made_with: MadeWith,
        limits: Limits | None = None,
        *,
        show: Show = show_nobody,
        keep: Keep = keep_nothing,
        put_aside: PutAside = leave_there,
        quotas: QuotaKeeper | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or Limits()
        self._store, self._open_session, self._made_with = store, open_session, made_with
        self._show, self._keep, self._clock, self._quotas = show, keep, clock, quotas
        self._put_aside = put_aside
        self._catalogue = Catalogue(store)
        self._open_stories: dict[str, LiveStory] = {}
        self._turns: deque[str] = deque()
        self._jobs: Queue[Iterator[None]] = Queue(_MOST_JOBS)
        self._job: Iterator[None] | None = None
        """The story that is being opened."""
        self._wake, self._closing = Event(), False
        self._thread = Thread(target=self._run, name="engine", daemon=True)

    # ---- any thread ----

    def start(self) -> None:
        """Start the thread; tests call `turn` instead."""
        self._thread.start()

    def close(self) -> None:
        """End after the running chunk and answer whoever waits; the library has every story."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        while self._do_job():
            pass
        for live in self._open_stories.values():
            live.close()
            self._drop_empty(live.story)

    def begin(self, setting: str = "", seed: int = 0, title: str = "") -> Future[LiveStory]:
        """Begin a story.

        Its result raises `Refusal` if the setting is too long, too many stories are open or asked for, and
        ``OSError`` if it cannot be saved.
        """
        return self._submit(self._begin(setting, seed, title))

    def open(self, story: str) -> Future[LiveStory]:
        """Open a story of the library, or find it open: cheap where `find` does.

        Its result raises ``LookupError`` if there is no such story, ``ValueError`` if the model is not the
        one that told it, and `Refusal` if too many are open or asked for.
        """
        return self._submit(self._open(story))

    def make_clips(self, story: str) -> Future[None]:
        """Show chunks of a story again that have no whole clip; its result raises what `open`'s does."""
        return self._submit(self._make_clips(story))

    def look(self, story: str, look: Callable[[StorySession], T]) -> Future[T]:
        """Look at the session of an open story, between two chunks; what looks leaves it as it was.

        Its result raises `Refusal` if the story is not open, and whatever `look` does.
        """
        return self._submit(self._look(story, look))

    def let_go(self, story: str) -> Future[None]:
        """Close a story here, watched or not; the library has it."""
        return self._submit(self._let_go(story))

    def find(self, story: str) -> LiveStory | None:
        """The story, if it is open; it may be closed a moment later, see `LiveStory.listen`."""
        return self._open_stories.get(story)

    @property
    def open_stories(self) -> list[LiveStory]:
        """The open stories."""
        return list(self._open_stories.values())

    def offer(self, live: LiveStory, command: Command, reply: Reply) -> None:
        """Hand in a command; see `LiveStory.offer`."""
        live.offer(command, reply)
        self._wake.set()

    def playhead(self, live: LiveStory, playhead: Playhead) -> None:
        """Say what a viewer shows."""
        live.playhead(playhead)
        self._wake.set()

    def measured(self, story: str, shot: int, continuity: TakeContinuity) -> None:
        """Say how well a take goes on with its story, which may be closed by now."""
        if live := self.find(story):
            live.desk.put(shot, continuity)
            self._wake.set()

    # ---- the engine's thread ----

    def turn(self) -> bool:
        """Do what was asked, answer commands, make a chunk; return whether there was anything to do."""
        worked = self._do_job()
        for live in list(self._open_stories.values()):
            worked |= live.attend()
        return self._make_chunk() or worked

    def _make_chunk(self) -> bool:
        """Let the story whose turn it is make a chunk; its next turn comes last."""
        story = next((story for story in self._turns if self._open_stories[story].may_work), None)
        if story is None:
            return False
        self._turns.remove(story)
        self._turns.append(story)
        try:
            if not self._open_stories[story].make_chunk():  # somebody waits for what it makes instead
                self._turns.remove(story)
                self._turns.appendleft(story)
        except Exception as error:  # of a viewer's callback: the chunk is kept
            _log_cut_short(error)
        return True

    def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                worked = self.turn()
            except Exception as error:  # of a viewer's callback: the other stories go on
                _log_cut_short(error)
                worked = False
            if not worked:
                self._wake.wait(FIGURES_EVERY_SECONDS)

    def _submit(self, job: Job[T]) -> Future[T]:
        future: Future[T] = Future()
        try:
            self._check_open()
            self._jobs.put_nowait(self._step_by_step(job, future))
        except Full:
            future.set_exception(Refusal("busy", "too many stories are asked for at once; try again later"))
        except Refusal as refusal:
            future.set_exception(refusal)
        self._wake.set()
        if self._closing:  # just now: nobody may look into the queue any more
            future.cancel()
        return future

    def _check_open(self) -> None:
        if self._closing:
            raise Refusal("not_now", "the studio is closing; start it again")

    def _step_by_step(self, job: Job[T], future: Future[T]) -> Iterator[None]:
        if not future.set_running_or_notify_cancel():
            return
        try:
            while True:
                self._check_open()
                next(job)
                yield
        except StopIteration as end:
            future.set_result(end.value)
        except Exception as error:
            future.set_exception(error)

    def _do_job(self) -> bool:
        """Do one step: replaying a long story must not keep the others waiting."""
        try:
            self._job = self._job or self._jobs.get_nowait()
        except Empty:
            return False
        if next(self._job, _DONE) is _DONE:
            self._job = None
        return True

    def _begin(self, setting: str, seed: int, title: str) -> Job[LiveStory]:
        most = self.limits.setting_characters
        if len(setting) > most:
            raise Refusal("too_long", f"the setting has {len(setting)} characters; at most {most} are taken")
        if self._quotas:
            self._quotas.check_story()
        self._make_room()
        yield
        director = Director(self._open_session(setting, seed), self._store.picture)
        board = storyboard.beginning(storyboard.snapshot(director))
        story = self._store.create_story(setting, seed, self._made_with, board, title=title)
        self._store.claim(story)
        attach_take_loader(director, self._store, story)
        return self._admit(self._store.load(story), director)

    def _open(self, story: str) -> Job[LiveStory]:
        if story in self._open_stories:
            return self._open_stories[story]
        self._store.claim(story)
        stored, playback = self._store.load(story), PlaybackTracker()
        if stored.deleted_seconds is not None:
            raise Refusal("not_found", "the story was put away; bring it back from the library first")
        if stored.made_with.identity != self._made_with.identity:
            raise ValueError(say_other_model(stored.made_with, self._made_with))
        self._make_room()
        show_again = partial(self._show, story, again=True)
        director = yield from replay(self._store, stored, self._open_session, show_again)
        for chunk in stored.chunks:
            playback.made(chunk)
        live = self._admit(stored, director, playback)
        self._store.note(story, storyboard.changes(self._store.snapshot(story), live.snapshot))
        return live  # a failure that the library tells of is over

    def _make_clips(self, story: str) -> Job[None]:
        if story not in self._open_stories:
            yield from self._open(story)  # which does
            return
        stored, session = self._store.load(story), self._open_stories[story].director.session
        for _, chunks in groupby(stored.chunks, lambda chunk: (chunk.shot, chunk.take)):
            of_take = list(chunks)
            take = StoredTake(self._store, of_take, session.decode)
            for chunk in of_take:
                if not is_whole(chunk):
                    self._show(story, chunk, take.chunk(chunk, stored.made_with.fps), again=True)
                    yield

    def _look(self, story: str, look: Callable[[StorySession], T]) -> Job[T]:
        yield
        live = self._open_stories.get(story)
        if live is None:
            raise Refusal("not_now", "no shot of the story runs; shoot one, and ask while it runs or is new")
        return look(live.director.session)

    def _admit(
        self, stored: StoredStory, director: Director, playback: PlaybackTracker | None = None
    ) -> LiveStory:
        self._make_room()  # a branch may have taken it
        director.scores |= self._store.continuity(stored.id)
        live = LiveStory(
            stored,
            director,
            self._store,
            self._open_session,
            self.limits,
            show=self._show,
            keep=self._keep,
            put_aside=self._put_aside,
            playback=playback,
            adopt=self._adopt,
            quotas=self._quotas,
            clock=self._clock,
        )
        self._open_stories[stored.id] = live
        self._turns.append(stored.id)
        return live

    def _adopt(self, story: str, director: Director) -> None:
        """Keep a new branch open if there is room; else it waits in the library."""
        attach_take_loader(director, self._store, story)
        if len(self._open_stories) < self.limits.open_stories:
            try:
                self._store.claim(story)
                self._admit(self._store.load(story), director)
            except Exception as error:  # it is opened when somebody asks for it
                log.warning("branch %s is not open yet (%s)", story, type(error).__name__)

    def _let_go(self, story: str) -> Job[None]:
        yield
        if live := self._open_stories.get(story):
            live.close()
            self._remove(story)

    def _drop_empty(self, story: str) -> None:
        """A story is kept from its first command on."""
        try:
            self._catalogue.remove_empty(story)
        except (OSError, StoreError) as error:
            log.warning("story %s, which is empty, could not be removed (%s)", story, type(error).__name__)

    def _remove(self, story: str) -> None:
        del self._open_stories[story]
        self._turns.remove(story)

    def _make_room(self) -> None:
        """Let go of a story that nobody watches, if there are too many: the library has all of it.

        One that rests goes before one that is being made; one that nothing was said to is not kept.
        """
        if len(self._open_stories) < self.limits.open_stories:
            return
        by_need = sorted(self._open_stories.items(), key=lambda entry: _is_made(entry[1]))
        for story, live in by_need:
            if live.close(unless_watched=True):
                self._remove(story)
                self._drop_empty(story)
                return
        sentence = (
            f"{len(self._open_stories)} stories are open and watched, the most there can be; close one first"
        )
        raise Refusal("limit", sentence)


def _is_made(live: LiveStory) -> bool:
    return live.snapshot.state not in (State.IDLE, State.PAUSED, State.FAILED)


def _log_cut_short(error: Exception) -> None:
    log.error("a turn was cut short (%s)", type(error).__name__)
    log.debug("a turn was cut short", exc_info=error)
