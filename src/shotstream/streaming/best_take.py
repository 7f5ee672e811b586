"""Several takes of a shot, of which the one that goes on best with its story stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import StorySession
from shotstream.streaming.take import TakeRecord


class TakeScore(Protocol):
    """How well a take goes on with the story before it."""

    @property
    def score(self) -> float:
        """0 to 1."""
        ...

    @property
    def reasons(self) -> Sequence[str]:
        """What takes from it, as sentences."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Both and more as plain data."""
        ...


class TakeMeter(Protocol):
    """Measures takes; `shotstream.evaluation.continuity.ContinuityMeter` is one."""

    def look(self, frames: np.ndarray, chunk_starts: Sequence[int]) -> Any:
        """All that is needed of a take's frames, uint8 ``[T, H, W, 3]``.

        Without `chunk_starts` the frames are only some of the take's, and do not follow one another.
        """
        ...

    def compare(self, look: Any, before: Sequence[Any], setting: str, prompts: Sequence[str]) -> TakeScore:
        """How well a take goes on with the shots before it.

        Every shot has a prompt and a look, which is None where nobody has looked at it.
        """
        ...


FindMeter = Callable[[], TakeMeter]
"""Finds the meter of a model; this may load a network."""


@dataclass(frozen=True)
class TakeRule:
    """How many takes of a shot are made."""

    takes: int = 3
    """So many at least."""
    min_score: float | None = None
    """More of them while none has this score, 0 to 1."""
    most_takes: int = 4
    """So many at most, where `min_score` asks for more than `takes`."""

    def __post_init__(self) -> None:
        if self.takes < 1 or self.most_takes < 1:
            raise ValueError(
                f"{self.takes} takes, or {self.most_takes} at most, tell no shot; give 1 or more of each"
            )
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ValueError(f"a continuity of {self.min_score} does not exist; give a number from 0 to 1")

    def wants_more(self, scores: Sequence[float]) -> bool:
        """Whether another take is made after takes of these scores."""
        if len(scores) < self.takes:
            return True
        return self.min_score is not None and max(scores) < self.min_score and len(scores) < self.most_takes


ONE_TAKE = TakeRule(takes=1)


@dataclass(frozen=True, eq=False)
class MadeTake:
    """A take that was made and measured."""

    record: TakeRecord
    chunks: list[Chunk]
    score: TakeScore

    def as_json(self) -> dict[str, Any]:
        """Number, seed, score and reasons as plain data."""
        return {"take": self.record.take, "seed": self.record.seed, **self.score.as_json()}


