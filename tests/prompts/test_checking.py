"""What does not fit a story or its model is marked, with what to say instead."""

from __future__ import annotations

import time

import pytest

from shotstream.prompts.checking import check_prompt_words, check_setting_words
from shotstream.prompts.prompt_form import PromptForm
from shotstream.prompts.reading import CastMember
from shotstream.world.sampler import sample_story

pytestmark = pytest.mark.unit

CAT = "An orange cat wearing a top hat is in a meadow on a sunny day."
ROSIE = CastMember(name="Rosie", description="a little red fox with a bow")


@pytest.mark.parametrize(
    ("prompt", "code", "words", "near"),
    [
        ("Wide shot, dancing.", "nobody", "", "the orange cat"),
        ("The bear waves hello.", "stranger", "bear", "the orange cat"),
        ("The blue cat waves hello.", "looks", "blue", "orange"),
        ("The cat waves hello at night.", "setting", "at night", "by day"),
        ("The cat dances in a castle.", "setting", "in a castle", "in a meadow"),
        ("The cat dances as snow falls, in the rain.", None, "", ""),
        ("The cat sprints.", "unknown", "sprints", "walks along"),
        ("The puppy dances.", "unknown", "puppy", "fox"),
        ("The cat dances in a garden.", "unknown", "garden", "in a meadow"),
        ("The cat dances, seen from afar.", "unknown", "afar", "wide shot"),
        ("The rabit dances.", "unknown", "rabit", "rabbit"),
        ("Rosie dances.", "name", "Rosie", "the red fox"),
    ],
)
def test_what_does_not_fit_is_marked(
    form: PromptForm, prompt: str, code: str | None, words: str, near: str
) -> None:
    marks = check_prompt_words(form, CAT, [ROSIE], prompt)
    if code is None:
        assert marks == []
        return
    found = next(mark for mark in marks if mark.code == code)
    assert (found.words, found.near[0]) == (words, near)
    assert found.sentence.endswith(".")


def test_a_thing_may_have_a_colour_of_its_own(form: PromptForm) -> None:
    assert check_prompt_words(form, CAT, [], "The cat waves, holding a red balloon.") == []


def test_empty_words_are_not_marked(form: PromptForm) -> None:
    codes = [mark.code for mark in check_prompt_words(form, CAT, [], "our cat is dancing with us for you")]
    assert codes == []


def test_the_training_data_fits(form: PromptForm) -> None:
    for seed in range(300):
        story = sample_story(seed, shots=4)
        assert check_setting_words(form, story.setting) == []
        for shot in story.shots:
            assert check_prompt_words(form, story.setting, [], shot.prompt) == []


def test_of_plain_text_nothing_is_claimed() -> None:
    assert check_prompt_words(None, CAT, [], "Zebras everywhere.") == []
    assert check_setting_words(None, "Zebras everywhere.") == []


def test_it_is_quick(form: PromptForm) -> None:
    check_prompt_words(form, CAT, [ROSIE], "warm up")
    started = time.perf_counter()
    for _ in range(50):
        check_prompt_words(form, CAT, [ROSIE], "The puppy sprints to Rosie in a garden, seen from afar.")
    assert (time.perf_counter() - started) / 50 < 0.05
