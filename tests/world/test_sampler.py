"""Sampled stories: deterministic, split cleanly, told in the closed vocabulary, silent on what is hidden."""

import hashlib
import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.world import vocabulary
from shotstream.world.sampler import PROMPT_WORDS, SETTING_WORDS, sample_story

pytestmark = pytest.mark.unit

SPLITS = ("train", "held-out")
TRAIN = [sample_story(seed) for seed in range(1500)]
HELD_OUT = [sample_story(seed, split="held-out") for seed in range(1500)]


def combination(one, story):
    return one.kind, one.colour, one.accessory, story.place


@given(st.integers(), st.sampled_from(SPLITS), st.integers(1, 12), st.integers(1, 200))
def test_a_seed_always_tells_the_same_story(seed, split, shots, frames):
    story = sample_story(seed, split=split, shots=shots, frames=frames)
    assert story == sample_story(seed, split=split, shots=shots, frames=frames)
    assert len(story.shots) == shots
    assert all(shot.frames == frames and 0 <= shot.phase < 1 for shot in story.shots)


def test_stories_stay_those_that_models_were_trained_on():
    told = json.dumps([story.attributes() for story in TRAIN[:20] + HELD_OUT[:20]], sort_keys=True)
    assert (
        hashlib.sha256(told.encode()).hexdigest()
        == "f05b6225a3ac8f30e19029825eb658ef51ea0258841f1de3197428db52bdf9b7"
    )


def test_train_never_shows_a_held_out_combination():
    assert not any(vocabulary.is_held_out(*combination(one, story)) for story in TRAIN for one in story.cast)


def test_a_held_out_story_begins_with_a_held_out_combination():
    assert all(vocabulary.is_held_out(*combination(story.cast[0], story)) for story in HELD_OUT)


def test_the_splits_share_no_story():
    told = {(story.setting, *(shot.prompt for shot in story.shots)) for story in TRAIN}
    assert not [s for s in HELD_OUT if (s.setting, *(shot.prompt for shot in s.shots)) in told]


def test_every_caption_stays_in_the_vocabulary_and_short():
    known = set(vocabulary.words())
    seen = set()
    for story in TRAIN + HELD_OUT:
        setting = vocabulary.split_words(story.setting)
        prompts = [vocabulary.split_words(shot.prompt) for shot in story.shots]
        assert len(setting) <= SETTING_WORDS
        assert all(len(prompt) <= PROMPT_WORDS for prompt in prompts)
        seen.update(setting, *prompts)
    assert seen == known
    assert SETTING_WORDS + PROMPT_WORDS + 2 <= 60


def test_captions_name_what_they_must():
    for story in TRAIN:
        said = vocabulary.split_words(story.setting)
        for one in story.cast:
            assert any(word in said for word in vocabulary.KINDS[one.kind])
            assert any(word in said for word in vocabulary.COLOURS[one.colour])
            assert any(told in story.setting.lower() for told in vocabulary.ACCESSORIES[one.accessory])
        assert any(told in story.setting.lower() for told in vocabulary.WEATHER[story.weather])
        if story.weather != "clear":
            assert vocabulary.CLEAR_SKY_WORDS.isdisjoint(said)
        assert any(words in story.setting.lower() for words in vocabulary.PLACES[story.place])
        assert any(words in story.setting.lower() for words in vocabulary.TIMES[story.time])
        for shot in story.shots:
            assert any(words in shot.prompt.lower() for words in vocabulary.FRAMINGS[shot.framing])
            assert (shot.camera == "still") == (
                "slow" not in shot.prompt.lower() and "camera" not in shot.prompt
            )
            for kind, words in vocabulary.KINDS.items():
                seen = kind in [story.cast[index].kind for index in shot.subjects]
                assert seen == any(word in vocabulary.split_words(shot.prompt) for word in words)


def test_feelings_and_props_are_told_where_they_are_and_only_there():
    moods = [name for name in vocabulary.FEELINGS if name != "calm"]
    told_moods = {mood: (*vocabulary.FEELINGS[mood], *vocabulary.MANNERS[mood]) for mood in moods}
    for shot in (shot for story in TRAIN for shot in story.shots):
        prompt = f" {shot.prompt.lower().replace(',', '').replace('.', '')} "
        for mood, wordings in told_moods.items():
            assert (shot.feeling == mood) == any(f" {told} " in prompt for told in wordings)
        for prop in vocabulary.PROPS:
            assert prop == "none" or (shot.prop == prop) == (f" {prop} " in prompt)


