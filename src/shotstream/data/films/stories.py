"""Stories of neighbouring shots, and the shots that are in none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from shotstream.data.film_shards import ClipFormat
from shotstream.data.films.film_input import FilmInput
from shotstream.data.films.filters import Duplicates, reason_of, runs_of, split_run
from shotstream.data.films.settings import FilmSettings
from shotstream.data.films.shots import MeasuredShot, captions_fit


class FilmStory(BaseModel):
    """Neighbouring shots of a film that are learnt from together."""

    model_config = ConfigDict(frozen=True)

    setting: str
    """What holds for all shots."""
    shots: tuple[MeasuredShot, ...]
    licence: str = ""
    source: str = ""

    @property
    def captioned(self) -> bool:
        """Whether every shot has words, its own or those of all."""
        return bool(self.setting) or all(shot.caption for shot in self.shots)

    @property
    def words(self) -> dict[str, Any]:
        """Setting and prompts, as records of shards have them."""
        return {"setting": self.setting, "prompts": [shot.caption for shot in self.shots]}

    def key(self, *facts: object) -> str:
        """SHA-256, in hexadecimal, of what its record depends on: files, times, words, and further facts."""
        shots = [
            (shot.digest, shot.start, shot.end, shot.frames, shot.bars, shot.caption) for shot in self.shots
        ]
        pieces = [shots, self.setting, self.licence, self.source, [str(fact) for fact in facts]]
        return hashlib.sha256(json.dumps(pieces).encode()).hexdigest()


@dataclass(frozen=True)
class Rejected:
    """A shot, or a whole film that could not be read, and why it is left out."""

    reason: str
    file: str
    shot: MeasuredShot | None = None
    detail: str = ""


def tell_stories(
    film: FilmInput,
    shots: Sequence[MeasuredShot],
    settings: FilmSettings,
    made: ClipFormat,
    duplicates: Duplicates,
) -> tuple[list[FilmStory], list[Rejected]]:
    """Make stories of the shots of a film.

    Args:
        film: What is known of it.
        shots: All its shots.
        settings: What is kept.
        made: What the model makes.
        duplicates: Shots of the films before it; these are added.

    Returns:
        Stories, and every shot that is in none.
    """
    file = str(film.files[0])
    if not captions_fit(film, shots):
        detail = f"{len(film.shot_captions or ())} captions, {len(shots)} shots"
        return [], [Rejected("captions", file, shot, detail) for shot in shots]
    reasons = [reason_of(shot, settings, made) for shot in shots]
    for number, shot in enumerate(shots):
        if reasons[number] is None and duplicates.seen(shot):
            reasons[number] = "duplicate"
    stories, told = [], set()
    for first, end in runs_of([reason is None for reason in reasons]):
        start = first
        for size in split_run(end - first, settings.least_shots, settings.most_shots):
            own = tuple(shots[start : start + size])
            told.update(range(start, start + size))
            start += size
            stories.append(
                FilmStory(setting=film.caption, shots=own, licence=film.licence, source=film.source)
            )
    left = [
        Rejected(reasons[number] or "alone", shot.file, shot)
        for number, shot in enumerate(shots)
        if number not in told
    ]
    return stories, left
