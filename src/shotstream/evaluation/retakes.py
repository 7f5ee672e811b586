"""Whether another take of a shot differs, and whether a shot obeys pictures of its cast.

Both need more than a film: its first shot told twice more, as a retake and from portraits of the cast.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from shotstream.evaluation.adherence import ATTRIBUTE_CONSISTENCY, PROMPT_ADHERENCE, mark_film
from shotstream.evaluation.judged_film import ToldAgain
from shotstream.evaluation.judging import read_shots
from shotstream.story import Story
from shotstream.world.judge import Judge, Questions, true_answers
from shotstream.world.portrait import draw_portrait
from shotstream.world.sampler import WorldStory

if TYPE_CHECKING:
    from shotstream.streaming.pipeline import ShotStreamPipeline

Answers = Mapping[str, str]
OF_THE_CAST = ("accessory_colour", "pattern")
"""What a portrait shows and no caption says."""


def tell_again(pipeline: ShotStreamPipeline, story: Story, world: WorldStory) -> ToldAgain:
    """Tell the first shot of a story of the story world twice more.

    Args:
        pipeline: The model.
        story: What it is told, with the seed of the film.
        world: The same story as its sampler made it; gives the cast.
    """
    seed = 0 if story.seed is None else story.seed
    first = story.shots[0].prompt
    session = pipeline.open(story.setting, seed)
    for _ in session.shoot(first):
        pass
    retake = np.concatenate([chunk.frames for chunk in session.retake(0)])
    session.close()
    session = pipeline.open(story.setting, seed)
    height, width = retake.shape[1:3]
    for number, character in enumerate(world.cast):
        session.reference(draw_portrait(character, height=height, width=width, seed=number))
    from_portraits = np.concatenate([chunk.frames for chunk in session.shoot(first)])
    session.close()
    return ToldAgain(retake, from_portraits)


def measure_again(
    first: np.ndarray, again: ToldAgain, attributes: Mapping[str, Any], judge: Judge | None
) -> dict[str, float]:
    """Figures of a shot told again.

    Args:
        first: The film's first shot, uint8 ``[T, H, W, 3]``.
        again: The same shot told twice more.
        attributes: `WorldStory.attributes` of the story.
        judge: Reads what it shows; without one only pixels are compared.
    """
    values = {"retake_difference": retake_difference(first, again.retake)}
    if judge is not None:
        [retaken, obeyed] = read_shots(judge, [again.retake, again.from_portraits])
        told = retake_adherence(attributes, retaken, judge.questions)
        shown = reference_obedience(attributes, obeyed, judge.questions)
        values |= {"retake_adherence": told} if told is not None else {}
        values |= {"reference_obedience": shown} if shown is not None else {}
    return values


def retake_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of pixels between two takes of a shot, in levels: 0 where they are the same film.

    Args:
        one: uint8 ``[T, H, W, 3]``.
        other: Of the same picture size; frames beyond the shorter one are left out.

    Raises:
        ValueError: If the sizes of the pictures differ, or one has no frames.
    """
    count = min(len(one), len(other))
    if one.shape[1:] != other.shape[1:] or count == 0:
        raise ValueError(
            f"two takes of a shot have pictures of one size, but these are {list(one.shape)} and "
            f"{list(other.shape)}; compare takes of one story."
        )
    return float(np.abs(one[:count].astype(np.int16) - other[:count]).mean())


def retake_adherence(attributes: Mapping[str, Any], read: Answers, questions: Questions) -> float | None:
    """Fraction of what the first shot's caption says that a retake shows, by the judge; None of nothing."""
    [marks] = mark_film(_first_shots(attributes, 1), [read], questions)
    right = [mark.right for mark in marks if mark.metric == PROMPT_ADHERENCE]
    return sum(right) / len(right) if right else None


def reference_obedience(attributes: Mapping[str, Any], read: Answers, questions: Questions) -> float | None:
    """Fraction of what only portraits show that a shot made from them has, by the judge.

    That is the colour of what is worn, and the pattern, of every character of the shot. Chance is about a
    quarter. None where nothing is worn and the judge knows no pattern.

    Args:
        attributes: `WorldStory.attributes` of the story.
        read: What the judge reads in its first shot, told with portraits of the cast as references.
        questions: Those of the judge.
    """
    twice = _first_shots(attributes, 2)
    [_, marks] = mark_film(twice, [true_answers(twice, 0), read], questions)
    right = [
        mark.right for mark in marks if mark.metric == ATTRIBUTE_CONSISTENCY and mark.name in OF_THE_CAST
    ]
    return sum(right) / len(right) if right else None


def _first_shots(attributes: Mapping[str, Any], times: int) -> dict[str, Any]:
    """The attributes of a story whose shots are the first one, so many times."""
    return {**attributes, "shots": [attributes["shots"][0]] * times}