def test_what_cannot_be_seen_is_not_asked_for():
    for story in TRAIN:
        for shot in story.shots:
            assert not (shot.action == "sits" and shot.framing == "close-up")
            assert not (shot.action == "sleeps" and (shot.feeling, shot.prop) != ("calm", "none"))
            if shot.prop != "none":
                assert shot.framing != "close-up"
                assert len(shot.subjects) == 1
        for one in story.cast:
            assert one.accessory_colour != one.colour
            assert (one.accessory == "none") == (one.accessory_colour == "none")


def test_close_ups_come_rather_after_wide_shots():
    after = Counter(
        (before.framing, shot.framing)
        for story in TRAIN
        for before, shot in pairwise(story.shots)
        if len(story.cast) == 1
    )
    assert after["wide", "close-up"] > 1.5 * after["wide", "medium"]
    assert after["medium", "close-up"] < 1.3 * after["medium", "wide"]


def test_every_attribute_is_reached_about_equally_often():
    people = [one for story in TRAIN for one in story.cast]
    shots = [shot for story in TRAIN for shot in story.shots]
    tables = [
        (vocabulary.PLACES, [story.place for story in TRAIN]),
        (vocabulary.TIMES, [story.time for story in TRAIN]),
        (vocabulary.SIDES, [story.side for story in TRAIN]),
        (sum(vocabulary.LANDMARKS.values(), ()), [story.landmark for story in TRAIN]),
        (vocabulary.KINDS, [one.kind for one in people]),
        (vocabulary.COLOURS, [one.colour for one in people]),
        (vocabulary.ACCESSORIES, [one.accessory for one in people]),
        (vocabulary.ACCESSORY_COLOURS, [one.accessory_colour for one in people if one.accessory != "none"]),
        (vocabulary.PATTERNS, [one.pattern for one in people]),
        (vocabulary.WEATHER, [story.weather for story in TRAIN]),
        (vocabulary.FEELINGS, [shot.feeling for shot in shots]),
        ([name for name in vocabulary.PROPS if name != "none"], [s.prop for s in shots if s.prop != "none"]),
        (vocabulary.ACTIONS, [shot.action for shot in shots]),
        (vocabulary.FRAMINGS, [shot.framing for shot in shots]),
        (vocabulary.CAMERAS, [shot.camera for shot in shots]),
    ]
    for names, values in tables:
        counts = Counter(values)
        assert set(counts) == set(names)
        assert min(counts.values()) > 0.5 * len(values) / len(names)


def test_two_characters_differ_and_take_turns():
    pairs = [story for story in TRAIN if len(story.cast) == 2]
    assert 0.5 < len(pairs) / len(TRAIN) < 0.6
    for story in pairs:
        first, second = story.cast
        assert first.kind != second.kind
        assert first.colour != second.colour
        assert story.shots[0].subjects == (0, 1)
        alone = [shot.subjects for shot in story.shots if len(shot.subjects) == 1]
        assert all(one != other for one, other in pairwise(alone))
        assert all(shot.framing != "close-up" for shot in story.shots if shot.subjects == (0, 1))


def test_a_story_opens_wide_or_medium_and_goes_on_with_another_action():
    for story in TRAIN:
        assert story.shots[0].framing in ("wide", "medium")
        assert all(a.action != b.action for a, b in pairwise(story.shots))


def test_attributes_are_json_and_say_what_is_hidden():
    story = TRAIN[0]
    attributes = json.loads(json.dumps(story.attributes()))
    assert attributes["hidden"] == {"landmark": story.landmark, "side": story.side}
    assert attributes["cast"][0]["hidden"] == {
        "accessory_colour": story.cast[0].accessory_colour,
        "pattern": story.cast[0].pattern,
    }
    assert [shot["prompt"] for shot in attributes["shots"]] == [shot.prompt for shot in story.shots]


@pytest.mark.parametrize("bad", [{"split": "test"}, {"shots": 0}, {"frames": 0}])
def test_bad_arguments_are_explained(bad):
    with pytest.raises(ValueError, match=r"split|at least 1"):
        sample_story(0, **bad)
