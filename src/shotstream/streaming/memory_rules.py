"""Rules by words: earlier shots that show who and what a shot needs are remembered by more frames.

They read captions alone. So they are quick, need no training, and choose the same wherever the same was told:
in a session, in one that is told again, and in a journal without pictures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from shotstream.world import vocabulary


class RememberedShot(NamedTuple):
    """How many frames of an earlier shot are remembered, and why."""

    frames: int
    why: str
    """A phrase, such as "shows the rabbit, close up"; empty where it has none."""


MemoryRule = Callable[[str, str, Sequence[str], int], Sequence[RememberedShot]]
"""A rule ``(setting, prompt, prompts of the earlier shots, budget) -> for each earlier shot``."""
StoryRule = Callable[[str, Sequence[str], int], Sequence[RememberedShot]]
"""A rule that knows its story's setting: ``(prompt, prompts of the earlier shots, budget)``."""

MOST_OF_A_SHOT = 3
"""Most frames that are remembered of one shot, where there are others."""
_PLACE = 0.4
"""What a shot is worth that shows nobody who is needed: the place, at least."""
_FIRST = 1.25
"""Where somebody was seen first is as it should be: later shots may have drifted."""
_NEWEST = 1.1
_SIZES: Mapping[str, float] = {"close": 1.0, "medium": 0.85, "wide": 0.7}
_USUAL_SIZE = 0.8
_SIZE_WORDS: Mapping[str, str] = {
    "close": "close",
    "closeup": "close",
    "portrait": "close",
    "medium": "medium",
    "middle": "medium",
    "wide": "wide",
    "long": "wide",
    "establishing": "wide",
}
_SIZE_NAMES: Mapping[str, str] = {"close": "close up", "medium": "medium shot", "wide": "wide shot"}
_EMPTY_TEXT = """
a about again along also an and are around as at away be been being by camera carrying close closer do does
down feeling for from has have he her here him his holding i in into is it its later little lived lives long
looking looks meanwhile medium middle move moves next no not now of off on once one out over own pan pans
push pushes scene she shot show shows slow slowly still story suddenly that the their them then there they
this to under up very view was wear wearing wears were what when where which while who whom whose wide with
"""
_EMPTY_WORDS = frozenset(_EMPTY_TEXT.split())
"""Words that say nothing of who and what is to be seen."""
_SAME_WORDS: Mapping[str, str] = {
    word: name
    for table in (vocabulary.KINDS, vocabulary.COLOURS)
    for name, words in table.items()
    for word in words
}
"""Words of the drawn world that mean the same."""


def by_words(setting: str, prompt: str, earlier: Sequence[str], budget: int) -> list[RememberedShot]:
    """Share the budget among earlier shots by what they show of what the next one needs.

    A shot is worth more the more of the words that the prompt shares with the setting (who the shot is about)
    and of its other words it has, the larger figures are in it, and the fewer others it shows. The first
    shot that shows somebody is worth more, and so is the newest. Each further frame of a shot is worth less.

    Args:
        setting: Who and where.
        prompt: What the next shot is to show.
        earlier: Prompts of the earlier shots, in order.
        budget: Frames to be shared.

    Returns:
        For each earlier shot, how many frames and why; all of them together are `budget`.
    """
    cast = _content(setting)
    told = [_content(one) for one in earlier]
    needed = _content(prompt)
    who = [word for word in needed if word in cast]
    worths, reasons = [], []
    seen: set[str] = set()
    for number, shown in enumerate(told):
        shared = [word for word in needed if word in shown]
        names = [word for word in who if word in shown]
        size = _size(earlier[number])
        worth = 3.0 * len(names) + len(shared) - len(names)
        if not any(word in cast for word in shown):  # nobody is named: everybody may be there
            worth += 1.5 * len(who)
        others = [word for word in shown if word in cast and word not in who]
        worth *= _SIZES.get(size or "", _USUAL_SIZE) * (0.75 if others and who else 1.0)
        is_first = bool(names) and seen.isdisjoint(names)
        seen |= set(names)
        worth *= (_FIRST if is_first else 1.0) * (_NEWEST if number == len(told) - 1 else 1.0)
        worths.append(_PLACE + worth)
        reasons.append(_why(shared, size, is_first))
    return [RememberedShot(frames, why) for frames, why in zip(_share(worths, budget), reasons, strict=True)]


def _share(worths: Sequence[float], budget: int) -> list[int]:
    """Give frames one by one to the shot whose next frame is worth most; of equal ones to the newest."""
    frames = [0] * len(worths)
    most = max(MOST_OF_A_SHOT, -(-budget // max(len(worths), 1)))
    for _ in range(budget if worths else 0):
        free = [shot for shot in range(len(worths)) if frames[shot] < most]
        best = max(free, key=lambda shot: (round(worths[shot] / (1 + frames[shot]), 6), shot))
        frames[best] += 1
    return frames


def _why(shared: Sequence[str], size: str | None, is_first: bool) -> str:
    if not shared:
        return "shows the place"
    framing = f", {_SIZE_NAMES[size]}" if size else ""
    return f"{'first ' if is_first else ''}shows {' '.join(shared)}{framing}"


def _content(text: str) -> list[str]:
    """The words of a text that say something of who and what, each once, in order; plurals as singulars."""
    words = (_SAME_WORDS.get(word, word) for word in re.findall(r"\w+", text.lower()))
    kept = (word for word in words if word not in _EMPTY_WORDS)
    return list(dict.fromkeys(word.removesuffix("s") if len(word) > 3 else word for word in kept))


def _size(prompt: str) -> str | None:
    """How large figures are by the framing that a prompt names: a key of `_SIZES`; None if it names none."""
    for word in re.findall(r"\w+", prompt.lower()):
        if word in _SIZE_WORDS:
            return _SIZE_WORDS[word]
    return None


SPREAD = "spread"
"""The released weights' rule, `select_frames`: evenly over all earlier shots."""
MEMORY_RULES: Mapping[str, MemoryRule | None] = {SPREAD: None, "words": by_words}
"""Name -> rule."""


MEMORY_MARK = "memory="
"""What stands before the rule's name where a story is marked with it, unless that is `SPREAD`."""


def rule_of_mark(made_with: str) -> str:
    """The name of the rule that a story's mark names."""
    marks = [word.removeprefix(MEMORY_MARK) for word in made_with.split() if word.startswith(MEMORY_MARK)]
    return marks[0] if marks else SPREAD


def find_rule(name: str, setting: str) -> StoryRule | None:
    """The memory rule of a name, for a story; None for `SPREAD`.

    Raises:
        ValueError: If there is none.
    """
    if name not in MEMORY_RULES:
        raise ValueError(f"the memory rule {name!r} is unknown; use {' or '.join(MEMORY_RULES)}")
    rule = MEMORY_RULES[name]
    return rule and partial(rule, setting)
