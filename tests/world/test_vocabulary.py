"""The closed vocabulary: nothing hidden in it, and the held-out combinations for ever the same."""

import hashlib
from itertools import product

import pytest

from shotstream.world import vocabulary

pytestmark = pytest.mark.cpu


def combinations():
    return product(vocabulary.KINDS, vocabulary.COLOURS, vocabulary.ACCESSORIES, vocabulary.PLACES)


def test_words_are_sorted_lower_case_and_few():
    words = vocabulary.words()
    assert words == sorted(set(words))
    assert all(word.isalpha() and word.islower() for word in words)
    assert len(words) < 250


def test_no_word_tells_a_hidden_attribute():
    landmarks = [name for names in vocabulary.LANDMARKS.values() for name in names]
    hidden = [*vocabulary.ACCESSORY_COLOURS, *vocabulary.PATTERNS, *vocabulary.SIDES, *landmarks]
    told = set(vocabulary.words())
    assert not [word for name in hidden for word in vocabulary.split_words(name) if word in told]


def test_about_a_tenth_is_held_out():
    held_out = [vocabulary.is_held_out(*names) for names in combinations()]
    assert 0.07 < sum(held_out) / len(held_out) < 0.13


def test_held_out_combinations_never_change():
    held_out = ",".join("|".join(names) for names in combinations() if vocabulary.is_held_out(*names))
    digest = hashlib.sha256(held_out.encode()).hexdigest()
    assert digest == "a565ba486a70dc3f7c6a3378e72353d20653495a1e6dd989417c73f86082b51e", (
        "models were trained on the rest: this list is fixed for ever"
    )


def test_every_place_has_a_combination_for_both_splits():
    for place in vocabulary.PLACES:
        inside = {vocabulary.is_held_out(*names) for names in combinations() if names[3] == place}
        assert inside == {True, False}
