"""A story as a chain of steps. Each link has a key that tells all that the film up to there depends on."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Rule = Literal["spread", "opening", "none"]
RULES: tuple[Rule, ...] = ("spread", "opening", "none")
"""Which frames later shots are made from: spread over the earlier shots, as the model learnt; the same with
the story's first frame always among them; or pins and references only."""


@dataclass(frozen=True)
class StoryStart:
    """What holds for a whole story."""

    setting: str
    seed: int
    height: int
    """In pixels; 0 for the size that the model was trained at, as `width`."""
    width: int


@dataclass(frozen=True)
class ShotStep:
    """A cut to a new shot."""

    prompt: str
    seconds: float
    """0 for the length that the model was trained at."""
    seed: int
    """-1 for the story's."""
    redirects: tuple[tuple[int, str], ...] = ()
    """(first chunk, prompt) of every change of the prompt in the shot."""


@dataclass(frozen=True)
class RetakeStep:
    """A shot made anew; the others stay, and later ones remember it."""

    shot: int
    """Its number, from 0."""
    seed: int
    """-1 for the former take's."""
    prompt: str
    """Empty for the former take's."""


@dataclass(frozen=True)
class MemoryStep:
    """What later shots are made from."""

    rule: Rule
    pins: tuple[tuple[int, int], ...] = ()
    """(shot, frame in the shot) of frames that all later shots are made from."""
    references: tuple[np.ndarray, ...] = field(default=(), compare=False, repr=False)
    """Pictures that all later shots are made from, uint8 ``[H, W, 3]``."""
    reference_prompt: str = ""


Step = ShotStep | RetakeStep | MemoryStep


@dataclass(frozen=True)
class Chain:
    """The steps of a story so far."""

    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> Chain:
        """Return this chain with one more step; this one stays as it is."""
        return Chain((*self.steps, step))

    def keys(self, start: str) -> list[str]:
        """Keys of the film after each step, in order.

        Args:
            start: Tells the model and the story's start.
        """
        keys = []
        for step in self.steps:
            pictures = pictures_of(step)
            shapes = repr([picture.shape for picture in pictures])
            start = digest(start, repr(step), shapes, *(picture.tobytes() for picture in pictures))
            keys.append(start)
        return keys


def pictures_of(step: Step) -> tuple[np.ndarray, ...]:
    """The pictures that a step brings."""
    return step.references if isinstance(step, MemoryStep) else ()


def digest(*parts: str | bytes) -> str:
    """Hash texts and bytes, told apart by their lengths."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8))
        total.update(data)
    return total.hexdigest()


def parse_redirects(text: str) -> tuple[tuple[int, str], ...]:
    """Read redirects, a line each: ``CHUNK: prompt``.

    Raises:
        ValueError: If a line cannot be read, or the chunks do not rise from 1.
    """
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = re.fullmatch(r"(\d+)\s*:\s*(\S.*)", line)
        if match is None:
            raise ValueError(
                f"the redirect {line!r} cannot be read; write the number of a chunk, a colon and a prompt, "
                "e.g. 2: The fox lies down."
            )
        found.append((int(match[1]), match[2]))
    chunks = [chunk for chunk, _ in found]
    if chunks != sorted(set(chunks)) or 0 in chunks:
        raise ValueError("redirects must be in the order of their chunks, one for a chunk, from chunk 1 on")
    return tuple(found)


def parse_pins(text: str) -> tuple[tuple[int, int], ...]:
    """Read pins, ``SHOT:FRAME`` each, with commas or spaces between; both count from 0.

    Raises:
        ValueError: If one cannot be read.
    """
    pins = []
    for word in re.split(r"[\s,]+", text.strip()):
        if not word:
            continue
        match = re.fullmatch(r"(\d+):(\d+)", word)
        if match is None:
            raise ValueError(f"the pin {word!r} cannot be read; write SHOT:FRAME, e.g. 0:8")
        pins.append((int(match[1]), int(match[2])))
    return tuple(pins)
