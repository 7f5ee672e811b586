"""A story under direction: what commands and chunks make of it, and nothing else.

It depends on no clock, viewer or limit, so the same commands and chunks give the same story, bit for bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from shotstream.serving.commands import (
    Branch,
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
    Reshoot,
    Resume,
    Retake,
    Shoot,
    Stop,
    Undo,
    Unpin,
)
from shotstream.serving.events import RefusalCode
from shotstream.serving.journal import StoredChunk
from shotstream.serving.states import Machine, State
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import PromptWarning, StorySession
from shotstream.streaming.take import Snapshot, TakeRecord

_UNDO_SURVIVES = ("delete", "undo", "pause", "resume", "branch")


class Refusal(ValueError):
    """A command cannot be followed and has changed nothing.

    Args:
        code: What kind of reason.
        message: A sentence for the director.
    """

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code: RefusalCode = code


@dataclass
class LiveShot:
    """The shot that is made, or was made last and can be extended."""

    record: TakeRecord
    """The session's own as soon as it has a chunk."""
    length_chunks: int

    @property
    def made(self) -> int:
        """Chunks made so far."""
        return self.record.chunks


@dataclass(frozen=True)
class _Before:
    """A story as it was before a shot was deleted."""

    session: Snapshot
    edits: dict[int, str]
    stale: set[int]


@dataclass(frozen=True)
class Effect:
    """What following a command came to."""

    frame: tuple[int, int, int] | None = None
    """(shot, take, frame): the first frame that shows it."""
    note: str | None = None
    """What the model does not know, or leaves out."""
    branch: StorySession | None = None
    """The other story that it began."""


