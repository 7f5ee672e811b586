"""What captions of the drawn world tell, read back from their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shotstream.world import vocabulary

_CAST = 2
"""Most characters of a story."""


def told_attributes(setting: str, prompts: Sequence[str]) -> dict[str, Any] | None:
    """Read the attributes of a story of the drawn world from its captions.

    Args:
        setting: Who and where.
        prompts: Of every shot.

    Returns:
        Plain data as `WorldStory.attributes` has it, with None for what a shot's prompt leaves open. What no
        caption tells ("hidden") has any possible value: it is compared between shots and never with that.
        None if the story is not of the drawn world: it has other words, or lacks a character, its colour, a
        place or a time.
    """
    words = vocabulary.split_words(setting)
    known = set(vocabulary.words())
    if not known.issuperset(
        [*words, *(word for prompt in prompts for word in vocabulary.split_words(prompt))]
    ):
        return None
    cast = _cast(words)
    place, time = _find(words, vocabulary.PLACES), _find(words, vocabulary.TIMES)
    if not 1 <= len(cast) <= _CAST or not place or not time or not all(one["colour"] for one in cast):
        return None
    return {
        "setting": setting,
        "place": place,
        "time": time,
        "weather": _find(words, vocabulary.WEATHER) or "clear",
        "cast": cast,
        "hidden": {"landmark": vocabulary.LANDMARKS[place][0], "side": vocabulary.SIDES[0]},
        "shots": [_shot(prompt, cast) for prompt in prompts],
    }


def _cast(words: Sequence[str]) -> list[dict[str, Any]]:
    """The characters that a setting introduces: a colour, the kind, an accessory."""
    cast: list[dict[str, Any]] = []
    colour = None
    for word in words:
        colour = _COLOUR_OF.get(word, colour)
        if kind := _KIND_OF.get(word):
            hidden = {"accessory_colour": vocabulary.NONE, "pattern": vocabulary.PATTERNS[0]}
            cast.append({"kind": kind, "colour": colour, "accessory": vocabulary.NONE, "hidden": hidden})
            colour = None
        elif cast and (accessory := _ACCESSORY_OF.get(word)):
            cast[-1]["accessory"] = accessory
            cast[-1]["hidden"]["accessory_colour"] = vocabulary.ACCESSORY_COLOURS[0]
    return cast


def _shot(prompt: str, cast: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    words = vocabulary.split_words(prompt)
    actions = {
        action: [form for wording in wordings for form in wording]
        for action, wordings in vocabulary.ACTIONS.items()
    }
    named = [
        index
        for index, one in enumerate(cast)
        if any(_KIND_OF.get(word) == one["kind"] or _COLOUR_OF.get(word) == one["colour"] for word in words)
    ]
    feeling = _find(words, vocabulary.FEELINGS) or _find(words, vocabulary.MANNERS)
    return {
        "prompt": prompt,
        "subjects": named or list(range(len(cast))),
        "framing": _find(words, vocabulary.FRAMINGS),
        "action": _find(words, actions),
        "feeling": feeling or vocabulary.CALM,
        "prop": _find(words, vocabulary.PROPS) or vocabulary.NONE,
    }


def _find(words: Sequence[str], table: Mapping[str, Iterable[str]]) -> str | None:
    """The name of the longest wording of a table that is among the words."""
    text = f" {' '.join(words)} "
    found = [
        (len(phrase), name)
        for name, phrases in table.items()
        for phrase in phrases
        if phrase and f" {phrase} " in text
    ]
    return max(found)[1] if found else None


_KIND_OF = {word: kind for kind, words in vocabulary.KINDS.items() for word in words}
_COLOUR_OF = {word: colour for colour, words in vocabulary.COLOURS.items() for word in words}
_ACCESSORY_OF = {
    phrase.split()[-1]: accessory
    for accessory, phrases in vocabulary.ACCESSORIES.items()
    for phrase in filter(None, phrases)
}
"""The noun of every accessory."""
