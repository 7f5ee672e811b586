"""The takes of a story in the library, and what each was made from, read off its journal without a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from shotstream.serving.protocol.commands import (
    Branch,
    Cast,
    Choose,
    Command,
    Delete,
    Move,
    Pin,
    Reference,
    Replan,
    Shoot,
    Silence,
    Sound,
    Trim,
    Undo,
    Unpin,
)
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoredChunk, StoredCommand, StoredStory, StoreError
from shotstream.serving.story.film_edit import FilmEdit
from shotstream.serving.story.undo import BeforeMove, UndoHistory
from shotstream.streaming.context_frames import ContextFrame, ContextFrames
from shotstream.streaming.exported import NOTHING_SHOT, MadeTakes
from shotstream.streaming.memory_rules import find_rule, rule_of_mark
from shotstream.streaming.take import TakeRecord, shared_shots

_NO_PICTURE = np.zeros((1, 1, 3), np.uint8)
_ENDS_A_SHOT = ("shoot", "cut", "stop", "retake", "reshoot")


def made_takes(store: Store, stored: StoredStory, picture: Callable[[str], str]) -> MadeTakes:
    """Read the takes of a story off its journal.

    Args:
        store: Has the stories that it branched off.
        stored: The story.
        picture: Gives the path of an uploaded picture by its name.

    Raises:
        StoreError: If a parent is missing.
    """
    budget = store.snapshot(stored.id).memory.global_size
    if not budget:
        raise StoreError(NOTHING_SHOT)
    journal = _read(store, stored, len(stored.entries), budget)
    frames = {record.chunks: journal.frames[place] for place, record in journal.takes.items()}
    return MadeTakes(
        script=journal.script,
        takes=journal.takes,
        order=sorted(range(len(journal.script)), key=journal.context.place),
        left_out=journal.left_out,
        budget=budget,
        frames=frames.__getitem__,
        picture=lambda frame: picture(journal.uploads[frame]),
    )


def _read(store: Store, stored: StoredStory, entries: int, budget: int) -> _Journal:
    rule = find_rule(rule_of_mark(stored.made_with.model), stored.setting)
    journal = _Journal(ContextFrames(budget, rule=rule))
    if stored.parent is not None:
        parent = _read(store, store.load(stored.parent.story), stored.parent.entries, budget)
        journal = parent.branch(stored.parent.shot)
    for entry in stored.until(entries).told:
        if isinstance(entry, StoredCommand):
            journal.apply(entry.command)
        else:
            journal.add(entry)
    return journal


@dataclass
class _Journal:
    """A story as far as it is read; what `Director` and its session do, for numbers of frames alone."""

    context: ContextFrames
    script: list[TakeRecord] = field(default_factory=list)
    takes: dict[tuple[int, int], TakeRecord] = field(default_factory=dict)
    frames: dict[tuple[int, int], int] = field(default_factory=dict)
    """How many frames every take has."""
    chunk_frames: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    """How many each of its chunks has."""
    uploads: dict[ContextFrame, str] = field(default_factory=dict)
    running: TakeRecord | None = None
    """The take that is made, or was made last."""
    ended: bool = True
    """Whether it has its last chunk."""
    remembered_frames: int = 0
    """How many of its frames are remembered."""
    undoable: UndoHistory[tuple[ContextFrames, list[TakeRecord]]] = field(default_factory=UndoHistory)

    @property
    def left_out(self) -> set[int]:
        """Numbers of deleted shots; a retake that has a chunk has brought its shot back."""
        return self.context.left_out - ({self.running.shot} if self.running else set())

    def add(self, chunk: StoredChunk) -> None:
        """Take in a chunk."""
        place = chunk.shot, chunk.take
        if chunk.chunk == 0:
            self._remember()
            told = [(0, chunk.prompt)]
            self.running = TakeRecord(chunk.shot, chunk.take, chunk.seed, told, adapters=chunk.adapters)
            self.running.made_from = self.context.made_from(chunk.shot, chunk.prompt)
            self.takes[place], self.frames[place], self.remembered_frames = self.running, 0, 0
            self.chunk_frames[place] = []
        record = self.takes[place]
        if record.prompt_at(chunk.chunk) != chunk.prompt:
            record.prompts.append((chunk.chunk, chunk.prompt))
        record.chunks, self.ended = chunk.chunk + 1, chunk.last
        self.frames[place] += chunk.frames
        self.chunk_frames[place].append(chunk.frames)
        self.script[chunk.shot : chunk.shot + 1] = [record]
        if chunk.last:
            self._remember()

    def apply(self, command: Command) -> None:
        """Do what a command says to what is remembered."""
        waits = isinstance(command, Shoot) and command.after and not self.ended
        if command.type in _ENDS_A_SHOT and not waits:
            self._remember()
        match command:
            case Branch():
                self._remember_shared(command.shot)
            case Choose():
                self._choose(command)
            case Delete():
                self._delete(command.shot)
            case Undo():
                done = self.undoable.pop(running=True)  # no deletion lies under a change of the queue
                if isinstance(done, tuple):
                    self.context, self.script = done[0]
                elif isinstance(done, BeforeMove):
                    self.context.move(done.shot, done.place)
            case Move():
                self._move(command.shot, command.before)
            case Trim() | Sound() | Silence() | Cast():
                self.undoable.edited(FilmEdit())
            case Replan():
                self.undoable.planned()
            case Pin():
                self._pin(command.shot, command.frame)
            case Unpin():
                self.context.unpin((command.shot, command.frame))
            case Reference():
                self.uploads[self.context.add_reference(_NO_PICTURE, command.prompt)] = command.upload
        self.undoable.after(command)

    def branch(self, shot: int) -> _Journal:
        """Begin another story that shares this one up to and including a shot."""
        self._remember_shared(shot)
        shots = self._shared_shots(shot)
        takes = {place: record for place, record in self.takes.items() if place[0] < shots}
        return _Journal(
            self.context.branch(shot, shots),
            self.script[:shots],
            takes,
            dict(self.frames),
            {place: list(frames) for place, frames in self.chunk_frames.items()},
            self.uploads,
        )

    def _choose(self, command: Choose) -> None:
        record = self.takes[command.shot, command.take]
        if self.running and self.running.shot == command.shot:
            self.running = None
        self._take_in(record)
        self.script[command.shot] = record

    def _delete(self, shot: int) -> None:
        if shot >= len(self.script):  # it was waiting, or had no chunk yet
            self.undoable.planned()
            return
        self._remember()
        self.running = None
        self.undoable.deleted((self.context.copy(), list(self.script)))
        if shot == len(self.script) - 1:
            self.context, self.script = self.context.first(shot), self.script[:shot]
        else:
            self.context.leave_out(shot)

    def _move(self, shot: int, before: int | None) -> None:
        self.undoable.moved(BeforeMove(shot, self.context.place(shot)))
        others = [number for number in self.context.order if number != shot]
        self.context.move(shot, others.index(before) if before in others else len(others))

    def _pin(self, shot: int, frame: int) -> None:
        running = self.running
        if running and running.shot == shot and frame < self.frames[shot, running.take]:
            self.context.pin(ContextFrame(_NO_PICTURE, shot, running.take, frame, None))
        else:
            self.context.pin(self.context.find(shot, frame))

    def _remember_shared(self, shot: int) -> None:
        """Take in the take that is made, if a branch at a shot has it."""
        if self.running and self.running.shot < self._shared_shots(shot):
            self._remember()

    def _shared_shots(self, shot: int) -> int:
        return shared_shots(self.context.shared_with(shot), self.takes)

    def _remember(self) -> None:
        """Take in the take that is made, as far as it is made."""
        running = self.running
        if running and self.frames[running.shot, running.take] > self.remembered_frames:
            self.remembered_frames = self.frames[running.shot, running.take]
            self._take_in(running)

    def _take_in(self, record: TakeRecord) -> None:
        chunks = enumerate(self.chunk_frames[record.shot, record.take])
        prompts = [record.prompt_at(number) for number, frames in chunks for _ in range(frames)]
        self.context.remember(record.shot, record.take, prompts, lambda _: _NO_PICTURE)
