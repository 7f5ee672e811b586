"""Labels of words: lined up with a caption, true of the cast, and never more than a reader can know."""

from dataclasses import replace

import pytest

from shotstream.world import vocabulary
from shotstream.world.sampler import Character, WorldShot, WorldStory, sample_story
from shotstream.world.word_labels import WordLabel, word_labels

pytestmark = pytest.mark.law

CAT = Character("cat", "red", "scarf", "white", "belly")
BEAR = Character("bear", "white", "none", "none", "spots")
STORY = WorldStory(
    seed=0,
    split="train",
    setting="A scarlet kitten with a warm scarf and a white bear are by the sea.",
    cast=(CAT, BEAR),
    place="beach",
    time="day",
    landmark="palm",
    side="left",
    shots=(WorldShot("The bear and the happy red cat wave.", (0, 1), "waves", "wide", "still", 1, 0.0),),
)


def labelled(story):
    """Words that have a label, with it."""
    words = vocabulary.split_words(f"{story.setting} {story.shots[0].prompt}")
    return [(w, label) for w, label in zip(words, word_labels(story, 0), strict=True) if label != WordLabel()]


def test_labels_by_hand():
    cat, bear = WordLabel("cat", "red", "scarf"), WordLabel("bear", "white", "none")
    assert labelled(STORY) == [
        ("scarlet", WordLabel(colour="red")),
        ("kitten", WordLabel("cat", "red")),
        ("scarf", cat),
        ("white", WordLabel(colour="white")),
        ("bear", WordLabel("bear", "white")),
        ("bear", bear),
        ("red", cat),
        ("cat", cat),
    ]


def test_the_same_accessory_is_about_whom_it_follows():
    second = replace(BEAR, accessory="scarf", accessory_colour="pink")
    setting = "A red cat with a scarf and a white bear wearing a scarf."
    labels = labelled(replace(STORY, setting=setting, cast=(CAT, second)))
    assert [label.kind for word, label in labels if word == "scarf"] == ["cat", "bear"]


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_every_word_of_the_cast_is_labelled_with_what_is_true(split):
    kinds = {word: kind for kind, words in vocabulary.KINDS.items() for word in words}
    for seed in range(400):
        story = sample_story(seed, split=split)
        whole = {(one.kind, one.colour, one.accessory) for one in story.cast}
        start = len(vocabulary.split_words(story.setting))
        for index, shot in enumerate(story.shots):
            words = vocabulary.split_words(f"{story.setting} {shot.prompt}")
            labels = word_labels(story, index)
            assert len(labels) == len(words)
            worn = {label.kind for label in labels[:start] if label.accessory}
            assert worn == {one.kind for one in story.cast if one.accessory != "none"}
            named = [labels[number] for number in range(start, len(words)) if words[number] in kinds]
            assert sorted(label.kind for label in named) == sorted(story.cast[i].kind for i in shot.subjects)
            assert set(named) <= whole
