"""Plain sentences become prompts of the form that a model was trained with."""

from __future__ import annotations

import pytest

from shotstream.prompts.adapting import adapt_prompt, adapt_setting
from shotstream.prompts.prompt_form import PromptForm, read_prompt_form, split_words
from shotstream.prompts.reading import CastMember
from shotstream.world import vocabulary
from shotstream.world.sampler import sample_story
from shotstream.world.world_form import world_form

pytestmark = pytest.mark.unit

ROBOT = "A blue robot wearing a scarf is in a forest at night."
ROSIE = CastMember(name="Rosie", description="a little red fox with a bow")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("our robot is dancing, seen from far away", "Wide shot of the blue robot dancing."),
        ("He runs and is very happy, close-up", "Close up of the blue robot walking along happily."),
        ("the bot fell asleep", "Medium shot of the blue robot falling asleep."),
        ("Rosie is running, smiling", "Medium shot of the red fox walking along happily."),
        ("they leap", "Medium shot of the blue robot and the red fox jumping up and down."),
        ("Rosie's bot and Rosie sat down", "Medium shot of the red fox and the blue robot sitting down."),
        ("the robot has a kite and greets us, zoom in", None),
    ],
)
def test_a_plain_sentence_becomes_a_prompt(form: PromptForm, written: str, told: str | None) -> None:
    adapted = adapt_prompt(form, ROBOT, [ROSIE], written)
    assert set(split_words(adapted.prompt)) <= form.known_words
    if told and "asleep" not in written:
        assert adapted.prompt == told
    assert adapt_prompt(form, ROBOT, [ROSIE], adapted.prompt).prompt == adapted.prompt


def test_prompts_of_the_training_data_stay_as_they_are(form: PromptForm) -> None:
    for seed in range(300):
        story = sample_story(seed, shots=4)
        assert adapt_setting(form, story.setting, []).prompt == story.setting
        for shot in story.shots:
            assert adapt_prompt(form, story.setting, [], shot.prompt).prompt == shot.prompt


def test_what_is_put_in_and_left_out_is_said(form: PromptForm) -> None:
    notes = adapt_prompt(
        form, ROBOT, [], "Waltzing wildly in the snow, then sleeping under a xylophone"
    ).notes
    assert notes[0] == "It named nobody whom the model knows: the blue robot was put in."
    assert "Left out: “wildly” and “xylophone”; the model has no words for it." in notes
    assert "Left out: “in the snow”; the place is told by the setting alone." in notes
    assert any("“sleeping”" in note for note in notes)


def test_who_is_not_known_is_not_made_somebody_else(form: PromptForm) -> None:
    adapted = adapt_prompt(form, ROBOT, [], "A dragon dances.")
    assert adapted.prompt == "A dragon dances."
    assert adapted.notes == ("It names “dragon”, whom the model does not know: it stays as it is.",)
    assert adapt_prompt(form, "", [], "Dancing wildly").prompt == "Dancing wildly"


def test_a_setting_gets_the_cast(form: PromptForm) -> None:
    told = "A blue robot wearing a scarf and a red fox wearing a bow are in a forest at night."
    assert adapt_setting(form, ROBOT, [ROSIE]).prompt == told
    assert adapt_setting(form, told, [ROSIE]).prompt == told
    third = CastMember(name="Ada", description="a white owl")
    assert (
        adapt_setting(form, told, [ROSIE, third])
        .notes[0]
        .startswith("The model keeps 2 apart in a story: Ada")
    )
    plain = "A crimson kitty lives in town, when it is night and raining."
    assert adapt_setting(form, plain, []).prompt == "A red cat is in a city at night in the rain."


def test_a_model_of_plain_text_gets_descriptions_instead_of_names() -> None:
    written = "Rosie runs over Rosie's bridge."
    told = "The little red fox with a bow runs over the little red fox’s bridge."
    assert adapt_prompt(None, "", [ROSIE], written).prompt == told
    assert adapt_prompt(None, "", [CastMember(name="Rosie")], written).prompt == written
    assert adapt_setting(None, "A bridge", [ROSIE]).prompt == "A bridge. A little red fox with a bow."


def test_a_form_knows_what_its_model_knows() -> None:
    assert world_form().known_words == set(vocabulary.words())
    known = {"cat", "red", "dances", "dance", "dancing", "wide", "shot", "in", "a", "city", "the", "of"}
    small = world_form(known)
    assert small.known_words <= known
    assert list(small.figure_slot.values) == ["cat"]
    assert read_prompt_form(small.model_dump(mode="json", exclude_defaults=True)) == small
    with pytest.raises(
        ValueError, match=r"prompt_form in model_index\.json cannot be used: .*export the model"
    ):
        read_prompt_form({"slots": 3})
