"""The story file of a story is told again by the pipeline."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from shotstream.serving.delivery.export import StoryFilm
from shotstream.story import Story
from tests.serving.conftest import Studio


def exported(studio: Studio, story: str, folder: Path) -> Story:
    """Take the story out of the studio, with its pictures."""
    file = folder / f"{story}.zip"
    StoryFilm.of(studio.store, story).write_story(file)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / story)
    return Story.read(folder / story / "story.yaml")


def assert_told_again(pipeline, studio: Studio, story: str, folder: Path) -> Story:
    film, decode = StoryFilm.of(studio.store, story), pipeline.open().decode
    shots = [decode(chunk.latents() for chunk in shot.chunks) for shot in film.shots]
    script = exported(studio, story, folder)
    again = pipeline.stream(script, height=16, width=32)  # the library's own size is made up
    told = [frame for chunk in again for frame in chunk.frames]
    assert np.array_equal(told, [frame for shot in shots for frame in shot])
    return script
