"""Differences of two films are told in words, each with the old value and the new one."""

from __future__ import annotations

import pytest

from shotstream.media.story_difference import differences
from shotstream.media.story_folder import as_asked
from shotstream.story import Story

pytestmark = pytest.mark.unit

STORY = Story(setting="A cat.", seed=5, shots=["runs", "sleeps"])
SETTINGS = {"dtype": "auto", "lora": "", "weights": "abc", "device": "cpu"}


def asked(story=STORY, shots=None, film_height=None, **settings):
    return as_asked(story, SETTINGS | settings, shots or (1, len(story.shots)), film_height)


def test_the_same_film_has_none():
    assert differences(asked(), asked()) == []


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"dtype": "bfloat16"}, "number format (--dtype): 'auto' there, 'bfloat16' asked for"),
        ({"lora": "style:2"}, "LoRAs (--lora): none there, 'style:2' asked for"),
        ({"device": "cuda"}, "device: 'cpu' there, 'cuda' asked for"),
        ({"shots": (2, 2)}, "shots that are written (--shots): 1-2 there, 2 asked for"),
        ({"film_height": 90}, "height of the films (--film-height): auto there, 90 asked for"),
    ],
)
def test_settings_are_called_as_people_call_them(other, line):
    assert differences(asked(), asked(**other)) == [line]


def test_parts_that_are_not_known_yet_are_not_compared():
    known = {name: value for name, value in asked().items() if name not in ("weights", "device")}
    assert differences(asked(weights="other", device="cuda"), known) == []


def test_many_are_counted_and_long_values_are_cut():
    changes = {"seed": 1, "height": 16, "width": 16, "lora": ["a"], "setting": "A dog. " * 99}
    other = Story.model_validate(STORY.model_dump() | changes | {"shots": ["a", "b"]})
    lines = differences(asked(), asked(other, film_height=64))
    assert len(lines) == 7
    assert lines[-1] == "and 2 more"
    assert max(map(len, lines)) < 120


def test_a_damaged_record_is_told_all_the_same():
    assert differences({}, asked())
    assert differences({"story": None, "shots": 3}, asked())
    assert differences({"story": {"shots": [1, None]}, "shots": [{}]}, asked())