class DirectedStory:
    """A session, its state, and what a director has in mind for its shots.

    Args:
        session: The story being told.
        find_picture: Gives uploaded pictures; raises ``LookupError`` for those that are not there.
    """

    def __init__(self, session: StorySession, find_picture: Callable[[str], np.ndarray]) -> None:
        self.session = session
        self.tempo = session.pipeline.tempo
        self.machine = Machine()
        self.live: LiveShot | None = None
        self.edits: dict[int, str] = {}
        """Texts that their shots are not told yet."""
        self.stale: set[int] = set()
        """Shots that were made before an edit of themselves or of an earlier one."""
        self.reshoots: list[int] = []
        """Stale shots that wait for their turn."""
        self._find_picture = find_picture
        self._deleted: list[_Before] = []
        self._takes = {record.shot: record.take + 1 for record in session.script}
        """Takes of each shot number so far; deleted ones count, as their chunks are kept."""

    # ---- following ----

    def follow(self, command: Command) -> Effect:
        """Do what a command says.

        Raises:
            Refusal: If it cannot be done; nothing has changed then.
        """
        if not self.machine.allows(command.type):
            raise Refusal("not_now", f"{command.type} is not possible now: {self._situation()}")
        with warnings.catch_warnings(record=True) as told:  # only the engine's thread warns of prompts
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", PromptWarning)
            try:
                effect = getattr(self, f"_{command.type}")(command)
            except Refusal:
                raise
            except ValueError as error:
                raise Refusal("invalid", str(error)) from error
        self.machine.take(command.type)
        if command.type == "cut":
            self._next_stale_shot()
        if command.type not in _UNDO_SURVIVES:
            self._deleted.clear()
        return replace(effect, note="; ".join(str(warning.message) for warning in told) or None)

    def _situation(self) -> str:
        state = self.machine.state
        if state is State.FAILED:
            return f"the story stands still ({self.machine.reason}); resume it first"
        return "a shot is running; cut or stop it first" if self.machine.running else "no shot is running"

    def _shoot(self, command: Shoot) -> Effect:
        self.session.cut(command.prompt, command.seconds, chunks=command.chunks, seed=command.seed)
        self.reshoots.clear()
        return self._opened()

    def _retake(self, command: Retake) -> Effect:
        prompt = self.edits.get(command.shot) if command.prompt is None else command.prompt
        self._check_shot(command.shot)
        self.session.retake(command.shot, seed=command.seed, prompt=prompt)
        self.reshoots.clear()
        return self._opened()

    def _reshoot(self, command: Reshoot) -> Effect:
        shots = sorted(shot for shot in self.stale if shot >= command.from_shot)
        if not shots:
            raise Refusal("not_now", f"no shot from {command.from_shot + 1} on is stale")
        oldest = self.session.memory.oldest_retake
        if shots[0] < oldest:
            raise Refusal("not_found", f"shots before {oldest + 1} are too far back to be taken anew")
        self.session.retake(shots[0], prompt=self.edits.get(shots[0]))
        self.reshoots = shots[1:]
        return self._opened()

    def _cut(self, command: Cut) -> Effect:
        self._end_shot()
        return Effect()

    def _stop(self, command: Stop) -> Effect:
        self._end_shot()
        self.reshoots.clear()
        return Effect()

    def _redirect(self, command: Redirect) -> Effect:
        live = self._running()
        self.session.redirect(command.prompt)
        if not live.made:  # otherwise the record is the session's own
            live.record.direct(command.prompt)
        return self._from_chunk(live.made)

    def _hold(self, command: Hold) -> Effect:
        return self._from_chunk(self._running().length_chunks)

    def _extend(self, command: Extend) -> Effect:
        live = self._running()
        chunks, former = command.chunks, live.length_chunks
        if command.seconds is not None:
            chunks = self.tempo.chunks(command.seconds, after=former)
        assert chunks is not None
        self._lengthen(chunks)
        return self._from_chunk(former)

    def _branch(self, command: Branch) -> Effect:
        self._check_shot(command.shot)
        return Effect(branch=self.session.branch(command.shot, seed=command.seed))

    def _pin(self, command: Pin) -> Effect:
        self._check_shot(command.shot)
        self.session.pin(command.shot, command.frame)
        return self._from_next_shot()

    def _unpin(self, command: Unpin) -> Effect:
        if (command.shot, command.frame) not in [pin.key for pin in self.session.memory.pins]:
            raise Refusal("not_found", f"frame {command.frame} of shot {command.shot + 1} is not pinned")
        self.session.unpin(command.shot, command.frame)
        return self._from_next_shot()

    def _reference(self, command: Reference) -> Effect:
        try:
            picture = self._find_picture(command.upload)
        except LookupError as error:
            raise Refusal(
                "not_found", f"there is no upload {command.upload}; send the picture first"
            ) from error
        self.session.reference(picture, command.prompt)
        return self._from_next_shot()

    def _edit(self, command: Edit) -> Effect:
        self._check_shot(command.shot)
        if self.machine.running and self.live and self.live.record.shot == command.shot:
            raise Refusal("not_now", "the shot is running; redirect it, or edit it after its end")
        self.edits[command.shot] = command.prompt
        self.stale |= set(range(command.shot, len(self.session.script)))
        return Effect()

    def _delete(self, command: Delete) -> Effect:
        self._check_shot(command.shot)
        shot, script = command.shot, self.session.script
        if shot != len(script) - 1:
            raise Refusal("not_now", f"only the newest shot can be deleted, which is shot {len(script)}")
        if shot < self.session.memory.oldest_retake:
            raise Refusal("not_found", f"shot {shot + 1} is too far back: what it was made from is not kept")
        self._end_shot()
        before = _Before(self.session.snapshot(), dict(self.edits), set(self.stale))
        kept = before.session
        self.session.restore(replace(kept, script=kept.script[:shot], memory=kept.memory.branch(shot)))
        self.edits.pop(shot, None)
        self.stale.discard(shot)
        self._deleted.append(before)
        return Effect()

    def _undo(self, command: Undo) -> Effect:
        if not self._deleted:
            raise Refusal("not_now", "nothing was deleted since the story last changed")
        before = self._deleted.pop()
        self.session.restore(before.session)
        self.edits, self.stale = before.edits, before.stale
        return Effect()

    def _pause(self, command: Pause) -> Effect:
        return Effect()

    def _resume(self, command: Resume) -> Effect:
        return Effect()

    # ---- making ----

    def make_chunk(self, most_chunks: int, known: StoredChunk | None = None) -> Chunk:
        """Make the running shot's next chunk.

        Args:
            most_chunks: Where a held shot ends at the latest; more than it has.
            known: The chunk as it was made before; whether its shot ended there is known too.
        """
        live = self._running()
        wanted = live.length_chunks
        if known is not None:
            wanted = live.made + (1 if known.last else 2)
        elif self.machine.beneath is State.HOLDING:
            wanted = min(live.made + 2, most_chunks)  # one more than is made now: the shot goes on
        if wanted > live.length_chunks:
            self._lengthen(wanted - live.length_chunks)
        chunk = self.session.next_chunk(known.latents() if known else None)
        assert chunk is not None
        live.record = self.session.script[chunk.shot]
        self._takes[chunk.shot] = chunk.take + 1
        if chunk.index == 0:
            self.edits.pop(chunk.shot, None)
            self.stale.discard(chunk.shot)
        self.machine.take("shot ended" if chunk.last else "chunk made")
        if chunk.last:
            self._next_stale_shot()
        return chunk

    def _next_stale_shot(self) -> None:
        if self.reshoots:
            shot = self.reshoots.pop(0)
            self.session.retake(shot, prompt=self.edits.get(shot))
            self._opened()
            self.machine.take("next stale shot")

    def _opened(self) -> Effect:
        """Note the take that the session has just opened."""
        state = self.session.snapshot()  # cheap: no chunk of the take is made yet
        assert state.take is not None
        record = state.take.record
        if record.take < self._takes.get(record.shot, 0):  # after a deletion: no two takes share a number
            record.take = self._takes[record.shot]
            self.session.restore(state)
        self.live = LiveShot(deepcopy(record), state.take.length_chunks)
        return self._from_chunk(0)

    def _end_shot(self) -> None:
        """Let the running shot end with the chunks it has; without any it leaves no trace."""
        self.session.restore(_closed(self.session.snapshot()))
        self.live = None

    def _lengthen(self, chunks: int) -> None:
        self.session.extend(chunks=chunks)
        self._running().length_chunks += chunks

    # ---- where ----

    def _running(self) -> LiveShot:
        if self.live is None:
            raise Refusal("not_now", "no shot is running; shoot one first")
        return self.live

    def _from_chunk(self, chunk: int) -> Effect:
        record = self._running().record
        return Effect((record.shot, record.take, self.tempo.frames(chunk) if chunk else 0))

    def _from_next_shot(self) -> Effect:
        live = self.live
        if live and not live.made:
            return self._from_chunk(0)
        shot = len(self.session.script)
        return Effect((shot, self._takes.get(shot, 0), 0))

    def _check_shot(self, shot: int) -> None:
        count = len(self.session.script)
        if shot >= count:
            raise Refusal("not_found", f"there is no shot {shot + 1}; the story has {count}")


def _closed(state: Snapshot) -> Snapshot:
    """The same story after the end of its running shot."""
    memory, take = state.memory.copy(), state.take
    if take and take.prompts:
        memory.remember(take.record.shot, take.pictures, take.prompts)
    return replace(state, memory=memory, take=None)
