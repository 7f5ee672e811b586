"""A story under direction: what commands and chunks make of it, and nothing else.

It depends on no clock, viewer or limit, so the same commands and chunks give the same story, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from shotstream.serving.protocol.commands import (
    AutoRetake,
    Branch,
    Choose,
    Command,
    Cut,
    Delete,
    Edit,
    Extend,
    Hold,
    Pause,
    Pin,
    Redirect,
    Reference,
    Replan,
    Reshoot,
    Resume,
    Retake,
    Shoot,
    Stop,
    Undo,
    Unpin,
    UploadedPicture,
)
from shotstream.serving.protocol.events import TakeContinuity
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.protocol.states import State, StateMachine
from shotstream.serving.storage.stored import StoredChunk
from shotstream.serving.story.contests import Contests
from shotstream.serving.story.film_desk import FilmDesk
from shotstream.serving.story.film_edit import FilmEdit
from shotstream.serving.story.live_shot import LiveShot
from shotstream.serving.story.prompt_warnings import prompt_warnings
from shotstream.serving.story.takes_made import FindTake, TakesMade, no_take
from shotstream.serving.story.undo import BeforeDeletion, BeforeMove
from shotstream.serving.story.waiting import WaitingQueue, planned_shots
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import ContextFrame
from shotstream.streaming.session import StorySession

FindPicture = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class CommandResult:
    """What following a command came to."""

    frame: tuple[int, int, int] | None = None
    """(shot, take, frame): the first frame that shows it."""
    note: str | None = None
    """What the model does not know, or leaves out."""
    branch: Director | None = None
    """The other story that it began."""
    put_aside: int = 0
    """How many of the newest chunks it took back."""


class Director(FilmDesk):
    """A session, its state, and what a director has in mind for its shots.

    Args:
        session: The story being told.
        find_picture: Gives uploaded pictures; raises ``LookupError`` for those that are not there.
    """

    def __init__(self, session: StorySession, find_picture: FindPicture) -> None:
        self.session = session
        self.timing = session.pipeline.timing
        self.machine = StateMachine()
        self.live: LiveShot | None = None
        self.edits: dict[int, str] = {}
        """Texts that their shots are not told yet."""
        self.stale: set[int] = set()
        """Shots that were made before an edit of themselves, or before an earlier one became another."""
        self.waiting = WaitingQueue()
        super().__init__()
        self.contests = Contests()
        self.scores: dict[tuple[int, int], TakeContinuity] = {}
        """Continuity of takes, by (shot, take), as far as it was measured; nothing here depends on it."""
        self.uploads: dict[tuple[int, int], str] = {}
        """References by their numbers: which picture each one is."""
        self.find_take: FindTake = no_take
        """Gives the frames of former takes; whoever keeps them sets it."""
        self._find_picture = find_picture
        self.takes = TakesMade()
        self._shown_chunks: int | None = None
        """Chunks of the running shot that somebody has seen, while a command is followed; None for all."""
        self._put_aside = 0
        """Chunks that this command took back."""

    def branch(self, shot: int, seed: int | None = None) -> Director:
        """Begin another story that shares this one up to and including a shot.

        Raises:
            ValueError: If there is no such shot, or its memory is no longer kept.
        """
        branch = Director(self.session.branch(shot, seed=seed), self._find_picture)
        last = max(number for number, _ in branch.session.takes)
        branch.uploads, branch.edit = dict(self.uploads), self.edit.branch(last)
        branch.written = dict(self.written)
        branch.scores = {place: score for place, score in self.scores.items() if place[0] <= last}
        branch.takes = self.takes.branch(last)
        return branch

    @property
    def remembered(self) -> list[ContextFrame]:
        """The remembered frames that are of its own takes."""
        memory = self.session.context
        frames = [frame for frame in (*memory.frames, *memory.pins) if not frame.is_reference]
        return [frame for frame in frames if not self.takes.is_shared(frame.shot, frame.take)]

    # ---- following ----

    def apply(self, command: Command, shown_chunks: int | None = None) -> CommandResult:
        """Do what a command says.

        A redirection or a cut takes back chunks that were made since the last command and that nobody has
        seen: the story then is the one that was given the command when they were still to be made.

        Args:
            command: What is to be done.
            shown_chunks: How many chunks of the running shot somebody has seen; None for all.

        Raises:
            Refusal: If it cannot be done; nothing has changed then.
        """
        self._shown_chunks, self._put_aside = shown_chunks, 0
        event = self._event(command)
        if not self.machine.allows(event):
            raise Refusal("not_now", f"{command.type} is not possible now: {self._situation()}")
        with prompt_warnings() as told:
            try:
                effect: CommandResult = getattr(self, f"_{command.type}")(command) or CommandResult()
            except Refusal:
                raise
            except ValueError as error:
                raise Refusal("invalid", str(error)) from error
        self.machine.fire(event)
        if command.type == "cut":
            self._begin_next()
        self.note_written(command)
        if self._undoable.after(command):
            self.waiting.forget_former()
        if self.live:
            self.live.settled_chunks = self.live.made
        note = "; ".join(str(warning.message) for warning in told) or None
        return replace(effect, note=note, put_aside=self._put_aside)

    def _event(self, command: Command) -> str:
        """The row of the transition table."""
        if isinstance(command, Shoot) and command.after:
            return "shoot after"
        if isinstance(command, Replan) and self.waiting.is_idle_plan(command):
            return "replan skipped"
        if isinstance(command, Delete) and self.waiting.shot_at(command.shot - self.begun_shots):
            return "delete waiting"
        if isinstance(command, Undo) and self.machine.running:
            return "undo plan"
        return command.type

    def _situation(self) -> str:
        state = self.machine.state
        if state is State.FAILED:
            return f"the story stands still ({self.machine.reason}); resume it first"
        return "a shot is running; cut or stop it first" if self.machine.running else "no shot is running"

    def _shoot(self, command: Shoot) -> CommandResult:
        if command.after and self.machine.running:
            shot = self.planned_shots
            self._check_new(command, shot)
            self.waiting.append(command)
            return CommandResult((shot, self.takes.number_of(command, shot), 0))
        return self._begin(command)

    def _replan(self, command: Replan) -> CommandResult:
        if command.from_shot != self.begun_shots:
            sentence = f"what waits begins with {self._name(self.begun_shots)} by now; plan it again"
            raise Refusal("not_now", sentence)
        shots = planned_shots(command)
        for number, shot in enumerate(shots, self.begun_shots):
            self._check_new(shot, number)
        if not (shots or self.machine.running or self.waiting.new_shots):
            raise Refusal("invalid", "there is no shot to begin; plan one at least")
        self.waiting.replace(shots)
        self._undoable.planned()
        if self.machine.running or not self.waiting:
            return CommandResult()
        return self._begin(self.waiting.pop())

    def _retake(self, command: Retake) -> CommandResult:
        self._check_shot(command.shot)
        effect = self._begin(command)
        self.waiting.drop_retakes(command.shot)
        assert effect.frame is not None
        self.waiting.put_first(self.contests.begin(command, effect.frame[1]), keep_others=True)
        return effect

    def _autoretake(self, command: AutoRetake) -> CommandResult:
        self.contests.set_rule(command)
        return CommandResult()

    def _choose(self, command: Choose) -> CommandResult:
        shot = command.shot
        self._check_shot(shot)
        live = self.live if self.live and self.live.record.shot == shot else None
        if live and self.machine.running:
            raise Refusal("not_now", "the shot is running; cut it first")
        record = self.takes.find(shot, command.take, self._name(shot))
        self._check_kept(shot)
        self.session.choose(record, self.find_take(shot, command.take))
        self.waiting.drop_retakes(shot)
        self.contests.end(shot)
        if live:
            self.live = None
        self._renew(shot)
        return CommandResult()

    def _reshoot(self, command: Reshoot) -> CommandResult:
        context = self.session.context
        shots = self._from(context.place(command.from_shot)) & self.stale - context.left_out
        shots = sorted(shots, key=context.place)
        if not shots:
            raise Refusal("not_now", f"no shot from {self.number(command.from_shot)} on is stale")
        self._check_kept(shots[0])
        first, *others = [Retake(id=command.id, shot=shot) for shot in shots]
        effect = self._begin(first)
        self.waiting.put_first(others)
        return effect

    def _cut(self, command: Cut) -> CommandResult:
        self._end_shot()
        return CommandResult()

    def _stop(self, command: Stop) -> CommandResult:
        self._end_shot()
        self.waiting.clear()
        self.contests.end()
        return CommandResult()

    def _redirect(self, command: Redirect) -> CommandResult:
        live = self._running()
        with prompt_warnings():
            self.session.check_shot(command.prompt, shot=live.record.shot)
        self._take_back(most=self.session.rewind_chunks)
        self.session.redirect(command.prompt)
        if not live.made:  # otherwise the record is the session's own
            live.record.direct(command.prompt)
        return self._from_chunk(live.made)

    def _hold(self, command: Hold) -> CommandResult:
        return self._from_chunk(self._running().length_chunks)

    def _extend(self, command: Extend) -> CommandResult:
        live = self._running()
        chunks, former = command.chunks, live.length_chunks
        if command.seconds is not None:
            chunks = self.timing.chunks(command.seconds, after=former)
        assert chunks is not None
        self._lengthen(chunks)
        live.asked_chunks = live.length_chunks
        return self._from_chunk(former)

    def _branch(self, command: Branch) -> CommandResult:
        self._check_shot(command.shot)
        self._check_kept(command.shot)
        return CommandResult(branch=self.branch(command.shot, command.seed))

    def _pin(self, command: Pin) -> CommandResult:
        self._check_shot(command.shot)
        self.session.pin(command.shot, command.frame)
        return self._from_next_shot()

    def _unpin(self, command: Unpin) -> CommandResult:
        if (command.shot, command.frame) not in [pin.key for pin in self.session.context.pins]:
            raise Refusal("not_found", f"frame {command.frame} of {self._name(command.shot)} is not pinned")
        self.session.unpin(command.shot, command.frame)
        return self._from_next_shot()

    def _reference(self, command: Reference) -> CommandResult:
        picture = self._picture(command.upload)
        self.uploads[self.session.reference(picture, command.prompt).key] = command.upload
        if self.live:
            self.live.take_reference(command.upload, command.prompt)
        return self._from_next_shot()

    def _edit(self, command: Edit) -> CommandResult:
        self._check_shot(command.shot)
        if self.machine.running and self.live and self.live.record.shot == command.shot:
            raise Refusal("not_now", "the shot is running; redirect it, or edit it after its end")
        self.edits[command.shot] = command.prompt
        self.stale |= self._from(self.session.context.place(command.shot))
        return CommandResult()

    def _delete(self, command: Delete) -> CommandResult:
        if waiting := self.waiting.shot_at(command.shot - self.begun_shots):
            self.waiting.remove(waiting)
            self._undoable.planned()
            return CommandResult()
        self._check_shot(command.shot)
        shot, script = command.shot, self.session.script
        self._check_kept(shot)
        if shot in self.session.context.left_out:
            raise Refusal("not_now", f"{self._name(shot)} is deleted already; choose a take to bring it back")
        self._end_shot()
        place = self.session.context.place(shot)
        before = BeforeDeletion(self.session.snapshot(), dict(self.edits), set(self.stale))
        kept = before.session
        if shot == len(script) - 1:
            self.session.restore(replace(kept, script=kept.script[:shot], context=kept.context.first(shot)))
        else:  # its number stays taken: later shots have theirs
            self.session.leave_out(shot)
        self._renew(shot)
        self.stale |= self._from(place) - {shot}  # the newest may have stood before others
        self.contests.end(shot)
        self._undoable.deleted(before)
        return CommandResult()

    def _undo(self, command: Undo) -> CommandResult:
        try:
            done = self._undoable.pop(running=self.machine.running or self.waiting.may_undo_idly)
        except LookupError as error:
            raise Refusal("not_now", str(error)) from error
        if done is None:
            self.waiting.undo()
        elif isinstance(done, FilmEdit):
            self.edit = done
        elif isinstance(done, BeforeMove):
            self._move_back(done)
        else:
            (before,) = done
            self.session.restore(before.session)
            self.edits, self.stale = before.edits, before.stale
        return CommandResult()

    def _pause(self, command: Pause | Resume) -> CommandResult:
        return CommandResult()

    _resume = _pause

    # ---- making ----

    def replay_chunk(self, known: StoredChunk, latents: Tensor | None) -> Chunk:
        """Make the running shot's next chunk as it was made before.

        Args:
            known: What is kept of it.
            latents: Its clean latents ``[1, F, C, h, w]``; None if they are lost: it is made once more.

        Raises:
            ValueError: If the chunk is not of this model, or the story leads to another one.
        """
        self._expect(known)
        chunk = self.session.next_chunk(latents)
        assert chunk is not None
        self.made(chunk)
        return chunk

    def recall(self, known: StoredChunk, picture: Callable[[int], np.ndarray]) -> None:
        """Take in the running shot's next chunk, of a take that is over, as it was made before.

        Args:
            known: What is kept of it.
            picture: Gives the frames of its take; see `StorySession.recall_chunk`.

        Raises:
            ValueError: If the story leads to another chunk.
        """
        self._expect(known)
        self.session.recall_chunk(picture)
        self._made(known.shot, known.take, known.chunk, known.last)

    def _expect(self, known: StoredChunk) -> None:
        """See that the running shot is to go on with this chunk, and has the room for it."""
        live = self.live if self.machine.running else None
        if live is None:
            raise ValueError(f"the library has {known.name}, but no shot is running; it is damaged")
        self._lengthen_to(known.chunk + (1 if known.last else 2))
        place = (live.record.shot, live.record.take, live.made)
        ends = live.made + 1 == live.length_chunks
        if (*place, ends) != (known.shot, known.take, known.chunk, known.last):
            raise ValueError(
                f"the library has {known.name}, but the story leads to chunk {live.made + 1} of shot "
                f"{live.record.shot + 1}; the library is damaged, or another model told it"
            )

    def prepare_chunk(self, most_chunks: int) -> None:
        """See that the running shot has room for another chunk, before `session` makes it.

        Args:
            most_chunks: Where a held shot ends at the latest; more than it has.
        """
        if self.machine.beneath is State.HOLDING:  # one more than is made now: the shot goes on
            self._lengthen_to(min(self._running().made + 2, most_chunks))

    def made(self, chunk: Chunk) -> None:
        """Take in the chunk that `session` has made."""
        self._made(chunk.shot, chunk.take, chunk.index, chunk.last)

    def _made(self, shot: int, take: int, chunk: int, last: bool) -> None:
        record = self._running().record = self.session.script[shot]
        self.takes.note(record)
        if chunk == 0:
            self._renew(shot)
            self._running().references = []
        if last:
            self.contests.whole.add((shot, take))
        self.machine.fire("shot ended" if last else "chunk made")
        if last:
            self._begin_next()

    def _renew(self, shot: int) -> None:
        """A shot is another one now: it is up to date, and those after it are not."""
        self.edits.pop(shot, None)
        self.stale |= self._from(self.session.context.place(shot))
        self.stale.discard(shot)

    def _begin_next(self) -> None:
        """Begin what has waited longest, if anything waits."""
        while self.waiting and not self.machine.running:
            with suppress(ValueError), prompt_warnings():  # a stale shot may be too far back by now
                self._begin(self.waiting.pop())
                self.machine.fire("next shot")

    def _begin(self, command: Shoot | Retake) -> CommandResult:
        """Cut to a new shot or to another take of a former one."""
        if isinstance(command, Shoot):
            shot = len(self.session.script)
            take = self.takes.number_of(command, shot)
            if self.takes.has(shot, take):
                raise Refusal("invalid", f"the shot has take {take + 1} already; shoot it without a number")
            with prompt_warnings():
                self._check_new(command, shot)
            self._take_back()
            self.session.cut(
                command.prompt,
                command.seconds,
                chunks=command.chunks,
                seed=command.seed,
                take=take,
                lora=command.lora,
            )
            if command.in_frame or command.out_frame is not None:
                self.edit = self.edit.trim(shot, take, command.in_frame or 0, command.out_frame)
        else:
            prompt = self.edits.get(command.shot) if command.prompt is None else command.prompt
            take = self.takes.next_take(command.shot)
            self._check_kept(command.shot)
            if prompt is not None:
                with prompt_warnings():
                    self.session.check_shot(prompt, shot=command.shot)
            self._take_back()
            self.session.retake(command.shot, seed=command.seed, prompt=prompt, take=take)
        return self._opened((command.references or ()) if isinstance(command, Shoot) else ())

    def _opened(self, references: Sequence[UploadedPicture]) -> CommandResult:
        """Note the take that the session has just opened, and the pictures that it wants."""
        take = self.session.running
        assert take is not None
        self.live = LiveShot(deepcopy(take.record), take.length_chunks, take.length_chunks)
        self.live.references = list(references)
        return self._from_chunk(0)

    def _check_new(self, order: Shoot, shot: int) -> None:
        """See that a shot that is to get this number can be made."""
        self.session.check_shot(order.prompt, order.seconds, order.chunks, shot=shot)
        if order.lora is not None:
            self.session.pipeline.adapters.choose(order.lora)
        for upload in {reference.upload for reference in order.references or ()}:
            self._picture(upload)

    def _picture(self, upload: str) -> np.ndarray:
        try:
            return self._find_picture(upload)
        except LookupError as error:
            raise Refusal("not_found", f"{error.args[0]}; send it first") from error

    def _end_shot(self) -> None:
        """Let the running shot end with the chunks that were seen; without any it leaves no trace."""
        self._take_back()
        self.session.end_shot()
        self.live = None

    def _take_back(self, most: int | None = None) -> None:
        """Take back chunks of the running shot that nobody has seen.

        Args:
            most: How many at most; None for any number, where the shot ends.
        """
        live = self.live
        if live is None or not self.machine.running or self._shown_chunks is None:
            return
        left = max(self._shown_chunks, live.settled_chunks)
        chunks = max(0, min(live.made - left, self.session.rewindable_chunks))
        self._put_aside = chunks if most is None else min(chunks, most)
        if not self._put_aside:
            return
        self.session.rewind(self._put_aside)
        self._forget_chunk_ahead()

    def stopped(self) -> None:
        """Take in that the chunk that was prepared is not made."""
        self._forget_chunk_ahead()

    def _forget_chunk_ahead(self) -> None:
        """Let a held shot have room for one chunk more than is made, as it has after every chunk."""
        live, running = self.live, self.session.running
        if live and running and self.machine.beneath is State.HOLDING:
            running.length_chunks = live.length_chunks = max(live.asked_chunks, live.made + 1)

    def _lengthen_to(self, chunks: int) -> None:
        """Make the running shot so long, if it is shorter."""
        missing = chunks - self._running().length_chunks
        if missing > 0:
            self._lengthen(missing)

    def _lengthen(self, chunks: int) -> None:
        self.session.extend(chunks=chunks)
        self._running().length_chunks += chunks

    # ---- where ----

    @property
    def begun_shots(self) -> int:
        """How many shots the story has, without those that wait."""
        running = self.live.record.shot + 1 if self.live and self.machine.running else 0
        return max(running, len(self.session.script))

    @property
    def planned_shots(self) -> int:
        """How many shots the story will have, with those that wait and are not skipped."""
        return self.begun_shots + len(self.waiting.coming_shots)

    def _running(self) -> LiveShot:
        if self.live is None:
            raise Refusal("not_now", "no shot is running; shoot one first")
        return self.live

    def _from_chunk(self, chunk: int) -> CommandResult:
        record = self._running().record
        return CommandResult((record.shot, record.take, self.timing.first_frame(chunk)))

    def _from_next_shot(self) -> CommandResult:
        live = self.live
        if live and not live.made:
            return self._from_chunk(0)
        shot = len(self.session.script)
        return CommandResult((shot, self.takes.next_take(shot), 0))
