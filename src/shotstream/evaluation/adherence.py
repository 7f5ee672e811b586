"""Whether a film shows what its captions say, and keeps what no caption says, as the judge reads it.

Prompt adherence compares each shot with its caption. Attribute consistency is about what no caption says: the
colour of an accessory, a pattern, a landmark and its side. Nobody can know these before they are first seen.
So each is compared with what the judge read in the first shot of that character or place in the same film.

A judge is asked only what it was taught: where it does not know a question, or the true answer is none of its
possible ones (a judge that was trained before the world had owls), there is no mark. Nor is there one where
nothing is hidden: the colour of an accessory that nobody wears.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shotstream.world.judge import NOBODY, QUESTIONS, STANDS, Questions, can_answer, true_answers
from shotstream.world.vocabulary import NONE

PROMPT_ADHERENCE = "prompt_adherence"
ATTRIBUTE_CONSISTENCY = "attribute_consistency"
CLEAN_FIGURES = "clean_figures"
FIGURES = "figures"
"""The judge's question whether figures are whole and sharp."""
IN_THE_SHOT = ("place", "time", "weather", "framing", "action", "feeling", "prop")
OF_WHOM = ("kind", "colour", "accessory")
KEPT_BY_THE_PLACE = ("landmark", "side")
KEPT_BY_A_CHARACTER = ("accessory_colour", "pattern")

Answers = Mapping[str, str]
"""Question -> answer, for one shot; the questions are those of a judge."""


class Mark(NamedTuple):
    """One thing looked for in one shot."""

    metric: str
    """The figure that it counts in: `PROMPT_ADHERENCE`, `ATTRIBUTE_CONSISTENCY` or `CLEAN_FIGURES`."""
    name: str
    """What was looked for, e.g. "place", "pattern"."""
    stand: str
    """Which character of the shot, "first" or "second"; empty if it is about the whole shot."""
    asked: str
    """What the caption says; for attribute consistency what was read before."""
    read: str
    """What the judge reads."""
    right: bool


def mark_film(
    attributes: dict[str, Any], answers: Sequence[Answers], questions: Questions = QUESTIONS
) -> list[list[Mark]]:
    """Mark every shot of a film.

    Args:
        attributes: `WorldStory.attributes()` of the story. Alone, a character is the judge's first. Of two,
            captions do not say who stands on which side, so each is looked for where it fits better.
        answers: What the judge reads in every shot.
        questions: Those of the judge.

    Returns:
        Marks of every shot. Prompt adherence: "headcount", "character" (kind and colour, both right) and
        "accessory" of every visible character, and those of `IN_THE_SHOT`. Clean figures: "figures".
        Attribute consistency, in later shots: "accessory_colour", "pattern", "landmark" and "side" of what
        was seen before. Reading nobody where a character was asked for is never right; reading nobody twice
        is not right either.

    Raises:
        ValueError: If there are more or fewer answers than shots.
    """
    if len(answers) != len(attributes["shots"]):
        raise ValueError(
            f"the story has {len(attributes['shots'])} shots and {len(answers)} were read; read every shot."
        )
    seen: dict[tuple[Any, str], str] = {}
    marks = []
    for number, (shot, read) in enumerate(zip(attributes["shots"], answers, strict=True)):
        truth = {
            question: true
            for question, true in true_answers(attributes, number).items()
            if can_answer(questions, question, true)
        }
        if len(shot["subjects"]) == len(STANDS):
            read = max(read, _other_way_round(read), key=lambda answers: _likeness(truth, answers))
        marks.append(
            _adherence(truth, read, len(shot["subjects"])) + _consistency(shot["subjects"], truth, read, seen)
        )
    return marks


def shares(marks: Sequence[Sequence[Mark]]) -> dict[str, float]:
    """Fraction of right marks in a film, by metric and, as "metric.name", by what was looked for.

    What was never looked for has none.
    """
    counted: dict[str, list[bool]] = defaultdict(list)
    for mark in (mark for shot in marks for mark in shot):
        counted[mark.metric].append(mark.right)
        if mark.metric != CLEAN_FIGURES:
            counted[f"{mark.metric}.{mark.name}"].append(mark.right)
    return {name: sum(right) / len(right) for name, right in counted.items()}


def _adherence(asked: Answers, read: Answers, characters: int) -> list[Mark]:
    read_characters = sum(read[f"{stand} kind"] != NOBODY for stand in STANDS)
    marks = [_mark("headcount", "", str(characters), str(read_characters))]
    for stand in STANDS[:characters]:
        accessory = f"{stand} accessory"
        if f"{stand} kind" in asked and f"{stand} colour" in asked:
            marks.append(_mark("character", stand, _looks(asked, stand), _looks(read, stand)))
        if accessory in asked:
            marks.append(_mark("accessory", stand, asked[accessory], read[accessory]))
    marks += [_mark(name, "", asked[name], read[name]) for name in IN_THE_SHOT if name in asked]
    if FIGURES in asked:
        marks.append(_mark(FIGURES, "", asked[FIGURES], read[FIGURES])._replace(metric=CLEAN_FIGURES))
    return marks


def _consistency(
    subjects: Sequence[int], truth: Answers, read: Answers, seen: dict[tuple[Any, str], str]
) -> list[Mark]:
    """Compare with what was read when it was first seen (`seen`, which grows)."""
    questions = [("place", "", name, name) for name in KEPT_BY_THE_PLACE]
    for stand, character in zip(STANDS, subjects, strict=False):
        questions += [(character, stand, name, f"{stand} {name}") for name in KEPT_BY_A_CHARACTER]
    marks = []
    for owner, stand, name, question in questions:
        if truth.get(question, NONE) == NONE:  # not known to the judge, or nothing to be seen
            continue
        now = read[question]
        if (owner, name) in seen:
            before = seen[owner, name]
            marks.append(Mark(ATTRIBUTE_CONSISTENCY, name, stand, before, now, now == before != NOBODY))
        else:
            seen[owner, name] = now
    return marks


def _other_way_round(answers: Answers) -> Answers:
    """The same answers with the two characters in each other's places."""
    first, second = STANDS
    names = {f"{first} ": f"{second} ", f"{second} ": f"{first} "}
    swapped = dict(answers)
    for question in answers:
        for name, other in names.items():
            if question.startswith(name):
                swapped[question] = answers[other + question.removeprefix(name)]
    return swapped


def _likeness(asked: Answers, read: Answers) -> int:
    """How much of what captions tell of two characters is read of them."""
    return sum(
        asked.get(f"{stand} {name}") == read[f"{stand} {name}"] for stand in STANDS for name in OF_WHOM
    )


def _looks(answers: Answers, stand: str) -> str:
    """Colour and kind, e.g. "red cat"; one word where both are "nobody"."""
    return " ".join(dict.fromkeys((answers[f"{stand} colour"], answers[f"{stand} kind"])))


def _mark(name: str, stand: str, asked: str, read: str) -> Mark:
    return Mark(PROMPT_ADHERENCE, name, stand, asked, read, asked == read)
