"""A story file told by a session: its takes, redirects, pins, references and outtakes.

Shots are told by their numbers, and of one number the outtakes first: a take is made from lower numbers only.
Where shots were moved, takes are told after those that they were made from.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from shotstream.media.pictures import read_picture
from shotstream.story import ReferencePicture, Shot, Story, StoryFrame, StoryWarning
from shotstream.streaming.best_take import BestTakes, TakeChoice, frames_of
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import ContextFrame, FrameKey, fit_picture
from shotstream.streaming.model import StoryModel
from shotstream.streaming.session import StorySession
from shotstream.telling_order import TakeKey, telling_order

KnownLatents = Callable[[int], Sequence[Tensor]]
"""Gives for a shot, by its number from 0, which are known and need not be made."""


class ScriptedTake(NamedTuple):
    """A take of a story file, with all that holds when it is made."""

    number: int
    """Number of its shot, from 0."""
    shot: Shot
    place: int | None
    """Its place among the shots of the film, from 0; None for an outtake."""
    pins: list[FrameKey]
    references: list[ReferencePicture]
    remembers: list[FrameKey] | None
    """Instead of what the rule chooses."""
    lora: list[str] | None
    """Its LoRAs; None for those that the model is set to."""
    is_moved: bool = False
    """Whether shots of its story were moved: `remembers` and `references` alone say what it is made from."""

    def index_of(self, shot: int) -> int:
        """The place that it, or a shot that it remembers, has when it is made: its index for the model."""
        stood = {place.shot: place.place for place in self.shot.places if self.remembers is not None}
        return stood.get(shot, shot)

    @property
    def name(self) -> str:
        """What people call it."""
        return f"outtake of shot {self.number}" if self.place is None else f"shot {self.place + 1}"


def takes_of(story: Story, last: int | None = None) -> list[ScriptedTake]:
    """The takes of a story in the order in which they are told.

    Args:
        story: The story.
        last: Place of the last shot that is told, from 0; all if None.
    """
    if story.is_moved:
        return _moved_takes(story, last)
    film = dict(zip(story.numbers[: None if last is None else last + 1], story.shots, strict=False))
    in_film = {number: shot.take for number, shot in film.items()}
    places = {number: place for place, number in enumerate(film)}
    told: list[ScriptedTake] = []
    pins: list[FrameKey] = []
    references = list(story.references)

    def keys(frames: list[StoryFrame]) -> list[FrameKey]:
        return [
            FrameKey(frame.shot, in_film[frame.shot] if frame.take is None else frame.take, frame.frame)
            for frame in frames
        ]

    def take(number: int, shot: Shot, place: int | None) -> ScriptedTake:
        own_pins = pins if shot.pins is None else keys(shot.pins)
        own_references = references if shot.references is None else shot.references
        remembers = None if shot.remembers is None else keys(shot.remembers)
        lora = story.lora_of(shot)
        return ScriptedTake(number, shot, place, own_pins, own_references, remembers, lora)

    for number in range(max(film) + 1):
        told += [take(number, shot, None) for shot in story.outtakes if shot.number == number]
        if number in film:
            told.append(take(number, film[number], places[number]))
            pins, references = told[-1].pins, told[-1].references
    return told


def _moved_takes(story: Story, last: int | None) -> list[ScriptedTake]:
    """As `takes_of`, of a story whose shots were moved."""
    takes: dict[TakeKey, ScriptedTake] = {}
    in_film = {number: shot.take for number, shot in zip(story.numbers, story.shots, strict=True)}
    references = story.references
    for place, (number, shot) in enumerate(zip(story.numbers, story.shots, strict=True)):
        references = references if shot.references is None else shot.references
        takes[number, shot.take] = _moved_take(story, number, shot, place, references, in_film)
    for shot in story.outtakes:
        own, number = story.references if shot.references is None else shot.references, shot.number or 0
        takes[number, shot.take] = _moved_take(story, number, shot, None, own, in_film)
    told = [takes[key] for key in telling_order(story.made_from)]
    if last is None:
        return told
    wanted = [number for number, take in enumerate(told) if take.place is not None and take.place <= last]
    return [
        take if number in wanted else take._replace(place=None)
        for number, take in enumerate(told[: wanted[-1] + 1])
    ]


def _moved_take(
    story: Story,
    number: int,
    shot: Shot,
    place: int | None,
    references: list[ReferencePicture],
    in_film: Mapping[int, int],
) -> ScriptedTake:
    remembers = [
        FrameKey(frame.shot, in_film[frame.shot] if frame.take is None else frame.take, frame.frame)
        for frame in shot.remembers or ()
    ]
    return ScriptedTake(number, shot, place, [], references, remembers, story.lora_of(shot), is_moved=True)


def check(model: StoryModel, takes: list[ScriptedTake], size: tuple[int, int]) -> None:
    """See that a model can tell these takes.

    Args:
        model: The model.
        takes: See `takes_of`.
        size: Height and width of the pictures in pixels.

    Raises:
        ValueError: If not, in a sentence.
    """
    timing, budget = model.timing, model.transformer.config["context_frames"]
    frames: dict[tuple[int, int], int] = {}
    for take in takes:
        shot = take.shot
        length = model.shot_chunks(shot.seconds, shot.chunks, size)
        frames[take.number, shot.take] = timing.frames(length)
        late = [redirect.chunk for redirect in shot.redirects if redirect.chunk >= length]
        if late:
            raise ValueError(
                f"{take.name} is redirected at chunk {late[0]}, but with this model it has {length} chunks, "
                "numbered from 0; make it longer, or leave that redirect out"
            )
        for key in (*take.pins, *(take.remembers or ())):
            if key.frame >= frames[key.shot, key.take]:
                raise ValueError(
                    f"{take.name} asks for frame {key.frame} of shot {key.shot}, take {key.take}, which has "
                    f"{frames[key.shot, key.take]} frames with this model, numbered from 0; give one of them"
                )
        given = {(key.shot, key.frame) for key in take.remembers or ()}
        pins = [key for key in take.pins if (key.shot, key.frame) not in given]
        asked = len(take.remembers or ()) + len(pins) + len(take.references)
        if asked > budget:
            raise ValueError(
                f"{take.name} is to be made from {asked} pins, references or remembered frames, but this "
                f"model remembers {budget}; leave some out"
            )


class ScriptedStory:
    """Tells the takes of a story file.

    Args:
        session: A session in which nothing is told yet.
        story: The story.
        last: Place of the last shot that is told, from 0; all if None.
        choice: How the best of several takes is found for every shot of the film; None makes one of each.

    Raises:
        ValueError: If the model cannot tell it, or a picture cannot be used.
    """

    def __init__(
        self,
        session: StorySession,
        story: Story,
        last: int | None = None,
        choice: TakeChoice | None = None,
    ) -> None:
        self.session = session
        self._choice = choice
        self._best = BestTakes(session, choice.meter, choice.rule) if choice else None
        self.takes = takes_of(story, last)
        check(session.pipeline, self.takes, (session.height, session.width))
        session.context.history_shots = max(session.context.history_shots, _reach(self.takes))
        self._asked = {key for take in self.takes for key in (*take.pins, *(take.remembers or ()))}
        self._frames: dict[FrameKey, ContextFrame] = {}
        self._pictures = self._read_pictures()
        self._references: dict[tuple[ReferencePicture, int], ContextFrame] = {}

    @property
    def captions(self) -> list[str]:
        """Every caption that will be read."""
        model, setting = self.session.pipeline, self.session.setting
        read: dict[int, set[int]] = {}
        """The indices of every shot, where it is made and where it is remembered."""
        for take in self.takes:
            for number in (take.number, *(key.shot for key in take.remembers or ())):
                read.setdefault(number, set()).add(take.index_of(number))
        return [
            model.caption(setting, index, prompt)
            for take in self.takes
            for index in sorted(read[take.number])
            for prompt in (take.shot.prompt, *(redirect.prompt for redirect in take.shot.redirects))
        ]

    def tell(self, known: KnownLatents = lambda place: ()) -> Iterator[Chunk]:
        """Tell all takes and yield the chunks of the film; a chunk's `shot` is its place in the film.

        Args:
            known: Gives the latents that were made before for a shot of the film, by its place from 0.
        """
        early: dict[int, list[Chunk]] = {}
        """Shots of the film that were told before the shots that come before them in it."""
        following = 0
        for take, after in zip(self.takes, [*self.takes[1:], None], strict=True):
            made = () if take.place is None else known(take.place)
            for chunk in self._tell(take, made):
                if take.place == following:
                    yield replace(chunk, shot=take.place)
                elif take.place is not None:
                    early.setdefault(take.place, []).append(replace(chunk, shot=take.place))
            following += take.place == following
            while following in early:
                yield from early.pop(following)
                following += 1
            if take.is_moved:
                continue
            if take.place is None and (after is None or after.number != take.number):
                self.session.end_shot()
                self.session.leave_out(take.number)

    def _tell(self, take: ScriptedTake, known: Sequence[Tensor]) -> Iterator[Chunk]:
        self._remember(take)
        redirects = {redirect.chunk: redirect.prompt for redirect in take.shot.redirects}
        chunks: list[Chunk] = []
        if self._best is None or self._choice is None or take.place is None:
            self._open(take, take.shot.take)
            yield from tell_shot(self.session, known, redirects)
        elif (chosen := self._choice.keeper.chosen_take(take.place)) is None:
            self._open(take, take.shot.take)
            chunks = self._choose(take, take.place, redirects)
            yield from chunks
        else:
            self._open(take, chosen)
            for chunk in tell_shot(self.session, known, redirects):
                chunks.append(chunk)
                yield chunk
            self._best.note(chunks)
        self._keep(take, chunks)

    def _open(self, take: ScriptedTake, number: int) -> None:
        """Cut to a take, or make it anew, as take `number` of its shot."""
        session, shot = self.session, take.shot
        seed = session.seed if shot.seed is None else shot.seed
        if take.number == len(session.script):
            session.cut(shot.prompt, shot.seconds, chunks=shot.chunks, seed=seed, take=number, lora=take.lora)
        else:
            length = session.length_chunks(shot.seconds, shot.chunks)
            session.retake(
                take.number, seed=seed, prompt=shot.prompt, take=number, chunks=length, lora=take.lora
            )

    def _choose(self, take: ScriptedTake, place: int, redirects: Mapping[int, str]) -> list[Chunk]:
        """Make the takes of a shot of the film, and return the chunks of the best."""
        assert self._best is not None
        assert self._choice is not None
        keeper = self._choice.keeper

        def tell(number: int, is_first: bool) -> Iterable[Chunk]:
            known = keeper.known_take(place, number)
            for chunk in tell_shot(self.session, known, redirects if is_first else None):
                keeper.keep_take(replace(chunk, shot=place))
                yield chunk

        chunks = self._best.make_takes(tell)
        keeper.choose_take(place, self._best.reports[take.number])
        return chunks

    def _remember(self, take: ScriptedTake) -> None:
        """Let the session make the next take from what the file says."""
        context = self.session.context
        context.pins, context.given, context.given_places = [], {}, {}
        for number, reference in enumerate(take.references, start=1):
            context.pin(self._reference(reference, number))
        for key in take.pins:
            context.pin(self._frames[key])
        if take.remembers is not None:
            given = [self._frames[key] for key in take.remembers]
            places = {frame.key for frame in given}
            given += [pin for pin in context.pins if pin.key not in places]
            context.given_places = {place.shot: place.place for place in take.shot.places}
            context.given = {take.number: context.in_order(given)}

    def _keep(self, take: ScriptedTake, chunks: Sequence[Chunk] = ()) -> None:
        """Keep the frames of the take that later ones are made from; `chunks` are those of a chosen one."""
        for key in self._asked:
            if (key.shot, key.take) != (take.number, take.shot.take):
                continue
            if chunks:
                number = chunks[0].take
                picture = frames_of(chunks)[key.frame]
                prompt = next(chunk.prompt for chunk in reversed(chunks) if chunk.first_frame <= key.frame)
            else:
                running = self.session.running
                assert running is not None
                number, picture, prompt = (
                    running.record.take,
                    running.picture(key.frame),
                    running.prompts[key.frame],
                )
            self._frames[key] = ContextFrame(picture.copy(), key.shot, number, key.frame, prompt)

    def _reference(self, reference: ReferencePicture, number: int) -> ContextFrame:
        """The frame of a reference, the `number`-th of those that hold."""
        if (reference, number) not in self._references:
            frame = ContextFrame(self._pictures[reference], 0, 0, -number, reference.prompt)
            self._references[reference, number] = frame
        return self._references[reference, number]

    def _read_pictures(self) -> dict[ReferencePicture, np.ndarray]:
        """Every reference's picture at the size of the film, uint8 ``[H, W, 3]``."""
        pictures: dict[ReferencePicture, np.ndarray] = {}
        for reference in dict.fromkeys(reference for take in self.takes for reference in take.references):
            path = Path(reference.picture)
            prepared = read_picture(path)
            for note in prepared.notes:
                warnings.warn(f"{path}: {note}", StoryWarning, stacklevel=5)
            pictures[reference] = fit_picture(prepared.pixels, self.session.height, self.session.width)
        return pictures


