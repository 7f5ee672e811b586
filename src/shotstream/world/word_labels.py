"""Who each word of a caption is about: what a caption encoder is taught, word by word.

The reader goes from left to right. At a colour word of the setting it cannot know the kind yet, and at a kind
word there it cannot know the accessory; in the prompt it has read the setting and knows all of a character.
"""

from __future__ import annotations

from typing import NamedTuple

from shotstream.world import vocabulary
from shotstream.world.sampler import Character, WorldStory


class WordLabel(NamedTuple):
    """What a reader can know at a word; None: the word is about nobody, or it cannot be known yet."""

    kind: str | None = None
    colour: str | None = None
    accessory: str | None = None


def word_labels(story: WorldStory, index: int) -> list[WordLabel]:
    """Labels of the words of a caption.

    Args:
        story: The story.
        index: Which shot, from 0.

    Returns:
        One label for each of `split_words(f"{story.setting} {prompt}")`. Words of kind, colour and accessory
        have one. As no two of a cast share kind or colour, such a word names its character; a word of an
        accessory is about the character named last.
    """
    labels, named = [], None
    for word in vocabulary.split_words(story.setting):
        character = _named_by(word, story.cast)
        named = character or named
        if character is not None and word in _COLOUR_OF:
            labels.append(WordLabel(colour=character.colour))
        elif character is not None:
            labels.append(WordLabel(character.kind, character.colour))
        elif named is not None and _ACCESSORY_OF.get(word) == named.accessory:
            labels.append(_all_of(named))
        else:
            labels.append(WordLabel())
    for word in vocabulary.split_words(story.shots[index].prompt):
        character = _named_by(word, story.cast)
        labels.append(WordLabel() if character is None else _all_of(character))
    return labels


def _named_by(word: str, cast: tuple[Character, ...]) -> Character | None:
    """The character whose kind or colour a word says."""
    for character in cast:
        if _KIND_OF.get(word) == character.kind or _COLOUR_OF.get(word) == character.colour:
            return character
    return None


def _all_of(character: Character) -> WordLabel:
    return WordLabel(character.kind, character.colour, character.accessory)


_KIND_OF = {word: kind for kind, words in vocabulary.KINDS.items() for word in words}
_COLOUR_OF = {word: colour for colour, words in vocabulary.COLOURS.items() for word in words}
_ACCESSORY_OF = {
    phrase.split()[-1]: accessory
    for accessory, phrases in vocabulary.ACCESSORIES.items()
    for phrase in filter(None, phrases)
}
