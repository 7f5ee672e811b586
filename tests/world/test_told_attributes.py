from __future__ import annotations

from pathlib import Path

import pytest

import shotstream
from shotstream.story import Story
from shotstream.world.judge import QUESTIONS, true_answers
from shotstream.world.sampler import sample_story
from shotstream.world.told_attributes import told_attributes

pytestmark = pytest.mark.unit

TOLD = ("place", "time", "weather")
HIDDEN = ("accessory_colour", "pattern", "landmark", "side")


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_all_that_captions_tell_is_read_back(split):
    for seed in range(150):
        story = sample_story(seed, split=split)
        true = story.attributes()
        told = told_attributes(story.setting, [shot.prompt for shot in story.shots])
        assert told is not None
        for shot in range(len(story.shots)):
            expected, found = true_answers(true, shot), true_answers(told, shot)
            for question in expected:
                if not question.endswith(HIDDEN):
                    assert found[question] == expected[question], (seed, shot, question, story.setting)
                else:
                    assert found[question] in QUESTIONS[question]


def test_the_example_stories_are_of_the_drawn_world():
    files = sorted((Path(shotstream.__file__).parent / "stories").glob("*.*"))
    assert len(files) > 4
    for file in files:
        story = Story.read(file)
        assert told_attributes(story.setting, [shot.prompt for shot in story.shots]), file


def test_what_a_prompt_leaves_open_is_open():
    told = told_attributes("A red cat is on a beach by day.", ["Close up.", "The cat."])
    assert [(shot["framing"], shot["action"]) for shot in told["shots"]] == [("close-up", None), (None, None)]
    assert told["shots"][0]["subjects"] == [0]


@pytest.mark.parametrize(
    ("setting", "prompt"),
    [
        ("A red cat is on a beach by day.", "The cat drives a car."),
        ("A man is on a beach by day.", "Wide shot."),
        ("A cat is on a beach by day.", "Wide shot."),
        ("A red cat is on a beach.", "Wide shot."),
        ("A red cat by day.", "Wide shot."),
        ("", "Wide shot of the red cat."),
    ],
)
def test_other_stories_are_not_of_the_drawn_world(setting, prompt):
    assert told_attributes(setting, [prompt]) is None
