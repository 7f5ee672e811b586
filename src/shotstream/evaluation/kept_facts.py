"""Who and what a shot of the drawn world keeps: what its caption tells, and what earlier shots showed.

A fact that captions tell (kind, colour, accessory, place, ...) is compared with the caption. A fact that no
caption tells (the accessory's colour, a pattern, a landmark and its side) is compared with what the judge
read in the earlier shots. Both go by probabilities, so that a judge that is in doubt decides little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shotstream.evaluation.shot_look import Reading
from shotstream.world.judge import CLEAN, NOBODY, STANDS, UNCLEAR
from shotstream.world.told_attributes import told_attributes
from shotstream.world.vocabulary import NONE, split_words, words

TOLD_OF_A_CHARACTER: Mapping[str, float] = {"kind": 3.0, "colour": 2.0, "accessory": 2.0}
"""Facts of a character that captions tell, and how much each weighs."""
SEEN_OF_A_CHARACTER: Mapping[str, float] = {"accessory_colour": 1.0, "pattern": 1.0}
"""Facts of a character that no caption tells."""
TOLD_OF_THE_PLACE: Mapping[str, float] = {"place": 2.0, "time": 1.0, "weather": 1.0}
SEEN_OF_THE_PLACE: Mapping[str, float] = {"landmark": 1.0, "side": 1.0}
CLEAR = 0.5
"""A fact that is read with less probability is in doubt."""


class Fact(NamedTuple):
    """One thing that a shot should keep."""

    name: str
    """What it is, e.g. "accessory"."""
    owner: str
    """The character, e.g. "red cat"; empty for the place."""
    expected: str
    """What the caption tells, or earlier shots showed."""
    since: int | None
    """The earlier shot, from 0, that showed it first; None where only the caption tells it."""
    read: str
    """What the judge reads most likely."""
    kept: float
    """How far it is kept, 0 to 1."""
    weight: float

    @property
    def is_lost(self) -> bool:
        """Whether something else is read rather than it: where the judge is in doubt nothing is lost."""
        return self.kept < CLEAR and self.read != self.expected


def drawn_story(setting: str, prompts: Sequence[str]) -> dict[str, Any] | None:
    """What captions tell of a story of the drawn world, words that the world does not have left out.

    Args:
        setting: Who and where.
        prompts: Of every shot.

    Returns:
        See `told_attributes`; None where the setting lacks a character, its colour, a place or a time.
    """
    known = set(words())

    def kept(text: str) -> str:
        return " ".join(word for word in split_words(text) if word in known)

    return told_attributes(kept(setting), [kept(prompt) for prompt in prompts])


def facts_of(story: Mapping[str, Any], readings: Sequence[Reading]) -> list[Fact]:
    """What the newest shot should keep, and how far it does.

    Args:
        story: What captions tell; see `drawn_story`.
        readings: What the judge reads in each of its shots, in order; empty where that is not known.
    """
    assert len(readings) == len(story["shots"])
    shots = [
        _aligned(story, shot["subjects"], reading)
        for shot, reading in zip(story["shots"], readings, strict=True)
    ]
    earlier, (stands, reading) = shots[:-1], shots[-1]
    facts = [_headcount(len(stands), reading)]
    for stand, index in zip(STANDS, stands, strict=False):
        one = story["cast"][index]
        owner = _looks(one)
        for name, weight in TOLD_OF_A_CHARACTER.items():
            since = _first_shown(earlier, index, name, one[name])
            facts += _told(reading, f"{stand} {name}", name, owner, one[name], since, weight)
        for name, weight in SEEN_OF_A_CHARACTER.items():
            if name != "accessory_colour" or one["accessory"] != NONE:
                before = [_question(other, index, name) for other in earlier]
                facts += _seen(before, reading.get(f"{stand} {name}", {}), name, owner, weight)
    for name, weight in TOLD_OF_THE_PLACE.items():
        facts += _told(reading, name, name, "", story[name], None, weight)
    for name, weight in SEEN_OF_THE_PLACE.items():
        before = [other.get(name, {}) for _, other in earlier]
        facts += _seen(before, reading.get(name, {}), name, "", weight)
    facts += _told(reading, "figures", "figures", "", CLEAN, None, 2.0)
    return [fact for fact in facts if fact.weight > 0]


def changed_inside(story: Mapping[str, Any], beginning: Reading, end: Reading) -> list[Fact]:
    """What the newest shot should show at its end as it did in its beginning, and how far it does.

    Few frames are read with less surety: a fact counts as changed as far as the judge is sure of both ends.
    """
    subjects = story["shots"][-1]["subjects"]
    stands, first = _aligned(story, subjects, beginning)
    _, last = _aligned(story, subjects, end)
    facts = [
        _unchanged(first, last, f"{stand} {name}", name, _looks(story["cast"][index]), weight)
        for stand, index in zip(STANDS, stands, strict=False)
        for name, weight in TOLD_OF_A_CHARACTER.items()
    ]
    facts += [_unchanged(first, last, name, name, "", weight) for name, weight in TOLD_OF_THE_PLACE.items()]
    return [fact for fact in facts if fact is not None]


def _unchanged(
    first: Reading, last: Reading, question: str, name: str, owner: str, weight: float
) -> Fact | None:
    before, after = first.get(question), last.get(question)
    if not before or not after:
        return None
    was, now = _best(before), _best(after)
    changed = 0.0 if was == now or was in (NOBODY, UNCLEAR) else before[was] * after[now]
    return Fact(name, owner, was, None, now, 1 - changed, weight)


def mean_kept(facts: Sequence[Fact]) -> float | None:
    """Mean of how far facts are kept, by their weights; None of no facts."""
    total = sum(fact.weight for fact in facts)
    return sum(fact.kept * fact.weight for fact in facts) / total if total else None


_Aligned = tuple[Sequence[int], Reading]
"""Which of the cast stand first and second in a shot, and a reading in which they do."""


def _aligned(story: Mapping[str, Any], subjects: Sequence[int], reading: Reading) -> _Aligned:
    """Let a reading speak of the subjects in their order: captions do not say who stands on which side."""
    subjects = subjects[: len(STANDS)]
    if len(subjects) < len(STANDS):
        return subjects, reading
    first, second = STANDS
    other = {
        question.replace(first, second) if question.startswith(first) else question.replace(second, first): of
        for question, of in reading.items()
    }

    def likeness(read: Reading) -> float:
        return sum(
            read.get(f"{stand} {name}", {}).get(story["cast"][index][name], 0.0)
            for stand, index in zip(STANDS, subjects, strict=True)
            for name in TOLD_OF_A_CHARACTER
        )

    return subjects, max(reading, other, key=likeness)


def _question(shot: _Aligned, index: int, name: str) -> Mapping[str, float]:
    """What an earlier shot shows of one of the cast; empty if it is not in it."""
    stands, reading = shot
    if index not in stands:
        return {}
    return reading.get(f"{STANDS[stands.index(index)]} {name}", {})


def _first_shown(earlier: Sequence[_Aligned], index: int, name: str, told: str) -> int | None:
    shown = (shot for shot, one in enumerate(earlier) if _question(one, index, name).get(told, 0) >= CLEAR)
    return next(shown, None)


def _headcount(characters: int, reading: Reading) -> Fact:
    """Whether nobody else is there; who is missing shows by the kind."""
    nobody = reading.get("second kind", {}).get(NOBODY, 1.0)
    if characters == 1:
        return Fact("headcount", "", "1", None, "2" if nobody < CLEAR else "1", nobody, 2.0)
    return Fact("headcount", "", str(characters), None, str(characters), 1.0, 0.0)


def _told(
    reading: Reading, question: str, name: str, owner: str, told: str, since: int | None, weight: float
) -> list[Fact]:
    """A fact that a caption tells; none where the judge does not know it."""
    read = reading.get(question, {})
    if told not in read:
        return []
    return [Fact(name, owner, told, since, _best(read), read[told], weight)]


def _seen(
    before: Sequence[Mapping[str, float]], now: Mapping[str, float], name: str, owner: str, weight: float
) -> list[Fact]:
    """A fact that earlier shots showed; none where none did, or the judge was in doubt there."""
    sums: dict[str, float] = {}
    for shown in before:
        for answer, probability in shown.items():
            if answer not in (NOBODY, UNCLEAR, NONE):
                sums[answer] = sums.get(answer, 0.0) + probability
    total, shots = sum(sums.values()), sum(bool(shown) for shown in before)
    if not now or not total:
        return []
    expected = max(sums, key=sums.__getitem__)
    surety = sums[expected] / shots
    if surety < CLEAR:
        return []
    agreement = sum(part * now.get(answer, 0.0) for answer, part in sums.items()) / sums[expected]
    since = next(
        (shot for shot, shown in enumerate(before) if shown and _best(shown) == expected), len(before) - 1
    )
    return [Fact(name, owner, expected, since, _best(now), min(1.0, agreement), weight * surety)]


def _looks(character: Mapping[str, Any]) -> str:
    return f"{character['colour']} {character['kind']}"


def _best(read: Mapping[str, float]) -> str:
    return max(read, key=read.__getitem__)
