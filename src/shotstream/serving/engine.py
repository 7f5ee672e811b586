"""The one thread that owns the model, and gives every open story its turn."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread

from shotstream.serving.commands import Command, Playhead
from shotstream.serving.directed import DirectedStory, Refusal
from shotstream.serving.events import Limits
from shotstream.serving.journal import Journal, StoredStory
from shotstream.serving.retelling import OpenSession, retell
from shotstream.serving.showing import Showing
from shotstream.serving.telling import FIGURES_EVERY_SECONDS, Reply, Telling

log = logging.getLogger(__name__)

Opening = Generator[None, None, Telling]
"""Opens a story, a chunk at every step."""

_MOST_JOBS = 64
_DONE = object()


class Engine:
    """Serves the open stories in turn: one chunk of each that may work, commands of all between two chunks.

    Another thread hands in work through bounded queues and never waits: stories are opened by way of a
    ``Future``, commands are answered through a callback, and what is too much is refused at once.

    Args:
        journal: The store; only this thread writes to it.
        open_session: Opens a session of the model for a setting and a seed.
        limits: What is refused.
        clock: Seconds that run evenly.
    """

    def __init__(
        self,
        journal: Journal,
        open_session: OpenSession,
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or Limits()
        self._journal, self._open_session, self._clock = journal, open_session, clock
        self._tellings: dict[str, Telling] = {}
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
        """End after the running chunk and answer whoever waits; the journal has every story."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        while self._do_job():
            pass
        for telling in self._tellings.values():
            telling.close()

    def begin(self, setting: str = "", seed: int = 0) -> Future[Telling]:
        """Begin a story.

        Its result raises `Refusal` if the setting is too long, too many stories are open or asked for, and
        ``OSError`` if it cannot be saved.
        """
        return self._submit(self._begin(setting, seed))

    def open(self, story: str) -> Future[Telling]:
        """Open a story of the journal, or find it open.

        Its result raises ``LookupError`` if there is no such story, ``ValueError`` if the model is not the
        one that told it, and `Refusal` if too many are open or asked for.
        """
        return self._submit(self._open(story))

    def offer(self, telling: Telling, command: Command, reply: Reply) -> None:
        """Hand in a command; see `Telling.offer`."""
        telling.offer(command, reply)
        self._wake.set()

    def playhead(self, telling: Telling, playhead: Playhead) -> None:
        """Say what a viewer shows."""
        telling.playhead(playhead)
        self._wake.set()

    # ---- the engine's thread ----

    def turn(self) -> bool:
        """Do what was asked, answer commands, make one chunk; return whether there was anything to do."""
        worked = self._do_job()
        for telling in list(self._tellings.values()):
            worked |= telling.attend()
        for _ in range(len(self._turns)):
            story = self._turns[0]
            self._turns.rotate(-1)
            if self._tellings[story].may_work:
                self._tellings[story].make_chunk()
                return True
        return worked

    def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                worked = self.turn()
            except Exception as error:  # of a viewer's callback: the other stories go on
                log.error("a turn was cut short (%s)", type(error).__name__)
                log.debug("a turn was cut short", exc_info=error)
                worked = False
            if not worked:
                self._wake.wait(FIGURES_EVERY_SECONDS)

    def _submit(self, opening: Opening) -> Future[Telling]:
        future: Future[Telling] = Future()
        try:
            self._check_open()
            self._jobs.put_nowait(self._step_by_step(opening, future))
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

    def _step_by_step(self, opening: Opening, future: Future[Telling]) -> Iterator[None]:
        if not future.set_running_or_notify_cancel():
            return
        try:
            while True:
                self._check_open()
                next(opening)
                yield
        except StopIteration as end:
            future.set_result(end.value)
        except Exception as error:
            future.set_exception(error)

    def _do_job(self) -> bool:
        """Do one step: telling a long story again must not keep the others waiting."""
        try:
            self._job = self._job or self._jobs.get_nowait()
        except Empty:
            return False
        if next(self._job, _DONE) is _DONE:
            self._job = None
        return True

    def _begin(self, setting: str, seed: int) -> Opening:
        most = self.limits.setting_characters
        if len(setting) > most:
            raise Refusal("too_long", f"the setting has {len(setting)} characters; at most {most} are taken")
        self._make_room()
        yield
        directed = DirectedStory(self._open_session(setting, seed), self._journal.picture)
        story = self._journal.begin_story(setting, seed)
        return self._admit(story, StoredStory(setting, seed, None, (), ()), directed)

    def _open(self, story: str) -> Opening:
        if story in self._tellings:
            return self._tellings[story]
        self._make_room()
        stored, showing = self._journal.load(story), Showing()
        directed = yield from retell(self._journal, stored, self._open_session, showing.made)
        return self._admit(story, stored, directed, showing)

    def _admit(
        self, story: str, stored: StoredStory, directed: DirectedStory, showing: Showing | None = None
    ) -> Telling:
        self._make_room()  # a branch may have taken it
        telling = Telling(
            story,
            stored,
            directed,
            self._journal,
            self._open_session,
            self.limits,
            showing=showing,
            adopt=self._adopt,
            clock=self._clock,
        )
        self._tellings[story] = telling
        self._turns.append(story)
        return telling

    def _adopt(self, story: str, directed: DirectedStory) -> None:
        """Keep a new branch open if there is room; else it waits in the journal."""
        if len(self._tellings) < self.limits.open_stories:
            with suppress(OSError):
                self._admit(story, self._journal.load(story), directed)

    def _make_room(self) -> None:
        """Let go of a story that nobody watches, if there are too many: the journal has all of it."""
        if len(self._tellings) < self.limits.open_stories:
            return
        for story, telling in self._tellings.items():
            if not telling.watched:
                telling.close()
                del self._tellings[story]
                self._turns.remove(story)
                return
        sentence = (
            f"{len(self._tellings)} stories are open and watched, the most there can be; close one first"
        )
        raise Refusal("limit", sentence)
