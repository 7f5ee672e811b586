"""One open story: it takes commands between chunks, writes everything down first, and tells its viewers."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, Full, Queue
from threading import Lock
from typing import Protocol

from shotstream.serving.protocol.commands import (
    Branch,
    Command,
    FramePlace,
    Playhead,
    Reference,
    Shoot,
)
from shotstream.serving.protocol.events import (
    Change,
    Event,
    Figures,
    Limits,
    Parent,
    Receipt,
    Refused,
    Shown,
    Snapshot,
    StateChanged,
    Turned,
)
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.protocol.states import State
from shotstream.serving.quotas import QuotaKeeper
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import (
    NewBranch,
    StoredChunk,
    StoredCommand,
    StoredStory,
    StoreError,
    new_id,
)
from shotstream.serving.story import storyboard
from shotstream.serving.story.command_limits import CommandLimits
from shotstream.serving.story.director import CommandResult, Director
from shotstream.serving.story.playback import PendingCommand, PlaybackTracker
from shotstream.serving.story.replay import OpenSession, replay
from shotstream.serving.story.score_desk import ScoreDesk
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import ContextFrame
from shotstream.streaming.rollout import ChunkStopped

log = logging.getLogger(__name__)

Reply = Callable[[Receipt | Refused], None]
"""Takes the answer to one command. It must neither wait nor raise."""
Listener = Callable[[Event], None]
"""Takes what every viewer is told, on the engine's thread. It must neither wait nor raise."""


class Show(Protocol):
    """Takes every chunk of every story, on the engine's thread."""

    def __call__(self, story: str, stored: StoredChunk, chunk: Chunk, *, again: bool) -> None:
        """Take one.

        Args:
            story: Its story.
            stored: What is on the disk of it.
            chunk: The chunk.
            again: Whether it was made before, and is told again.
        """
        ...


def show_nobody(story: str, stored: StoredChunk, chunk: Chunk, *, again: bool) -> None:
    """Let a chunk go by."""


Keep = Callable[[str, Sequence[ContextFrame]], None]
"""Takes the frames of its own takes that a story begins to remember, on the engine's thread."""


def keep_nothing(story: str, frames: Sequence[ContextFrame]) -> None:
    """Let frames go by: they are made anew when the story is told again."""


PutAside = Callable[[str, Sequence[StoredChunk]], None]
"""Takes chunks of a story that nobody has seen and that are no longer part of it, on the engine's thread."""


def leave_there(story: str, chunks: Sequence[StoredChunk]) -> None:
    """Let chunks that were put aside be where they are."""


Adopt = Callable[[str, Director], None]
"""Takes a branch: its id, and the story as it stands."""

FIGURES_EVERY_SECONDS = 0.5
AWAY_SECONDS = 5.0
"""Who has shown nothing and said nothing for so long is not waited for, where the shot has an end."""
_OPENS_A_SHOT = ("shoot", "replan", "retake", "reshoot")
_CHANGE_COURSE = ("shoot", "retake", "reshoot", "redirect", "cut", "stop")
"""Commands that a running shot does not go on from as it was, unless they wait."""


@dataclass(frozen=True)
class _Offered:
    """A command that waits for its turn."""

    command: Command
    reply: Reply
    came_at_seconds: float