@dataclass
class BestTakes:
    """Tells shots of a session, each several times, and lets the best take stand.

    ::

        best = BestTakes(session, find_meter(pipeline), TakeRule(takes=3))
        for chunk in best.shoot("Close up of the robot."):
            show(chunk.frames)
        print(best.reports[0])

    The takes are retakes like any other: noise is a function of the take's number, so the same calls give the
    same bytes, and `StorySession.choose` can bring back each.
    """

    session: StorySession
    meter: TakeMeter
    rule: TakeRule = field(default_factory=TakeRule)
    watch: Callable[[Chunk], None] | None = None
    """Is shown every chunk of every take as soon as it is made."""
    reports: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Shot, from 0 -> ``chosen`` take and ``takes``, each with ``score`` and ``reasons``."""
    _looks: dict[tuple[int, int], Any] = field(default_factory=dict)

    def shoot(
        self,
        prompt: str,
        seconds: float | None = None,
        *,
        chunks: int | None = None,
        seed: int | None = None,
        lora: Sequence[str] | None = None,
    ) -> list[Chunk]:
        """Cut to a new shot, make its takes, and return the chunks of the best; see `StorySession.cut`."""
        self.session.cut(prompt, seconds, chunks=chunks, seed=seed, lora=lora)
        return self.make_takes(lambda take, told: self._told(iter(self.session.next_chunk, None)))

    def make_takes(self, tell: Callable[[int, bool], Iterable[Chunk]]) -> list[Chunk]:
        """Make the takes of the shot that the session has just cut to, and let the best stand.

        Args:
            tell: Tells the open take; it is given the take's number and whether it is the first one.

        Returns:
            The chunks of the best take, of several equally good ones the first.
        """
        running = self.session.running
        assert running is not None
        shot, made = running.record.shot, []
        while True:
            chunks = list(tell(running.record.take, not made))
            made.append(self._measured(shot, chunks))
            if not self.rule.wants_more([take.score.score for take in made]):
                break
            self.session.retake(shot)
            running = self.session.running
            assert running is not None
        best = max(made, key=lambda take: take.score.score)
        if best is not made[-1]:
            frames = frames_of(best.chunks)
            self.session.choose(best.record, frames.__getitem__)
        self.reports[shot] = {
            "chosen": best.record.take,
            "takes": [take.as_json() for take in made],
        }
        return best.chunks

    def note(self, chunks: Sequence[Chunk]) -> None:
        """Take in a shot of which nothing is to be chosen: later shots are compared with it."""
        self._looks[chunks[0].shot, chunks[0].take] = self.meter.look(frames_of(chunks), _starts(chunks))

    def _told(self, chunks: Iterable[Chunk]) -> Iterable[Chunk]:
        for chunk in chunks:
            if self.watch is not None:
                self.watch(chunk)
            yield chunk

    def _measured(self, shot: int, chunks: list[Chunk]) -> MadeTake:
        record = deepcopy(self.session.script[shot])
        look = self.meter.look(frames_of(chunks), _starts(chunks))
        self._looks[shot, record.take] = look
        earlier = self.session.earlier(shot)
        prompts = [prompts_of(one) for one in (*earlier, record)]
        before = [self._seen(one) for one in earlier]
        score = self.meter.compare(look, before, self.session.setting, prompts)
        return MadeTake(record, chunks, score)

    def _seen(self, record: TakeRecord) -> Any:
        """The look at a shot; of one that was told without this object, at the frames remembered of it."""
        place = (record.shot, record.take)
        if place not in self._looks:
            kept = [frame.pixels for frame in self.session.context.frames if frame.take_key[:2] == place]
            if not kept:
                return None
            self._looks[place] = self.meter.look(np.stack(kept), ())
        return self._looks[place]


def frames_of(chunks: Sequence[Chunk]) -> np.ndarray:
    """The frames of a shot in full quality, uint8 ``[T, H, W, 3]``."""
    chunks[-1].request_full()  # and so all before it
    return np.concatenate([chunk.full_frames() for chunk in chunks])


def prompts_of(record: TakeRecord) -> str:
    """All that was said to happen in a take, as one text."""
    return " ".join(prompt for _, prompt in record.prompts)


def _starts(chunks: Sequence[Chunk]) -> list[int]:
    return [chunk.first_frame for chunk in chunks]


class TakeKeeper(Protocol):
    """Keeps what is found out while a story file is told, so that a run that was stopped goes on."""

    def chosen_take(self, place: int) -> int | None:
        """The take that was chosen for a shot of the film, by its place from 0; None if none was."""
        ...

    def known_take(self, place: int, take: int) -> Sequence[Tensor]:
        """Latents of a take that were made before, from its first chunk on."""
        ...

    def keep_take(self, chunk: Chunk) -> None:
        """Keep a chunk of a take that may be chosen; its `shot` is its place in the film."""
        ...

    def choose_take(self, place: int, report: Mapping[str, Any]) -> None:
        """Note which take was chosen, and how all were measured; see `BestTakes.reports`."""
        ...


@dataclass(frozen=True)
class TakeChoice:
    """How the takes of a story file are chosen."""

    meter: TakeMeter
    rule: TakeRule
    keeper: TakeKeeper
