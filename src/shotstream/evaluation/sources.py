"""Where films come from: stories that a model has yet to tell or that are to be drawn, or clips."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from shotstream.evaluation import judged_film, suites
from shotstream.evaluation.film_stories import FilmStories
from shotstream.evaluation.judged_film import Film, StreamStory, in_order
from shotstream.evaluation.retakes import tell_again
from shotstream.evaluation.video_folder import content_key, read_film
from shotstream.streaming.pipeline import ShotStreamPipeline


class Assignment(NamedTuple):
    """A film to be measured."""

    name: str
    key: str
    """Hash of what it is made from: the same key and settings give the same film."""
    make: Callable[[], Film]


class Source(NamedTuple):
    """Films, and what decides how they look."""

    films: list[Assignment]
    settings: dict[str, Any]


class HeldOut(NamedTuple):
    """Which held-out stories of the story world are asked for."""

    stories: int = 40
    shots: int = 5
    seed: int = suites.FIRST_SEED
    """Of the first story."""

    @property
    def settings(self) -> dict[str, Any]:
        """What decides how films look; how many there are does not: a later run may have more of them."""
        return {"suite": suites.HELD_OUT, "shots": self.shots, "seed": self.seed}

    def tasks(self, **frames: int) -> list[suites.Task]:
        """The stories."""
        return suites.held_out(self.stories, self.shots, first_seed=self.seed, **frames)


def from_clips(folder: Path, films: Sequence[Path]) -> Source:
    """Take films from folders of clips, or files."""
    assignments = []
    for place in films:
        name = place.resolve().stem if place.is_file() else place.resolve().name
        key = hashlib.sha256(f"{name} {content_key(place)}".encode()).hexdigest()
        assignments.append(Assignment(name, key, partial(read_film, place)))
    return Source(assignments, {"clips": str(folder)})


def from_film_stories(folder: Path, stories: FilmStories) -> Source:
    """Take stories that films were cut into, as they were filmed."""
    films = [
        Assignment(name, key, partial(stories.read, number))
        for number, (name, key) in enumerate(stories.films)
    ]
    return Source(films, {"clips": str(folder)})


def from_drawing(asked: HeldOut) -> Source:
    """Draw held-out stories as they truly are."""
    films = [
        Assignment(task.name, task.key, partial(judged_film.drawn, task.world))
        for task in asked.tasks()
        if task.world
    ]
    return Source(films, asked.settings)


def from_model(
    pipeline: ShotStreamPipeline, asked: HeldOut, telling: StreamStory = in_order, retakes: bool = False
) -> Source:
    """Have a model tell held-out stories, in shots as long as it was trained on.

    Args:
        pipeline: The model.
        asked: Which stories.
        telling: How.
        retakes: Whether it tells their first shots twice more (`retakes.tell_again`).
    """
    frames = pipeline.timing.frames(pipeline.transformer.config["window_chunks"])

    def make(task: suites.Task) -> Film:
        film = judged_film.tell(pipeline, task.story, attributes=task.attributes, telling=telling)
        if retakes and task.world is not None:
            film = replace(film, told_again=tell_again(pipeline, task.story, task.world))
        return film

    films = [Assignment(task.name, task.key, partial(make, task)) for task in asked.tasks(frames=frames)]
    return Source(films, asked.settings | ({"retakes": True} if retakes else {}))


def from_files(pipeline: ShotStreamPipeline, path: Path, tasks: Sequence[suites.Task]) -> Source:
    """Have a model tell stories from files."""
    films = [
        Assignment(
            task.name, task.key, partial(judged_film.tell, pipeline, task.story, attributes=task.attributes)
        )
        for task in tasks
    ]
    return Source(films, {"suite": str(path)})
