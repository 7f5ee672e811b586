"""Captions of stories that have none: what holds for all shots, and what each shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shotstream.data.films.artefacts import Artefacts, stage_key
from shotstream.data.films.decode import read_shot
from shotstream.data.films.stories import FilmStory
from shotstream.machine.cluster import Cluster

STILLS_PER_SHOT = 3
MOST_SILENT = 3
"""Stories without an answer, before there was any, after which nobody is asked again."""
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

    answers: int
    """How many were given in this run."""

    @property
    def asked(self) -> int:
        """How often somebody was asked in this run, with or without an answer."""
        ...

    def opened_on(self, device: str) -> Callable[[], Captioner] | None:
        """How a process elsewhere opens the same; None if all questions are this one's to ask."""
        ...

    @property
    def bill(self) -> str:
        """What was asked for in this run, in words."""
        ...

    def caption(self, shots: Sequence[Sequence[np.ndarray]]) -> WrittenCaptions:
        """Caption a story.

        Args:
            shots: Some pictures of each shot in order, uint8 [H, W, 3].

        Raises:
            NoCaptionError: If it has nothing to say of this story.
            CaptionError: If it cannot be asked.
        """
        ...


class CaptionError(ValueError):
    """Stories cannot be captioned; the message says why and what to do."""


class NoCaptionError(CaptionError):
    """One story was not captioned, though somebody was there to be asked."""


def caption_stories(
    stories: Sequence[FilmStory], captioner: Captioner, artefacts: Artefacts, cluster: Cluster | None = None
) -> Iterator[tuple[FilmStory, FilmStory]]:
    """Caption stories, each once and for all.

    Args:
        stories: Without captions.
        captioner: Says what they show.
        artefacts: Where captions are kept.
        cluster: Runs the captioner, if there is one and the captioner can be opened there.

    Yields:
        A story as it was, and with its captions; without, if nobody has anything to say of it.

    Raises:
        CaptionError: If nobody can be asked, or the first `MOST_SILENT` stories get no captions; what was
            captioned is kept.
    """
    if cluster is not None and (opened_there := captioner.opened_on(cluster.device)) is not None:
        new, known_before = [], []
        for story in stories:
            is_known = artefacts.path(_STAGE, _key(captioner, story)).exists()
            (known_before if is_known else new).append(story)
        with cluster.workers(partial(_story_captioner, opened_there, artefacts.folder)) as processes:
            for number, known in processes.map(new):
                captioner.answers += 1 + len(new[number].shots)
                yield new[number], _with_words(new[number], known)
        stories = known_before
    silent = 0
    for story in stories:
        try:
            words = _caption(captioner, artefacts, story)
        except NoCaptionError:
            silent += 1
            if silent >= MOST_SILENT and not captioner.answers:
                raise
            words = None
        yield story, _with_words(story, words)


def _with_words(story: FilmStory, words: dict[str, Any] | None) -> FilmStory:
    if words is None:
        return story
    shots = tuple(
        shot.model_copy(update={"caption": text})
        for shot, text in zip(story.shots, words["shots"], strict=True)
    )
    return story.model_copy(update={"setting": words["setting"], "shots": shots})


def _key(captioner: Captioner, story: FilmStory) -> str:
    return stage_key(captioner.identity, story.key())


def _story_captioner(
    open_captioner: Callable[[], Captioner], folder: Path
) -> Callable[[FilmStory], dict[str, Any] | None]:
    return partial(_caption_or_none, open_captioner(), Artefacts(folder))


def _caption_or_none(captioner: Captioner, artefacts: Artefacts, story: FilmStory) -> dict[str, Any] | None:
    try:
        return _caption(captioner, artefacts, story)
    except NoCaptionError:
        return None


def _caption(captioner: Captioner, artefacts: Artefacts, story: FilmStory) -> dict[str, Any]:
    key = _key(captioner, story)
    known = artefacts.read(_STAGE, key)
    if known is None:
        made = captioner.caption([_stills(story, number) for number in range(len(story.shots))])
        known = {"setting": made.setting, "shots": list(made.shots)}
        artefacts.write(_STAGE, key, known)
    return known


def _stills(story: FilmStory, number: int) -> list[np.ndarray]:
    shot = story.shots[number]
    seconds = shot.end - shot.start
    rate = STILLS_PER_SHOT / seconds  # frames in the middles of as many equal parts
    first = shot.start + 0.5 / rate
    read = read_shot(Path(shot.file), first, shot.end, rate, set(range(STILLS_PER_SHOT)))
    return [read[place] for place in range(STILLS_PER_SHOT)]
