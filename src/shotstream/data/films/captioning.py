"""Captions of stories that have none: what holds for all shots, and what each shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from shotstream.data.films.artefacts import Artefacts, stage_key
from shotstream.data.films.decode import read_shot
from shotstream.data.films.stories import FilmStory

STILLS_PER_SHOT = 3
_STAGE = "captions"


@dataclass(frozen=True)
class WrittenCaptions:
    """Words for a story."""

    setting: str
    """Who and where."""
    shots: tuple[str, ...]
    """What each shot shows."""


class Captioner(Protocol):
    """Says what stories show."""

    identity: str
    """What its words depend on: the model and the question."""

    @property
    def bill(self) -> str:
        """What was asked for in this run, in words."""
        ...

    def caption(self, shots: Sequence[Sequence[np.ndarray]]) -> WrittenCaptions:
        """Caption a story.

        Args:
            shots: Some pictures of each shot in order, uint8 [H, W, 3].

        Raises:
            CaptionError: If it cannot.
        """
        ...


class CaptionError(ValueError):
    """A story could not be captioned; the message says why and what to do."""


def caption_stories(
    stories: Sequence[FilmStory], captioner: Captioner, artefacts: Artefacts
) -> Iterator[tuple[FilmStory, FilmStory]]:
    """Caption stories, each once and for all.

    Yields:
        A story as it was, and with its captions.

    Raises:
        CaptionError: If one cannot be captioned; those before it are kept.
    """
    for story in stories:
        key = stage_key(captioner.identity, story.key())
        known = artefacts.read(_STAGE, key)
        if known is None:
            made = captioner.caption([_stills(story, number) for number in range(len(story.shots))])
            known = {"setting": made.setting, "shots": list(made.shots)}
            artefacts.write(_STAGE, key, known)
        shots = tuple(
            shot.model_copy(update={"caption": text})
            for shot, text in zip(story.shots, known["shots"], strict=True)
        )
        yield story, story.model_copy(update={"setting": known["setting"], "shots": shots})


def _stills(story: FilmStory, number: int) -> list[np.ndarray]:
    shot = story.shots[number]
    seconds = shot.end - shot.start
    rate = STILLS_PER_SHOT / seconds  # frames in the middles of as many equal parts
    first = shot.start + 0.5 / rate
    read = read_shot(Path(shot.file), first, shot.end, rate, set(range(STILLS_PER_SHOT)))
    return [read[place] for place in range(STILLS_PER_SHOT)]
