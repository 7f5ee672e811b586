"""The shipped model: it loads, it is small, its card's words are true, and captions decide what is seen."""

import re
from pathlib import Path

import numpy as np
import pytest

import shotstream
from shotstream import ShotStreamPipeline, Story
from shotstream.loading.folders import SHIPPED

pytestmark = pytest.mark.system

FOLDER = SHIPPED / "mini"
STORIES = sorted((Path(shotstream.__file__).parent / "stories").iterdir())


@pytest.fixture(scope="module")
def mini():
    return ShotStreamPipeline.from_pretrained("mini")


def first_shot(mini, setting, prompt, seed=0):
    """Its frames, uint8 [T, H, W, 3]."""
    story = Story(setting=setting, shots=[prompt], seed=seed)
    return np.concatenate([chunk.frames for chunk in mini.stream(story)])


def test_it_is_small():
    assert sum(file.stat().st_size for file in FOLDER.rglob("*")) < 40e6


def test_the_snippet_of_its_card_runs():
    code = re.search(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)[1]
    names = {}
    exec(code, names)
    assert names["frames"].shape == (1, 66, 128, 192, 3)
    assert names["frames"].std() > 0.05


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_it_knows_the_words_of_the_example_stories(mini, path):
    story = Story.read(path)
    for text in (story.setting, *(shot.prompt for shot in story.shots)):
        assert not mini.unknown_words(text), text


@pytest.mark.parametrize("seed", range(3))
def test_day_is_brighter_than_night(mini, seed):
    day, night = (
        first_shot(mini, f"A blue bear with a scarf is on a beach {time}.", "Wide shot of the bear.", seed)
        for time in ("by day", "at night")
    )
    assert day.mean() > night.mean() + 40


@pytest.mark.parametrize("seed", range(3))
def test_the_colour_of_the_hero_is_the_one_that_was_told(mini, seed):
    def middle(colour):
        setting = f"A {colour} cat wearing a crown is in a city by day."
        frames = first_shot(mini, setting, f"Medium shot of the {colour} cat waving hello.", seed)
        return frames[-1, 48:112, 72:120].reshape(-1, 3).mean(axis=0)  # where it stands

    red, blue = middle("red"), middle("blue")
    assert red[0] - red[2] > 20
    assert blue[2] - blue[0] > 20


def test_it_remembers_the_place_across_cuts(mini):
    """A prompt that does not say where is told where it was before."""
    story = Story(
        setting="A green robot with a scarf is in the snow by day.",
        shots=[
            "Wide shot of the robot waving hello.",
            "Medium shot of the robot.",
            "Wide shot of the robot.",
        ],
    )
    shots = [[] for _ in story.shots]
    for chunk in mini.stream(story):
        shots[chunk.shot].append(chunk.frames)
    sky = [np.concatenate(frames)[-1, :24].mean(axis=(0, 1)) for frames in shots]
    assert np.abs(sky[0] - sky[1]).max() < 30
    assert np.abs(sky[0] - sky[2]).max() < 30
