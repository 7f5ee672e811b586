"""A take: one attempt at a shot, the state it needs while it is being made, and copies of that."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from shotstream.models.autoencoder import StreamingDecoder
from shotstream.streaming.adapters import AdapterUse
from shotstream.streaming.chunk import Chunk, FullFramesError
from shotstream.streaming.context_frames import ContextFrame, ContextFrames, MadeFrom
from shotstream.streaming.full_frames import FullFrames
from shotstream.streaming.rollout import RolloutState, ShotRollout
from shotstream.streaming.timing import ShotTiming


@dataclass
class TakeRecord:
    """What was shot, and all it takes to shoot it again."""

    shot: int
    """Number of the shot, from 0."""
    take: int
    """Number of the take of that shot, from 0."""
    seed: int
    """Seed of its noise."""
    prompts: list[tuple[int, str]]
    """(first chunk, prompt) of every direction, in order."""
    chunks: int = 0
    """Chunks made so far."""
    adapters: tuple[AdapterUse, ...] = ()
    """The LoRAs it is made with."""
    made_from: MadeFrom | None = None
    """What it was made from; None before its first chunk."""

    @property
    def place(self) -> int:
        """The place that its shot had in the story when it was made: its index for the model."""
        return self.made_from.place(self.shot) if self.made_from else self.shot

    @property
    def prompt(self) -> str:
        """The prompt the shot was opened with."""
        return self.prompts[0][1]

    def prompt_at(self, chunk: int) -> str:
        """The prompt that `chunk` is made under."""
        return [prompt for first, prompt in self.prompts if first <= chunk][-1]

    def frame_prompts(self, timing: ShotTiming, chunk: int) -> list[str]:
        """The prompt of every frame of a chunk."""
        return [self.prompt_at(chunk)] * (timing.frames(chunk + 1) - timing.first_frame(chunk))

    def direct(self, prompt: str) -> None:
        """Give another prompt from the next chunk on."""
        self.prompts = [*[entry for entry in self.prompts if entry[0] < self.chunks], (self.chunks, prompt)]


def shared_shots(shots: int, takes: Mapping[tuple[int, int], TakeRecord]) -> int:
    """How many numbers a story shares that shares the first `shots`: those, too, that their takes remember.

    These are more only where shots were moved.
    """
    while True:
        remembered = (
            key.shot
            for (shot, _), record in takes.items()
            if shot < shots and record.made_from
            for key in record.made_from.context
        )
        following = max([shots - 1, *remembered]) + 1
        if following == shots:
            return shots
        shots = following


@dataclass
class Take:
    """The open take: its record, and what goes on from chunk to chunk."""

    record: TakeRecord
    length_chunks: int
    """How many chunks it is to have."""
    decoder: StreamingDecoder
    """Makes the frames that are shown."""
    full: FullFrames | None = None
    """Makes the frames that are remembered; None if no quicker ones are shown, or once it has failed."""
    rollout: ShotRollout | None = None
    """None until the first chunk is made."""
    made: list[np.ndarray] = field(default_factory=list)
    """The frames so far, uint8 ``[H, W, 3]``, but for those of `pending`; see `picture`."""
    recalled: Callable[[int], np.ndarray] | None = None
    """Where the take was made before and is over: gives its frames instead of `made`."""
    pending: list[Chunk] = field(default_factory=list)
    """Chunks whose full frames are not taken in yet, in order; most are made only where they are needed."""
    ahead: dict[int, ContextFrame] = field(default_factory=dict)
    """Frames that were made and are foreseen for the next shot, by number; see `foresee`."""
    prompts: list[str] = field(default_factory=list)
    """The prompt of every frame."""
    remembered_frames: int = 0
    """How many frames it had when context frames were last taken from it."""
    states: deque[list[Tensor]] = field(default_factory=lambda: deque(maxlen=1))
    """States of `decoder` after the newest chunks, as far back as the shot can be gone on with."""
    lacks_frames: bool = False
    """Whether `foresee` lacked frames that were not made yet."""
    was_over: bool = False
    """Whether it had all its chunks once; it may have been made longer since."""
    is_cut_short: bool = False
    """Whether more was taken back than can be gone on from: it can only end."""

    def add(self, chunk: Chunk) -> None:
        """Take in the next chunk."""
        self.record.chunks += 1
        self.was_over |= self.complete
        self.prompts += [chunk.prompt] * len(chunk.frames)
        if chunk.full is None:
            self.made += list(chunk.frames)
        else:
            self.pending.append(chunk)

    def rewind(self, chunks: int, frames: int) -> None:
        """Take back chunks that came after the newest direction; `decoder` stays where it is.

        Args:
            chunks: How many.
            frames: How many frames are left.
        """
        assert self.recalled is None
        assert frames >= self.remembered_frames
        self.record.chunks -= chunks
        self.pending = [chunk for chunk in self.pending if chunk.index < self.record.chunks]
        if self.full:
            self.full.rewind(self.record.chunks)
        del self.made[frames:], self.prompts[frames:]
        self.ahead = {number: frame for number, frame in self.ahead.items() if number < frames}

    def rewindable_chunks(self, context: ContextFrames, timing: ShotTiming) -> int:
        """How many chunks can be taken back: neither pinned, nor in a branch, nor before a direction."""
        if self.recalled is not None:
            return 0
        record = self.record
        pinned = [pin.frame + 1 for pin in context.pins if pin.take_key[:2] == (record.shot, record.take)]
        frames = max([self.remembered_frames, *pinned])
        free = sum(timing.first_frame(chunk) >= frames for chunk in range(record.chunks))
        return max(0, min(free, record.chunks - max(1, record.prompts[-1][0])))

    def recall(self, prompts: list[str], picture: Callable[[int], np.ndarray]) -> None:
        """Take in the next chunk, as it was made before: the prompt of every frame, and what gives them."""
        self.record.chunks += 1
        self.was_over |= self.complete
        self.prompts += prompts
        self.recalled = picture

    def picture(self, frame: int) -> np.ndarray:
        """A frame in full quality: which of them to remember is known when the shot ends.

        See `wait`.
        """
        self.wait(frame)
        return self.recalled(frame) if self.recalled else self.made[frame]

    def foresee(
        self, context: ContextFrames, frames: int, request: Callable[[int], None] = lambda frame: None
    ) -> list[ContextFrame]:
        """What the next shot will be made from if this take ends as planned, as far as it is made.

        Args:
            context: The frames of the story.
            frames: How many the take will have.
            request: Is told of every frame that is not made yet.
        """
        record = self.record
        while self.pending and self.pending[0].ready:
            self.made += list(self.pending.pop(0).full_frames())
        self.lacks_frames = False

        def own(frame: int) -> ContextFrame | None:
            if frame >= len(self.made):
                request(frame)
                self.lacks_frames = True
                return None
            return self.ahead.get(frame) or ContextFrame(
                self.made[frame].copy(), record.shot, record.take, frame, self.prompts[frame]
            )

        chosen = context.foresee(record.shot, frames, own)
        self.ahead = {
            frame.frame: frame for frame in chosen if (frame.shot, frame.take) == (record.shot, record.take)
        }
        return chosen

    def request(self, frame: int) -> None:
        """Have full frames made in the background, from the first to this one, as far as chunks are there."""
        for chunk in self.pending:
            if chunk.first_frame <= frame:
                chunk.request_full()

    def request_remembered(self, context: ContextFrames, timing: ShotTiming, rewind_chunks: int) -> None:
        """Have those full frames made that later shots can ask for and `rewind` cannot take back.

        Args:
            context: The frames of the story.
            timing: The clock of the model.
            rewind_chunks: How many chunks can be taken back while the take is not complete.
        """
        stay = self.record.chunks - (0 if self.complete else rewind_chunks)
        if self.pending and stay > 0:
            asked = context.asked_of(self.record.shot, timing.frames(self.length_chunks))
            self.request(min(max(asked, default=-1), timing.frames(stay) - 1))

    def wait_for_remembered(self, context: ContextFrames) -> None:
        """Wait for the full frames that later shots can ask for if the take ends here; see `wait`."""
        if self.pending:
            self.wait(max(context.asked_of(self.record.shot, len(self.prompts)), default=-1))

    def wait(self, frame: int) -> None:
        """Have full frames made, from the first to this one, and wait for them.

        Raises:
            FullFramesError: Once, if some could not be made; the take goes on after, see `keep_shown`.
        """
        self.request(frame)
        while self.pending and self.pending[0].first_frame <= frame:
            try:
                self.made += list(self.pending[0].full_frames())
            except FullFramesError:
                self.keep_shown()
                raise
            del self.pending[0]

    def keep_shown(self) -> None:
        """Do without the full frames that are not there yet: those that were shown stand in for them.

        So they do from now on: the full decoder has lost its place in the shot.
        """
        for chunk in self.pending:
            self.made += list(chunk.full_frames() if chunk.ready else chunk.frames)
        self.pending.clear()
        self.close()
        self.full = None

    def close(self) -> None:
        """Let go of the full decoder's state; whoever has chunks of the take can still ask for frames."""
        if self.full:
            self.full.release()

    @property
    def complete(self) -> bool:
        """Whether all its chunks are made."""
        return self.record.chunks >= self.length_chunks


