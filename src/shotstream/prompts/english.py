"""The little English that reading prompts takes, whatever the model."""

from __future__ import annotations

from itertools import pairwise

_EMPTY_TEXT = """
a about after again all along also am an and another any are around as at away back be been before being both
but by can come comes could did do does doing down each everybody everyone first for from get gets go goes had
has have he her here hers herself him himself his how i if in into is it its itself just let lets like look
looks made make makes me more most my myself next no not now of off on once one only or other our ours out
over own quite really see seen sees she shot should show shown shows so some somebody someone still such than
that the their them themselves then there they this those through to together too towards up us very was we
were what when where which while who whom whose will with would you your
"""
EMPTY_WORDS = frozenset(_EMPTY_TEXT.split())
"""Words that say nothing of who, where, what and how."""
PLURAL_PRONOUNS = frozenset({"they", "them", "both", "everybody", "everyone", "together", "we", "us", "all"})
"""Who says one of these means all."""
_PARTS = (" with ", " wearing ", " in ", " on ", " who ", " that ", ",", ";", ".")
"""What ends the shortest way of saying who somebody is."""


def stem(word: str) -> str:
    """What forms of a verb share: ``dance, dances, danced, dancing`` -> ``danc``."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    word = word.removesuffix("e") if len(word) > 3 else word
    return f"{word[:-1]}i" if len(word) > 2 and word.endswith("y") else word


def singular(word: str) -> str:
    """A word without the s of its plural."""
    return word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word


def definite(description: str) -> str:
    """A description as of somebody known: ``A fox with a hat.`` -> ``the fox with a hat``."""
    words = description.strip().rstrip(".;,! ")
    first, _, rest = words.partition(" ")
    if first.lower() in ("a", "an", "the", "one", "some") and rest:
        return f"the {rest}"
    return f"the {words[:1].lower()}{words[1:]}"


def short(description: str) -> str:
    """The same in few words: ``the fox with a hat`` -> ``the fox``."""
    ends = [place for part in _PARTS if (place := description.find(part)) > 0]
    return description[: min(ends)] if ends else description


def sentences(text: str) -> str:
    """One space between words, the right article, and capital letters at the beginnings of sentences."""
    words = " ".join(text.split()).split(" ")
    for place, (word, after) in enumerate(pairwise(words)):
        if word in ("a", "an"):
            words[place] = "an" if after[:1].lower() in "aeiou" else "a"
    parts = " ".join(words).split(". ")
    return ". ".join(part[:1].upper() + part[1:] for part in parts)


def listed(words: list[str]) -> str:
    """Words in quotation marks, with "and" before the last."""
    told = [f"“{word}”" for word in words]
    return " and ".join(part for part in (", ".join(told[:-1]), *told[-1:]) if part)