def _reach(takes: Iterable[ScriptedTake]) -> int:
    """How many of the newest shots a session must be able to take anew, to tell these takes in this order."""
    shots, reach = 0, 0
    for take in takes:
        reach, shots = max(reach, shots - take.number), max(shots, take.number + 1)
    return reach


def tell_shot(
    session: StorySession, known: Sequence[Tensor] = (), redirects: Mapping[int, str] | None = None
) -> Iterator[Chunk]:
    """Yield the chunks of the shot that `session` has just cut to.

    Args:
        session: It stands afterwards where it would stand if nothing had been known, bit for bit.
        known: Clean latents ``[1, F, C, h, w]`` of chunks that were made before, from the first one on. They
            are not denoised again; a shot of which all are known is only decoded.
        redirects: Other prompts, each by the number of the first chunk that is made under it.

    Raises:
        ValueError: If latents are of another shape than the model makes.
    """
    take = session.running
    if take is not None and len(known) >= take.length_chunks:
        yield from _recall(session, known[: take.length_chunks], redirects or {})
        return
    rest = iter(known)
    while (chunk := session.next_chunk(next(rest, None))) is not None:
        yield chunk
        if redirects and chunk.index + 1 in redirects:
            session.redirect(redirects[chunk.index + 1])


def _recall(session: StorySession, known: Sequence[Tensor], redirects: Mapping[int, str]) -> Iterator[Chunk]:
    """Take in a whole shot."""
    take, timing = session.running, session.pipeline.timing
    assert take is not None
    frames = list(session.decode(known))
    for index, latents in enumerate(known):
        session.recall_chunk(frames.__getitem__)
        first = timing.first_frame(index)
        yield Chunk(
            frames=np.stack(frames[first : timing.frames(index + 1)]),
            shot=take.record.shot,
            take=take.record.take,
            seed=take.record.seed,
            index=index,
            first_frame=first,
            last=index + 1 == len(known),
            prompt=take.record.prompt_at(index),
            fps=timing.fps,
            latents=latents,
            adapters=take.record.adapters,
        )
        if index + 1 in redirects:
            session.redirect(redirects[index + 1])