@dataclass(frozen=True)
class TakeState:
    """A copy of an open take that later chunks leave untouched."""

    record: TakeRecord
    length_chunks: int
    decoder: list[Tensor]
    full_latents: list[Tensor] | None
    """Of all chunks, from which full frames can be made; None if no quicker ones are shown."""
    pending: list[Chunk]
    rollout: RolloutState | None
    made: list[np.ndarray]
    recalled: Callable[[int], np.ndarray] | None
    prompts: list[str]
    was_over: bool

    @classmethod
    def of(cls, take: Take) -> TakeState:
        """Copy the state of `take`; tensors that nobody writes to are shared.

        Of the full decoder nothing is kept: full frames are made from latents.
        """
        return cls(
            record=deepcopy(take.record),
            length_chunks=take.length_chunks,
            decoder=take.decoder.state(),
            full_latents=list(take.full.latents) if take.full else None,
            pending=list(take.pending),
            rollout=take.rollout.state() if take.rollout else None,
            made=list(take.made),
            recalled=take.recalled,
            prompts=list(take.prompts),
            was_over=take.was_over,
        )


@dataclass(frozen=True)
class SessionSnapshot:
    """A story at one moment, mid-shot too; see `StorySession.snapshot`."""

    size: tuple[int, int]
    decoder: str
    setting: str
    seed: int
    script: list[TakeRecord]
    context: ContextFrames
    take: TakeState | None
    takes: dict[tuple[int, int], TakeRecord] = field(default_factory=dict)

    def check_fits(self, size: tuple[int, int], decoder: str) -> None:
        """Complain if a session of pictures of `size`, shown by `decoder`, cannot go on from here.

        Raises:
            ValueError: If it is of another picture size, or mid-shot and shown by another decoder.
        """
        if self.size != size:
            raise ValueError(
                f"the snapshot is of a story of {self.size[0]}x{self.size[1]} pixels, this one has "
                f"{size[0]}x{size[1]}; restore it into a session of its own size"
            )
        if self.take and self.decoder != decoder:
            raise ValueError(
                f"the snapshot is of a shot shown by the {self.decoder} decoder, this session uses the "
                f"{decoder} one; restore it into a session with decoder={self.decoder!r}"
            )
