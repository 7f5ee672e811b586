"""Stories that films were cut into (`shotstream data prepare`): as they were filmed, and to be told anew."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from shotstream.data.film_shards import ClipFormat
from shotstream.data.films.decode import read_shot
from shotstream.data.films.encode import fit
from shotstream.data.shards import Shards
from shotstream.evaluation.judged_film import Film
from shotstream.evaluation.suites import FIRST_SEED, Task
from shotstream.story import Shot, Story
from shotstream.world.told_attributes import told_attributes

HELD_OUT = "held-out"
"""The split that is measured: whole films that nothing was trained on."""
_NO_BARS = (0.0, 0.0, 0.0, 0.0)
"""Of shots in shards from before bars were kept in them."""


class FilmStories:
    """The stories of a split of shards of films.

    Args:
        folder: What `shotstream data prepare` made, of which the held-out stories are taken; or one of the
            splits in it.

    Raises:
        ValueError: If it holds no stories.
    """

    def __init__(self, folder: Path) -> None:
        split = _split_in(folder)
        if split is None:
            raise ValueError(f"{folder} holds no shards of films; make them: shotstream data prepare FILMS.")
        self.folder = split
        shards = Shards(split)
        self.records = shards.records
        if not self.records:
            raise ValueError(
                f"{split} has no stories yet: `shotstream data prepare` was stopped; run the same command "
                "to its end."
            )
        self._format = ClipFormat.model_validate(shards.made_with["format"])

    @property
    def films(self) -> list[tuple[str, str]]:
        """Name, and key, of the film of every story."""
        return [(_name(record, number), record["key"]) for number, record in enumerate(self.records)]

    @property
    def tasks(self) -> list[Task]:
        """The same stories for a model to tell: the words, and shots as long as the clips to learn from."""
        return [self._task(number, record) for number, record in enumerate(self.records)]

    @property
    def knows_the_world(self) -> bool:
        """Whether captions tell what of the drawn world is to be seen."""
        return any(_attributes(record) is not None for record in self.records)

    def read(self, number: int) -> Film:
        """Read the shots of a story from the films, in the size and at the rate of the shards.

        Of every shot it is the clip that is learnt from.

        Raises:
            ValueError: If a film is gone, is not the one that the shards were made of, or cannot be read.
        """
        record = self.records[number]
        lengths = map(self._format.clip_frames, record["frames"])
        shots = [self._read_shot(shot, frames) for shot, frames in zip(record["shots"], lengths, strict=True)]
        setting, prompts = _words(record)
        return Film(shots, self._format.fps, prompts, setting, attributes=_attributes(record))

    def _read_shot(self, shot: dict[str, Any], frames: int) -> np.ndarray:
        file = Path(shot["file"])
        if not file.is_file():
            raise ValueError(f"{file} is gone, of which {self.folder} was made; put it back.")
        if _sha256(file, file.stat().st_mtime_ns) != shot["sha256"]:
            raise ValueError(
                f"{file} is not the film that {self.folder} was made of; put that back, or prepare it again."
            )
        read = read_shot(file, shot["start"], shot["end"], self._format.fps, set(range(frames)))
        bars = tuple(shot.get("bars", _NO_BARS))
        return np.stack([fit(read[frame], bars, self._format) for frame in range(frames)])

    def _task(self, number: int, record: dict[str, Any]) -> Task:
        setting, prompts = _words(record)
        lengths = [self._format.clip_frames(frames) / self._format.fps for frames in record["frames"]]
        shots = [
            Shot(prompt=prompt, seconds=seconds) for prompt, seconds in zip(prompts, lengths, strict=True)
        ]
        return Task(_name(record, number), Story(setting=setting, seed=FIRST_SEED + number, shots=shots))


def holds_film_stories(folder: Path) -> bool:
    """Whether a folder is what `shotstream data prepare` made, or a split in it."""
    return _split_in(folder) is not None


def _split_in(folder: Path) -> Path | None:
    for split in (folder / HELD_OUT, folder):
        if (split / "made_with.json").is_file() and "format" in Shards(split).made_with:
            return split
    return None


def _words(record: dict[str, Any]) -> tuple[str, list[str]]:
    """Setting and prompts; where only all shots together have words, each is told these."""
    if not all(record["prompts"]):
        return "", [prompt or record["setting"] for prompt in record["prompts"]]
    return record["setting"], record["prompts"]


def _attributes(record: dict[str, Any]) -> dict[str, Any] | None:
    return told_attributes(record["setting"], record["prompts"])


def _name(record: dict[str, Any], number: int) -> str:
    """A film's name, or that of a folder with a file for every shot; and the story's number."""
    files = {shot["file"] for shot in record["shots"]}
    file = Path(record["shots"][0]["file"])
    return f"{file.stem if len(files) == 1 else file.parent.name}-{number:04d}"


@lru_cache(maxsize=4096)
def _sha256(file: Path, changed: int) -> str:
    """The checksum of a film, hexadecimal, as it was changed last; films have many stories."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
