"""Whether takes differ, and whether a shot obeys the portraits of its cast."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shotstream.evaluation.catalogue import METRICS
from shotstream.evaluation.extractors import Extractors
from shotstream.evaluation.judged_film import Film, ToldAgain
from shotstream.evaluation.measure import measure
from shotstream.evaluation.retakes import (
    reference_obedience,
    retake_adherence,
    retake_difference,
    tell_again,
)
from shotstream.evaluation.sources import HeldOut, from_model
from shotstream.world.judge import QUESTIONS, true_answers
from shotstream.world.sampler import sample_story

pytestmark = pytest.mark.unit

STORY = next(
    story
    for story in (sample_story(seed, split="held-out", frames=5) for seed in range(100))
    if len(story.cast) == 2 and "none" not in {one.accessory for one in story.cast}
)
ATTRIBUTES = STORY.attributes()
TRUTH = true_answers(ATTRIBUTES, 0)


def test_the_difference_of_takes_is_that_of_their_pixels():
    one = np.full((5, 4, 6, 3), 100, np.uint8)
    assert retake_difference(one, one) == 0
    assert retake_difference(one, np.full((3, 4, 6, 3), 90, np.uint8)) == 10
    with pytest.raises(ValueError, match=r"\[5, 4, 6, 3\] and \[5, 4, 7, 3\]"):
        retake_difference(one, np.zeros((5, 4, 7, 3), np.uint8))


def test_a_shot_that_is_as_drawn_obeys_and_keeps_what_is_told():
    assert reference_obedience(ATTRIBUTES, TRUTH, QUESTIONS) == 1
    assert retake_adherence(ATTRIBUTES, TRUTH, QUESTIONS) == 1


def test_another_pattern_is_disobedience_and_no_fault_of_a_retake():
    other = next(pattern for pattern in QUESTIONS["first pattern"] if pattern != TRUTH["first pattern"])
    read = TRUTH | {"first pattern": other}
    assert reference_obedience(ATTRIBUTES, read, QUESTIONS) == 0.75  # of four: two colours, two patterns
    assert retake_adherence(ATTRIBUTES, read, QUESTIONS) == 1


def test_who_stands_on_which_side_does_not_matter():
    sides = {"first": "second", "second": "first"}
    swapped = dict(TRUTH)
    for question, answer in TRUTH.items():
        stand, _, name = question.partition(" ")
        if stand in sides:
            swapped[f"{sides[stand]} {name}"] = answer
    assert reference_obedience(ATTRIBUTES, swapped, QUESTIONS) == 1


def test_a_model_tells_first_shots_again(pipeline):
    source = from_model(pipeline, HeldOut(1, 2, 1000), retakes=True)
    film = source.films[0].make()
    assert source.settings["retakes"]
    again = film.told_again
    assert again.retake.shape == again.from_portraits.shape == film.shots[0].shape
    assert retake_difference(film.shots[0], again.retake) > 0, "its noise is another"
    assert retake_difference(film.shots[0], again.from_portraits) > 0, "it has a context"
    [task] = HeldOut(1, 2, 1000).tasks()
    once_more = tell_again(pipeline, task.story, task.world)
    assert all(np.array_equal(*pair) for pair in zip(again, once_more, strict=True))
    assert from_model(pipeline, HeldOut(1, 2, 1000)).films[0].make().told_again is None


def test_the_report_has_the_difference_without_a_judge():
    shots = [np.zeros((5, 32, 48, 3), np.uint8) for _ in range(5)]
    again = ToldAgain(shots[0] + 7, shots[0])
    film = Film(shots, 12, [""] * 5, attributes=ATTRIBUTES, told_again=again)
    assert measure(film, Extractors({}))["retake_difference"] == 7
    assert METRICS["retake_difference"].share is False


def test_the_page_has_the_figures_of_the_record():
    docs = Path(__file__).parents[2] / "docs"
    summary = json.loads((docs / "results" / "mini_retakes.json").read_text())["summary"]
    page = (docs / "results.md").read_text()
    for name, figure in summary.items():
        digits = 1 if name == "retake_difference" else 3
        mean, low, high = (f"{figure[part]:.{digits}f}" for part in ("mean", "low", "high"))
        assert f"{mean} ({low} to {high}) |" in page
