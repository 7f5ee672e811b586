"""A session as a story file that tells the same film again, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from shotstream.media.faults import say_fault
from shotstream.media.pictures import write_png
from shotstream.story import ReferencePicture, Shot, ShotPlace, Story, StoryFrame
from shotstream.streaming.context_frames import ContextFrame, ContextFrames, FrameKey, MadeFrom
from shotstream.streaming.session import StorySession
from shotstream.streaming.take import TakeRecord

NOTHING_SHOT = "the story has no shot yet; shoot one first"
"""Why there is nothing to export."""

_NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


def write_story(session: StorySession, path: str | Path, title: str | None = None) -> Story:
    """Write a story file that tells the film of a session again, and beside it the pictures it was made from.

    The film is the take that stands for each shot. Takes that it was made from and that are not in it are
    outtakes. On the same machine, with the same model, `ShotStreamPipeline.stream` gives the same bytes.

    Args:
        session: The session; a shot that runs is written as long as it is.
        path: ``*.yaml`` or ``*.json``.
        title: What people call the story.

    Returns:
        The story.

    Raises:
        MediaError: If a file cannot be written.
        ValueError: If nothing was told, or a story file has no place for it.
    """
    path = Path(path)
    names: dict[bytes, Path] = {}

    def picture(frame: ContextFrame) -> str:
        name = path.with_name(f"{path.stem}-reference-{len(names) + 1}.png")
        name = names.setdefault(frame.pixels.tobytes(), name)
        write_png(name, frame.pixels)
        return str(name)

    running = session.running
    is_back = {running.record.shot} if running and running.record.chunks else set[int]()
    made = MadeTakes(
        script=session.script,
        takes=session.takes,
        order=session.order,
        left_out=session.context.left_out - is_back,  # a retake that has a chunk has brought its shot back
        budget=session.context.budget,
        frames=session.pipeline.timing.frames,
        picture=picture,
    )
    story = made.story(
        title=title,
        setting=session.setting,
        seed=session.seed,
        height=session.height,
        width=session.width,
    )
    story.write(path)
    return story


@dataclass(frozen=True)
class MadeTakes:
    """The takes that were made for a story, by a session or as a library has them."""

    script: Sequence[TakeRecord]
    """For every number the take that stands for it."""
    takes: Mapping[tuple[int, int], TakeRecord]
    """All takes by (shot, take)."""
    order: Sequence[int]
    """The numbers as the film has them, those of deleted shots too."""
    left_out: Collection[int]
    """Numbers of deleted shots."""
    budget: int
    """How many context frames a shot is made from."""
    frames: Callable[[int], int]
    """How many frames a shot of some chunks has."""
    picture: Callable[[ContextFrame], str]
    """Gives the path of a reference's picture."""
    trims: Mapping[tuple[int, int], tuple[int, int | None]] = field(default_factory=dict)
    """First and last frame that the film shows of trimmed takes, by (shot, take)."""

    def story(self, *, seed: int, **facts: Any) -> Story:
        """The story that tells the film again.

        Args:
            seed: Seed of the story.
            **facts: Other fields of `Story`: title, setting, height, width.

        Raises:
            ValueError: If nothing was told, or a story file has no place for it.
        """
        kept = [self.script[shot] for shot in self.order if shot not in self.left_out]
        film = [record for record in kept if record.chunks]
        if not film:
            raise ValueError(NOTHING_SHOT)
        told = self._told(film)
        moved = list(self.order) != sorted(self.order)
        if moved or any(_source(record).places for record in told.values()):
            return self._moved(film, seed, facts)
        references = self._references(_source(film[0]))
        shots: list[Shot] = []
        outtakes: list[Shot] = []
        in_film = {record.shot: record.take for record in film}
        before = _Held([], references)
        with_loras = any(record.adapters for record in told.values())
        following = 0
        with _as_story_file():
            for record in sorted(
                told.values(), key=lambda record: (record.shot, record in film, record.take)
            ):
                held = _Held(self._pins(record), self._references(_source(record)))
                fields = self._fields(record, seed, in_film, self._remembers(record))
                fields |= held.fields(before, in_film)
                if with_loras:
                    fields["lora"] = [f"{use.name}:{use.scale!r}" for use in record.adapters]
                if in_film.get(record.shot) != record.take:
                    outtakes.append(Shot(**fields, number=record.shot))
                    continue
                number = None if record.shot == following else record.shot
                shots.append(Shot(**fields, number=number))
                before, following = held, record.shot + 1
            return Story(seed=seed, shots=shots, outtakes=outtakes, references=references, **facts)

    def _moved(self, film: Sequence[TakeRecord], seed: int, facts: dict[str, Any]) -> Story:
        """As `story`, once shots were moved: every take says what it remembers, and where that stood."""
        in_film = {record.shot: record.take for record in film}
        told = self._all_before(film)
        with_loras = any(record.adapters for record in told)
        references = self._references(_source(film[0]))

        def shot(record: TakeRecord, before: list[ReferencePicture]) -> Shot:
            source = _source(record)
            held = _Held([], self._references(source))
            remembers = [key for key in source.context if key.frame >= 0]
            fields = self._fields(record, seed, in_film, remembers) | held.fields(_Held([], before), in_film)
            fields["places"] = [ShotPlace(shot=number, place=place) for number, place in source.places]
            if with_loras:
                fields["lora"] = [f"{use.name}:{use.scale!r}" for use in record.adapters]
            return Shot(**fields, number=record.shot)

        before = [references, *(self._references(_source(record)) for record in film)]
        with _as_story_file():
            outtakes = [
                shot(record, references) for record in told if in_film.get(record.shot) != record.take
            ]
            shots = [shot(record, held) for record, held in zip(film, before, strict=False)]
            return Story(seed=seed, shots=shots, outtakes=outtakes, references=references, **facts)

    def _all_before(self, film: Sequence[TakeRecord]) -> list[TakeRecord]:
        """The takes of the film, those that they were made from, and the oldest of every shot below these.

        A shot is told after those with lower numbers; with all of these there is an order to tell them in.
        """
        told: dict[tuple[int, int], TakeRecord] = {}
        waiting = list(film)
        while waiting:
            record = waiting.pop()
            if (record.shot, record.take) not in told:
                told[record.shot, record.take] = record
                below = (
                    min(place for place in self.takes if place[0] == shot) for shot in range(record.shot + 1)
                )
                remembered = ((key.shot, key.take) for key in _source(record).context if key.frame >= 0)
                waiting += [self.takes[place] for place in (*below, *remembered)]
        return [told[place] for place in sorted(told)]

    def _told(self, film: Sequence[TakeRecord]) -> dict[tuple[int, int], TakeRecord]:
        """The takes of the film, those that they were made from, and one of every deleted shot between."""
        last = film[-1].shot
        waiting = [*film, *(record for record in self.script[:last] if record.shot in self.left_out)]
        told: dict[tuple[int, int], TakeRecord] = {}
        while waiting:
            record = waiting.pop()
            if (record.shot, record.take) in told:
                continue
            told[record.shot, record.take] = record
            asked = {(key.shot, key.take) for key in (*self._pins(record), *(self._remembers(record) or ()))}
            waiting += [self.takes[place] for place in asked]
        return told

    def _fields(
        self,
        record: TakeRecord,
        seed: int,
        in_film: Mapping[int, int],
        remembers: list[FrameKey] | None,
    ) -> dict[str, Any]:
        redirects = [{"chunk": c, "prompt": p} for c, p in record.prompts[1:] if c < record.chunks]
        in_frame, out_frame = self.trims.get((record.shot, record.take), (0, None))
        return {
            "prompt": record.prompt,
            "chunks": record.chunks,
            "in_frame": in_frame or None,
            "out_frame": out_frame,
            "seed": None if record.seed == seed else record.seed,
            "take": record.take,
            "redirects": redirects,
            "remembers": None if remembers is None else _story_frames(remembers, in_film),
        }

    def _pins(self, record: TakeRecord) -> list[FrameKey]:
        """The pins that hold for a take: a frame of a later shot is none for an earlier one."""
        return [key for key in _source(record).pins if key.shot < record.shot]

    def _references(self, source: MadeFrom) -> list[ReferencePicture]:
        return [
            ReferencePicture(picture=self.picture(frame), prompt=frame.prompt) for frame in source.references
        ]

    def _remembers(self, record: TakeRecord) -> list[FrameKey] | None:
        """The frames that a take was made from, references left out; None if the rule chooses them."""
        source = _source(record)
        numbers = {frame.frame: -place for place, frame in enumerate(source.references, start=1)}
        made = [key._replace(frame=numbers.get(key.frame, key.frame)) for key in source.context]
        if record.shot >= len(self._contexts):  # of a newest shot that was deleted, after it was moved
            return [key for key in made if key.frame >= 0]
        context = self._contexts[record.shot].copy()
        context.pins = []
        for number in numbers.values():
            context.pin(ContextFrame(_NO_PICTURE, 0, 0, number, None))
        for key in self._pins(record):
            context.pin(ContextFrame(_NO_PICTURE, *key, None))
        if [frame.take_key for frame in context.choose(record.shot)] == made:
            return None
        return [key for key in made if key.frame >= 0]

    @cached_property
    def _contexts(self) -> list[ContextFrames]:
        """What a session that tells the film remembers before each of its shots, without pictures."""
        context, before = ContextFrames(self.budget), []
        for record in self.script:
            before.append(context.copy())
            if record.chunks:
                prompts = [""] * self.frames(record.chunks)
                context.remember(record.shot, record.take, prompts, lambda _: _NO_PICTURE)
            if record.shot in self.left_out:
                context.leave_out(record.shot)
        return before


@dataclass(frozen=True)
class _Held:
    """What holds for a shot and, until it changes, for the shots after it."""

    pins: list[FrameKey]
    references: list[ReferencePicture]

    def fields(self, before: _Held, in_film: Mapping[int, int]) -> dict[str, Any]:
        """What a shot says of it, after `before`."""
        said: dict[str, Any] = {}
        if self.pins != before.pins:
            said["pins"] = _story_frames(self.pins, in_film)
        if self.references != before.references:
            said["references"] = self.references
        return said


@contextmanager
def _as_story_file() -> Iterator[None]:
    """Say what a story file cannot hold.

    Raises:
        ValueError: If it cannot hold what is made inside.
    """
    try:
        yield
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ValueError(f"a story file cannot hold this story: {say_fault(fault)}") from error


def _story_frames(keys: Sequence[FrameKey], in_film: Mapping[int, int]) -> list[StoryFrame]:
    return [
        StoryFrame(
            shot=key.shot, frame=key.frame, take=None if in_film.get(key.shot) == key.take else key.take
        )
        for key in keys
    ]


def _source(record: TakeRecord) -> MadeFrom:
    """What a take was made from."""
    assert record.made_from is not None, "it has a chunk"
    return record.made_from
