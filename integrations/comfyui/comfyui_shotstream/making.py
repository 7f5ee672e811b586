"""Films made from chains of steps.

What an earlier run made is kept, so that a changed shot remakes only what depends on it.

Legend: T frames, H and W picture size, C channels, F latent frames, h and w latent size.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import ContextFrame, Selection, select_frames
from shotstream.streaming.scripted import tell_shot
from shotstream.streaming.session import StorySession
from shotstream.streaming.take import SessionSnapshot

from .chain import Chain, MemoryStep, RetakeStep, Rule, ShotStep, Step, StoryStart, digest
from .host import Host, check_interrupt
from .loading import LoadedModel

MOST_KEPT_BYTES = 4 * 2**30
"""Of frames and latents of earlier runs; beyond that the least recently used are let go."""


@dataclass(frozen=True, eq=False)
class FilmShot:
    """A shot of a film, as the take that stands for it."""

    number: int
    """From 0."""
    prompt: str
    frames: np.ndarray
    """uint8 ``[T, H, W, 3]``."""
    latents: Tensor
    """Clean, ``[1, C, F, h, w]`` on the CPU."""
    prompts: tuple[str, ...]
    """The prompt of every frame."""
    made_from: tuple[ContextFrame, ...]
    """The remembered frames that it was made from."""

    @property
    def size(self) -> int:
        """Bytes of its frames and latents."""
        return self.frames.nbytes + self.latents.nbytes


@dataclass(frozen=True, eq=False)
class Film:
    """A story as told so far."""

    shots: tuple[FilmShot, ...]
    fps: float
    key: str
    """Tells all that it depends on."""

    def frames(self) -> np.ndarray:
        """All frames, uint8 ``[T, H, W, 3]``."""
        return np.concatenate([shot.frames for shot in self.shots])


@dataclass(frozen=True, eq=False)
class _Told:
    """Where a chain stands after a step."""

    snapshot: SessionSnapshot
    shots: tuple[FilmShot, ...]
    rule: Rule
    own: int
    """Bytes that this step added."""


class FilmStore:
    """What was made, by the key of its chain; the least recently used goes first."""

    def __init__(self, most_bytes: int = MOST_KEPT_BYTES) -> None:
        self.most_bytes = most_bytes
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> _Told | None:
        """Return what is kept under a key."""
        with self._lock:
            if key in self._told:
                self._told.move_to_end(key)
            return self._told.get(key)

    def put(self, key: str, told: _Told) -> None:
        """Keep something; the newest is kept whatever its size."""
        with self._lock:
            self._told[key] = told
            self._told.move_to_end(key)
            while len(self._told) > 1 and sum(kept.own for kept in self._told.values()) > self.most_bytes:
                self._told.popitem(last=False)

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._told.clear()


STORE = FilmStore()


def make_film(model: LoadedModel, start: StoryStart, chain: Chain, store: FilmStore = STORE) -> Film:
    """Make the film of a chain; steps that an earlier run made are not made again.

    Args:
        model: The model.
        start: What holds for the whole story.
        chain: Its steps.
        store: Where films of earlier runs are.

    Raises:
        ValueError: In a sentence, if a step is impossible.
        Exception: ComfyUI's, if the user interrupts; whole shots are kept.
    """
    if not any(isinstance(step, ShotStep) for step in chain.steps):
        raise ValueError("the story has no shot; chain at least one Shot node before Direct")
    with torch.inference_mode(False), torch.no_grad():
        return _make_film(model, start, chain, store)


def _make_film(model: LoadedModel, start: StoryStart, chain: Chain, store: FilmStore) -> Film:
    pipeline = model.pipeline
    height, width = pipeline.picture_size(start.height or None, start.width or None)
    keys = chain.keys(digest(model.key, repr(start)))
    known = [store.get(key) for key in keys]
    first = max((place + 1 for place, told in enumerate(known) if told is not None), default=0)
    told = known[first - 1] if first else None
    session = pipeline.open(start.setting, start.seed, height, width)
    try:
        if told is not None:
            session.restore(told.snapshot)
            session.context.select = _selection(told.rule)
        rest = chain.steps[first:]
        if any(not isinstance(step, MemoryStep) for step in rest):
            model.prepare(height, width)
        teller = _Teller(model, session, told, Host(_steps(session, rest)))
        for step, key in zip(rest, keys[first:], strict=True):
            check_interrupt()
            told = teller.take(step)
            store.put(key, told)
    finally:
        session.close()
    assert told is not None
    return Film(told.shots, pipeline.timing.fps, keys[-1])


def _steps(session: StorySession, steps: Sequence[Step]) -> int:
    """Denoising steps that will be made."""
    lengths = [record.chunks for record in session.script]
    total = 0
    for step in steps:
        if isinstance(step, ShotStep):
            lengths.append(session.length_chunks(step.seconds or None, None))
            total += lengths[-1]
        elif isinstance(step, RetakeStep) and step.shot < len(lengths):
            total += lengths[step.shot]
    return total * len(session.pipeline.scheduler.student_steps())


class _Teller:
    """Takes the steps of a chain, one after the other, in a session."""

    def __init__(self, model: LoadedModel, session: StorySession, told: _Told | None, host: Host) -> None:
        self._session = session
        self._loras = list(model.loras)
        self._host = host
        self._shots = list(told.shots) if told else []
        self._rule: Rule = told.rule if told else "spread"
        session.observe(host.step)

    def take(self, step: Step) -> _Told:
        """Take a step."""
        added = 0
        if isinstance(step, MemoryStep):
            self._remember(step)
        else:
            shot = self._shoot(step) if isinstance(step, ShotStep) else self._retake(step)
            self._shots[shot.number : shot.number + 1] = [shot]
            added = shot.size
        return _Told(self._session.snapshot(), tuple(self._shots), self._rule, added)

    def _shoot(self, step: ShotStep) -> FilmShot:
        session, number = self._session, len(self._session.script)
        length = session.length_chunks(step.seconds or None, None)
        late = [chunk for chunk, _ in step.redirects if chunk >= length]
        if late:
            raise ValueError(
                f"shot {number} is redirected at chunk {late[0]}, but it has {length} chunks, numbered from "
                "0; make it longer, or leave that redirect out"
            )
        made_from = tuple(session.context.choose(number))
        session.cut(step.prompt, chunks=length, seed=None if step.seed < 0 else step.seed, lora=self._loras)
        return self._gather(number, made_from, tell_shot(session, redirects=dict(step.redirects)))

    def _retake(self, step: RetakeStep) -> FilmShot:
        session = self._session
        if step.shot >= len(session.script):
            raise ValueError(
                f"there is no shot {step.shot} to retake; the story has {len(session.script)} so far"
            )
        made_from = tuple(session.context.choose(step.shot))
        chunks = session.retake(
            step.shot,
            seed=None if step.seed < 0 else step.seed,
            prompt=step.prompt.strip() or None,
            lora=self._loras,
        )
        return self._gather(step.shot, made_from, chunks)

    def _gather(self, number: int, made_from: tuple[ContextFrame, ...], chunks: Iterator[Chunk]) -> FilmShot:
        made = []
        for chunk in chunks:
            self._host.show(chunk.frames[-1])
            made.append(chunk)
        self._session.end_shot()
        return FilmShot(
            number,
            made[0].prompt,
            np.concatenate([chunk.frames for chunk in made]),
            torch.cat([chunk.latents for chunk in made], dim=1).transpose(1, 2),
            tuple(chunk.prompt for chunk in made for _ in chunk.frames),
            made_from,
        )

    def _remember(self, step: MemoryStep) -> None:
        context = self._session.context
        context.pins, context.select, self._rule = [], _selection(step.rule), step.rule
        for picture in step.references:
            self._session.reference(picture, step.reference_prompt.strip() or None)
        for shot, frame in step.pins:
            if shot >= len(self._shots) or frame >= len(self._shots[shot].frames):
                counts = [str(len(made.frames)) for made in self._shots]
                raise ValueError(
                    f"frame {frame} of shot {shot} cannot be pinned: no shot before the Memory node has it; "
                    f"their frames are, in order: {', '.join(counts) or 'none'}"
                )
            made = self._shots[shot]
            take = self._session.script[shot].take
            context.pin(ContextFrame(made.frames[frame], shot, take, frame, made.prompts[frame]))


def _selection(rule: Rule) -> Selection:
    return {"spread": select_frames, "opening": _select_with_opening, "none": lambda *_: []}[rule]


def _select_with_opening(shot_frames: Sequence[int], budget: int) -> list[tuple[int, int]]:
    chosen = select_frames(shot_frames, budget)
    if not shot_frames or not budget or (0, 0) in chosen:
        return chosen
    return [(0, 0), *select_frames(shot_frames, budget - 1)]


def describe(film: Film) -> str:
    """Say what every shot was made from, and how much changes at its cut."""
    lines: list[str] = []
    former: Any = None
    for shot in film.shots:
        remembered = [
            f"reference {-frame.frame}" if frame.is_reference else f"{frame.shot}:{frame.frame}"
            for frame in shot.made_from
        ]
        line = (
            f"shot {shot.number}: {len(shot.frames)} frames, made from {', '.join(remembered) or 'nothing'}"
        )
        if former is not None:
            change = np.abs(shot.frames[0].astype(np.int16) - former.astype(np.int16)).mean()
            line += f"; at its cut a pixel changes by {change:.0f} of 255 on average"
        lines.append(line)
        former = shot.frames[-1]
    return "\n".join(lines)
