"""Which stories a model is judged by: held-out ones of the story world, or a person's own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shotstream.story import Shot, Story
from shotstream.world.sampler import WorldStory, sample_story
from shotstream.world.told_attributes import told_attributes

HELD_OUT = "held-out"
"""Name of the suite of stories of the story world whose hero was never trained on."""

FIRST_SEED = 1000
"""Held-out stories of lower seeds are looked at while models are trained and settings chosen."""


@dataclass(frozen=True)
class Task:
    """A story to be told."""

    name: str
    story: Story
    """Its seed is the seed of the noise."""
    world: WorldStory | None = None
    """The same story as the world's sampler made it, if it did."""

    @property
    def attributes(self) -> dict[str, Any] | None:
        """What is to be seen, for a story of the drawn world, as its sampler or its captions tell."""
        if self.world is not None:
            return self.world.attributes()
        return told_attributes(self.story.setting, [shot.prompt for shot in self.story.shots])

    @property
    def key(self) -> str:
        """SHA-256, in hexadecimal, of all that a model is told."""
        told = {"name": self.name, "story": self.story.model_dump(), "attributes": self.attributes}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def held_out(
    stories: int = 40, shots: int = 5, *, first_seed: int = FIRST_SEED, frames: int = 33
) -> list[Task]:
    """Sample held-out stories of the story world: hero and place were never trained on together.

    Args:
        stories: How many.
        shots: Shots per story.
        first_seed: Story and noise of the k-th have the seed `first_seed` + k.
        frames: Frames per shot, as many as the model makes.
    """
    return [_held_out(seed, shots, frames) for seed in range(first_seed, first_seed + stories)]


def from_files(path: Path) -> list[Task]:
    """Read a story file, or all story files (``*.yaml``, ``*.json``) of a folder in the order of their names.

    In a folder, ``attributes.json`` is passed over.

    Raises:
        StoryError: If a file cannot be used.
        ValueError: If there is none.
    """
    files = [path]
    if path.is_dir():
        files = sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() in (".yaml", ".yml", ".json") and file.name != "attributes.json"
        )
    elif not path.exists():
        raise ValueError(
            f"there is no suite {str(path)!r}: it is not {HELD_OUT!r}, and no file or folder is there; "
            "give one that exists."
        )
    if not files:
        raise ValueError(f"the folder {path} holds no story files (*.yaml, *.json); give one that does.")
    return [Task(file.stem, Story.read(file)) for file in files]


def _held_out(seed: int, shots: int, frames: int) -> Task:
    world = sample_story(seed, split="held-out", shots=shots, frames=frames)
    script = [Shot(prompt=shot.prompt) for shot in world.shots]
    return Task(f"{HELD_OUT}-{seed:06d}", Story(setting=world.setting, seed=seed, shots=script), world)
