"""Sentences about what a shot did not keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shotstream.evaluation.kept_facts import Fact
from shotstream.world.judge import NOBODY, UNCLEAR
from shotstream.world.vocabulary import NONE

_PATTERNS: Mapping[str, str] = {
    "belly": "a light belly",
    "stripes": "stripes",
    "spots": "spots",
    "patch": "a patch around an eye",
}
_PLURAL = {"sunglasses"}
_SIDES: Mapping[str, str] = {"left": "on the left", "right": "on the right", "both": "on both sides"}
_TIMES: Mapping[str, str] = {"day": "by day", "sunset": "at sunset", "night": "at night"}
_WEATHER: Mapping[str, str] = {"clear": "a clear sky", "rain": "rain", "snowfall": "snowfall"}
_NOTHING = (NOBODY, UNCLEAR)


def sentence_about(fact: Fact, among: Sequence[Fact]) -> str:
    """Say what became of a lost fact; empty where another sentence says it already.

    Args:
        fact: The fact.
        among: All facts of the shot: of who is not there at all only that is said.
    """
    if fact.name == "figures":
        return "A figure is melted or blurred."
    if fact.name == "headcount":
        return "There is somebody whom the caption does not name."
    if not fact.owner:
        return _about_the_place(fact)
    missing = any(
        other.owner == fact.owner and other.name == "kind" and other.is_lost and other.read in _NOTHING
        for other in among
    )
    if missing and fact.name != "kind":
        return ""
    return _about_a_character(fact)


def sentence_about_change(fact: Fact) -> str:
    """Say how a fact changed from the beginning of the shot to its end."""
    if fact.read in _NOTHING:
        who = f"The {fact.owner}" if fact.owner else f"The {fact.name}"
        return f"{who} can no longer be made out at the end of the shot."
    if fact.name == "kind":
        return (
            f"The {fact.owner} looks like {_a(fact.expected)} at first and like {_a(fact.read)} at the end."
        )
    of = f" of the {fact.owner}" if fact.owner else ""
    read = "nothing" if fact.read == NONE else fact.read
    return f"The {fact.name}{of} changes inside the shot: {fact.expected} at first, {read} at its end."


def _about_a_character(fact: Fact) -> str:
    owner, read, unclear = f"The {fact.owner}", fact.read, fact.read in _NOTHING
    shot = "" if fact.since is None else f" of shot {fact.since + 1}"
    if fact.name == "kind":
        if unclear:
            return f"{owner}{shot} {'is not to be seen' if read == NOBODY else 'cannot be made out'}."
        return f"{owner} looks like {_a(read)}."
    if fact.name == "colour":
        return f"{owner} has no clear colour." if unclear else f"{owner} is {read} here."
    if fact.name == "accessory":
        return _about_an_accessory(fact, owner, shot, unclear)
    shot = "" if fact.since is None else f" in shot {fact.since + 1}"
    if fact.name == "accessory_colour":
        was = f"What {owner.lower()} wears was {fact.expected}{shot} and is"
        return f"{was} {'no longer to be seen' if unclear or read == NONE else read + ' here'}."
    now = "none that can be made out" if unclear else _PATTERNS.get(read, read)
    return f"{owner} had {_PATTERNS.get(fact.expected, fact.expected)}{shot} and has {now} here."


def _about_an_accessory(fact: Fact, owner: str, shot: str, unclear: bool) -> str:
    if fact.expected == NONE:
        return "" if unclear else f"{owner} wears {_a(fact.read)}, which nobody told."
    if fact.read == NONE or unclear:
        verb = "are" if fact.expected in _PLURAL else "is"
        if shot:
            return f"The {fact.expected}{shot} {verb} gone ({owner.lower()})."
        return f"{owner} wears no {fact.expected}."
    return f"{owner} wears {_a(fact.read)} instead of {_a(fact.expected)}."


def _about_the_place(fact: Fact) -> str:
    if fact.read == UNCLEAR:
        return f"The {fact.name} cannot be made out."
    if fact.name == "place":
        return f"The place looks like {_a(fact.read)}, not like {_a(fact.expected)}."
    if fact.name == "time":
        read, told = (_TIMES.get(name, name) for name in (fact.read, fact.expected))
        return f"The shot is {read}, not {told}."
    if fact.name == "weather":
        read, told = (_WEATHER.get(name, name) for name in (fact.read, fact.expected))
        return f"There is {read} instead of {told}."
    shot = f"shot {(fact.since or 0) + 1}"
    if fact.name == "landmark":
        return f"The {fact.expected} of {shot} has become {_a(fact.read)}."
    was, now = (_SIDES.get(name, name) for name in (fact.expected, fact.read))
    return f"What stands in the place was {was} in {shot} and is {now} here."


def _a(noun: str) -> str:
    """The noun with its article."""
    if noun in _PLURAL or noun == "snow":
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
