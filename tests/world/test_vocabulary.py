"""The closed vocabulary: nothing hidden in it, and the held-out combinations for ever the same."""

import hashlib
from itertools import product

import pytest

from shotstream.world import vocabulary

pytestmark = pytest.mark.unit


FIRST_WORLD = (
    ("cat", "rabbit", "bear", "robot"),
    ("red", "orange", "yellow", "green", "blue", "purple"),
    ("top hat", "crown", "scarf", "sunglasses"),
    ("meadow", "beach", "city", "forest", "snow"),
)


def combinations():
    return product(vocabulary.KINDS, vocabulary.COLOURS, vocabulary.ACCESSORIES, vocabulary.PLACES)


def digest(names):
    held_out = ",".join("|".join(one) for one in names if vocabulary.is_held_out(*one))
    return hashlib.sha256(held_out.encode()).hexdigest()


def test_words_are_sorted_lower_case_and_few():
    words = vocabulary.words()
    assert words == sorted(set(words))
    assert all(word.isalpha() and word.islower() for word in words)
    assert len(words) < 250


def test_no_word_tells_a_hidden_attribute():
    landmarks = [name for names in vocabulary.LANDMARKS.values() for name in names]
    hidden = [*vocabulary.PATTERNS, *vocabulary.SIDES, *landmarks]
    told = set(vocabulary.words())
    assert not [word for name in hidden for word in vocabulary.split_words(name) if word in told]
    worn = {word for phrases in vocabulary.ACCESSORIES.values() for told in phrases for word in told.split()}
    assert worn.isdisjoint(vocabulary.ACCESSORY_COLOURS)  # white and pink are told, but of bodies only


def test_words_of_the_cast_mean_nothing_else():
    """`word_labels` and whoever reads a caption go by them."""
    cast = [vocabulary.KINDS, vocabulary.COLOURS]
    named = [word for table in cast for words in table.values() for word in words]
    worn = [phrase.split()[-1] for phrases in vocabulary.ACCESSORIES.values() for phrase in phrases if phrase]
    tables = [
        vocabulary.PLACES,
        vocabulary.TIMES,
        vocabulary.WEATHER,
        vocabulary.FEELINGS,
        vocabulary.MANNERS,
    ]
    tables += [vocabulary.PROPS, vocabulary.FRAMINGS, vocabulary.CAMERAS]
    others = [word for table in tables for words in table.values() for told in words for word in told.split()]
    others += [
        word for forms in vocabulary.ACTIONS.values() for told in forms for w in told for word in w.split()
    ]
    others += [*vocabulary.EPITHETS, *vocabulary.OPENERS, *vocabulary.GLUE]
    assert len(named) == len(set(named))
    assert not {*named, *worn} & set(others)


def test_about_a_tenth_is_held_out():
    held_out = [vocabulary.is_held_out(*names) for names in combinations()]
    assert 0.07 < sum(held_out) / len(held_out) < 0.13


def test_held_out_combinations_never_change():
    why = "models were trained on the rest: this list is fixed for ever"
    first = "a565ba486a70dc3f7c6a3378e72353d20653495a1e6dd989417c73f86082b51e"
    today = "335ddeb93784188bb456ebd21d856b08b3ec4fa870561f3f2ce2d1dd2b629417"
    assert digest(product(*FIRST_WORLD)) == first, why
    assert digest(combinations()) == today, why


def test_every_place_has_a_combination_for_both_splits():
    for place in vocabulary.PLACES:
        inside = {vocabulary.is_held_out(*names) for names in combinations() if names[3] == place}
        assert inside == {True, False}