class LiveStory:
    """A story that is open.

    Any thread may call `offer`, `playhead`, `listen` and `unlisten` and read `snapshot`; all else belongs to
    the engine's. A command is written down before its receipt goes out, a chunk before its frames do. Where
    that fails, or the model does, the story stands still, and ``resume`` tells it again from the library:
    what was not written down has been shown to nobody, and is made once more, the same bit for bit.

    Args:
        stored: What the library has of it.
        director: The same, as it stands.
        store: The library.
        open_session: Opens the session of a story that has no parent, if this one must be told again.
        limits: What is refused.
        show: Is given every chunk.
        keep: Is given every frame that is remembered.
        put_aside: Is given chunks that are no longer part of the story.
        playback: Has the story's chunks already.
        adopt: Is given every branch.
        quotas: Sees whether more may be made; by default it may.
        clock: Seconds that run evenly.
    """

    def __init__(
        self,
        stored: StoredStory,
        director: Director,
        store: Store,
        open_session: OpenSession,
        limits: Limits,
        *,
        show: Show = show_nobody,
        keep: Keep = keep_nothing,
        put_aside: PutAside = leave_there,
        playback: PlaybackTracker | None = None,
        adopt: Adopt = lambda story, director: None,
        quotas: QuotaKeeper | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.story = stored.id
        self.director = director
        self.limits = limits
        self._store, self._open_session, self._clock = store, open_session, clock
        self._show, self._keep, self._adopt = show, keep, adopt
        self._limits = CommandLimits(stored.id, store, limits, quotas)
        self._put_aside = put_aside
        self._unsettled: list[StoredChunk] = []
        """Chunks that were made since the last command."""
        self._foreseen: tuple[int, int, int] | None = None
        """(shot, take, chunks) of the cut that was made ready for last."""
        self._may_stop = True
        """Whether a chunk may be stopped: once for every command that is followed."""
        self._kept: set[tuple[int, int, int]] = set()
        """Frames that were handed over to be kept: (shot, take, frame)."""
        self._queue: Queue[_Offered] = Queue(limits.queued_commands)
        self._playheads: deque[tuple[Playhead, float]] = deque(maxlen=64)
        self._listeners: tuple[Listener, ...] = ()
        self._watching = Lock()
        self._closed = False
        origin = stored.parent
        self._parent = Parent(story=origin.story, shot=origin.shot) if origin else None
        self._receipts = {entry.command.id: entry.receipt for entry in stored.commands}
        self._playback = playback or PlaybackTracker()
        self._playback.all_shown()
        self._opened_at = self._heard_at = clock()
        self._playhead_at = -math.inf
        self.desk = ScoreDesk()
        self._replaying: tuple[_Offered, Generator[None, None, None]] | None = None
        """The ``resume`` for which the story is told again, step by step."""
        self._frames_per_second = self._first_frame_seconds = 0.0
        self._prompt_to_screen_seconds: float | None = None
        self._figures, self._figures_at = self._measured(), clock() - FIGURES_EVERY_SECONDS
        self.snapshot = storyboard.snapshot(self.director, self._parent)
        """The newest state; it is replaced, never changed."""
        self._keep_remembered()  # a kill may have been quicker

    # ---- any thread ----

    def offer(self, command: Command, reply: Reply) -> None:
        """Hand in a command; it is answered once, by a receipt or a refusal.

        Where too many wait already it is refused at once, in the caller's thread.
        """
        try:
            self._queue.put_nowait(_Offered(command, reply, self._clock()))
        except Full:
            sentence = f"{self.limits.queued_commands} commands are waiting already; send it again later"
            reply(Refused(id=command.id, code="busy", message=sentence))
        if self._closed:
            self._refuse_offered()

    def playhead(self, playhead: Playhead) -> None:
        """Say what a viewer shows; of a flood the newest count."""
        self._playheads.append((playhead, self._clock()))

    def listen(self, listener: Listener) -> Snapshot | None:
        """Tell `listener` everything from now on; what comes may be in the returned snapshot already.

        Returns:
            The story as it stands; None if it was closed here, and must be opened again.
        """
        with self._watching:
            if self._closed:
                return None
            self._listeners = (*self._listeners, listener)
        return self.snapshot

    def unlisten(self, listener: Listener) -> None:
        """Tell it nothing more."""
        with self._watching:
            self._listeners = tuple(other for other in self._listeners if other != listener)

    def close(self, *, unless_watched: bool = False) -> bool:
        """Answer what still waits; nothing more is made. The library has the story.

        Args:
            unless_watched: Only if nobody listens.

        Returns:
            Whether it is closed now.
        """
        with self._watching:
            self._closed = self._closed or not (unless_watched and self._listeners)
        if self._closed:
            self._refuse_offered()
        return self._closed

    @property
    def queued(self) -> int:
        """Commands that wait."""
        return self._queue.qsize()

    def _refuse_offered(self) -> None:
        resuming, self._replaying = self._replaying, None
        for offered in [*([resuming[0]] if resuming else []), *self._offered()]:
            sentence = "the story was closed here; open it again"
            offered.reply(Refused(id=offered.command.id, code="not_now", message=sentence))

    def _offered(self) -> Iterator[_Offered]:
        """What waits, but no more than was waiting: a flood does not keep chunks from being made."""
        for _ in range(self.limits.queued_commands):
            try:
                yield self._queue.get_nowait()
            except Empty:
                return

    # ---- the engine's thread ----

    @property
    def lookahead_seconds(self) -> float:
        """Made and not yet shown."""
        return self._playback.lookahead_frames / self.director.timing.fps

    @property
    def waits_for_viewers(self) -> bool:
        """Whether nothing is made because enough is, until somebody has watched it."""
        is_enough = self.lookahead_seconds >= self.limits.lookahead_seconds
        return self._wants_chunks and is_enough and not self._goes_on_unwatched

    @property
    def _goes_on_unwatched(self) -> bool:
        """Whether nobody is waited for: shots are queued, or nobody is there and the shot has an end."""
        is_away = self._clock() - self._heard_at >= AWAY_SECONDS
        return bool(self.director.waiting) or (is_away and self.director.machine.state is not State.HOLDING)

    @property
    def may_work(self) -> bool:
        """Whether a chunk is to be made."""
        return self._wants_chunks and not self.waits_for_viewers

    def attend(self) -> bool:
        """Take what came in since the last time; return whether there was anything to do.

        A story that is told again takes one step of that, and commands when it is done.
        """
        self._take_playheads()
        attended = self._replaying is not None
        if self._replaying:
            self._replay_step(*self._replaying)
        for offered in self._offered() if not self._replaying else ():
            attended = True
            self._answer(offered)
            if self._replaying:
                break
        if not self._replaying:
            self._take_scores()
        self._publish_figures()
        if self.waits_for_viewers:
            self._foresee_cut()
        return attended

    def _take_scores(self) -> None:
        """Tell viewers what was measured, and do what follows from it, as if a person had asked for it."""
        if self.desk.take_in(self.director.scores):
            now, changes = self._changes()
            with suppress(OSError, StoreError):  # the scores themselves are kept; cards are made of them
                self._store.note(self.story, changes)
            self._publish_changes(now, changes)
        for command in self.desk.due(self.director):
            self._answer(_Offered(command, lambda answer: None, self._clock()))

    def _foresee_cut(self) -> None:
        """While nothing is made: do ahead what a cut after the chunk on the screen would begin with."""
        live, shown = self.director.live, self._shown_chunks
        place = (live.record.shot, live.record.take, shown) if live and shown else None
        if place and place != self._foreseen and self.director.session.foresee_cut(place[2]):
            self._foreseen = place

    def _take_playheads(self) -> None:
        while self._playheads:
            self._heard_at = self._playhead_at = self._clock()
            for command, seconds in self._playback.shown(*self._playheads.popleft()):
                self._prompt_to_screen_seconds = seconds
                self._publish(Shown(id=command, prompt_to_glass_seconds=seconds))

    def make_chunk(self) -> bool:
        """Make the next chunk, write it down and show it; the story stands still if one of these fails.

        Returns:
            Whether it was its turn; not if the chunk was stopped for a command.
        """
        if self._refer_to_pictures():
            return False
        try:
            self.director.prepare_chunk(self._most_chunks)
        except Exception as error:
            return self._fail("the shot cannot go on", error)
        try:
            chunk = self.director.session.next_chunk(is_stopped=self._is_superseded)
            if chunk is None:
                raise RuntimeError("nothing was made")
        except ChunkStopped:
            self._may_stop = False
            self.director.stopped()
            return False
        except Exception as error:
            return self._fail("the model could not make the next chunk", error)
        try:
            self.director.made(chunk)
            now, changes = self._changes()
            stored = self._store.append_chunk(self.story, chunk, changes)
        except Exception as error:  # whatever it is, what is not saved was not made
            return self._fail("the newest chunk could not be saved", error)
        self._playback.made(stored)
        self._unsettled.append(stored)
        self._frames_per_second = len(chunk.frames) / chunk.seconds["total"]
        if chunk.index == 0:
            self._first_frame_seconds = self._clock() - self._opened_at
        if chunk.last:
            self._opened_at = self._clock()
            self._keep_remembered()
        self._show(self.story, stored, chunk, again=False)
        self._publish_changes(now, changes)
        return True

    def _refer_to_pictures(self) -> bool:
        """Before a shot's first chunk: refer to the pictures of its plan, as if a person had just done it.

        Returns:
            Whether there was any.
        """
        live = self.director.live
        wanted = list(live.references) if live else []
        for picture in wanted:
            assert live is not None
            live.references.remove(picture)
            command = Reference(id=f"plan-{new_id()}", upload=picture.upload, prompt=picture.prompt)
            self._answer(_Offered(command, self._publish_refusal, self._clock()))
        return bool(wanted)

    def _publish_refusal(self, answer: Receipt | Refused) -> None:
        if isinstance(answer, Refused):
            self._publish(answer)

    def _is_superseded(self) -> bool:
        """Whether a command waits after which the chunk in the making is no part of the story."""
        if not self._may_stop:
            return False
        with self._queue.mutex:
            return any(_changes_course(offered.command) for offered in self._queue.queue)

    @property
    def _shown_chunks(self) -> int | None:
        """Chunks of the running shot of which a viewer has shown something; None if nobody says what."""
        live = self.director.live
        if live is None or not self._listeners or self._clock() - self._playhead_at >= AWAY_SECONDS:
            return None
        frames, timing = self._playback.shown_of(live.record.shot, live.record.take), self.director.timing
        return sum(timing.first_frame(chunk) < frames for chunk in range(live.made))

    @property
    def _wants_chunks(self) -> bool:
        return self.director.machine.running and self.director.machine.state not in (
            State.PAUSED,
            State.FAILED,
        )

    @property
    def _most_chunks(self) -> int:
        return self.director.timing.chunks(self.limits.shot_seconds)

    # ---- commands ----

    def _answer(self, offered: _Offered) -> None:
        command, self._heard_at = offered.command, self._clock()
        receipt = self._receipts.get(command.id)
        if not receipt and command.type == "resume" and self.director.machine.state is State.FAILED:
            self._replaying = offered, self._replay()
            return
        try:
            receipt = receipt or self._follow(command, offered.came_at_seconds)
        except Refusal as refusal:
            offered.reply(Refused(id=command.id, code=refusal.code, message=str(refusal)))
        else:
            offered.reply(receipt)

    def _follow(self, command: Command, came_at_seconds: float) -> Receipt:
        """Follow a command and write it down."""
        self._limits.check(command, self.director)
        try:
            effect = self.director.apply(command, self._shown_chunks)
            (now, changes), branch = self._changes(), _new_branch(command, effect)
            receipt = _receipt(command, effect, branch)
            self._store.append_command(self.story, StoredCommand(command, receipt), changes, branch)
        except Refusal:
            raise
        except Exception as error:
            raise self._not_followed(error) from error
        self._receipts[command.id] = receipt
        self._may_stop = True
        self._drop_newest(effect.put_aside)
        self._took_effect(command, effect, receipt, came_at_seconds)
        self._publish_changes(now, changes)
        self._keep_remembered()
        return receipt

    def _drop_newest(self, chunks: int) -> None:
        """Drop the newest chunks, so many of which a command has put aside, and tell viewers where."""
        made, self._unsettled = self._unsettled, []
        if not chunks:
            return
        aside = made[-chunks:]
        self._playback.put_aside(aside)
        self._put_aside(self.story, aside)
        first = aside[0]
        self._publish(Turned(shot=first.shot, take=first.take, frame=first.first_frame))

    def _not_followed(self, error: Exception) -> Refusal:
        """Stand still, and say so to who gave the command."""
        self._fail("the command could not be followed or saved", error)
        return Refusal("not_now", f"the story stands still ({self.director.machine.reason})")

    def _replay_step(self, resuming: _Offered, steps: Generator[None, None, None]) -> None:
        """Tell a little of the story again; at its end, follow the command for which that is done."""
        try:
            next(steps)
            return
        except StopIteration:
            self._replaying = None
        except Exception as error:
            self._replaying = None
            refusal = self._not_followed(error)
            return resuming.reply(Refused(id=resuming.command.id, code=refusal.code, message=str(refusal)))
        self._answer(resuming)

    def _replay(self) -> Generator[None, None, None]:
        """Go back to what the library has: that counts, whatever a call of it has raised."""
        stored, show = self._store.load(self.story), partial(self._show, self.story, again=True)
        yield
        scores = self.director.scores
        self.director = yield from replay(self._store, stored, self._open_session, show)
        self.director.scores = scores
        self._receipts = {entry.command.id: entry.receipt for entry in stored.commands}

    def _took_effect(
        self, command: Command, effect: CommandResult, receipt: Receipt, came_at_seconds: float
    ) -> None:
        if effect.branch and receipt.story:
            self._adopt(receipt.story, effect.branch)
        waits = effect.frame is None or (isinstance(command, Shoot) and command in self.director.waiting)
        if effect.frame and not waits and not self.director.machine.paused:
            self._playback.expect(PendingCommand(command.id, effect.frame, came_at_seconds))
        if (command.type in _OPENS_A_SHOT and not waits) or command.type == "resume":
            self._opened_at = came_at_seconds
        if command.type == "pause":
            self._playback.expect_nothing()  # what it takes to reach the screen would be a person's time

    def _keep_remembered(self) -> None:
        """Have frames kept that are remembered since the last time."""
        remembered = {(frame.shot, frame.take, frame.frame): frame for frame in self.director.remembered}
        if new := [frame for place, frame in remembered.items() if place not in self._kept]:
            self._kept.update(remembered)
            self._keep(self.story, new)

    # ---- telling viewers ----

    def _fail(self, what: str, error: Exception) -> bool:
        log.error("story %s: %s (%s)", self.story, what, type(error).__name__)
        log.debug("story %s", self.story, exc_info=error)
        self.director.machine.fail(f"{what}: {error}; put it right, then resume")
        now, changes = self._changes()
        with suppress(OSError, StoreError):  # it is told all the same; it was the disk, perhaps
            self._store.note(self.story, [change for change in changes if isinstance(change, StateChanged)])
        self._publish_changes(now, changes)
        return True

    def _changes(self) -> tuple[Snapshot, list[Change]]:
        """The story as it stands, and what of that viewers were not told yet."""
        now = storyboard.snapshot(self.director, self._parent)
        return now, storyboard.changes(self.snapshot, now)

    def _publish_changes(self, now: Snapshot, changes: Sequence[Change]) -> None:
        self.snapshot = now
        for change in changes:
            self._publish(change)

    def _publish(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def _publish_figures(self) -> None:
        now, figures = self._clock(), self._measured()
        if figures != self._figures and now - self._figures_at >= FIGURES_EVERY_SECONDS:
            self._figures, self._figures_at = figures, now
            self._publish(figures)

    def _measured(self) -> Figures:
        return Figures(
            frames_per_second=self._frames_per_second,
            first_frame_seconds=self._first_frame_seconds,
            prompt_to_glass_seconds=self._prompt_to_screen_seconds,
            lookahead_seconds=self.lookahead_seconds,
            waiting=self.waits_for_viewers,
            queue=self.queued,
        )


def _new_branch(command: Command, effect: CommandResult) -> NewBranch | None:
    if not (isinstance(command, Branch) and effect.branch):
        return None
    board = storyboard.snapshot(effect.branch)
    shots = max(number for number, _ in effect.branch.session.takes) + 1
    return NewBranch(new_id(), board.seed, command.shot, storyboard.beginning(board), shots)


def _receipt(command: Command, effect: CommandResult, branch: NewBranch | None) -> Receipt:
    place = FramePlace(shot=effect.frame[0], frame=effect.frame[2]) if effect.frame else None
    story = branch.id if branch else None
    aside = effect.put_aside or None
    return Receipt(id=command.id, applies_from=place, note=effect.note, story=story, put_aside=aside)


def _changes_course(command: Command) -> bool:
    return command.type in _CHANGE_COURSE and not (isinstance(command, Shoot) and command.after)
